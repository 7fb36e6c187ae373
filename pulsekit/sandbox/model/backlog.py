"""The backlog of a queue: messages that wait, in the order in which they came in.

A message that comes back takes its old place again. Clients give messages back one by one, so putting each in front
would turn their order around; a heap for those that came back, beside the plain queue, keeps both ends cheap.
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
    """Hold the entries of one priority."""

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
    """Order entries by priority, then by position.

    Attributes:
        bytes: size of all bodies.
    """

    __slots__ = ("_count", "_levels", "bytes")

    def __init__(self) -> None:
        self.bytes = 0
        self._count = 0
        self._levels = [_PriorityLevel(0)]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        for level in self._levels:
            yield from heapq.merge(level.new, sorted(level.requeued))

    def append(self, entry: Entry) -> None:
        """Add an entry with a position higher than all before."""
        self._level(entry.priority).new.append(entry)
        self._count += 1
        self.bytes += len(entry.message.body)

    def requeue(self, entry: Entry) -> None:
        """Put an entry back where it was."""
        heapq.heappush(self._level(entry.priority).requeued, entry)
        self._count += 1
        self.bytes += len(entry.message.body)

    def first(self) -> Entry | None:
        """Return the next entry without taking it."""
        for level in self._levels:
            if level:
                return level.first()
        return None

    def pop(self) -> Entry:
        """Take the next entry.

        Raises:
            IndexError: there is none.
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
