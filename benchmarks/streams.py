"""Measure commands on streams: their rate, and whether ten times the input needs more memory."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from multiprocessing import Pipe, active_children, get_context
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.commands import ended, pulsekit, python
from benchmarks.growth import publish_whole
from benchmarks.measure import Client, Meter, Part, in_fresh_process
from benchmarks.stage import KEY, read_bodies, read_jobs, with_one_spoiled
from benchmarks.tasks import Failed, LeftOut, Sample, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from multiprocessing.connection import Connection

    from benchmarks.stage import Stage

__all__ = ["OTHER_KEY", "PART", "RATE", "published", "publishing", "read_in_order"]

RATE = 10_000  # messages a second that are published for tail

_TICK = 0.02  # seconds between two batches of the publisher with a constant rate
OTHER_KEY = "elsewhere.mozilla-central._"  # a binding of tail matches it, but no binding of the queue
_MESSAGE_ID = b'"message_id":"'
# The consumer of the library, without output: what tail could reach. It prints the ids, in the form of a record.
_CONSUMER = """
import asyncio, sys, pulsekit
async def main(binding, count):
    ids = []
    async with pulsekit.connect() as pulse, pulse.subscribe(binding) as messages:
        print("listening", file=sys.stderr, flush=True)
        async for message in messages:
            assert message.payload["version"] == 1
            ids.append(message.properties.message_id)
            await message.ack()
            if len(ids) == count:
                break
    print("\\n".join(f'"message_id":"{id}"' for id in ids))
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def _publish_file(task: Task, meter: Meter) -> None:
    _one_unlike(task, "outcome", "confirmed", _lines(task, meter, 3, *_publish(task), str(_jobs(task))))


def _publish_pipe(task: Task, meter: Meter) -> None:
    _one_unlike(task, "outcome", "confirmed", _lines(task, meter, 3, *_publish(task), piped=_jobs(task)))


def _validate(task: Task, meter: Meter) -> None:
    _one_unlike(task, "valid", True, _lines(task, meter, 1, "validate", "-o", "ndjson", str(_jobs(task))))


def _validate_valid(task: Task, meter: Meter) -> None:
    lines = _lines(task, meter, 0, "validate", "-o", "ndjson", str(_valid_jobs(task)))
    if (valid := sum(json.loads(line)["valid"] for line in lines)) != task.messages:
        raise Failed(f"{valid} of {task.messages} jobs are valid")


def _jsonschema_rs(task: Task, meter: Meter) -> None:
    """Only read, decode and validate the same lines, in this process."""
    import orjson

    jsonschema_rs: Any = import_module("jsonschema_rs")
    schema = json.loads(Path(task.folder, "schema.json").read_text(encoding="utf-8"))
    is_valid = jsonschema_rs.validator_for(schema).is_valid
    for count in meter.whole():
        with _valid_jobs(task).open("rb") as lines:
            if sum(is_valid(orjson.loads(line)) for line in lines) != count:
                raise Failed("a valid job was refused")


def _match(task: Task, meter: Meter) -> None:
    command = ("match", "-o", "ndjson", "--binding", "treeherder.#")
    _one_unlike(task, "matched", True, _lines(task, meter, 1, *command, piped=_records(task)))


def _tail(task: Task, meter: Meter, *, rate: int | None = None, saved: bool = False, library: bool = False) -> None:
    """Measure tail with messages that are published at a rate, or without a rate, before tail reads them."""
    recording, binding = Path(task.folder, "recording.ndjson"), f"{task.exchange}:{OTHER_KEY}"
    shown = ("--save", str(recording), "--force", "--quiet") if saved else ("-o", "ndjson")
    command = ("-m", "pulsekit", "tail", binding, "-n", str(task.messages), *shown)
    if library:
        command = ("-c", _CONSUMER, binding, str(task.messages))
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with ExitStack() as stack:
        process = stack.enter_context(python(task.folder, *command, url=task.url, **streams))
        stack.callback(process.kill)
        assert process.stdout
        assert process.stderr
        if not (first := process.stderr.readline()).startswith(b"listening"):
            raise Failed(f"tail says: {(first + process.stderr.read()).decode()}")
        began = 0.0
        if rate is None:
            process.send_signal(signal.SIGSTOP)
            published(publishing(task, rate))
            process.send_signal(signal.SIGCONT)
            began = perf_counter()
        else:
            publisher = publishing(task, rate)
        count, first_came = read_in_order(process.stdout)
        finished = perf_counter()
        usage = ended(process)
        if saved:
            finished = perf_counter()
            with recording.open("rb") as lines:
                count, _ = read_in_order(line for line in lines if _MESSAGE_ID in line)
        if (process.returncode, count) != (0, task.messages):
            raise Failed(f"tail ended with {process.returncode} after {count} of {task.messages} messages")
        meter.ran(finished - (began or first_came), usage)
        if rate is not None:
            offered, last = published(publisher)
            meter.extra |= {"offered/s": offered, "behind ms": (finished - last) * 1e3}


def read_in_order(lines: Iterable[bytes]) -> tuple[int, float]:
    """Check that records are in the order of publication. Return their number and the time of the first record."""
    number, came = 0, 0.0
    for number, line in enumerate(lines, 1):
        came = came or perf_counter()
        if not line.partition(_MESSAGE_ID)[2].startswith(_id(number - 1)):
            raise Failed(f"message {number} should be {_id(number - 1)!r}: {line.decode()}")
    return number, came


def _publish(task: Task) -> tuple[str, ...]:
    return "publish", "--exchange", task.exchange, "--routing-key", KEY, "--keep-going", "-o", "ndjson"


def _lines(task: Task, meter: Meter, status: int, *command: str, piped: Path | None = None) -> Iterator[bytes]:
    """Yield the output of a command, and check its exit code."""
    with ExitStack() as stack:
        began = perf_counter()
        source = None
        if piped:
            source = stack.enter_context(subprocess.Popen(("cat", piped), stdout=subprocess.PIPE))
        streams: dict[str, Any] = {"stdin": source.stdout if source else subprocess.DEVNULL, "stdout": subprocess.PIPE}
        process = stack.enter_context(pulsekit(task.folder, *command, url=task.url, **streams))
        if source and source.stdout:
            source.stdout.close()  # only the command reads it
        assert process.stdout
        yield from process.stdout
        usage = ended(process)
        meter.ran(perf_counter() - began, usage)
        if process.returncode != status:
            raise Failed(f"pulsekit {' '.join(command)} ended with {process.returncode}, not {status}")


def _one_unlike(task: Task, key: str, good: object, lines: Iterable[bytes]) -> None:
    """Check that the output has one line for each payload, and an error only for the invalid payload."""
    number, unlike = 0, []
    for number, line in enumerate(lines, 1):
        if json.loads(line)[key] != good:
            unlike.append(number)
    if (number, unlike) != (task.messages + 1, [_spoiled(task) + 1]):
        raise Failed(f"{number} answers to {task.messages + 1} payloads, those to {unlike[:9]} are not {good}")


def publishing(task: Task, rate: int | None) -> Connection:
    """Run a publisher in a separate process."""
    ours, theirs = Pipe(duplex=False)
    get_context("spawn").Process(target=_send_in_process, args=(task, rate, theirs), daemon=True).start()
    theirs.close()
    return ours


def published(publisher: Connection) -> tuple[float, float]:
    """Return the measured rate, and the time of the last confirm."""
    try:
        rate, finished = publisher.recv()
    except EOFError:
        raise Failed("not everything was published") from None
    finally:
        for process in active_children():  # it has no work left
            process.join()
    return rate, finished


def _send_in_process(task: Task, rate: int | None, result: Connection) -> None:
    import asyncio

    began = perf_counter()
    finished = asyncio.run(_send(task, rate))
    result.send((task.messages / (finished - began), finished))


async def _send(task: Task, rate: int | None) -> float:
    import asyncio

    import pulsekit

    messages = (
        pulsekit.Draft(body, OTHER_KEY, properties=pulsekit.Properties(message_id=_id(number).decode()))
        for number, body in enumerate(islice(read_bodies(task), task.messages))
    )
    burst = max(1, int(rate * _TICK)) if rate else task.messages
    async with pulsekit.connect(task.url) as pulse:
        publisher = pulse.publisher(task.exchange)
        await publisher.open()
        began = perf_counter()
        for sent in range(burst, task.messages + burst, burst):
            async for receipt in publisher.publish_many(islice(messages, burst)):
                receipt.check()
            finished = perf_counter()
            if rate:
                await asyncio.sleep(began + sent / rate - finished)
    return finished


def _id(number: int) -> bytes:
    return f"{number:032x}".encode()


def _spoiled(task: Task) -> int:
    return task.messages // 2


def _jobs(task: Task) -> Path:
    return Path(task.folder, f"jobs-{task.messages}.ndjson")


def _valid_jobs(task: Task) -> Path:
    return Path(task.folder, f"valid-{task.messages}.ndjson")


def _records(task: Task) -> Path:
    return Path(task.folder, f"records-{task.messages}.ndjson")


def _write_input(task: Task) -> None:
    """Write files of jobs and of records. Two of them have an additional invalid job or unroutable record."""
    if _records(task).exists():
        return
    with _valid_jobs(task).open("wb") as valid:
        valid.writelines(body + b"\n" for body in islice(read_bodies(task), task.messages))
    with _jobs(task).open("w") as jobs, _records(task).open("w") as records:
        for number, job in enumerate(with_one_spoiled(read_jobs(task), task.messages, _spoiled(task))):
            key = OTHER_KEY if number == _spoiled(task) else KEY
            jobs.write(json.dumps(job, separators=(",", ":")) + "\n")
            record = {"v": 1, "exchange": "exchange/bench/jobs", "routing_key": key, "cc": [], "payload": job}
            records.write(json.dumps(record, separators=(",", ":")) + "\n")


def _measure(stage: Stage, part: str, case: str) -> Sample:
    if case == _RUST and find_spec("jsonschema_rs") is None:
        raise LeftOut("jsonschema-rs is not installed")
    messages = stage.most // 10 if case.endswith(_TENTH) else stage.most
    with stage.queue(case, messages, filled=False) as task:
        _write_input(task)
        sample = in_fresh_process(part, task)
        stage.check_queue(task, messages if case.startswith("pulsekit publish") else 0)
        return sample


_RUST = "orjson and jsonschema-rs, the same lines"
_TENTH = ", a tenth of the input"
_CLIENTS: dict[str, Client] = {
    "pulsekit publish_many, dicts, validated": publish_whole,
    "pulsekit publish FILE": _publish_file,
    "pulsekit publish, piped": _publish_pipe,
    "pulsekit publish, piped" + _TENTH: _publish_pipe,
    "pulsekit validate FILE": _validate,
    "pulsekit validate FILE" + _TENTH: _validate,
    "pulsekit validate FILE, no invalid job": _validate_valid,
    _RUST: _jsonschema_rs,
    "pulsekit match, a piped recording": _match,
    "pulsekit match, a piped recording" + _TENTH: _match,
    "pulsekit async for, decoded, a full queue": partial(_tail, library=True),
    "pulsekit tail, a full queue": _tail,
    "pulsekit tail, a full queue" + _TENTH: _tail,
    "pulsekit tail --save, a full queue": partial(_tail, saved=True),
    "pulsekit tail --save, a full queue" + _TENTH: partial(_tail, saved=True),
    f"pulsekit tail, {RATE:,}/s published": partial(_tail, rate=RATE),
}
PART = Part("streams: whole commands, -o ndjson, one payload invalid", "messages/s", _CLIENTS, _measure, rounds=3)
