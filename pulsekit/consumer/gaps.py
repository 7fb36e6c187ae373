"""The gaps of one subscription: where each begins, and whether messages were lost in it.

Invariants:

- A gap is declared before the first message after it is in the buffer.
- If the queue was lost, the gap begins with the oldest message that may have waited in it (`_oldest_missing`).
- The messages in a durable queue are kept, unless `lossy` is set. A private queue is lost with its connection.

Example: a durable queue. The connection is lost at 12:00:00 (`begin`), and the consumer is back at 12:00:02
(`declare`). `on_gap` is called with a gap of two seconds that is not lossy.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pulsekit._amqp.callbacks import call_safely
from pulsekit.messages import Gap

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit._amqp.consuming import ConsumeChannel
    from pulsekit.instrumentation.hooks import Hooks

__all__ = ["GapTracker"]

log = logging.getLogger("pulsekit")

_TRANSIT = 1.0  # seconds from the publisher to this process, without the time in the queue


class GapTracker:
    """The gaps of one subscription, see the module.

    Args:
        on_gap: called with each gap.
        hooks: the observers of the subscription.
        durable: whether the queue outlives the connection.
        private: whether the queue has another name in each epoch.

    Attributes:
        count: how many times the consumer was interrupted.
        lossy: whether messages were lost in the current gap although the queue is durable.
        created: whether the next gap says that the queue was created.
        received: when the last message arrived or the consumer was started, in seconds since 1970.
        dropped: when the oldest message arrived that was dropped from the buffer, in seconds since 1970, or None.
    """

    def __init__(
        self, on_gap: Callable[[Gap], None] | None, hooks: Hooks | None, *, durable: bool, private: bool
    ) -> None:
        self.count = 0
        self.lossy = False
        self.created = False
        self.received = 0.0
        self.dropped: float | None = None
        self._on_gap = on_gap
        self._hooks = hooks
        self._durable = durable
        self._private = private
        self._lost_at: datetime | None = None
        self._missing_from: datetime | None = None  # if messages were lost, no older message is missing
        self._lost_epoch = 0  # of the last channel

    @property
    def interrupted(self) -> bool:
        """Whether a gap has begun and is not declared yet."""
        return self._lost_at is not None

    def begin(self, channel: ConsumeChannel, epoch: int) -> None:
        """Note that a channel was lost in an epoch."""
        self._lost_at, self._lost_epoch = datetime.now(UTC), epoch
        self._missing_from = self._oldest_missing(channel)

    def declare(self, queue: str, epoch: int) -> None:
        """Report the gap, if there is one, or that the queue was created.

        Args:
            queue: the name of the queue.
            epoch: the epoch in which the consumer is back.
        """
        end, created = datetime.now(UTC), self.created
        if self._lost_at is None:
            if created:
                self.created = False
                self._call_on_gap(Gap(end, end, epoch, lossy=True, created=True), queue)
            return
        kept = self._durable or self._lost_epoch == epoch  # the queue, with its messages
        lossy = self.lossy or not kept
        start = self._missing_from if lossy and self._missing_from else self._lost_at
        gap = Gap(min(start, end), end, epoch, lossy=lossy, created=created)  # the clock may be set back
        self._lost_at, self._missing_from, self.lossy, self.created = None, None, False, False
        self.count += 1
        level = logging.WARNING if self._on_gap is None else logging.DEBUG
        words = "no consumer was connected to %s; messages from %s to %s may be missing or late"
        log.log(level, words, queue, gap.start, gap.end)
        self._call_on_gap(gap, queue)

    def _call_on_gap(self, gap: Gap, queue: str) -> None:
        call_safely(self._on_gap, gap)
        if self._hooks is not None:
            self._hooks.gap(gap, queue, private=self._private)

    def _oldest_missing(self, channel: ConsumeChannel) -> datetime:
        """Return a time before which no message is missing, if the queue was lost with the connection.

        Every message was delivered until the broker began to keep messages back, or else until the last data arrived.
        For a durable queue, the messages in the buffer were dropped, and are missing too.
        """
        loop_time, now = asyncio.get_running_loop().time(), time.time()
        oldest = max(self.received, now - (loop_time - channel.link.alive_at))
        if (since := channel.backlog_since) is not None:
            oldest = min(oldest, now - (loop_time - since))
        if self.dropped is not None:
            oldest = min(oldest, self.dropped)
            self.dropped = None
        return datetime.fromtimestamp(oldest - _TRANSIT, UTC)
