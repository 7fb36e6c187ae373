"""Estimate the time since which messages may wait in a queue, from the deliveries to its consumer.

Plan: the broker keeps messages back only while the window is used up, that is, while as many deliveries are unsettled
as the prefetch allows. `observe` is called when deliveries arrive and when they are settled. Because an acknowledgement
and the next delivery travel for some time, a delivery counts as unsettled until `DELAY` after its settlement. Settled
deliveries are counted in periods of that length: the current period and the previous one.

Invariants: `_began` is None, or the time since which the window was used up until `_last`, without a pause longer than
`DELAY`. After a longer pause the queue is empty: the broker has delivered all its messages.

Example: a prefetch of 2 and a handler that needs a minute. At 12:00:00 three messages arrive at the broker. It sends
two, the window is used up, and `since` is 12:00:00, even at 12:00:30. At 12:01:00 the first message is acknowledged and
the third is delivered. The handler acknowledges the others until 12:03:00; at 12:03:01 `since` is None.
"""

from __future__ import annotations

from math import inf

__all__ = ["DELAY", "Backlog"]

DELAY = 0.25  # seconds for an acknowledgement to the broker and the next delivery back


class Backlog:
    """An observer of the window of one consumer; see the module. All times are of the clock of the event loop."""

    __slots__ = ("_began", "_former", "_last", "_period", "_recent")

    def __init__(self) -> None:
        self._began: float | None = None
        self._last = -inf
        self._period = -inf  # the beginning of the current period
        self._recent = self._former = 0  # deliveries settled in the current and the previous period

    def observe(self, now: float, unsettled: int, window: int, settled: int = 0) -> None:
        """Compare the window with the deliveries in it.

        Args:
            now: the time.
            unsettled: the number of unsettled deliveries, including `settled`.
            window: the number of unsettled deliveries at which the broker keeps messages back.
            settled: the number of deliveries that are being settled now.
        """
        elapsed = now - self._period
        if elapsed > DELAY:
            self._former = self._recent if elapsed <= 2 * DELAY else 0
            self._recent, self._period = 0, now
        if unsettled + self._recent + self._former >= window:
            if self._began is None:
                self._began = now
            self._last = now
        elif now - self._last > DELAY:
            self._began = None
        self._recent += settled

    def since(self, now: float, unsettled: int, window: int) -> float | None:
        """Return the time since which messages may wait in the queue, or None if it was empty until now."""
        self.observe(now, unsettled, window)
        return self._began
