"""Write stdout in a thread, so that a slow pipe does not delay heartbeats and confirms.

The thread is a daemon, so it does not block the exit of the command while it waits for a pipe.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pulsekit.recordings.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Outlet"]

_MOST = 256 * 1024  # bytes in the buffer; if there are more, a producer must wait


class Outlet:
    """A writer of lines in a thread.

    Plan: at most one write runs at a time. If none runs, `put` starts a write at once. Otherwise `put` appends to the
    buffer, and the end of the running write starts a write of the complete buffer. After an error, no write starts, and
    each method raises the error.

    Example: `put(b"a")` starts a write. `put(b"b")` and `put(b"c")` during this write lead to one write of `b"bc"`.
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
        """Whether the buffer is so large that the producer must await `room`."""
        return self._size >= _MOST

    def put(self, piece: bytes) -> None:
        """Write bytes, now or after the running write.

        Raises:
            OSError: Raised when an earlier write failed.
        """
        if self._error is not None:
            raise self._error
        self._pieces.append(piece)
        self._size += len(piece)
        if self._writing is None:
            self._begin()

    async def room(self) -> None:
        """Wait until the buffer is below the limit.

        Raises:
            OSError: Raised when a write failed.
        """
        while self._writing is not None and self.full:
            await asyncio.wait([self._writing])
        if self._error is not None:
            raise self._error

    async def drain(self) -> None:
        """Wait until the buffer is empty and no write runs.

        Raises:
            OSError: Raised when a write failed.
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
