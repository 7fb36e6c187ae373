"""The publish and the delivery path of one epoch: messages in and out, nothing about reconnecting.

A batch of messages goes in, and for each of them exactly one verdict comes out; deliveries go to a sink as they arrive,
never more of them unsettled than the prefetch. Whoever holds a wire learns from `closed` why it ended, takes what has
no verdict yet to the wire of the next epoch, and forgets this one.

Frames are encoded by hand and written once a turn of the loop, and answers are taken out of the stream below aiormq,
see `seam`: no task, future or timer for a message.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pulsekit._amqp.connection import OPERATION_TIMEOUT
from pulsekit._amqp.error_mapping import FOREIGN, map_error
from pulsekit._amqp.frames import (
    ACK,
    BODY,
    CLOSE_CHANNEL,
    DELIVER,
    FRAME,
    GET_EMPTY,
    GET_OK,
    HEADER,
    LEAST_HEADER,
    METHOD,
    NACK,
    REJECT,
    RETURN,
    SETTLE,
    encode_get,
    encode_id,
    encode_settlement,
    read_content,
)
from pulsekit._amqp.properties import read_properties
from pulsekit._amqp.types import Delivery, Outcome, Settlement, short_string
from pulsekit.errors import BrokerRefused, ConnectionLost, NotFound, PulsekitError, SubscriptionLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import aiormq
    import aiormq.abc
    from pamqp import commands

    from pulsekit._amqp.connection import Link
    from pulsekit._amqp.frames import PublishHeader

__all__ = ["ConsumeChannel", "GetChannel", "OutgoingMessage", "PublishChannel", "QueueDeclaration"]

log = logging.getLogger("pulsekit")

_MOST_LATE = 4096  # messages without an answer that are kept without a question
_KNOWN_ROUTES = 1024  # pairs of exchange and routing key that are kept decoded


class OutgoingMessage:
    """Hold one message on its way to the broker, encoded; whoever publishes extends it by what it needs to know.

    Attributes:
        envelope: everything that it shares with others.
        message_id: as the short string it travels as.
        body: the encoded payload.
    """

    __slots__ = ("body", "envelope", "message_id")

    def __init__(self, envelope: PublishHeader, message_id: bytes, body: bytes) -> None:
        self.envelope = envelope
        self.message_id = message_id
        self.body = body


OutgoingMessageT = TypeVar("OutgoingMessageT", bound=OutgoingMessage)
_OutgoingMessageT_contra = TypeVar("_OutgoingMessageT_contra", bound=OutgoingMessage, contravariant=True)


class OnOutcome(Protocol[_OutgoingMessageT_contra]):
    """Take the verdict on one message: the outcome, and the broker's words or nothing."""

    def __call__(self, parcel: _OutgoingMessageT_contra, outcome: Outcome, detail: str = "", /) -> None: ...


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


class _Channel(ABC):
    """Take the frames of one channel out of the stream."""

    def __init__(self, link: Link, channel: aiormq.Channel) -> None:
        self.link = link
        self._channel = channel
        self._content: _Content | None = None  # that is coming in
        self._dead = False  # a frame on a channel that is closing would cost the whole connection (504)

    def take(self, kind: int, data: bytes, start: int, end: int) -> int:
        """Handle a frame that is ours, and return the place behind it; or return 0 to leave it to aiormq."""
        if kind == METHOD:
            method = data[start : start + 4]
            if self._on_method(method, data, start, end):
                return end + 1
            self._dead = self._dead or method == CLOSE_CHANNEL
            return 0
        if self._content is None:
            return 0
        if self._content.add(kind, data, start, end):
            content, self._content = self._content, None
            self._on_content(content.method, content.header, content.body)
        return end + 1

    @abstractmethod
    def resumed(self) -> None:
        """Learn that the transport takes more, after it did not."""

    @abstractmethod
    def _on_method(self, method: bytes, data: bytes, start: int, end: int) -> bool:
        """Handle a method that is ours, or return False."""

    @abstractmethod
    def _on_content(self, method: bytes, header: bytes, body: bytes) -> None:
        """Handle a method with its content."""


class PublishChannel(_Channel, Generic[OutgoingMessageT]):
    """Publish on one channel of one link, with confirms.

    Delivery tags of confirms count what was published on the channel, from 1; one answer may settle many.
    """

    def __init__(
        self,
        link: Link,
        channel: aiormq.Channel,
        on_outcome: OnOutcome[OutgoingMessageT],
        on_writable: Callable[[], None],
    ) -> None:
        super().__init__(link, channel)
        self._on_verdict = on_outcome
        self._on_writable = on_writable
        self._oldest = 1  # the first delivery tag that may be outstanding
        self._next = 1
        self._outstanding: dict[int, OutgoingMessageT] = {}  # by delivery tag, in order
        self._returned: dict[int, str] = {}  # those that came back, and will be acknowledged, too

    @classmethod
    async def open(
        cls, link: Link, on_outcome: OnOutcome[OutgoingMessageT], on_writable: Callable[[], None]
    ) -> PublishChannel[OutgoingMessageT]:
        """Open a channel in confirm mode.

        Args:
            link: the epoch to work on.
            on_outcome: called once for each message, in the order of the broker's answers.
            on_writable: called when `writable` is true again.

        Raises:
            ConnectionLost: the link went, or the broker did not answer in time.
        """
        wire = cls(link, await link.channel(confirms=True), on_outcome, on_writable)
        link.tap.connect(wire._channel.number, wire)
        return wire

    async def declare_exchange(self, name: str, *, passive: bool) -> None:
        """Declare a durable topic exchange, or with `passive` only ask whether it exists (exchange.declare).

        Raises:
            BrokerRefused: it is missing, somebody else's, or of another kind; the wire is closed by that.
            ConnectionLost: the link went, or the broker did not answer in time.
        """
        doing = f"find the exchange {name}" if passive else f"declare the exchange {name}"
        try:
            await self._channel.exchange_declare(
                exchange=name, exchange_type="topic", durable=True, passive=passive, timeout=OPERATION_TIMEOUT
            )
        except FOREIGN as error:
            raise map_error(error, doing) from error

    @property
    def writable(self) -> bool:
        """Whether the broker takes what is sent; while it does not, what is sent would pile up here."""
        return self.link.tap.writable

    def resumed(self) -> None:
        """Pass on that the transport takes more."""
        self._on_writable()

    def send(self, batch: Iterable[OutgoingMessageT]) -> None:
        """Put messages on their way, in order and in one write. Each gets exactly one verdict."""
        number, frame_max, outstanding, tag = self._channel.number, self.link.frame_max, self._outstanding, self._next
        parts: list[bytes] = []
        for parcel in batch:
            outstanding[tag] = parcel
            tag += 1
            parcel.envelope.frames(number, parcel.message_id, parcel.body, frame_max, parts)
        self._next = tag
        if not self._dead:
            self.link.tap.write(b"".join(parts))

    def forget(self, late: Callable[[OutgoingMessageT], bool]) -> None:
        """Let go of messages that nobody waits for any more, when there are many; answers to them then say nothing.

        As long as they are few they stay, so that a return that comes late is not taken for that of another.
        """
        if len(self._outstanding) <= _MOST_LATE:
            return
        self._outstanding = {tag: parcel for tag, parcel in self._outstanding.items() if not late(parcel)}
        self._returned = {tag: text for tag, text in self._returned.items() if tag in self._outstanding}

    async def closed(self) -> PulsekitError:
        """Wait for the end of the wire and return its reason; by then every message sent has its verdict."""
        reason = await _end_of(self._channel, "publish")
        self._end()
        return reason

    async def close(self) -> None:
        """Close the channel. What is in flight gets the verdict unknown."""
        self._end()
        await self.link.close_quietly(lambda seconds: self._channel.close(timeout=seconds))

    def _end(self) -> None:
        self._dead = True
        self.link.tap.disconnect(self._channel.number)
        outstanding, self._outstanding = self._outstanding, {}
        for parcel in outstanding.values():
            self._on_verdict(parcel, Outcome.UNKNOWN)

    def _on_method(self, method: bytes, data: bytes, start: int, end: int) -> bool:
        if method in {ACK, NACK}:
            tag, bits = SETTLE.unpack_from(data, start + 4)
            self._settle(tag, Outcome.CONFIRMED if method == ACK else Outcome.REFUSED, multiple=bool(bits & 1))
        elif method == RETURN:
            self._content = _Content(data[start:end])
        else:
            return False
        return True

    def _settle(self, tag: int, outcome: Outcome, *, multiple: bool) -> None:
        """Pop the one that is meant, or with `multiple` the slice from the oldest on; 0 means all."""
        tags: Iterable[int] = (tag,)
        if multiple:
            last = min(tag or self._next, self._next - 1)
            tags = range(self._oldest, last + 1)
            self._oldest = max(self._oldest, last + 1)
        for settled in tags:
            parcel = self._outstanding.pop(settled, None)
            if parcel is None:
                continue  # it was answered alone, before
            if self._returned and (text := self._returned.pop(settled, None)) is not None:
                self._on_verdict(parcel, *((outcome, "") if outcome is Outcome.REFUSED else (Outcome.RETURNED, text)))
            else:
                self._on_verdict(parcel, outcome)

    def _on_content(self, method: bytes, header: bytes, body: bytes) -> None:  # noqa: ARG002 - the broker sends it
        """Find out which message came back: a return carries no tag, but the oldest that fits is the one."""
        text, at = short_string(method, 6)
        exchange, at = short_string(method, at)
        routing_key, _ = short_string(method, at)
        message_id = encode_id(read_properties(header)[0].message_id or "")
        for tag, parcel in self._outstanding.items():
            envelope = parcel.envelope
            if (
                parcel.message_id == message_id
                and envelope.mandatory
                and envelope.routing_key == routing_key
                and envelope.exchange == exchange
                and tag not in self._returned
            ):
                self._returned[tag] = text
                return
        log.debug("a message was returned too late, or was not sent here: %s %r", exchange, routing_key)


class ConsumeChannel(_Channel):
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
        end = asyncio.ensure_future(_end_of(self._channel, f"consume {self._queue}"))
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
        self._content = _Content(data[start:end])
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


class GetChannel(_Channel):
    """Get messages of a queue one by one, on a channel of one link that somebody else opened and closes.

    Not by aiormq's own basic.get: a key that is no text, or a header of a type it does not know, costs its connection.
    """

    def __init__(self, link: Link, channel: aiormq.Channel, queue: str) -> None:
        super().__init__(link, channel)
        self._queue = queue
        self._answer: asyncio.Future[Delivery | None] | None = None
        link.tap.connect(channel.number, self)

    def close(self) -> None:
        """Leave the channel to aiormq."""
        self.link.tap.disconnect(self._channel.number)

    async def get(self) -> Delivery | None:
        """Return the next message, unsettled, or None when none waits (basic.get). One call after the other.

        Raises:
            BrokerRefused: there is no such queue, or it is somebody else's.
            ConnectionLost: the link went, or the broker did not answer in time.
        """
        doing = f"get from {self._queue}"
        answer: asyncio.Future[Delivery | None] = asyncio.get_running_loop().create_future()
        self._answer = answer
        end = asyncio.ensure_future(_end_of(self._channel, doing))
        self.link.tap.write(encode_get(self._channel.number, self._queue))
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT):
                ends: list[asyncio.Future[Any]] = [end, answer]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as error:
            raise map_error(error, doing) from error
        finally:
            end.cancel()
        if answer.done():
            return answer.result()
        raise end.result()

    def resumed(self) -> None:
        """Do nothing: a question is asked at once."""

    def _on_method(self, method: bytes, data: bytes, start: int, end: int) -> bool:
        if method == GET_OK:
            self._content = _Content(data[start:end])
        elif method == GET_EMPTY:
            self._tell(None)
        else:
            return False
        return True

    def _on_content(self, method: bytes, header: bytes, body: bytes) -> None:
        delivery_tag, redelivered = SETTLE.unpack_from(method, 4)
        exchange, at = short_string(method, 13)
        routing_key, _ = short_string(method, at)
        self._tell(Delivery(exchange, routing_key, header, body, redelivered & 1 == 1, delivery_tag))

    def _tell(self, delivery: Delivery | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(delivery)


class _Content:
    """Put a method with content together from its frames."""

    __slots__ = ("_missing", "_parts", "header", "method")

    def __init__(self, method: bytes) -> None:
        self.method = method
        self.header = b""
        self._parts: list[bytes] = []
        self._missing = -1

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)

    def add(self, kind: int, data: bytes, start: int, end: int) -> bool:
        """Take header or body; return True when it is complete.

        Raises:
            ValueError: what has come is neither.
        """
        if kind == HEADER and end - start >= LEAST_HEADER:
            self.header = data[start:end]
            self._missing = int.from_bytes(data[start + 4 : start + 12], "big")
        elif kind != BODY or not self.header:
            raise ValueError("no content follows where it has to")
        else:
            self._parts.append(data[start:end])
            self._missing -= end - start
        return self._missing <= 0


def _gone(queue: str) -> SubscriptionLost:
    return SubscriptionLost(
        f"the queue {queue} was deleted, by its owner or by PulseGuardian, who does so when it grows over the limit"
    )


async def _never(message: aiormq.abc.DeliveredMessage) -> None:
    """Stand for the callback aiormq wants: no delivery reaches it."""
    log.error("a delivery went past the tap: %r", message)


async def _end_of(channel: aiormq.Channel, doing: str) -> PulsekitError:
    """Wait until the channel is closed, by whomever, and return why."""
    closing = channel.closing
    await asyncio.wait([closing])
    error = None if closing.cancelled() else closing.exception()
    if error is None or isinstance(error, asyncio.CancelledError):
        return ConnectionLost("the channel was closed")
    return map_error(error, doing)
