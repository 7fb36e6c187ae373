"""Blocking calls in a thread, so that a slow disk or pipe does not stop heartbeats and confirms.

The thread is a daemon, so a call that blocks forever does not block the exit of the process.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import TYPE_CHECKING

from pulsekit._amqp.tasks import set_outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    _Calls: TypeAlias = queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None]

__all__ = ["Worker"]


class Worker:
    """A daemon thread that runs blocking calls one after the other.

    The first call starts the thread. It ends after `close`, or when the worker is garbage.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: _Calls = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[[], Any]) -> Any:
        """Call a function in the thread, and return its result. A cancellation does not stop the function."""
        return await self.submit(function)

    def submit(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Call a function in the thread, and return a future of its result."""
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = threading.Thread(target=_work, args=(self._calls, loop), name=self._name, daemon=True)
            self._thread.start()
        done: asyncio.Future[Any] = loop.create_future()
        self._calls.put((function, done))
        return done

    def close(self) -> None:
        """End the thread after the calls that were submitted, without waiting for them."""
        self._calls.put(None)

    __del__ = close


def _work(calls: _Calls, loop: asyncio.AbstractEventLoop) -> None:
    while (submitted := calls.get()) is not None:
        function, done = submitted
        del submitted  # it may be the last reference to the worker
        try:
            result, error = function(), None
        except BaseException as caught:  # noqa: BLE001 - raised again in the caller
            result, error = None, caught
        try:
            loop.call_soon_threadsafe(set_outcome, done, result, error)
        except RuntimeError:  # the event loop was closed meanwhile
            return
        del function, done, result, error
