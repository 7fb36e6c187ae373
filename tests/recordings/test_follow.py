"""Following a subscription from Python: which messages are selected, recorded, shown and acknowledged."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
from aiormq.exceptions import ChannelClosed

import pulsekit
from pulsekit.bindings.registration import Binding
from pulsekit.messages import Gap
from pulsekit.recordings import Follower, RecordingWriter, Until
from pulsekit.records.expressions import Filter
from pulsekit.records.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser

    from pulsekit.records.selection import SelectedMessage

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Shown:
    """Store the shown messages."""

    def __init__(self) -> None:
        self.due = inf
        self.numbers: list[int] = []
        self.gaps: list[bool] = []
        self.closed = False

    async def show(self, seen: Sequence[SelectedMessage]) -> None:
        self.numbers += [one.message.payload["number"] for one in seen]

    def gap(self, gap: Gap, *, at_once: bool) -> None:
        self.gaps.append(at_once)

    async def settle(self) -> None:
        """Do nothing, because nothing is due."""

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def binding(exchange: str) -> Binding:
    return Binding(exchange, "#")


@pytest.fixture
async def publisher(pulse: pulsekit.Pulse, exchange: str) -> pulsekit.Publisher:
    await pulse.create_exchange(exchange)
    return pulse.publisher(exchange)


async def publish(publisher: pulsekit.Publisher, count: int) -> None:
    async for receipt in publisher.publish_many([({"number": number}, "k") for number in range(count)]):
        receipt.check()


def recorded(path: Path) -> list[Any]:
    """Read a recording, which must be complete."""
    return [entry.payload["number"] for entry in pulsekit.read_recording(path) if isinstance(entry, pulsekit.Record)]


@pytest.mark.parametrize("records", [True, False])
async def test_selected_messages_are_recorded_and_all_are_acknowledged(
    user: PulseUser,
    pulse: pulsekit.Pulse,
    publisher: pulsekit.Publisher,
    binding: Binding,
    tmp_path: Path,
    records: bool,
) -> None:
    queue = f"queue/{user.name}/jobs"
    path, shown = tmp_path / "jobs.ndjson", Shown()
    selection = Selection([binding], filter=Filter("payload.number >= `2`"))
    writer = RecordingWriter(pulsekit.Recorder(path)) if records else None
    follower = Follower(selection, writer, lambda: shown, until=Until(count=3))
    async with pulse.subscribe(binding, queue=queue, prefetch=follower.prefetch, on_gap=follower.on_gap) as consumer:
        await publish(publisher, 5)
        await follower.run(consumer)
        assert (follower.received, follower.chosen) == (5, 3)
        assert shown.numbers == [2, 3, 4]
        assert shown.closed
        assert recorded(path) == [2, 3, 4] if records else not path.exists()
    async with pulse.subscribe(queue=pulsekit.Queue(queue, existing=True)) as consumer:
        assert (await consumer.depth()).total == 0


async def test_messages_are_counted_and_acknowledged_if_the_time_ends_while_they_are_written(
    user: PulseUser, pulse: pulsekit.Pulse, publisher: pulsekit.Publisher, binding: Binding, tmp_path: Path
) -> None:
    closing = threading.Event()

    class SlowRecorder(pulsekit.Recorder):
        def write(self, entries: Iterable[pulsekit.Message | Gap]) -> None:
            closing.wait()
            super().write(entries)

    class Writer(RecordingWriter):
        async def close(self) -> None:
            closing.set()
            await super().close()

    queue, path = f"queue/{user.name}/jobs", tmp_path / "jobs.ndjson"
    follower = Follower(Selection([binding]), Writer(SlowRecorder(path)), until=Until(duration=0.2))
    async with pulse.subscribe(binding, queue=queue) as consumer:
        await publish(publisher, 3)
        await follower.run(consumer)
        assert recorded(path) == list(range(follower.chosen))
    async with pulse.subscribe(queue=pulsekit.Queue(queue, existing=True)) as consumer:
        assert (await consumer.depth()).total == 3 - follower.chosen


@pytest.mark.parametrize("until", [Until(idle=0.05), Until(duration=0.05)], ids=["idle", "duration"])
async def test_it_stops_in_time_and_the_recording_is_complete(
    pulse: pulsekit.Pulse, publisher: pulsekit.Publisher, binding: Binding, tmp_path: Path, until: Until
) -> None:
    path = tmp_path / "jobs.ndjson.gz"
    follower = Follower(Selection([binding]), RecordingWriter(pulsekit.Recorder(path)), until=until)
    async with pulse.subscribe(binding) as consumer:
        await follower.run(consumer)
    assert recorded(path) == []


@pytest.mark.parametrize("until", [Until(idle=1), Until(duration=1)], ids=["idle", "duration"])
async def test_it_stops_in_time_while_it_waits_for_an_exchange(
    pulse: pulsekit.Pulse, exchange: str, tmp_path: Path, until: Until
) -> None:
    path, missing = tmp_path / "jobs.ndjson.gz", Binding(exchange, "#")
    follower = Follower(Selection([missing]), RecordingWriter(pulsekit.Recorder(path)), until=until)
    consumer = pulse.subscribe(missing, wait=True)
    async with asyncio.timeout(30):
        assert not await follower.connect(consumer)
        await follower.run(consumer)
    assert recorded(path) == []


@pytest.mark.parametrize("until", [Until(idle=1), Until(duration=1)], ids=["idle", "duration"])
async def test_a_subscription_that_fails_until_the_end_is_an_error(
    pulse: pulsekit.Pulse,
    publisher: pulsekit.Publisher,
    binding: Binding,
    monkeypatch: pytest.MonkeyPatch,
    until: Until,
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise ChannelClosed(541, "INTERNAL_ERROR - a node is starting")

    monkeypatch.setattr("pulsekit._amqp.methods.declare_queue", fails)
    follower = Follower(Selection([binding]), until=until)
    with pytest.raises(pulsekit.ConnectTimeout, match=r"no subscription within 1[.\d]* s.*INTERNAL_ERROR"):
        await follower.connect(pulse.subscribe(binding))


async def test_the_duration_counts_from_the_start_and_not_from_the_subscription(
    pulse: pulsekit.Pulse, publisher: pulsekit.Publisher, binding: Binding
) -> None:
    follower = Follower(Selection([binding]), until=Until(duration=3600))
    consumer = pulse.subscribe(binding)
    assert await follower.connect(consumer)
    assert follower._began is not None
    follower._began -= 3600  # as if opening had needed all this time
    async with asyncio.timeout(30):
        await follower.run(consumer)


async def test_a_gap_is_shown_at_once_when_no_message_waits(
    pulse: pulsekit.Pulse, publisher: pulsekit.Publisher, binding: Binding
) -> None:
    shown = Shown()
    follower = Follower(Selection([binding]), None, lambda: shown, until=Until(count=1))
    follower.on_gap(Gap(NOON, NOON, 1, lossy=False))  # before anything shows it
    async with pulse.subscribe(binding) as consumer:
        await follower.open(consumer)
        follower.on_gap(Gap(NOON, NOON, 2, lossy=False))
        follower.busy = True
        follower.on_gap(Gap(NOON, NOON, 3, lossy=False))
    assert shown.gaps == [True, False]
