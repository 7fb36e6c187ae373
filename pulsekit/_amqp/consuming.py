"""Consume one queue on one channel of one connection, and settle deliveries in batches.

Plan: consecutive deliveries that are complete in the received data are read in one loop, without a call of the router
for each. `settle` collects delivery tags, and `_flush` writes them once per iteration of the event loop: first the
rejections, then one basic.ack with `multiple` for the longest run of acknowledged deliveries from the oldest on, then
single acks.

Invariants: `_unsettled` holds the delivery tags without an answer, in ascending order; the value is True once the tag
is in `_acked` and waits for the flush. At most half of the prefetch waits for a flush, so that the broker keeps
sending.

Example: deliveries 1 to 4 arrived, 1, 2 and 4 are acknowledged. The flush writes ack(2, multiple) and ack(4); 3
remains.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from pulsekit._amqp import methods
from pulsekit._amqp.channel import FrameChannel, IncomingContent, channel_end
from pulsekit._amqp.error_mapping import FOREIGN, map_error
from pulsekit._amqp.frames import ACK, DELIVER, FRAME, METHOD, NACK, REJECT, SETTLE, encode_settlement, read_content
from pulsekit._amqp.link import OPERATION_TIMEOUT
from pulsekit._amqp.types import Delivery, Settlement, short_string
from pulsekit.errors import BrokerRefused, ConnectionLost, NotFound, SubscriptionLost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiormq
    import aiormq.abc
    from pamqp import commands

    from pulsekit._amqp.link import Link
    from pulsekit.errors import PulsekitError

__all__ = ["ConsumeChannel", "QueueDeclaration"]

log = logging.getLogger("pulsekit")

_MAX_ROUTES = 1024  # decoded pairs of exchange and routing key that are cached


@dataclass(frozen=True, slots=True)
class QueueDeclaration:
    """The queue and the bindings that a consumer needs on the broker.

    Attributes:
        queue: the name of the queue.
        durable: whether the queue outlives the connection. Otherwise it is exclusive to the connection.
        bindings: (exchange, pattern) pairs.
        arguments: queue arguments, such as `x-expires`.
        passive: whether the queue must exist. Then it is not created.
    """

    queue: str
    durable: bool
    bindings: tuple[tuple[str, str], ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    passive: bool = False


class ConsumeChannel(FrameChannel):
    """A channel that consumes one queue; see the module."""

    def __init__(
        self,
        link: Link,
        channel: aiormq.Channel,
        queue: str,
        prefetch: int,
        on_delivery: Callable[[Delivery], None],
    ) -> None:
        super().__init__(link, channel)
        self._queue = queue
        self._on_delivery = on_delivery
        self._tag = ""
        self._cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._routes: dict[bytes, tuple[str, str]] = {}  # decoded exchange and routing key, by their encoding
        self._unsettled: dict[int, bool] = {}  # see the module
        self._acked: list[int] = []
        self._rejections: list[bytes] = []
        self._flushing = False
        self._max_unflushed = max(1, prefetch // 2)

    @classmethod
    async def open(
        cls, link: Link, declaration: QueueDeclaration, *, prefetch: int, on_delivery: Callable[[Delivery], None]
    ) -> ConsumeChannel:
        """Open a channel, declare the queue and bind it. `consume` starts the deliveries.

        Args:
            link: the connection of the current epoch.
            declaration: the queue and its bindings.
            prefetch: how many deliveries may be unsettled (basic.qos).
            on_delivery: called with each delivery, in order.

        Raises:
            SubscriptionLost: Raised when a passively declared queue does not exist.
            BrokerRefused: Raised when an exchange does not exist, or the user may not use a name. The message names it.
            NetworkError: Raised when the connection is lost, the broker does not answer in time, or the queue is on a
                node that is down.
        """
        channel = await link.channel(confirms=False)
        consuming = cls(link, channel, declaration.queue, prefetch, on_delivery)
        doing = declaring = f"declare the queue {declaration.queue}"
        binding: tuple[str, str] | None = None
        try:
            await channel.basic_qos(prefetch_count=prefetch, timeout=OPERATION_TIMEOUT)
            await methods.declare_queue(
                channel,
                declaration.queue,
                passive=declaration.passive,
                durable=declaration.durable,
                exclusive=not declaration.durable,
                arguments=declaration.arguments,
            )
            for binding in declaration.bindings:
                exchange, pattern = binding
                doing = f"bind {exchange} with {pattern!r}"
                await methods.bind_queue(channel, declaration.queue, exchange, pattern)
        except FOREIGN as error:
            await consuming.close()
            refusal = map_error(error, doing)
            if declaration.passive and doing is declaring and isinstance(refusal, NotFound):
                raise _queue_deleted(declaration.queue) from error
            if isinstance(refusal, BrokerRefused):
                refusal.binding = binding
            raise refusal from error
        except BaseException:
            await consuming.close()
            raise
        return consuming

    async def consume(self) -> None:
        """Start the deliveries (basic.consume). They may arrive, and be settled, before this returns.

        Raises:
            BrokerRefused: Raised when the queue does not exist, or the user may not consume it.
            ConnectionLost: Raised when the connection is lost, or the broker does not answer in time.
        """
        self._channel.on_consumer_cancel_callbacks.add(self._on_cancel)
        self.link.router.connect(self._channel.number, self)
        try:
            self._tag = await methods.consume(self._channel, self._queue, _unexpected_delivery)
        except FOREIGN as error:
            await self.close()
            raise map_error(error, f"consume {self._queue}") from error
        except BaseException:
            await self.close()
            raise

    def settle(self, delivery_tag: int, settlement: Settlement) -> None:
        """Settle one delivery (basic.ack, basic.nack, basic.reject). The frame is written with the next flush.

        Raises:
            ConnectionLost: Raised when the connection is lost. The broker has requeued the message.
        """
        if self._closing or self.link.is_lost:
            raise ConnectionLost("the connection of this delivery is gone")
        if self._unsettled.get(delivery_tag, True):
            return  # settled before: the broker would close the channel after a second answer (406)
        if settlement is Settlement.ACK:
            self._unsettled[delivery_tag] = True
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
            asyncio.get_running_loop().call_soon(self._flush)

    async def closed(self) -> PulsekitError:
        """Wait until the channel is closed or the broker cancels the consumer, and return the reason."""
        end = asyncio.ensure_future(channel_end(self._channel, f"consume {self._queue}"))
        try:
            ends: list[asyncio.Future[Any]] = [end, self._cancelled]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                self._closing = True
                return end.result()
            return _queue_deleted(self._queue)
        finally:
            end.cancel()

    async def stop(self) -> None:
        """Stop the deliveries (basic.cancel). Those that have arrived can still be settled."""
        self._flush()
        if self._tag and not self._cancelled.done():
            await self.link.close_quietly(lambda seconds: self._channel.basic_cancel(self._tag, timeout=seconds))

    async def depth(self) -> tuple[int, int]:
        """Return how many messages are ready in the queue (queue.declare, passive), and how many are unsettled here.

        Raises:
            ConnectionLost: Raised when the connection is lost, or the broker does not answer in time.
            NotFound: Raised when the queue does not exist any more.
        """
        try:
            ready, _ = await methods.declare_queue(self._channel, self._queue, passive=True)
        except FOREIGN as error:
            raise map_error(error, f"ask for the depth of {self._queue}") from error
        return ready, len(self._unsettled)

    async def delete_queue(self) -> None:
        """Delete the queue and its messages (queue.delete)."""
        await self.link.close_quietly(lambda seconds: methods.delete_queue(self._channel, self._queue, timeout=seconds))

    async def close(self) -> None:
        """Close the channel. The broker requeues unsettled deliveries."""
        self._flush()
        self._closing = True
        self.link.router.disconnect(self._channel.number)
        await self.link.close_quietly(lambda seconds: self._channel.close(timeout=seconds))

    def _flush(self) -> None:
        """Write the collected settlements; see the module."""
        self._flushing = False
        parts, self._rejections = self._rejections, []
        acked, self._acked = self._acked, []
        if self._closing or not (parts or acked):
            return
        number, unsettled = self._channel.number, self._unsettled
        oldest = list(takewhile(unsettled.__getitem__, unsettled))
        if oldest:
            parts.append(encode_settlement(number, ACK, oldest[-1], len(oldest) > 1))
            for tag in oldest:
                del unsettled[tag]
        if len(oldest) < len(acked):
            for tag in acked:
                if unsettled.pop(tag, False):
                    parts.append(encode_settlement(number, ACK, tag, 0))
        self.link.router.write(b"".join(parts))

    def resumed(self) -> None:
        """Do nothing: settlements are never delayed."""

    def handle_frame(self, kind: int, data: bytes, start: int, end: int) -> int:
        """Handle consecutive complete deliveries; frames of an incomplete one are collected."""
        channel, size = self._channel.number, len(data)
        while kind == METHOD and data[start : start + 4] == DELIVER:
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
        if method != DELIVER:
            return False
        self._content = IncomingContent(data[start:end])
        return True

    def _on_content(self, method: bytes, header: bytes, body: bytes) -> None:
        self._deliver(method, header, body)

    def _deliver(self, method: bytes, header: bytes, body: bytes) -> None:
        at = 5 + method[4]  # behind the consumer tag
        delivery_tag, redelivered = SETTLE.unpack_from(method, at)
        route = method[at + 9 :]
        names = self._routes.get(route) or self._read_route(route)
        self._unsettled[delivery_tag] = False
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


def _queue_deleted(queue: str) -> SubscriptionLost:
    return SubscriptionLost(
        f"the queue {queue} was deleted, by its owner or by PulseGuardian, who does so when it grows over the limit"
    )


async def _unexpected_delivery(message: aiormq.abc.DeliveredMessage) -> None:
    """Log a delivery that reached aiormq, which requires a callback; the frame router handles all deliveries before."""
    log.error("a delivery reached aiormq: %r", message)
