"""Record messages without blocking the event loop, and acknowledge them once they are on the disk."""

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

_PREFETCH = 1000  # prefetch count: the broker continues to deliver while the disk is busy
_UNACKNOWLEDGED = _PREFETCH // 2  # the largest number of recorded messages without an acknowledgement
_SOON = 0.5  # seconds after which recorded messages are acknowledged


class RecordingWriter:
    """A writer that records messages without blocking the event loop, and acknowledges them afterwards.

    The disk is not synced for every message, but for many at once, within a short time.

    Attributes:
        prefetch: the prefetch count for the subscription.
        gaps: the gaps that are not yet recorded. Each gap is recorded before the messages of its epoch.
        due: the latest time to call `settle`, on the clock of the event loop.
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
        """The number of recorded messages."""
        return self._recorder.count

    @property
    def lost(self) -> bool:
        """Whether another program deleted, renamed, replaced or changed the recording."""
        return self._recorder.lost

    @property
    def path(self) -> Path:
        """The file of the recording."""
        return self._recorder.path

    async def open(self) -> None:
        """Open the recording."""
        await self._disk.call(self._recorder.open)

    async def write(self, messages: Iterable[Message], batch: Sequence[Message] | None = None) -> None:
        """Record messages.

        Args:
            messages: the messages to record.
            batch: the messages to acknowledge afterwards, if these include messages that are not recorded.
        """
        batch = list(messages) if batch is None else batch
        entries: list[Message | Gap] = []
        for message in messages:
            while self.gaps and self.gaps[0].epoch <= message.epoch:
                entries.append(self.gaps.popleft())
            entries.append(message)
        # Before the call: it continues if it is cancelled, and `close` then acknowledges what it has written.
        self._unacknowledged += batch
        await self._disk.call(lambda: self._recorder.write(entries))
        now = asyncio.get_running_loop().time()
        self.due = min(self.due, now + _SOON)
        if len(self._unacknowledged) >= _UNACKNOWLEDGED or now >= self.due:
            await self.settle()

    async def settle(self) -> None:
        """Sync the recording, and acknowledge the recorded messages."""
        await self._disk.call(self._recorder.sync)
        await self._acknowledge()

    async def close(self) -> None:
        """Close the recording, and acknowledge the recorded messages. After an error, acknowledge no more messages."""
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
