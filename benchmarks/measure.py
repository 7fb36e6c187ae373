"""Measure one case in a process of its own, which calls `main` with the part and the task; the warm-up apart."""

from __future__ import annotations

import inspect
import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.tasks import Failed, Sample, Task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping

    from benchmarks.stage import Stage

__all__ = ["Client", "Meter", "Part", "in_fresh_process", "load", "main"]

_WARM_UP = 0.2  # seconds that the last step of the warm-up takes at least, unless a measurement is shorter
_WARM_UP_SHARE = 10  # one in so many of the messages that wait in a queue
_LIMIT = 60.0  # seconds until a process counts as hanging, and more for
_LEAST_RATE = 500  # messages a second
# The checkout comes last, so that an installed pulsekit is the one that is measured.
_CALL = f"import sys; sys.path.append({str(Path(__file__).parents[1])!r}); from benchmarks.measure import main; main()"


class Meter:
    """Time what a client does, or count what it gets."""

    def __init__(self, task: Task) -> None:
        self.extra: dict[str, float] = {}
        self._task = task
        self._warm = task.messages // _WARM_UP_SHARE
        self._total = self._count = self._peak = 0
        self._start = self._stop = (0.0, 0.0)

    def phases(self, step: int = 1) -> Iterator[int]:
        """Yield how many operations, in multiples of `step`, to complete before asking again; the last are measured."""
        count, took = step, 0.0
        while took < min(_WARM_UP, self._task.seconds):
            count *= 2 if took else 1
            began = perf_counter()
            yield count
            took = perf_counter() - began
            self._total += count
        self._count = max(step, int(count / took * self._task.seconds) // step * step)
        self._start = _now()
        yield self._count
        self._stop = _now()
        self._total += self._count

    def took(self) -> bool:
        """Count a message that came, and tell whether there are more."""
        self._total += 1
        if self._total == self._warm:
            self._start = _now()
        if self._total == self._task.messages:
            self._stop = _now()
            self._count = self._total - self._warm
        return self._total < self._task.messages

    def whole(self) -> Iterator[int]:
        """Yield the task's number of messages once: the first is measured like the last, there is no warm-up."""
        self._count = self._total = self._task.messages
        self._start = _now()
        yield self._count
        self._stop = _now()

    def ran(self, seconds: float, usage: resource.struct_rusage) -> None:
        """Take what a command needed that did the whole task."""
        self._count = self._total = self._task.messages
        self._stop = (seconds, usage.ru_utime + usage.ru_stime)
        self._peak = usage.ru_maxrss

    def sample(self) -> Sample:
        # The peak of getrusage begins with what the parent held; that of proc(5) is this program's own.
        own = Path("/proc/self/status").read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0]
        peak = self._peak or resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss or int(own)
        seconds, cpu = (stop - start for start, stop in zip(self._start, self._stop, strict=True))
        return Sample(self._count, seconds, cpu, self._total, peak, self.extra)


Client: TypeAlias = "Callable[[Task, Meter], Awaitable[None] | None]"


@dataclass(frozen=True, slots=True)
class Part:
    """Describe one table of the report; clients of ours have names that begin with "pulsekit"."""

    title: str
    unit: str  # of operations a second, or "ms" for each
    clients: Mapping[str, Client]
    measure: Callable[[Stage, str, str], Sample] = lambda stage, part, case: in_fresh_process(part, stage.task(case))
    rounds: int = 5
    once: Collection[str] = ()  # cases that take so long that one round has to do


def load(name: str) -> Part:
    """Return a part by its name: `publish`, or `publish-sandbox` for the same over the sandbox."""
    module, _, broker = name.partition("-")
    part: Part = getattr(import_module(f"benchmarks.{module}"), f"ON_{broker.upper()}" if broker else "PART")
    return part


def in_fresh_process(part: str, task: Task, *command: str) -> Sample:
    """Measure a client of the part, or a command that takes the task as its last argument; it may end as `Failed`."""
    arguments = (*(command or (sys.executable, "-c", _CALL, part)), json.dumps(asdict(task)))
    limit = _LIMIT + task.messages / _LEAST_RATE
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        try:
            answer, complaint = process.communicate(timeout=limit)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)  # with what it started
            if isinstance(error, subprocess.TimeoutExpired):
                raise Failed(f"{part}, {task.case}: no end after {limit:.0f} s") from None
            raise
    if process.returncode:
        raise Failed(f"{part}, {task.case}: {complaint.strip()}")
    return Sample(**json.loads(answer))


def _now() -> tuple[float, float]:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return perf_counter(), sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Measure a case in this process: the arguments are the part and the task."""
    part, given = sys.argv[1:]
    task = Task(**json.loads(given))
    meter = Meter(task)
    running = load(part).clients[task.case](task, meter)
    if inspect.iscoroutine(running):
        import asyncio  # not for clients that do without

        asyncio.run(running)
    print(json.dumps(asdict(meter.sample())))
