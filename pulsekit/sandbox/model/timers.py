"""Timers without an event loop: a test moves the clock, and the server uses the clock of asyncio.

All timers are in one heap, sorted by time and then by a serial number: timers for one time run in the order in which
they were set, and two `Timer` objects are never compared. `Timer.cancel` only removes the action, because a search in
the heap would be slow. The entry is removed when it reaches the front.

The owner of the clock has one alarm. `Timers` calls `on_earlier` with a time when a new timer becomes the first one,
and after each `run`. The owner sets its alarm to this time, and then calls `run`. Invariant: the alarm is never later
than the first timer that is not cancelled. An alarm for a cancelled timer has no effect.

Example: at time 0, `after(5, a)` calls `on_earlier(5)`, `after(9, b)` calls nothing, and `after(1, c)` calls
`on_earlier(1)`. At time 1, `run()` calls `c` and then `on_earlier(5)`.
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Timer", "Timers"]


class Timer:
    """One scheduled action."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Callable[[], None]) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Do not run the action. Cancelling twice is fine."""
        self.action = None


class Timers:
    """Scheduled actions in order of time.

    Args:
        clock: returns the time in seconds, from any starting point.

    Attributes:
        on_earlier: called with the time of the first timer when the alarm must be set.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.on_earlier: Callable[[float], None] = lambda _: None
        self._heap: list[tuple[float, int, Timer]] = []
        self._serial = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)  # including cancelled timers in the heap, which use memory

    def after(self, delay: float, action: Callable[[], None]) -> Timer:
        """Run the action once, this many seconds from now."""
        return self.at(self.clock() + delay, action)

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        """Run the action once, at this time of the clock."""
        timer = Timer(when, action)
        earlier = not self._heap or when < self._heap[0][0]
        heapq.heappush(self._heap, (when, next(self._serial), timer))
        if earlier:
            self.on_earlier(when)
        return timer

    @property
    def next_due(self) -> float | None:
        """The time of the first timer, or None if there is none."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self) -> None:
        """Run all actions that are due, then call `on_earlier` with the time of the next timer."""
        now = self.clock()
        while (due := self.next_due) is not None and due <= now:
            action = heapq.heappop(self._heap)[2].action
            if action is not None:
                action()
        if due is not None:
            self.on_earlier(due)
