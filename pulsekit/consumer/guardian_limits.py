"""The depth of a queue and its growth, compared with the limits of PulseGuardian."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulsekit._amqp.callbacks import call_safely, check_number
from pulsekit.errors import ConfigurationError, PulsekitError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["DepthMonitor", "Limits", "QueueDepth", "Trend"]

log = logging.getLogger("pulsekit")

_SAMPLES = 12  # samples from which the rate is computed: one minute with a sample every 5 seconds


@dataclass(frozen=True, slots=True)
class Limits:
    """The queue lengths above which PulseGuardian mails the owner of a queue, and deletes the queue.

    The defaults are those of https://github.com/mozilla/pulseguardian. An installation may have others.

    Attributes:
        warn: number of messages, ready plus unacknowledged, above which PulseGuardian mails the owner.
        delete: number of messages above which PulseGuardian deletes the queue with its messages.
        interval: seconds between two checks by this library. PulseGuardian checks every 5 seconds.
    """

    warn: int = 2000
    delete: int = 8000
    interval: float = 10.0

    def __post_init__(self) -> None:
        for name in ("warn", "delete", "interval"):
            check_number(name, getattr(self, name))
        if not 0 < self.warn <= self.delete or self.interval <= 0:
            raise ConfigurationError("limits: 'warn' and 'interval' are greater than 0, and 'warn' is at most 'delete'")


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The number of messages in a queue.

    Attributes:
        queue: the name of the queue.
        ready: messages that wait for a consumer.
        unsettled: messages that were delivered to this consumer and not settled. AMQP does not report the unsettled
            messages of other consumers.
        limits: the limits of PulseGuardian.
        consumers: the number of consumers, or None if unknown.
    """

    queue: str
    ready: int
    unsettled: int
    limits: Limits
    consumers: int | None = None

    @property
    def total(self) -> int:
        """The number of messages to compare with the limits. It lacks the unsettled messages of other consumers."""
        return self.ready + self.unsettled

    @property
    def level(self) -> int:
        """0 below both limits, 1 above the limit for a mail, 2 above the limit for deletion."""
        return (self.total > self.limits.warn) + (self.total > self.limits.delete)

    @property
    def room(self) -> int:
        """How many more messages may arrive before PulseGuardian deletes the queue."""
        return max(0, self.limits.delete - self.total)


class Trend:
    """The growth of a queue over the last samples.

    Attributes:
        rate: messages per second, negative if the queue shrinks. None before the second sample.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._samples: deque[tuple[float, QueueDepth]] = deque(maxlen=_SAMPLES)

    def add(self, when: float, depth: QueueDepth) -> None:
        """Add a sample.

        Args:
            when: seconds on a monotonic clock.
            depth: the depth at that time.
        """
        self._samples.append((when, depth))
        since, first = self._samples[0]
        if when > since:
            self.rate = (depth.total - first.total) / (when - since)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until PulseGuardian deletes the queue at this rate. 0 if due now, None if the queue does not grow."""
        if not self._samples:
            return None
        _, last = self._samples[-1]
        if last.level > 1:
            return 0.0
        return (last.room + 1) / self.rate if self.rate is not None and self.rate > 0 else None


class DepthMonitor:
    """A periodic check of the depth of a queue, with a warning when it exceeds a limit of PulseGuardian."""

    def __init__(self, queue: str, limits: Limits, on_depth: Callable[[QueueDepth], None] | None) -> None:
        self._queue = queue
        self._limits = limits
        self._on_depth = on_depth
        self._level = 0
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Stop after the current check."""
        self._stopped.set()

    async def run(self, ask: Callable[[], Awaitable[tuple[int, int, int]]]) -> None:
        """Check the depth repeatedly, until `stop` is called.

        Args:
            ask: returns the numbers of ready messages, of unsettled messages, and of consumers.
        """
        while not self._stopped.is_set():
            try:
                ready, unsettled, consumers = await ask()
                depth = QueueDepth(self._queue, ready, unsettled, self._limits, consumers)
            except ConfigurationError as error:  # no channel is left for the check
                log.warning("the depth of %s is not monitored: %s", self._queue, error)
                return
            except PulsekitError as error:
                log.debug("%s", error)
            else:
                self._warn(depth)
                call_safely(self._on_depth, depth)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.interval):
                    await self._stopped.wait()

    def _warn(self, depth: QueueDepth) -> None:
        if depth.level > self._level:
            what = "deletes it with its messages" if depth.level > 1 else "mails its owner"
            limit = self._limits.delete if depth.level > 1 else self._limits.warn
            log.warning(
                "the queue %s has %d messages: over %d, PulseGuardian %s", self._queue, depth.total, limit, what
            )
        self._level = depth.level
