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


class _Lane:
    """Hold the entries of one priority."""

    __slots__ = ("fresh", "priority", "returned")

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.fresh: deque[Entry] = deque()
        self.returned: list[Entry] = []

    def __bool__(self) -> bool:
        return bool(self.fresh or self.returned)

    def first(self) -> Entry:
        if self.returned and (not self.fresh or self.returned[0] < self.fresh[0]):
            return self.returned[0]
        return self.fresh[0]

    def pop(self) -> Entry:
        if self.returned and (not self.fresh or self.returned[0] < self.fresh[0]):
            return heapq.heappop(self.returned)
        return self.fresh.popleft()


class Backlog:
    """Order entries by priority, then by position.

    Attributes:
        bytes: size of all bodies.
    """

    __slots__ = ("_count", "_lanes", "bytes")

    def __init__(self) -> None:
        self.bytes = 0
        self._count = 0
        self._lanes = [_Lane(0)]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        for lane in self._lanes:
            yield from heapq.merge(lane.fresh, sorted(lane.returned))

    def append(self, entry: Entry) -> None:
        """Add an entry with a position higher than all before."""
        self._lane(entry.priority).fresh.append(entry)
        self._count += 1
        self.bytes += len(entry.message.body)

    def restore(self, entry: Entry) -> None:
        """Put an entry back where it was."""
        heapq.heappush(self._lane(entry.priority).returned, entry)
        self._count += 1
        self.bytes += len(entry.message.body)

    def first(self) -> Entry | None:
        """Return the next entry without taking it."""
        for lane in self._lanes:
            if lane:
                return lane.first()
        return None

    def pop(self) -> Entry:
        """Take the next entry.

        Raises:
            IndexError: there is none.
        """
        for lane in self._lanes:
            if lane:
                entry = lane.pop()
                self._count -= 1
                self.bytes -= len(entry.message.body)
                return entry
        raise IndexError

    def _lane(self, priority: int) -> _Lane:
        for lane in self._lanes:
            if lane.priority == priority:
                return lane
        lane = _Lane(priority)
        self._lanes.append(lane)
        self._lanes.sort(key=lambda lane: -lane.priority)
        return lane
