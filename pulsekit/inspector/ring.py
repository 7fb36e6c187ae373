"""The last messages and gaps of a subscription, in bounded memory.

Entries are numbered consecutively from 1, so that a reader can continue where it stopped. If a limit is exceeded, the
oldest entries are dropped, and `dropped` counts the messages among them. So a slow reader misses entries, and does not
increase the memory: `after` continues with the oldest entry that is left.

Invariant: the entries are those with the numbers `first` to `last`. With a limit of two, after three messages:

    ring.first, ring.last, ring.dropped    # 2, 3, 1
    ring.after(0, 10)                      # entries 2 and 3
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pulsekit.messages import Gap, Message

__all__ = ["MAX_BYTES", "MAX_COUNT", "Entry", "Ring"]

MAX_COUNT = 10_000  # entries
MAX_BYTES = 64 * 1024 * 1024
_OVERHEAD = 1024  # bytes that an entry needs besides the body


@dataclass(frozen=True, slots=True)
class Entry:
    """A message or gap with its number and its size in bytes."""

    number: int
    value: Message | Gap
    size: int


class Ring:
    """The last entries of a source.

    Args:
        count: the maximum number of entries.
        size: the maximum size of all entries in bytes.

    Attributes:
        first: the number of the oldest entry.
        last: the number of the newest entry, or `first - 1` if the ring is empty.
        size: the bytes of all entries.
        messages: how many messages were added.
        dropped: how many messages were dropped because of a limit.
    """

    def __init__(self, count: int = MAX_COUNT, size: int = MAX_BYTES) -> None:
        self.first: int = 1
        self.last: int = 0
        self.size: int = 0
        self.messages: int = 0
        self.dropped: int = 0
        self._count = count
        self._max_size = size
        self._entries: dict[int, Entry] = {}
        self._added = asyncio.Event()

    def add(self, value: Message | Gap) -> None:
        """Add a message or a gap, and drop the oldest entries over the limits. The newest entry is never dropped."""
        size = _OVERHEAD
        if isinstance(value, Message):
            self.messages += 1
            size += len(value.body) + 2 * len(value.routing_key)
        self.last += 1
        self._entries[self.last] = Entry(self.last, value, size)
        self.size += size
        while self.first < self.last and (len(self._entries) > self._count or self.size > self._max_size):
            self.dropped += isinstance(self._remove().value, Message)
        self._added.set()

    def get(self, number: int) -> Entry | None:
        """Return the entry with a number, or None if it was dropped or never existed."""
        return self._entries.get(number)

    def after(self, number: int, most: int) -> list[Entry]:
        """Return at most `most` entries after a number."""
        begin = max(number + 1, self.first)
        return [self._entries[one] for one in range(begin, min(self.last + 1, begin + most))]

    def clear(self) -> None:
        """Remove all entries. They do not count as dropped, and the numbers continue."""
        while self._entries:
            self._remove()
        self._added.set()

    async def wait(self, seconds: float) -> None:
        """Wait until a new entry is added, at most for some seconds."""
        self._added.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._added.wait()
        except TimeoutError:
            pass

    def _remove(self) -> Entry:
        entry = self._entries.pop(self.first)
        self.first += 1
        self.size -= entry.size
        return entry
