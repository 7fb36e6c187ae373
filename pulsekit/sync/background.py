"""The background thread, in which an asynchronous `Pulse` runs."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pulsekit.errors import ConfigurationError, NotOpen

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pulsekit.pulse import Pulse

__all__ = ["OUTSIDE", "Background"]

T = TypeVar("T")

OUTSIDE = "the connection is closed: call pulsekit.sync.connect() again"

_PAUSE = 0.001  # seconds between two questions whether another thread still passes something to the event loop


class Background:
    """The asynchronous `Pulse` of one process, with its event loop in a background thread.

    Attributes:
        pulse: the asynchronous `Pulse`.
        loop: the event loop of the thread.
    """

    def __init__(self, pulse: Pulse) -> None:
        _refuse_greenlets()
        self.pulse = pulse
        self.loop: asyncio.AbstractEventLoop
        self._leave: asyncio.Future[bool]  # True to close at once, without waiting for confirms
        self._accepting = threading.RLock()  # a signal handler may publish while its thread has the lock
        self._closed = False
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=[started], name="pulsekit", daemon=True)
        self._thread.start()
        try:
            started.result()
        except BaseException:  # such as KeyboardInterrupt: end the thread once it has started
            started.add_done_callback(lambda one: None if one.exception() else self.leave(at_once=True))
            raise

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, or closes."""
        return self._closed

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the background thread, and return its result or raise its exception.

        An exception in the waiting thread, such as KeyboardInterrupt, cancels the coroutine.

        Raises:
            NotOpen: Raised when the connection is closed.
            ConfigurationError: Raised in the background thread, which cannot wait for itself.
        """
        # A lock costs 24 µs a call, asyncio.run_coroutine_threadsafe 40: a tenth of a publish.
        done = threading.Lock()
        done.acquire()
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            tasks.append(self.loop.create_task(coroutine))
            tasks[0].add_done_callback(lambda _: done.release())

        def cancel() -> None:
            if tasks:
                tasks[0].cancel()
            else:  # the exception was raised before `start` was scheduled
                coroutine.close()

        try:
            self._accept(lambda: self.loop.call_soon_threadsafe(start), coroutine)
            done.acquire()
        except BaseException:
            with suppress(RuntimeError):  # the event loop is closed
                self.loop.call_soon_threadsafe(cancel)
            raise
        if tasks[0].cancelled() and (self._leave.done() or tasks[0].cancelling()):
            raise NotOpen(OUTSIDE)
        return tasks[0].result()  # may raise a CancelledError of the coroutine's own

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the background thread, without waiting for it. See `call`."""
        return self._accept(lambda: asyncio.run_coroutine_threadsafe(coroutine, self.loop), coroutine)

    def schedule(self, function: Callable[[], None]) -> None:
        """Call a function in the background thread, without waiting for it. See `call`."""
        self._accept(lambda: self.loop.call_soon_threadsafe(function))

    def _accept(self, pass_on: Callable[[], T], coroutine: Coroutine[Any, Any, Any] | None = None) -> T:
        """Keep the event loop open while a function passes something to it. Return the result of the function."""
        if threading.current_thread() is self._thread:
            _close(coroutine)
            raise ConfigurationError(
                "a callback of pulsekit.sync runs in the background thread, which cannot wait for itself: "
                "pass the work to another thread, for example with queue.SimpleQueue"
            )
        with self._accepting:
            if self._closed:
                _close(coroutine)
                raise NotOpen(OUTSIDE)
            return pass_on()

    def close(self, *, at_once: bool) -> None:
        """Close the connections and end the thread. Closing twice is fine."""
        self.leave(at_once=at_once)
        self._thread.join()

    def leave(self, *, at_once: bool = False) -> None:
        """Let the thread close the connections and end, but do not wait. This method acquires no lock."""

        def leave() -> None:
            if not self._leave.done():
                self._leave.set_result(at_once)

        with suppress(RuntimeError):  # the event loop is closed
            self.loop.call_soon_threadsafe(leave)

    def _run(self, started: Future[None]) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)  # for example, no more file descriptors for an event loop

    async def _serve(self, started: Future[None]) -> None:
        self.loop = asyncio.get_running_loop()
        self._leave = self.loop.create_future()
        try:
            async with self.pulse:
                started.set_result(None)
                if await self._leave:
                    raise _LeaveAtOnce  # noqa: TRY301 - the block has to see it
        except _LeaveAtOnce:
            pass
        finally:
            self._closed = True
            # Do not block: the thread with the lock may run a signal handler, which waits for this event loop.
            while not self._accepting.acquire(blocking=False):  # noqa: ASYNC110 - this lock cannot be awaited
                await asyncio.sleep(_PAUSE)
            self._accepting.release()
            await asyncio.sleep(0)  # what was submitted before gets a task, which the runner cancels


class _LeaveAtOnce(Exception):
    """Raised inside the block of the asynchronous `Pulse`, so that its exit does not wait for confirms."""


def _refuse_greenlets() -> None:
    """Refuse to start if greenlets replace threads, because the event loop would block all greenlets.

    Raises:
        ConfigurationError: Raised when gevent has replaced the modules `threading` or `queue`, or eventlet the first.
    """
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    for name, replaced in (
        ("gevent", gevent is not None and any(map(gevent.is_module_patched, ("threading", "queue")))),
        ("eventlet", eventlet is not None and eventlet.is_monkey_patched("thread")),
    ):
        if replaced:
            raise ConfigurationError(
                f"{name} has replaced threads or queues by greenlets, and pulsekit.sync needs a real thread: do not "
                "patch them (gevent: monkey.patch_all(thread=False, queue=False)), or use pulsekit in another process"
            )


def _close(coroutine: Coroutine[Any, Any, Any] | None) -> None:
    if coroutine is not None:
        coroutine.close()  # otherwise Python warns that it was never awaited
