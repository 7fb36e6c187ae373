"""Read recordings of task messages of growing size, and preview the tasks."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.commands import ended, pulsekit
from benchmarks.measure import Client, Meter, Part, in_fresh_process
from benchmarks.tasks import Failed, LeftOut, Sample, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.stage import Stage

__all__ = ["PART"]

_SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
_LONG = _SIZES[-1]  # only with --full, in one round
_READ = "pulsekit read_recording: {:,}"
_PREVIEW = "pulsekit preview: {:,}"
_PEER_LINES = 100_000
_STATES = ("defined", "pending", "running", "completed")


def _read(task: Task, meter: Meter) -> None:
    from pulsekit import read_recording

    for count in meter.whole():
        if sum(1 for _ in read_recording(_recording(task))) != count:
            raise Failed("the number of messages is wrong")


def _decode(task: Task, meter: Meter, loads: Callable[[bytes], Any]) -> None:
    """Only decode each line of the same recording."""
    for count in meter.whole():
        with _recording(task).open("rb") as lines:
            if sum(loads(line)["v"] for line in lines) != count:
                raise Failed("the number of messages is wrong")


def _orjson(task: Task, meter: Meter) -> None:
    import orjson

    _decode(task, meter, orjson.loads)


def _preview(task: Task, meter: Meter) -> None:
    with ExitStack() as stack:
        output = stack.enter_context(Path(task.folder, "previews.ndjson").open("w+b"))
        began = perf_counter()
        command = ("preview", "-o", "ndjson", str(_recording(task)))
        process = stack.enter_context(pulsekit(task.folder, *command, stdout=output))
        usage = ended(process)
        meter.ran(perf_counter() - began, usage)
        output.seek(0)
        previews = sum(b'"outcome":' in line for line in output)
    # The definitions of the tasks are not in the recording, so no job can be judged.
    if (process.returncode, previews) != (1, task.messages):
        raise Failed(f"preview ended with {process.returncode} after {previews} of {task.messages} messages")


def _recording(task: Task) -> Path:
    return Path(task.folder, f"tasks-{task.messages}.ndjson")


def _records(count: int) -> Iterator[bytes]:
    """Yield the records of tail without a header: four messages for each task, in the order of time."""
    from support.samples import REVISION
    from support.taskcluster import GROUP, RUN

    route = f"route.tc-treeherder.v2.autoland.{REVISION}.4711"
    for number in range(count):
        state, slug = _STATES[number % 4], f"Ta{number // 4:019d}A"
        run = {key: RUN[key] for key in ("runId", "reasonCreated")} | {"state": state, "scheduled": RUN["started"]}
        run |= {
            "running": {"started": RUN["started"], "workerId": RUN["workerId"]},
            "completed": RUN | {"state": state, "reasonResolved": "completed"},
        }.get(state, {})
        status = {
            "taskId": slug,
            "provisionerId": "gecko-t",
            "workerType": "t-linux-large",
            "schedulerId": "gecko-level-3",
            "taskGroupId": GROUP,
            "projectId": "gecko",
            "priority": "low",
            "retriesLeft": 5,
            "deadline": "2026-11-24T18:00:00.000Z",
            "expires": "2027-11-23T18:00:00.000Z",
            "state": "unscheduled" if state == "defined" else state,
            "runs": [] if state == "defined" else [run],
        }
        payload = {
            "status": status,
            "runId": 0,
            "version": 1,
            "task": {"tags": {"kind": "test", "label": "test-linux64"}},
        }
        record = {
            "v": 1,
            "exchange": f"exchange/taskcluster-queue/v1/task-{state}",
            "routing_key": f"primary.{slug}.0.us-east.worker-7.gecko-t.t-linux-large.gecko-level-3.{GROUP}._",
            "cc": [route],
            "redelivered": False,
            "received": "2026-11-23T18:20:00.000Z",
            "properties": {"content_type": "application/json", "delivery_mode": 2, "message_id": f"{number:032x}"},
            "headers": {},
            "payload": payload,
        }
        yield json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _measure(stage: Stage, part: str, case: str) -> Sample:
    size = _CASES[case][1] or min(_PEER_LINES, stage.most)
    if size > stage.most and not (stage.full and size == _LONG):
        raise LeftOut("--full measures it" if size == _LONG else f"--most is {stage.most}")
    task = stage.task(case, messages=size)
    if not _recording(task).exists():
        with _recording(task).open("wb") as recording:
            recording.writelines(_records(size))
    return in_fresh_process(part, task)


_CASES: dict[str, tuple[Client, int | None]] = {
    **{name.format(size): (client, size) for name, client in ((_READ, _read), (_PREVIEW, _preview)) for size in _SIZES},
    "orjson.loads of each line": (_orjson, None),
    "json.loads of each line": (partial(_decode, loads=json.loads), None),
}
PART = Part(
    "recordings: messages of tasks, from the first line to the last",
    "messages/s",
    {case: client for case, (client, _) in _CASES.items()},
    _measure,
    rounds=3,
    once=[name.format(_LONG) for name in (_READ, _PREVIEW)],
)
