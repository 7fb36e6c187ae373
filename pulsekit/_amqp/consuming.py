"""Consume one queue on one channel of one connection, and settle deliveries in batches.

Plan: deliveries that lie complete in the received bytes are read in a loop, without a call of the router for each.
Settling collects tags, and `_flush` writes them once a turn of the event loop: first the rejections, then one
basic.ack with `multiple` for the longest run of acknowledged deliveries from the oldest on, then single acks.

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

from pulsekit._amqp.channel import FrameChannel, IncomingContent, channel_end
from pulsekit._amqp.connection import OPERATION_TIMEOUT
from pulsekit._amqp.error_mapping import FOREIGN, map_error
from pulsekit._amqp.frames import ACK, DELIVER, FRAME, METHOD, NACK, REJECT, SETTLE, encode_settlement, read_content
from pulsekit._amqp.types import Delivery, Settlement, short_string
from pulsekit.errors import BrokerRefused, ConnectionLost, NotFound, SubscriptionLost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiormq
    import aiormq.abc
    from pamqp import commands

    from pulsekit._amqp.connection import Link
    from pulsekit.errors import PulsekitError

__all__ = ["ConsumeChannel", "QueueDeclaration"]

log = logging.getLogger("pulsekit")

_KNOWN_ROUTES = 1024  # pairs of exchange and routing key that are kept decoded


@dataclass(frozen=True, slots=True)
class QueueDeclaration:
    """Describe what a consumer needs on the broker.

    Attributes:
        queue: its name.
        durable: whether it outlives the connection; otherwise it is exclusive to it.
        bindings: (exchange, pattern) pairs.
        arguments: queue arguments, such as `x-expires`.
        known: whether it was there before; then it is not made again when it is gone.
    """

    queue: str
    durable: bool
    bindings: tuple[tuple[str, str], ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    known: bool = False


class ConsumeChannel(FrameChannel):
    """Consume one queue on one channel of one link."""

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
        self._routes: dict[bytes, tuple[str, str]] = {}  # exchange and key, by the bytes they came as
        self._unsettled: dict[int, bool] = {}  # delivery tags, in order, and whether an ack of them is owed
        self._acked: list[int] = []
        self._refused: list[bytes] = []
        self._flushing = False
        # An ack that waits for the turn of the loop must not stop the broker from sending on.
        self._most_owed = max(1, prefetch // 2)

    @classmethod
    async def open(
        cls, link: Link, topology: QueueDeclaration, *, prefetch: int, on_delivery: Callable[[Delivery], None]
    ) -> ConsumeChannel:
        """Declare the queue and bind it; `consume` then starts the flow.

        Args:
            link: the epoch to work on.
            topology: the queue and its bindings.
            prefetch: how many deliveries may be unsettled (basic.qos).
            on_delivery: called with each delivery, in order.

        Raises:
            SubscriptionLost: a queue that was known is gone.
            BrokerRefused: an exchange is missing, or a name is not the user's; the message says which.
            NetworkError: the link went, the broker did not answer in time, or the queue is on a node that is down.
        """
        channel = await link.channel(confirms=False)
        wire = cls(link, channel, topology.queue, prefetch, on_delivery)
        doing = declaring = f"declare the queue {topology.queue}"
        binding: tuple[str, str] | None = None
        try:
            await channel.basic_qos(prefetch_count=prefetch, timeout=OPERATION_TIMEOUT)
            await channel.queue_declare(
                topology.queue,
                passive=topology.known,
                durable=topology.durable,
                exclusive=not topology.durable,
                arguments=dict(topology.arguments) or None,
                timeout=OPERATION_TIMEOUT,
            )
            for binding in topology.bindings:
                exchange, pattern = binding
                doing = f"bind {exchange} with {pattern!r}"
                await channel.queue_bind(
                    topology.queue, exchange=exchange, routing_key=pattern, timeout=OPERATION_TIMEOUT
                )
        except FOREIGN as error:
            await wire.close()
            refusal = map_error(error, doing)
            if topology.known and doing is declaring and isinstance(refusal, NotFound):
                raise _gone(topology.queue) from error
            if isinstance(refusal, BrokerRefused):
                refusal.binding = binding
            raise refusal from error
        except BaseException:
            await wire.close()
            raise
        return wire

    async def consume(self) -> None:
        """Start the flow (basic.consume). Deliveries may come, and be settled, before this returns.

        Raises:
            BrokerRefused: the queue is gone, or somebody else's.
            ConnectionLost: the link went, or the broker did not answer in time.
        """
        self._channel.on_consumer_cancel_callbacks.add(self._on_cancel)
        self.link.tap.connect(self._channel.number, self)
        try:
            answer = await self._channel.basic_consume(self._queue, _never, timeout=OPERATION_TIMEOUT)
        except FOREIGN as error:
            await self.close()
            raise map_error(error, f"consume {self._queue}") from error
        except BaseException:
            await self.close()
            raise
        self._tag = answer.consumer_tag or ""

    def settle(self, delivery_tag: int, settlement: Settlement) -> None:
        """Tell the broker about one delivery (basic.ack, basic.nack, basic.reject), with others in one write.

        Raises:
            ConnectionLost: the link went; the broker has taken the message back.
        """
        if self._dead or self.link.is_lost:
            raise ConnectionLost("the connection of this delivery is gone")
        if self._unsettled.get(delivery_tag, True):
            return  # settled before: a second answer would cost the channel (406)
        if settlement is Settlement.ACK:
            self._unsettled[delivery_tag] = True
            self._acked.append(delivery_tag)
        else:
            del self._unsettled[delivery_tag]
            requeue = settlement is Settlement.REQUEUE
            method, bits = (NACK, 2) if requeue else (REJECT, 0)
            self._refused.append(encode_settlement(self._channel.number, method, delivery_tag, bits))
        if len(self._acked) + len(self._refused) >= self._most_owed:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    async def closed(self) -> PulsekitError:
        """Wait for the end of the wire and return its reason: the link went, or the broker cancelled the consumer."""
        end = asyncio.ensure_future(channel_end(self._channel, f"consume {self._queue}"))
        try:
            ends: list[asyncio.Future[Any]] = [end, self._cancelled]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                self._dead = True
                return end.result()
            return _gone(self._queue)
        finally:
            end.cancel()

    async def stop(self) -> None:
        """End the flow of deliveries (basic.cancel); those that arrived can still be settled."""
        self._flush()
        if self._tag and not self._cancelled.done():
            await self.link.close_quietly(lambda seconds: self._channel.basic_cancel(self._tag, timeout=seconds))

    async def depth(self) -> tuple[int, int]:
        """Return how many messages wait in the queue (queue.declare, passive), and how many are unsettled here.

        Raises:
            ConnectionLost: the link went, or the broker did not answer in time.
            NotFound: the queue is gone.
        """
        try:
            answer = await self._channel.queue_declare(self._queue, passive=True, timeout=OPERATION_TIMEOUT)
        except FOREIGN as error:
            raise map_error(error, f"ask for the depth of {self._queue}") from error
        return answer.message_count or 0, len(self._unsettled)

    async def delete_queue(self) -> None:
        """Delete the queue and what is in it (queue.delete)."""
        await self.link.close_quietly(lambda seconds: self._channel.queue_delete(self._queue, timeout=seconds))

    async def close(self) -> None:
        """Close the channel. The broker takes unsettled deliveries back."""
        self._flush()
        self._dead = True
        self.link.tap.disconnect(self._channel.number)
        await self.link.close_quietly(lambda seconds: self._channel.close(timeout=seconds))

    def _flush(self) -> None:
        """Write what is owed: refusals, then one ack for all that are settled from the oldest on, then the others."""
        self._flushing = False
        parts, self._refused = self._refused, []
        acked, self._acked = self._acked, []
        if self._dead or not (parts or acked):
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
        self.link.tap.write(b"".join(parts))

    def resumed(self) -> None:
        """Do nothing: acks are never held back."""

    def take(self, kind: int, data: bytes, start: int, end: int) -> int:
        """Handle deliveries that lie complete in the data, one after the other; cut ones are put together."""
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
        return super().take(kind, data, start, end)

    def _on_method(self, method: bytes, data: bytes, start: int, end: int) -> bool:
        if method != DELIVER:
            return False
        self._content = IncomingContent(data[start:end])
        return True

    def _on_content(self, method: bytes, header: bytes, body: bytes) -> None:
        self._deliver(method, header, body)

    def _deliver(self, method: bytes, header: bytes, body: bytes) -> None:
        at = 5 + method[4]  # behind the consumer's tag
        delivery_tag, redelivered = SETTLE.unpack_from(method, at)
        route = method[at + 9 :]
        names = self._routes.get(route) or self._read_route(route)
        self._unsettled[delivery_tag] = False
        self._on_delivery(Delivery(*names, header, body, redelivered & 1 == 1, delivery_tag))

    def _read_route(self, route: bytes) -> tuple[str, str]:
        exchange, at = short_string(route, 0)
        routing_key, _ = short_string(route, at)
        if len(self._routes) >= _KNOWN_ROUTES:
            self._routes.clear()
        names = self._routes[route] = (exchange, routing_key)
        return names

    def _on_cancel(self, _: commands.Basic.Cancel) -> None:
        if not self._cancelled.done():
            self._cancelled.set_result(None)


def _gone(queue: str) -> SubscriptionLost:
    return SubscriptionLost(
        f"the queue {queue} was deleted, by its owner or by PulseGuardian, who does so when it grows over the limit"
    )


async def _never(message: aiormq.abc.DeliveredMessage) -> None:
    """Stand for the callback aiormq wants: no delivery reaches it."""
    log.error("a delivery went past the tap: %r", message)
