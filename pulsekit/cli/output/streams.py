"""Standard input and output beside the event loop, so that a slow pipe never stops heartbeats and confirms.

The work is done by daemon threads: one that waits for a pipe for ever does not keep the command from ending.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, BinaryIO

from pulsekit.recordings.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

__all__ = ["Outlet", "read_lines"]

_CHUNK = 256 * 1024  # bytes read at once; a pipe gives what it has
_MOST = 256 * 1024  # bytes that wait to be written before whoever makes them has to wait, too


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
