"""The prefetch of a consumer, in messages and in bytes.

The broker limits the window in messages (basic.qos). This module limits it in bytes, since RabbitMQ does not implement
the prefetch size of AMQP. When the unsettled bodies reach the limit, the router stops reading the socket, and the
prefetch is reduced. RabbitMQ cannot change the prefetch of a consumer, so a second consumer is started with the smaller
prefetch, and then the first is cancelled. When the messages are small again, the prefetch grows in the same way. Both
methods have `nowait`, since their answers would arrive after the deliveries.

Invariants: `_bytes` exceeds the limit by at most one message and the data of one read of the socket, and by the
messages that arrive before an awaited answer. From `_most` on, `is_overfull` prevents further requests.

Example: with a limit of 64 MiB and messages of 10 MB, delivery 7 stops the reading, and the prefetch becomes 7.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from pulsekit._amqp import methods
from pulsekit._amqp.backlog import Backlog
from pulsekit._amqp.channel import FrameChannel
from pulsekit._amqp.frames import encode_next_consumer

if TYPE_CHECKING:
    import aiormq

    from pulsekit._amqp.link import Link

__all__ = ["PREFETCH_BYTES", "PrefetchChannel"]

log = logging.getLogger("pulsekit")

PREFETCH_BYTES = 64 * 1024 * 1024  # of the bodies of unsettled deliveries
_LEAST_MORE = 1024 * 1024  # bytes beyond a small limit of bytes that may arrive before answers


class PrefetchChannel(FrameChannel):
    """A channel with one consumer, whose unsettled deliveries are limited in number and in bytes."""

    def __init__(
        self, link: Link, channel: aiormq.Channel, queue: str, prefetch: int, max_bytes: int, *, adapts: bool
    ) -> None:
        super().__init__(link, channel)
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._queue = queue
        self._tag = ""
        self._cancelled: asyncio.Future[None] = self._loop.create_future()  # by the broker
        self._stopping = False
        self._unsettled: dict[int, int] = {}  # see `consuming`
        self._bytes = 0  # of the unsettled bodies
        self._max_bytes = max_bytes
        self._full = False  # True while the socket is not read because of this channel
        self._most = 0  # while full: the number of bytes that may be unsettled when a request is sent
        self._backlog = Backlog()
        self._max_prefetch = self._prefetch = prefetch
        self._max_unflushed = max(1, prefetch // 2)
        self._adapts = adapts  # whether large messages reduce the prefetch
        self._qos_answers = 0  # the number of basic.qos-ok for this channel, not for aiormq

    @property
    def unsettled(self) -> int:
        """How many deliveries are not settled."""
        return len(self._unsettled)

    @property
    def is_full(self) -> bool:
        """Whether the broker delivers no message until one is settled."""
        return self._full or len(self._unsettled) >= self._prefetch

    @property
    def is_overfull(self) -> bool:
        """Whether the messages that arrived before answers have reached the limit a second time."""
        return self._full and self._bytes >= self._most

    @property
    def backlog_since(self) -> float | None:
        """The time since which messages may wait in the queue, by the clock of the event loop. None if it is empty."""
        unsettled = len(self._unsettled)
        return self._backlog.since(self._time(), unsettled, unsettled if self._full else self._prefetch)

    def _stop_at_limit(self) -> None:
        """Stop reading the socket, because the unsettled bodies have reached the limit, and reduce the prefetch."""
        if not self._full:
            self._full = True
            self._most = self._bytes + max(self._max_bytes, _LEAST_MORE)
        self.link.router.pause_reading(self)
        self._backlog.observe(self._time(), len(self._unsettled), len(self._unsettled))
        # Not more than before: while an answer is awaited, messages are read although they do not fit.
        self._change_prefetch(min(self._prefetch, max(1, len(self._unsettled))))

    def _continue_below_limit(self) -> None:
        """Read the socket again if the unsettled bodies are below the limit."""
        if self._full and self._bytes < self._max_bytes:
            self._full = False
            self.link.router.resume_reading(self)

    def _grow(self, acked: list[int]) -> None:
        """Double a reduced prefetch if the messages of the window are small enough."""
        total = self._bytes + sum(~self._unsettled[tag] for tag in acked)
        if 4 * self._prefetch * total <= self._max_bytes * len(self._unsettled):
            self._change_prefetch(min(self._max_prefetch, 2 * self._prefetch))

    def _change_prefetch(self, prefetch: int) -> None:
        """Replace the consumer by one with another prefetch, unless the difference is small."""
        if not self._adapts or self._stopping or not self._tag or self._cancelled.done():
            return
        if self._prefetch // 2 < prefetch < min(2 * self._prefetch, self._max_prefetch):
            return
        if prefetch == self._prefetch:
            return
        former, self._tag = self._tag, methods.consumer_tag()
        self._prefetch, self._max_unflushed = prefetch, max(1, prefetch // 2)
        self._channel.consumers[self._tag] = self._channel.consumers.pop(former)
        self._qos_answers += 1
        log.debug("the prefetch of %s is %d", self._queue, prefetch)
        self.link.router.write(
            encode_next_consumer(self._channel.number, self._queue, prefetch, former=former, tag=self._tag)
        )
