"""How full a queue is and how fast it grows, held against the limits at which PulseGuardian acts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulsekit._amqp.callbacks import call_safely
from pulsekit.errors import ConfigurationError, PulsekitError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["DepthMonitor", "Limits", "QueueDepth", "Trend"]

log = logging.getLogger("pulsekit")

_SAMPLES = 12  # how many looks a rate is taken over: a minute, at one every 5 seconds


@dataclass(frozen=True, slots=True)
class Limits:
    """Say when PulseGuardian mails the owner of a queue, and when it deletes it ("Queues" of the facts).

    Attributes:
        warn: messages, ready plus unacknowledged, over which it mails.
        delete: messages over which it deletes the queue; what is in it is gone.
        interval: seconds between two looks of ours; PulseGuardian looks every 5.
    """

    warn: int = 2000
    delete: int = 8000
    interval: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.warn <= self.delete or self.interval <= 0:
            raise ConfigurationError("limits are positive, and the one to warn is not over the one to delete")


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Count the messages of a queue.

    Attributes:
        queue: its name.
        ready: messages that wait for a consumer.
        unsettled: messages that were delivered to us, and have no answer yet. Those of other consumers cannot be seen.
        limits: what PulseGuardian holds it against.
        consumers: how many there are, or None when nobody asked.
    """

    queue: str
    ready: int
    unsettled: int
    limits: Limits
    consumers: int | None = None

    @property
    def total(self) -> int:
        """What PulseGuardian counts, as far as one consumer sees it."""
        return self.ready + self.unsettled

    @property
    def level(self) -> int:
        """How bad it is: 0 fine, 1 over the limit at which PulseGuardian mails, 2 over that at which it deletes."""
        return (self.total > self.limits.warn) + (self.total > self.limits.delete)

    @property
    def room(self) -> int:
        """How many more messages it may hold before PulseGuardian deletes it."""
        return max(0, self.limits.delete - self.total)


class Trend:
    """Say how fast a queue grows, over the last looks at it.

    Attributes:
        rate: messages a second, negative when it shrinks; None before the second look.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._samples: deque[tuple[float, QueueDepth]] = deque(maxlen=_SAMPLES)

    def add(self, when: float, depth: QueueDepth) -> None:
        """Take a look into account.

        Args:
            when: seconds, on any clock that does not go back.
            depth: what was seen.
        """
        self._samples.append((when, depth))
        since, first = self._samples[0]
        if when > since:
            self.rate = (depth.total - first.total) / (when - since)

    @property
    def seconds_left(self) -> float | None:
        """How long until PulseGuardian deletes the queue at this rate: None when it does not grow, 0 when it is due."""
        if not self._samples:
            return None
        _, last = self._samples[-1]
        if last.level > 1:
            return 0.0
        return (last.room + 1) / self.rate if self.rate is not None and self.rate > 0 else None


class DepthMonitor:
    """Look at a queue now and then, and warn when it gets deeper than PulseGuardian likes."""

    def __init__(self, queue: str, limits: Limits, on_depth: Callable[[QueueDepth], None] | None) -> None:
        self._queue = queue
        self._limits = limits
        self._on_depth = on_depth
        self._level = 0
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End it after the look that is under way: to cancel a question would close the channel it was asked on."""
        self._stopped.set()

    async def run(self, ask: Callable[[], Awaitable[tuple[int, int]]]) -> None:
        """Look until the broker does not answer any more, or it is stopped."""
        while not self._stopped.is_set():
            try:
                depth = QueueDepth(self._queue, *await ask(), self._limits)
            except PulsekitError as error:
                log.debug("%s", error)
                return
            self._warn(depth)
            call_safely(self._on_depth, depth)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.interval):
                    await self._stopped.wait()

    def _warn(self, depth: QueueDepth) -> None:
        if depth.level > self._level:
            what = "deletes it, and all that is in it" if depth.level > 1 else "mails its owner"
            limit = self._limits.delete if depth.level > 1 else self._limits.warn
            log.warning(
                "the queue %s holds %d messages: over %d, PulseGuardian %s", self._queue, depth.total, limit, what
            )
        self._level = depth.level
