"""Consume one queue on one channel of one connection, and settle deliveries in batches.

Plan: consecutive deliveries that are complete in the received data are read in one loop, without a call of the router
for each. `settle` collects delivery tags, and `_flush` writes them once per iteration of the event loop: first the
rejections, then one basic.ack with `multiple` for the longest run of acknowledged deliveries from the oldest on, then
single acks.

`prefetch` limits how many messages and bytes are unsettled.

Invariants:

- `_unsettled` maps the delivery tags without an answer, in ascending order, to the size of the body. The value is
  `~size`, which is negative, once the tag is in `_acked` and waits for the flush.
- `_bytes` is the sum of the sizes that are not negative.
- At most half of the prefetch waits for a flush, so that the broker keeps sending.
- After `stop`, deliveries above the limit are requeued, and the socket is read, since cancel-ok is after them.

Example: deliveries 1 to 4 arrived, 1, 2 and 4 are acknowledged. The flush writes ack(2, multiple) and ack(4); 3
remains.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from pulsekit._amqp import methods
from pulsekit._amqp.callbacks import call_safely
from pulsekit._amqp.channel import IncomingContent
from pulsekit._amqp.error_mapping import FOREIGN, map_error
from pulsekit._amqp.frames import (
    ACK,
    CANCEL_OK,
    DELIVER,
    FRAME,
    METHOD,
    NACK,
    QOS_OK,
    REJECT,
    SETTLE,
    encode_cancel,
    encode_settlement,
    read_content,
)
from pulsekit._amqp.prefetch import PREFETCH_BYTES, PrefetchChannel
from pulsekit._amqp.queue_declaration import open_declared, queue_deleted
from pulsekit._amqp.types import Delivery, Settlement, short_string
from pulsekit.errors import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import aiormq
    import aiormq.abc
    from pamqp import commands

    from pulsekit._amqp.link import Link
    from pulsekit._amqp.queue_declaration import QueueDeclaration
    from pulsekit.errors import PulsekitError

__all__ = ["ConsumeChannel"]

log = logging.getLogger("pulsekit")

_MAX_ROUTES = 1024  # decoded pairs of exchange and routing key that are cached


class ConsumeChannel(PrefetchChannel):
    """A channel that consumes one queue, see the module."""

    def __init__(
        self,
        link: Link,
        channel: aiormq.Channel,
        queue: str,
        prefetch: int,
        on_delivery: Callable[[Delivery], None],
        *,
        max_bytes: int = PREFETCH_BYTES,
        on_lost: Callable[[], None] | None = None,
        adapts: bool = False,
    ) -> None:
        super().__init__(link, channel, queue, prefetch, max_bytes, adapts=adapts)
        self._on_delivery = on_delivery
        self._on_lost = on_lost
        self._routes: dict[bytes, tuple[str, str]] = {}  # decoded exchange and routing key, by their encoding
        self._acked: list[int] = []
        self._rejections: list[bytes] = []
        self._flushing = False
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # cancel-ok has arrived

    @classmethod
    async def open(
        cls,
        link: Link,
        declaration: QueueDeclaration,
        *,
        prefetch: int,
        on_delivery: Callable[[Delivery], None],
        max_bytes: int = PREFETCH_BYTES,
        on_lost: Callable[[], None] | None = None,
        on_silence: Callable[[], None] = lambda: None,
        adapts: bool = False,
    ) -> ConsumeChannel:
        """Open a channel, declare the queue and bind it. `consume` starts the deliveries.

        Args:
            link: the connection of the current epoch.
            declaration: the queue and its bindings.
            prefetch: how many deliveries may be unsettled (basic.qos).
            on_delivery: called with each delivery, in order.
            max_bytes: how many bytes of bodies may be unsettled. A larger message is delivered alone.
            on_lost: called when the channel or its connection is lost, before any other code runs.
            on_silence: called if the declaration has no answer for a second, but another request has one.
            adapts: whether large messages reduce the prefetch. For a moment, the queue then has two consumers.

        Raises:
            SubscriptionLost: Raised when a passively declared queue does not exist.
            BrokerRefused: Raised when an exchange does not exist, or the user may not use a name. The error has the
                name.
            NetworkError: Raised when the connection is lost, the broker does not answer in time, or the queue is on a
                node that is down.
        """
        channel = await open_declared(link, declaration, prefetch=prefetch, on_silence=on_silence)
        return cls(
            link,
            channel,
            declaration.queue,
            prefetch,
            on_delivery,
            max_bytes=max_bytes,
            on_lost=on_lost,
            adapts=adapts,
        )

    async def consume(self) -> None:
        """Start the deliveries (basic.consume). Deliveries may arrive, and be settled, before `consume` returns.

        Raises:
            BrokerRefused: Raised when the queue does not exist, or the user may not consume it.
            ConnectionLost: Raised when the connection is lost, or the broker does not answer in time.
        """
        self._channel.on_consumer_cancel_callbacks.add(self._on_cancel)
        self.link.router.connect(self._channel.number, self)
        try:
            with self.link.router.awaiting_answer(self):
                self._tag = await methods.consume(self._channel, self._queue, _unexpected_delivery)
        except FOREIGN as error:
            await self.close()
            raise map_error(error, f"consume {self._queue}", reconnects=True) from error
        except BaseException:
            await self.close()
            raise

    def settle(self, delivery_tag: int, settlement: Settlement) -> bool:
        """Settle one delivery (basic.ack, basic.nack, basic.reject). The frame is written with the next flush.

        Returns:
            False if the delivery was settled before.

        Raises:
            ConnectionLost: Raised when the connection is lost. The broker has requeued the message.
        """
        if self._closing or self.link.is_lost:
            raise ConnectionLost("the connection of this delivery is gone")
        size = self._unsettled.get(delivery_tag, -1)
        if size < 0:
            return False  # the broker would close the channel after a second settlement (406)
        self._bytes -= size
        if settlement is Settlement.ACK:
            self._unsettled[delivery_tag] = ~size
            self._acked.append(delivery_tag)
        else:
            del self._unsettled[delivery_tag]
            requeue = settlement is Settlement.REQUEUE
            method, bits = (NACK, 2) if requeue else (REJECT, 0)
            self._rejections.append(encode_settlement(self._channel.number, method, delivery_tag, bits))
        if len(self._acked) + len(self._rejections) >= self._max_unflushed:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return True

    async def closed(self) -> PulsekitError:
        """Wait until the channel is closed or the broker cancels the consumer, and return the reason."""
        end = asyncio.ensure_future(self.ended(f"consume {self._queue}"))
        try:
            ends: list[asyncio.Future[Any]] = [end, self._cancelled]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                self.connection_lost()
                return end.result()
            return queue_deleted(self._queue)
        finally:
            end.cancel()

    async def stop(self, *, requeue: Iterable[int] | None = None) -> None:
        """Stop the deliveries (basic.cancel). Earlier deliveries can still be settled. Stopping twice is fine.

        basic.cancel is written before the deliveries are requeued, so that the broker does not deliver them to this
        consumer again. aiormq does not send it, because aiormq closes the channel if a request is cancelled or times
        out.

        Args:
            requeue: the tags of deliveries to requeue. If given, deliveries that arrive later are also requeued.
        """
        self._flush()
        if requeue is not None:
            self._max_bytes = 0
        if not self._stopping:
            self._stopping = True
            self.link.router.resume_reading(self)
            if self._closing or not self._tag or self._cancelled.done():
                self._stopped.set_result(None)
            else:
                self._channel.consumers.pop(self._tag, None)
                self.link.router.write(encode_cancel(self._channel.number, self._tag))
        with contextlib.suppress(ConnectionLost):
            for delivery_tag in requeue or ():
                self.settle(delivery_tag, Settlement.REQUEUE)
        await self.link.close_quietly(self._wait_until_stopped)

    async def _wait_until_stopped(self, seconds: float) -> None:
        ends: list[asyncio.Future[Any]] = [self._stopped, self._channel.closing]
        done, _ = await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise TimeoutError

    async def depth(self, link: Link) -> tuple[int, int, int]:
        """Return the numbers of ready messages, of unsettled messages of this channel, and of consumers.

        The request has a separate channel: a refusal, a timeout or a cancellation does not affect the deliveries.

        Args:
            link: the connection for the request, see `Connection.request_link`.

        Raises:
            ConfigurationError: Raised when the connection has as many channels as the broker allows.
            ConnectionLost: Raised when the connection is lost, or the broker does not answer in time.
            NotFound: Raised when the queue no longer exists.
        """
        ready, consumers = await link.ask(
            lambda channel: methods.declare_queue(channel, self._queue, passive=True),
            f"ask for the depth of {self._queue}",
        )
        return ready, self.unsettled, consumers

    @property
    def oldest_unsettled(self) -> int | None:
        """The delivery tag of the oldest delivery that is not settled, or None."""
        return next((tag for tag, size in self._unsettled.items() if size >= 0), None)

    async def close(self) -> None:
        """Close the channel. The broker requeues unsettled deliveries."""
        self._flush()
        await super().close()

    def _flush(self) -> None:
        """Write the collected settlements, see the module."""
        self._flushing = False
        parts, self._rejections = self._rejections, []
        acked, self._acked = self._acked, []
        if self._closing or not (parts or acked):
            return
        number, unsettled = self._channel.number, self._unsettled
        rejected = len(parts)
        used = len(unsettled) + rejected
        self._backlog.observe(self._time(), used, used if self._full else self._prefetch, rejected + len(acked))
        if self._prefetch < self._max_prefetch and acked:
            self._grow(acked)
        first = next(iter(unsettled), 0)
        in_order = acked == list(range(first, first + len(acked)))
        oldest = acked if in_order else list(takewhile(set(acked).__contains__, unsettled))
        if oldest:
            parts.append(encode_settlement(number, ACK, oldest[-1], len(oldest) > 1))
            for tag in oldest:
                del unsettled[tag]
        if len(oldest) < len(acked):
            for tag in acked:
                if unsettled.pop(tag, None) is not None:
                    parts.append(encode_settlement(number, ACK, tag, 0))
        self.link.router.write(b"".join(parts))
        self._continue_below_limit()

    def is_unsettled(self, delivery_tag: int) -> bool:
        """Whether a delivery can be settled: it is not settled yet, and the connection exists."""
        return not (self._closing or self.link.is_lost) and self._unsettled.get(delivery_tag, -1) >= 0

    def connection_lost(self) -> None:
        """Send nothing more, and call `on_lost`: the broker requeues all unsettled deliveries."""
        if not self._closing:
            self._closing = True
            call_safely(self._on_lost)
        self.link.router.resume_reading(self)

    def _accept(self, delivery_tag: int) -> bool:
        """Stop reading if the limit of bytes is reached. Return False if the delivery was requeued."""
        if self._stopping:
            accepted = self._bytes - self._unsettled[delivery_tag] < self._max_bytes
            if not accepted:
                self.settle(delivery_tag, Settlement.REQUEUE)
            return accepted
        self._stop_at_limit()
        return True

    def resumed(self) -> None:
        """Do nothing: settlements are never delayed."""

    def handle_frame(self, kind: int, data: bytes, start: int, end: int) -> int:
        """Handle consecutive complete deliveries, and collect the frames of an incomplete one."""
        at = self._handle_frame(kind, data, start, end)
        if len(self._unsettled) >= self._prefetch:
            self._backlog.observe(self._time(), len(self._unsettled), self._prefetch)
        return at

    def _handle_frame(self, kind: int, data: bytes, start: int, end: int) -> int:
        channel, size = self._channel.number, len(data)
        while kind == METHOD and data[start : start + 4] == DELIVER and not self._discarding:
            content = read_content(data, end + 1, channel)
            if content is None:
                break
            header, body, at = content
            self._deliver(data[start:end], header, body)
            if size - at < 8:
                return at
            kind, owner, length = FRAME.unpack_from(data, at)
            start, end = at + 7, at + 7 + length
            if owner != channel or end >= size or kind != METHOD or data[start : start + 4] != DELIVER:
                return at
        return super().handle_frame(kind, data, start, end)

    def _on_method(self, method: bytes, data: bytes, start: int, end: int) -> bool:
        if method == QOS_OK and self._qos_answers:
            self._qos_answers -= 1
            return True
        if method == CANCEL_OK and self._stopping:
            if not self._stopped.done():
                self._stopped.set_result(None)
            return True
        if method != DELIVER:
            return False
        self._content = IncomingContent(data[start:end])
        return True

    def _on_content(self, method: bytes, header: bytes, body: bytes) -> None:
        self._deliver(method, header, body)

    def _deliver(self, method: bytes, header: bytes, body: bytes) -> None:
        at = 5 + method[4]  # the offset after the consumer tag
        delivery_tag, redelivered = SETTLE.unpack_from(method, at)
        route = method[at + 9 :]
        names = self._routes.get(route) or self._read_route(route)
        self._unsettled[delivery_tag] = size = len(body)
        self._bytes += size
        if self._bytes >= self._max_bytes and not self._accept(delivery_tag):
            return
        self._on_delivery(Delivery(*names, header, body, redelivered & 1 == 1, delivery_tag))

    def _read_route(self, route: bytes) -> tuple[str, str]:
        exchange, at = short_string(route, 0)
        routing_key, _ = short_string(route, at)
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()
        names = self._routes[route] = (exchange, routing_key)
        return names

    def _on_cancel(self, _: commands.Basic.Cancel) -> None:
        if not self._cancelled.done():
            self._cancelled.set_result(None)


async def _unexpected_delivery(message: aiormq.abc.DeliveredMessage) -> None:
    """Log a delivery that the frame router did not handle; aiormq requires this callback."""
    log.error("a delivery reached aiormq: %r", message)
