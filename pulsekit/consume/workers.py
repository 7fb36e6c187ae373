"""Run workers until a signal, a limit or a failure, and let each handler finish its message.

Plan: `Workers.run` starts a task for each worker, which opens its handler and its consumer, and runs as many calls of
`Consumer.handle` as its concurrency. `Workers.stop` requeues the messages that were not passed to a handler. `run` then
waits for the handlers, and cancels them after the shutdown timeout.

Invariants:

- A failed handler and `Stop` stop all workers, so that a supervisor sees the failure. After a worker was ready, an
  error of its subscription, such as a deleted queue, stops only this worker.
- After `stop`, no handler is called.
- The handler's context manager is exited after its consumer was closed.

Example: two workers run; the queue of the first is deleted. The second continues. On SIGTERM it finishes its message,
and `run` raises the SubscriptionLost of the first.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from typing import TYPE_CHECKING

from pulsekit._amqp.callbacks import check_callback, check_kind, check_number
from pulsekit._documents.suggestions import counted
from pulsekit.consume.running import RunningWorker, cancel, most_important
from pulsekit.consume.worker import Worker
from pulsekit.consumer.signals import FirstSignal
from pulsekit.errors import ConfigurationError, HandlerFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pulsekit.messages import Message
    from pulsekit.pulse import Pulse

__all__ = ["SHUTDOWN_TIMEOUT", "Workers"]

log = logging.getLogger("pulsekit")

SHUTDOWN_TIMEOUT = 25.0  # seconds; Kubernetes kills the process after 30, systemd after 90
_CLOSE = 15.0  # seconds for cancelled handlers and their consumers to end


class Workers:
    """Workers that run together in one process.

    Example:
        `await Workers([Worker(on_task, "exchange/me/v1/jobs:#", "queue/me/jobs")]).run(pulse)`

    Args:
        workers: the workers.
        count: stop after this number of messages was passed to handlers, or None without a limit.
        duration: stop after this number of seconds, or None without a limit.
        drain: stop a worker when its queue is empty.
        shutdown_timeout: seconds for handlers to finish after `stop`.
        on_ready: called with the name of a worker and its queue, when it receives messages.
        on_failure: called with the name of a worker, the message and the exception, when a handler has failed.
        signals: the signals that stop the workers, if `run` is called in the main thread. A second signal has its
            former effect.

    Attributes:
        workers: the running workers, for their counters.
        stopping: whether `stop` was called.

    Raises:
        ConfigurationError: Raised without workers, with a negative count, or with `drain` when a worker has a private
            queue.
        TypeError: Raised when an argument has another type.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        *,
        count: int | None = None,
        duration: float | None = None,
        drain: bool = False,
        shutdown_timeout: float = SHUTDOWN_TIMEOUT,
        on_ready: Callable[[str, str], None] | None = None,
        on_failure: Callable[[str, Message, Exception], None] | None = None,
        signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
    ) -> None:
        check_callback("on_ready", on_ready)
        check_callback("on_failure", on_failure)
        if not workers:
            raise ConfigurationError("there is no worker to run")
        check_kind("count", count, int)
        check_number("duration", duration, optional=True)
        check_number("shutdown_timeout", shutdown_timeout)
        if count is not None and count < 0:
            raise ConfigurationError(f"count is 0 or more messages, not {count}")
        for worker in workers:
            check_kind("each worker", worker, Worker, optional=False)
            if drain and worker.declared is None:
                raise ConfigurationError(
                    f"{worker.title} has a private queue, which begins empty: name a queue to drain"
                )
        titles = [worker.title for worker in workers]
        self.workers: tuple[RunningWorker, ...] = tuple(
            RunningWorker(self, worker, title if titles.count(title) == 1 else f"{title}-{number}")
            for number, (worker, title) in enumerate(zip(workers, titles, strict=True), 1)
        )
        self.stopping: bool = False
        self.drains = drain
        self.on_ready = on_ready
        self.on_failure = on_failure
        self._left = count
        self._duration = duration
        self._shutdown_timeout = shutdown_timeout
        self._signals = tuple(signals)
        self._signal: signal.Signals | None = None
        self._stopped = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether every worker receives messages."""
        return not self.stopping and all(worker.ready for worker in self.workers)

    def stop(self) -> None:
        """Call no further handler, and let `run` return when the handlers that run have finished."""
        self.stopping = True
        self._stopped.set()

    def begin(self) -> bool:
        """Return whether one more message may be handled. If it is the last one, stop."""
        if self.stopping or self._left == 0:
            return False
        if self._left is not None:
            self._left -= 1
            if not self._left:
                self.stop()
        return True

    async def run(self, source: Pulse | str | Path) -> signal.Signals | None:
        """Run the workers, and return the signal that stopped them, or None.

        Args:
            source: the open connection to the broker, or the path of a recording whose messages are handled.

        Raises:
            Stop: Raised when a handler raised it.
            HandlerFailed: Raised when a handler failed and its policy raises the exception, a handler could not be
                created, or a handler did not finish within the shutdown timeout.
            BrokerRefused: Raised when a queue was deleted, or the broker refused a subscription.
            NetworkError: Raised when the broker cannot be reached at the start.
            DamagedRecording: Raised when the recording is damaged.
        """
        loop = asyncio.get_running_loop()
        signals = FirstSignal(self._on_signal)
        if threading.current_thread() is threading.main_thread():  # Python allows it in no other thread
            signals.install(loop, *self._signals)
        timer = None if self._duration is None else loop.call_later(self._duration, self.stop)
        tasks = {loop.create_task(worker.run(source), name=worker.name): worker for worker in self.workers}
        try:
            errors = await self._wait(tasks)
        finally:
            signals.restore()
            if timer is not None:
                timer.cancel()
            await cancel(tasks, timeout=_CLOSE)
        error = most_important(errors)
        if error is not None:
            raise error
        return self._signal

    def _on_signal(self, number: signal.Signals) -> None:
        self._signal = number
        running = counted(sum(len(worker.running) for worker in self.workers), "message")
        log.warning("%s: finishing %s within %g s", number.name, running, self._shutdown_timeout)
        self.stop()

    async def _wait(self, tasks: dict[asyncio.Task[None], RunningWorker]) -> list[BaseException]:
        """Wait until all workers have ended, and return their errors. After `stop`, the shutdown timeout applies."""
        stopped = asyncio.ensure_future(self._stopped.wait())
        pending, errors = set(tasks), list[BaseException]()
        try:
            while pending and not self.stopping:
                await asyncio.wait([stopped, *pending], return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in pending if task.done()]:
                    pending.remove(task)
                    if (error := task.exception()) is None:
                        continue
                    errors.append(error)
                    if tasks[task].ends_alone(error) and pending:
                        log.error("the worker %s ended, and the others continue: %s", tasks[task].name, error)
                    else:
                        self.stop()
        finally:
            stopped.cancel()
        draining = [asyncio.ensure_future(tasks[task].drain()) for task in pending]
        for task in pending:
            if not tasks[task].opened:
                task.cancel()
        done, late = await asyncio.wait(pending, timeout=self._shutdown_timeout) if pending else (set(), set())
        await cancel(draining)
        errors += [error for task in done if not task.cancelled() and (error := task.exception()) is not None]
        for task in late:
            worker = tasks[task]
            names = ", ".join(map(str, worker.running))
            what = f"{names or 'its context manager'} within {self._shutdown_timeout:g} s"
            errors.append(
                HandlerFailed(f"the handler {worker.name} did not finish {what}{worker.where() if names else ''}")
            )
        return errors
