"""Record messages beside the event loop, and acknowledge them once the disk has them."""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from pulsekit.recordings.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pulsekit.messages import Gap, Message
    from pulsekit.recordings.recorder import Recorder

__all__ = ["RecordingWriter"]

_PREFETCH = 1000  # messages the broker sends ahead: it goes on while the disk takes its time
_UNACKNOWLEDGED = _PREFETCH // 2  # messages recorded and not acknowledged, at most
_SOON = 0.5  # seconds until what is recorded is acknowledged at the latest


class RecordingWriter:
    """Record messages beside the event loop, and acknowledge them once the disk has them.

    That is not asked of the disk for every message, but for many at once, and soon.

    Attributes:
        prefetch: how many messages the broker should send ahead.
        gaps: those that were not recorded yet: each belongs before the messages of its epoch.
        due: when to call `settle` at the latest, by the clock of the loop.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.prefetch = _PREFETCH
        self.gaps: deque[Gap] = deque()
        self.due: float = inf
        self._recorder = recorder
        self._unacknowledged: list[Message] = []
        self._disk = Worker("write the recording")

    @property
    def count(self) -> int:
        """Messages recorded."""
        return self._recorder.count

    @property
    def path(self) -> Path:
        """Where they are recorded."""
        return self._recorder.path

    async def open(self) -> None:
        """Begin the recording."""
        await self._disk.call(self._recorder.open)

    async def write(self, messages: Iterable[Message], batch: Sequence[Message] | None = None) -> None:
        """Record messages.

        Args:
            messages: what is recorded.
            batch: what is acknowledged then, where that is more: those that are not wanted, too.
        """
        batch = list(messages) if batch is None else batch
        entries: list[Message | Gap] = []
        for message in messages:
            while self.gaps and self.gaps[0].epoch <= message.epoch:
                entries.append(self.gaps.popleft())
            entries.append(message)
        await self._disk.call(lambda: self._recorder.write(entries))
        self._unacknowledged += batch
        now = asyncio.get_running_loop().time()
        self.due = min(self.due, now + _SOON)
        if len(self._unacknowledged) >= _UNACKNOWLEDGED or now >= self.due:
            await self.settle()

    async def settle(self) -> None:
        """Have the disk keep what was recorded, and acknowledge it."""
        await self._disk.call(self._recorder.sync)
        await self._acknowledge()

    async def close(self) -> None:
        """End the recording; when it has failed, nothing more is acknowledged."""
        gaps, self.gaps = self.gaps, deque()
        if await self._disk.call(lambda: self._end(gaps)):
            await self._acknowledge()

    def _end(self, gaps: Iterable[Gap]) -> bool:
        if self._recorder.closed:
            return False
        self._recorder.write(gaps)
        self._recorder.close()
        return True

    async def _acknowledge(self) -> None:
        recorded, self._unacknowledged, self.due = self._unacknowledged, [], inf
        for message in recorded:
            await message.ack()
