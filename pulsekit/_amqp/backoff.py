"""The delays between attempts to connect: exponential backoff with full jitter."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass(slots=True)
class Backoff:
    """Delays between attempts with full jitter, so that the clients of a restarted broker do not reconnect at once.

    Attributes:
        first: upper limit of the first delay, in seconds.
        most: upper limit of every delay, in seconds.
        healthy: seconds after which a connection counts as healthy, and the delays start over.
    """

    first: float = 0.5
    most: float = 60.0
    healthy: float = 30.0
    _attempt: int = 0

    def next(self, *, jitter: bool = True) -> float:
        """Return the seconds to wait before the next attempt. Without jitter, it is the upper limit of the delay."""
        ceiling = min(self.most, self.first * 2 ** min(self._attempt, 30))
        self._attempt += 1
        return random.uniform(0, ceiling) if jitter else ceiling  # noqa: S311 - jitter, not a secret

    def connected_for(self, seconds: float) -> None:
        """Start over if a connection was open for long enough to be healthy."""
        if seconds >= self.healthy:
            self._attempt = 0
