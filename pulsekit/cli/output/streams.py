"""Standard input and output beside the event loop, so that a slow pipe never stops heartbeats and confirms.

The work is done by daemon threads: one that waits for a pipe for ever does not keep the command from ending.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

__all__ = ["Outlet", "Worker", "read_lines"]

_CHUNK = 256 * 1024  # bytes read at once; a pipe gives what it has
_MOST = 256 * 1024  # bytes that wait to be written before whoever makes them has to wait, too


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


class Outlet:
    """Write lines beside the event loop, each at once when it is idle; what comes meanwhile goes together.

    Args:
        write: takes bytes, and may block.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._worker = Worker("write standard output")
        self._pieces: list[bytes] = []
        self._size = 0
        self._writing: asyncio.Future[Any] | None = None
        self._error: BaseException | None = None

    @property
    def full(self) -> bool:
        """Whether so much waits to be written that `room` should be awaited."""
        return self._size >= _MOST

    def put(self, piece: bytes) -> None:
        """Have something written.

        Raises:
            OSError: what was put before could not be written.
        """
        if self._error is not None:
            raise self._error
        self._pieces.append(piece)
        self._size += len(piece)
        if self._writing is None:
            self._begin()

    async def room(self) -> None:
        """Wait until it is not full any more.

        Raises:
            OSError: something could not be written.
        """
        while self._writing is not None and self.full:
            await asyncio.wait([self._writing])
        if self._error is not None:
            raise self._error

    async def drain(self) -> None:
        """Wait until everything is written.

        Raises:
            OSError: something could not be written.
        """
        while self._writing is not None:
            await asyncio.wait([self._writing])
        if self._error is not None:
            raise self._error

    def _begin(self) -> None:
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self._writing = self._worker.submit(lambda: self._write(data))
        self._writing.add_done_callback(self._ended)

    def _ended(self, written: asyncio.Future[Any]) -> None:
        self._writing = None
        self._error = written.exception()
        if self._error is None and self._pieces:
            self._begin()


async def read_lines(stream: BinaryIO, *, limit: int) -> AsyncIterator[bytes]:
    """Yield the lines of a pipe as they come, without their ends.

    A line longer than `limit` bytes is yielded cut at a little over the limit, for its reader to refuse.
    """
    worker = Worker("read standard input")
    descriptor = stream.fileno()
    rest = b""
    while chunk := await worker.call(lambda: os.read(descriptor, _CHUNK)):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > limit:
            break
    if rest:
        yield rest
