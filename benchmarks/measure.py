"""Measure one case in a separate process, which calls `main` with the part and the task. The warm-up is not counted."""

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
from statistics import quantiles
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.tasks import Failed, Sample, Task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence

    from benchmarks.stage import Stage

__all__ = ["Client", "Meter", "Part", "in_fresh_process", "load", "main", "percentiles"]

_WARM_UP = 0.2  # minimal seconds of the last step of the warm-up, unless a measurement is shorter
_WARM_UP_SHARE = 10  # the warm-up consumes 1 in 10 messages of a queue
_LIMIT = 60.0  # seconds until a process is killed, plus the time for its messages at _LEAST_RATE
_LEAST_RATE = 500  # messages a second
# The checkout is the last entry, so that an installed pulsekit is measured and not the checkout.
_CALL = f"import sys; sys.path.append({str(Path(__file__).parents[1])!r}); from benchmarks.measure import main; main()"


class Meter:
    """A timer for the operations of a client, and a counter of its messages."""

    def __init__(self, task: Task) -> None:
        self.extra: dict[str, float] = {}
        self._task = task
        self._warm = task.messages // _WARM_UP_SHARE
        self._total = self._count = self._peak = 0
        self._start = self._stop = (0.0, 0.0)

    def phases(self, step: int = 1) -> Iterator[int]:
        """Yield the number of operations of each round, a multiple of `step`. The last round is measured."""
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
        """Count a received message, and return whether there are more."""
        self._total += 1
        if self._total == self._warm:
            self._start = _now()
        if self._total == self._task.messages:
            self._stop = _now()
            self._count = self._total - self._warm
        return self._total < self._task.messages

    def whole(self) -> Iterator[int]:
        """Yield the task's number of messages once. There is no warm-up, so the first message is measured too."""
        self._count = self._total = self._task.messages
        self._start = _now()
        yield self._count
        self._stop = _now()

    def ran(self, seconds: float, usage: resource.struct_rusage, cpu: float | None = None) -> None:
        """Record the resource usage of a command that completed the task, or `cpu` seconds of its processor time."""
        self._count = self._total = self._task.messages
        self._stop = (seconds, usage.ru_utime + usage.ru_stime if cpu is None else cpu)
        self._peak = usage.ru_maxrss

    def sample(self) -> Sample:
        # The peak of getrusage includes the memory of the parent process. The peak of proc(5) does not.
        own = Path("/proc/self/status").read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0]
        peak = self._peak or resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss or int(own)
        seconds, cpu = (stop - start for start, stop in zip(self._start, self._stop, strict=True))
        return Sample(self._count, seconds, cpu, self._total, peak, self.extra)


Client: TypeAlias = "Callable[[Task, Meter], Awaitable[None] | None]"


@dataclass(frozen=True, slots=True)
class Part:
    """One table of the report. The names of pulsekit's cases begin with "pulsekit"."""

    title: str
    unit: str  # the unit of the operations in a second, or "ms" for the duration of each
    clients: Mapping[str, Client]
    measure: Callable[[Stage, str, str], Sample] = lambda stage, part, case: in_fresh_process(part, stage.task(case))
    rounds: int = 5
    once: Collection[str] = ()  # long cases, which are measured in one round


def load(name: str) -> Part:
    """Return a part by its name: `publish`, or `publish-sandbox` for the same part on the sandbox."""
    module, _, broker = name.partition("-")
    part: Part = getattr(import_module(f"benchmarks.{module}"), f"ON_{broker.upper()}" if broker else "PART")
    return part


def in_fresh_process(part: str, task: Task, *command: str) -> Sample:
    """Measure a client of the part, or a command whose last argument is the task."""
    arguments = (*(command or (sys.executable, "-c", _CALL, part)), json.dumps(asdict(task)))
    limit = _LIMIT + task.messages / _LEAST_RATE
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        try:
            answer, complaint = process.communicate(timeout=limit)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)  # and its child processes
            if isinstance(error, subprocess.TimeoutExpired):
                raise Failed(f"{part}, {task.case}: no end after {limit:.0f} s") from None
            raise
    if process.returncode:
        raise Failed(f"{part}, {task.case}: {complaint.strip()}")
    return Sample(**json.loads(answer))


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median and the 99th percentile as figures of a sample."""
    hundredths = quantiles(seconds, n=100) if len(seconds) > 1 else [*seconds] * 99
    return {"p50 µs": hundredths[49] * 1e6, "p99 µs": hundredths[98] * 1e6}


def _now() -> tuple[float, float]:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return perf_counter(), sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Measure a case in this process. The arguments are the part and the task."""
    part, given = sys.argv[1:]
    task = Task(**json.loads(given))
    meter = Meter(task)
    running = load(part).clients[task.case](task, meter)
    if inspect.iscoroutine(running):
        import asyncio  # only for clients that need it

        asyncio.run(running)
    print(json.dumps(asdict(meter.sample())))
