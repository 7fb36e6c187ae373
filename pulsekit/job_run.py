"""Run a command, and report it to Treeherder as a job: pending, running, completed.

Plan: the command starts immediately, and inherits stdin, stdout and stderr. A task publishes the states in order while
the command runs. If a state cannot be published, a warning is logged. After the command exits, the remaining states
must be published within `timeout` seconds.

Invariant: the exit status is the exit status of the command, even if the broker is unavailable.

Example: `make` exits with 2 while the broker is unavailable. A warning is logged, and `run_job` returns 2.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pulsekit.errors import PulsekitError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Self

    from pulsekit.treeherder.job import Job, JobResult

__all__ = ["REPORT_TIMEOUT", "run_job"]

log = logging.getLogger("pulsekit")

REPORT_TIMEOUT = 30.0  # seconds after the exit of the command in which its states must be published
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # exit statuses of a shell (POSIX, Shell Command Language §2.8.2)
_FORWARDED = (signal.SIGTERM, signal.SIGHUP)  # the terminal sends SIGINT directly to the command


async def run_job(
    command: Sequence[str],
    job: Job,
    publish: Callable[[Job], Awaitable[object]],
    *,
    timeout: float = REPORT_TIMEOUT,
) -> int:
    """Run a command, publish its states as the states of a job, and return its exit status.

    If the exit status is 0, the result of the job is "success", otherwise "fail". After SIGINT, SIGTERM or SIGHUP to
    this process, the result is "canceled". If the command cannot start, or another signal kills it, the result is
    "exception".

    Args:
        command: the program and its arguments. It inherits stdin, stdout and stderr.
        job: the job. Its state, result and times are replaced.
        publish: publishes one state of the job. A `PulsekitError` becomes a warning.
        timeout: seconds after the exit of the command in which its states must be published.

    Returns:
        The exit status that a shell returns: 128 plus the number of the signal that killed the command, 127 if the
        program does not exist, 126 if the program cannot be executed.
    """
    states: asyncio.Queue[Job | None] = asyncio.Queue()
    reporting = asyncio.create_task(_report(states, publish))
    states.put_nowait(job := _pending(job))
    try:
        status, job = await _execute(command, job, states.put_nowait)
    except asyncio.CancelledError:
        reporting.cancel()
        raise
    states.put_nowait(job)
    states.put_nowait(None)
    done, _ = await asyncio.wait([reporting], timeout=timeout)
    if not done:
        reporting.cancel()
        await asyncio.wait([reporting])
        log.warning("the job %s was not completely published within %g s", job.task_id, timeout)
    return status


async def _execute(command: Sequence[str], job: Job, on_state: Callable[[Job], None]) -> tuple[int, Job]:
    """Run the command, and return its exit status and the completed job."""
    with _Signals() as signals:
        try:
            process = await asyncio.create_subprocess_exec(*command)
        except OSError as error:
            log.warning("cannot run %s: %s", command[0], error.strerror)
            status = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
            return status, job.completed("exception")
        signals.forward_to(process)
        job = job.running()
        on_state(job)
        status = await process.wait()
    return (status if status >= 0 else 128 - status), job.completed(_result(status, canceled=bool(signals.received)))


def _result(status: int, *, canceled: bool) -> JobResult:
    if canceled:
        return "canceled"
    if status < 0:
        return "exception"
    return "success" if status == 0 else "fail"


class _Signals:
    """The signals that this process receives while the command runs. SIGTERM and SIGHUP are forwarded to the command.

    Attributes:
        received: the numbers of the signals, in order.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self._process: asyncio.subprocess.Process | None = None
        # A signal that is ignored, for example by nohup, stays ignored.
        self._numbers = [
            number for number in (signal.SIGINT, *_FORWARDED) if signal.getsignal(number) is not signal.SIG_IGN
        ]

    def forward_to(self, process: asyncio.subprocess.Process) -> None:
        """Forward signals to a process, including signals that this process received earlier."""
        self._process = process
        for number in self.received:
            self._forward(number)

    def __enter__(self) -> Self:
        for number in self._numbers:
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._numbers:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        self.received.append(number)
        self._forward(number)

    def _forward(self, number: int) -> None:
        if self._process is not None and number in _FORWARDED:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


async def _report(states: asyncio.Queue[Job | None], publish: Callable[[Job], Awaitable[object]]) -> None:
    """Publish the states in order. Log a warning for the first failure, and the number of failures at the end."""
    failed = 0
    while (job := await states.get()) is not None:
        try:
            await publish(job)
        except PulsekitError as error:
            failed += 1
            if failed == 1:
                log.warning("the state %r of the job %s was not published: %s", job.state, job.task_id, error)
    if failed > 1:
        log.warning("%d states of the job were not published", failed)


def _pending(job: Job) -> Job:
    return replace(job, state="pending", result=None, scheduled=datetime.now(UTC), started=None, completed_at=None)
