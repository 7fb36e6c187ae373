"""Blocking calls beside the event loop, so that a slow disk or pipe never stops heartbeats and confirms.

A daemon thread makes them: one that blocks for ever does not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Worker"]


class Worker:
    """Run blocking calls one after the other in a daemon thread, made with the first of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[[], Any]) -> Any:
        """Return what the function returns, or raise what it raises. Cancelling does not stop the call itself."""
        return await self.submit(function)

    def submit(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Return what `call` waits for."""
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, args=(loop,), name=self._name, daemon=True)
            self._thread.start()
        done: asyncio.Future[Any] = loop.create_future()
        self._calls.put((function, done))
        return done

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            function, done = self._calls.get()
            try:
                result, error = function(), None
            except BaseException as caught:  # noqa: BLE001 - raised again where it was called from
                result, error = None, caught
            try:
                loop.call_soon_threadsafe(_resolve, done, result, error)
            except RuntimeError:  # the loop has ended meanwhile, and nobody waits any more
                return


def _resolve(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
