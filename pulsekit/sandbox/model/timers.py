"""Timers: one heap for everything that happens later, driven by whoever owns the clock."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Timer", "Timers"]


class Timer:
    """Name one thing to be done; `cancel` makes it nothing."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Callable[[], None]) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Forget the action; cancelling twice is fine."""
        self.action = None


class Timers:
    """Keep timers in order of time.

    Args:
        clock: returns the time in seconds; only differences count.

    Attributes:
        on_earlier: called with the time of the first timer whenever an earlier one than before was set.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.on_earlier: Callable[[float], None] = lambda _: None
        self._heap: list[tuple[float, int, Timer]] = []
        self._serial = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)  # cancelled ones count until their time: they use memory

    def after(self, delay: float, action: Callable[[], None]) -> Timer:
        """Run the action once, this many seconds from now."""
        return self.at(self.clock() + delay, action)

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        """Run the action once, at that time of the clock."""
        timer = Timer(when, action)
        earlier = not self._heap or when < self._heap[0][0]
        heapq.heappush(self._heap, (when, next(self._serial), timer))
        if earlier:
            self.on_earlier(when)
        return timer

    @property
    def next_due(self) -> float | None:
        """The time of the first timer, or None when nothing is going to happen."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self) -> None:
        """Do everything that is due, then announce the next time by `on_earlier`."""
        now = self.clock()
        while (due := self.next_due) is not None and due <= now:
            action = heapq.heappop(self._heap)[2].action
            if action is not None:
                action()
        if due is not None:
            self.on_earlier(due)
