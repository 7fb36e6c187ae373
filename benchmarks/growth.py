"""Publish and consume from ten to a million messages: the cost of a message, and the memory of the client."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measure import Client, Meter, Part, in_fresh_process
from benchmarks.publish import publish_many
from benchmarks.stage import read_jobs
from benchmarks.tasks import LeftOut, Sample, Task

if TYPE_CHECKING:
    from benchmarks.stage import Stage

__all__ = ["PART", "publish_whole"]

_SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
_LONG = _SIZES[-1]  # only with --full, in one round
_PUBLISH = "pulsekit publish_many, dicts, validated: {:,}"
_CONSUME = "pulsekit async for, decoded: {:,}"


async def publish_whole(task: Task, meter: Meter) -> None:
    import pulsekit

    supply = read_jobs(task)
    async with pulsekit.connect(task.url) as pulse:
        publisher = pulse.publisher(task.exchange, schema="pulse-job")
        await publisher.open()
        for count in meter.whole():
            await publish_many(publisher, task, supply, count, validated=True)


async def _consume(task: Task, meter: Meter) -> None:
    import pulsekit

    async with pulsekit.connect(task.url) as pulse:
        for count in meter.whole():
            left = count
            async with pulse.subscribe(queue=task.queue) as messages:
                async for message in messages:
                    assert message.payload["version"] == 1
                    await message.ack()
                    left -= 1
                    if not left:
                        break


def _measure(stage: Stage, part: str, case: str, size: int, *, filled: bool) -> Sample:
    if size > stage.most and not (stage.full and size == _LONG):
        raise LeftOut("--full measures it" if size == _LONG else f"--most is {stage.most}")
    with stage.queue(case, size, filled=filled) as task:
        sample = in_fresh_process(part, task)
        stage.check_queue(task, 0 if filled else size)
        return sample


_CASES = {
    name.format(size): (client, partial(_measure, size=size, filled=client is _consume))
    for name, client in ((_PUBLISH, publish_whole), (_CONSUME, _consume))
    for size in _SIZES
}
_CLIENTS: dict[str, Client] = {case: client for case, (client, _) in _CASES.items()}
PART = Part(
    "growth: from the first message to the last, without a warm-up",
    "messages/s",
    _CLIENTS,
    lambda stage, part, case: _CASES[case][1](stage, part, case),
    rounds=3,
    once=[name.format(_LONG) for name in (_PUBLISH, _CONSUME)],
)
