"""The backlog of a queue: its ready messages, by priority and then in the order in which they were published.

A requeued message returns to its original position, see the section "Negative Acknowledgement and Requeuing" of
RabbitMQ's guide to acknowledgements. Every entry has a position, which grows with each publish. Each priority has two
containers: new entries in a deque, sorted because they are appended in order of position, and requeued entries in a
heap. The next entry is the smaller of the two first ones, so both operations are cheap in a queue of any length.

Example: 1, 2 and 3 are delivered while 4 waits. Then 3 and 1 are requeued. `pop` returns 1, 3, 4.

Invariants: `new` is sorted; `requeued` is a heap; `len()` and `bytes` count both; the levels are sorted, highest
priority first, and an empty level is not removed.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulsekit.sandbox.model.messages import Entry

__all__ = ["Backlog"]


class _PriorityLevel:
    """The entries of one priority."""

    __slots__ = ("new", "priority", "requeued")

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.new: deque[Entry] = deque()
        self.requeued: list[Entry] = []

    def __bool__(self) -> bool:
        return bool(self.new or self.requeued)

    def first(self) -> Entry:
        if self.requeued and (not self.new or self.requeued[0] < self.new[0]):
            return self.requeued[0]
        return self.new[0]

    def pop(self) -> Entry:
        if self.requeued and (not self.new or self.requeued[0] < self.new[0]):
            return heapq.heappop(self.requeued)
        return self.new.popleft()


class Backlog:
    """The ready messages of a queue."""

    __slots__ = ("_count", "_levels", "bytes")

    def __init__(self) -> None:
        self.bytes = 0  # bytes of all bodies
        self._count = 0
        self._levels = [_PriorityLevel(0)]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        for level in self._levels:
            yield from heapq.merge(level.new, sorted(level.requeued))

    def append(self, entry: Entry) -> None:
        """Add an entry whose position is higher than all previous positions."""
        self._level(entry.priority).new.append(entry)
        self._count += 1
        self.bytes += len(entry.message.body)

    def requeue(self, entry: Entry) -> None:
        """Return an entry to its original position."""
        heapq.heappush(self._level(entry.priority).requeued, entry)
        self._count += 1
        self.bytes += len(entry.message.body)

    def first(self) -> Entry | None:
        """Return the next entry without removing it."""
        for level in self._levels:
            if level:
                return level.first()
        return None

    def pop(self) -> Entry:
        """Remove and return the next entry.

        Raises:
            IndexError: Raised when the backlog is empty.
        """
        for level in self._levels:
            if level:
                entry = level.pop()
                self._count -= 1
                self.bytes -= len(entry.message.body)
                return entry
        raise IndexError

    def _level(self, priority: int) -> _PriorityLevel:
        for level in self._levels:
            if level.priority == priority:
                return level
        level = _PriorityLevel(priority)
        self._levels.append(level)
        self._levels.sort(key=lambda level: -level.priority)
        return level
