"""Recording beside the event loop: what `tail --save` does."""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from pulsekit.cli.output.streams import Worker
from pulsekit.errors import ConfigurationError
from pulsekit.recordings.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pulsekit.bindings.registration import Binding
    from pulsekit.messages import Gap, Message

__all__ = ["RecordingWriter", "recorder_for"]

_AHEAD = 1000  # messages the broker sends ahead: it goes on while the disk takes its time
_OWED = _AHEAD // 2  # messages recorded and not acknowledged, at most
_SOON = 0.5  # seconds until what is recorded is acknowledged at the latest


def recorder_for(path: str, bindings: Sequence[Binding], *, replace: bool) -> Recorder:
    """Choose a file, and refuse before connecting what would be refused afterwards.

    Raises:
        ConfigurationError: it is there and not to be replaced, or its name does not say that it is a recording.
        OSError: it cannot be made.
    """
    recorder = Recorder(path, bindings=[str(binding) for binding in bindings], replace=replace)
    if recorder.path.exists() and not replace:
        raise ConfigurationError(f"{path} is there already: give another name, or replace it with --force")
    if not recorder.path.exists() and not os.access(recorder.path.parent, os.W_OK):
        reason = errno.EACCES if recorder.path.parent.is_dir() else errno.ENOENT
        raise OSError(reason, os.strerror(reason), path)
    return recorder


class RecordingWriter:
    """Record messages beside the event loop, and acknowledge them once the disk has them.

    That is not asked of the disk for every message, but for many at once, and soon.

    Attributes:
        ahead: how many messages the broker should send ahead.
        gaps: those that were not recorded yet: each belongs before the messages of its epoch.
        due: when to call `settle` at the latest, by the clock of the loop.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.ahead = _AHEAD
        self.gaps: deque[Gap] = deque()
        self.due = inf
        self._recorder = recorder
        self._owed: list[Message] = []
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
        self._owed += batch
        now = asyncio.get_running_loop().time()
        self.due = min(self.due, now + _SOON)
        if len(self._owed) >= _OWED or now >= self.due:
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
        owed, self._owed, self.due = self._owed, [], inf
        for message in owed:
            await message.ack()
