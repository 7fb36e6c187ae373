"""The publish and the delivery path of one epoch: messages in and out, nothing about reconnecting.

A batch of messages goes in, and for each of them exactly one verdict comes out; deliveries go to a sink as they arrive,
never more of them unsettled than the prefetch. Whoever holds a wire learns from `closed` why it ended, takes what has
no verdict yet to the wire of the next epoch, and forgets this one.

Frames are encoded by hand and written once a turn of the loop, and answers are taken out of the stream below aiormq,
see `seam`: no task, future or timer for a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Protocol

from pulsekit.connection import OPERATION_TIMEOUT
from pulsekit.errors import ConnectionLost, InvalidMessage, PulsekitError, SubscriptionLost
from pulsekit.frames import (
    ACK,
    CLOSE_CHANNEL,
    DELIVER,
    HEADER,
    METHOD,
    NACK,
    REJECT,
    RETURN,
    encode_properties,
    encode_publish,
    encode_settlement,
    read_header,
    short_string,
)
from pulsekit.messages import Outcome, Properties, Settlement
from pulsekit.translation import FOREIGN, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import aiormq
    import aiormq.abc
    from pamqp import commands

    from pulsekit.connection import Link
    from pulsekit.messages import Outgoing

__all__ = ["Delivery", "DeliveryWire", "PublishWire", "Topology", "check_size"]

log = logging.getLogger("pulsekit")

_MAX_HEADER = 131_064  # bytes: the frame_max of Pulse less the eight that frame a payload (AMQP 0-9-1 §4.2.3)
_MAX_SHORT = 255  # bytes of a short string (AMQP 0-9-1 §4.2.5.3)


class OnVerdict(Protocol):
    """Take the verdict on one message: its token, the outcome, and the broker's words or nothing."""

    def __call__(self, token: int, outcome: Outcome, detail: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """Hold one basic.deliver with its content, as the wire cut it."""

    exchange: str
    routing_key: str
    body: bytes
    properties: Properties
    headers: Mapping[str, Any]
    redelivered: bool
    delivery_tag: int


@dataclass(frozen=True, slots=True)
class Topology:
    """Describe what a consumer needs on the broker.

    Attributes:
        queue: its name.
        durable: whether it outlives the connection; otherwise it is exclusive to it.
        bindings: (exchange, pattern) pairs.
        arguments: queue arguments, such as `x-expires`.
    """

    queue: str
    durable: bool
    bindings: tuple[tuple[str, str], ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)


def check_size(message: Outgoing) -> None:
    """Refuse what would kill the whole connection.

    Raises:
        InvalidMessage: the key, a property or the header table is larger than AMQP can carry, or has a type it lacks.
    """
    shorts = {"exchange": message.exchange, "routing key": message.routing_key} | {
        name: value for name in _SHORT_PROPERTIES if (value := getattr(message.properties, name)) is not None
    }
    for name, value in shorts.items():
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise InvalidMessage(f"the {name} is not valid Unicode text") from None
        if size > _MAX_SHORT:
            raise InvalidMessage(f"the {name} {value[:40]!r}… has {size} bytes; AMQP carries {_MAX_SHORT}")
    own = message.properties
    if not message.headers and own.priority is None and own.timestamp is None and own.delivery_mode in {1, 2}:
        return
    try:
        size = len(encode_properties(own, message.headers)) + 12
    except (AttributeError, TypeError, ValueError, OverflowError, RecursionError, struct.error) as error:
        raise InvalidMessage(f"the headers or properties cannot be written in AMQP: {error}") from error
    if size > _MAX_HEADER:
        raise InvalidMessage(f"the headers have {size} bytes; AMQP carries {_MAX_HEADER} here")


class _ChannelWire(ABC):
    """Take the frames of one channel out of the stream, contents put together."""

    def __init__(self, link: Link, channel: aiormq.Channel) -> None:
        self.link = link
        self._channel = channel
        self._content: _Content | None = None  # that is coming in
        self._dead = False  # a frame on a channel that is closing would cost the whole connection (504)

    def take(self, kind: int, data: bytes, start: int, end: int) -> bool:
        """Handle a frame that is ours, or return False to leave it to aiormq."""
        if kind == METHOD:
            method = data[start : start + 4]
            if self._on_method(method, data, start, end):
                return True
            self._dead = self._dead or method == CLOSE_CHANNEL
            return False
        if self._content is None:
            return False
        if self._content.add(kind, data, start, end):
            content, self._content = self._content, None
            self._on_content(content)
        return True

    @abstractmethod
    def _on_method(self, method: bytes, data: bytes, start: int, end: int) -> bool:
        """Handle a method that is ours, or return False."""

    @abstractmethod
    def _on_content(self, content: _Content) -> None:
        """Handle a method with its content."""


class PublishWire(_ChannelWire):
    """Publish on one channel of one link, with confirms.

    Delivery tags of confirms count what was published on the channel, from 1; one answer may settle many.
    """

    def __init__(self, link: Link, channel: aiormq.Channel, on_verdict: OnVerdict) -> None:
        super().__init__(link, channel)
        self._on_verdict = on_verdict
        self._tag = 0
        self._outstanding: dict[int, tuple[int, Outgoing]] = {}  # by delivery tag, in order
        self._returned: dict[int, str] = {}  # those that came back, and will be acknowledged, too

    @classmethod
    async def open(cls, link: Link, on_verdict: OnVerdict) -> PublishWire:
        """Open a channel in confirm mode.

        Raises:
            ConnectionLost: the link went, or the broker did not answer in time.
        """
        wire = cls(link, await link.channel(confirms=True), on_verdict)
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
            raise translate(error, doing) from error

    def send(self, batch: Sequence[tuple[int, Outgoing]]) -> None:
        """Put messages on their way, in order and in one write. Each token gets exactly one verdict."""
        number, frame_max = self._channel.number, self.link.frame_max
        parts: list[bytes] = []
        for token, message in batch:
            self._tag += 1
            self._outstanding[self._tag] = (token, message)
            parts.extend(encode_publish(number, message, frame_max))
        if not self._dead:
            self.link.tap.write(b"".join(parts))

    async def closed(self) -> PulsekitError:
        """Wait for the end of the wire and return its reason; by then every message sent has its verdict."""
        reason = await _end_of(self._channel, "publish")
        self._end()
        return reason

    async def close(self) -> None:
        """Close the channel. What is in flight gets the verdict unknown."""
        self._end()
        await _close(self._channel)

    def _end(self) -> None:
        self._dead = True
        self.link.tap.disconnect(self._channel.number)
        outstanding, self._outstanding = self._outstanding, {}
        for token, _ in outstanding.values():
            self._on_verdict(token, Outcome.UNKNOWN, "")

    def _on_method(self, method: bytes, data: bytes, start: int, end: int) -> bool:
        if method in {ACK, NACK}:
            tag, bits = struct.unpack_from(">QB", data, start + 4)
            outcome = Outcome.CONFIRMED if method == ACK else Outcome.REFUSED
            self._settle(tag, outcome, multiple=bool(bits & 1))
        elif method == RETURN:
            self._content = _Content(data[start:end])
        else:
            return False
        return True

    def _settle(self, tag: int, outcome: Outcome, *, multiple: bool) -> None:
        outstanding = self._outstanding
        if not multiple:
            tags = [tag] if tag in outstanding else []
        elif tag == 0:
            tags = list(outstanding)
        else:
            tags = list(takewhile(lambda other: other <= tag, outstanding))
        for settled in tags:
            token, _ = outstanding.pop(settled)
            text = self._returned.pop(settled, None)
            if text is not None and outcome is Outcome.CONFIRMED:
                self._on_verdict(token, Outcome.RETURNED, text)
            else:
                self._on_verdict(token, outcome, "")

    def _on_content(self, content: _Content) -> None:
        """Find out which message came back: a return carries no tag, but the oldest that fits is the one."""
        text, at = short_string(content.method, 6)
        exchange, at = short_string(content.method, at)
        routing_key, _ = short_string(content.method, at)
        for tag, (_, message) in self._outstanding.items():
            if (
                tag not in self._returned
                and message.mandatory
                and message.properties.message_id == content.properties.message_id
                and message.routing_key == routing_key
                and message.exchange == exchange
            ):
                self._returned[tag] = text
                return
        log.warning("a message was returned that was not sent here: %s %r", exchange, routing_key)


class DeliveryWire(_ChannelWire):
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
        self._unsettled: dict[int, None] = {}  # delivery tags, in order
        self._acked: set[int] = set()
        self._refused: list[bytes] = []
        self._flushing = False
        # An ack that waits for the turn of the loop must not stop the broker from sending on.
        self._most_owed = max(1, prefetch // 2)

    @classmethod
    async def open(
        cls, link: Link, topology: Topology, *, prefetch: int, on_delivery: Callable[[Delivery], None]
    ) -> DeliveryWire:
        """Declare the queue, bind it, and start consuming.

        Args:
            link: the epoch to work on.
            topology: the queue and its bindings.
            prefetch: how many deliveries may be unsettled (basic.qos).
            on_delivery: called with each delivery, in order.

        Raises:
            BrokerRefused: an exchange is missing, or a name is not the user's; the message says which.
            ConnectionLost: the link went, or the broker did not answer in time.
        """
        channel = await link.channel(confirms=False)
        wire = cls(link, channel, topology.queue, prefetch, on_delivery)
        doing = f"declare the queue {topology.queue}"
        try:
            await channel.basic_qos(prefetch_count=prefetch, timeout=OPERATION_TIMEOUT)
            await channel.queue_declare(
                topology.queue,
                durable=topology.durable,
                exclusive=not topology.durable,
                arguments=dict(topology.arguments) or None,
                timeout=OPERATION_TIMEOUT,
            )
            for exchange, pattern in topology.bindings:
                doing = f"bind {exchange} with {pattern!r}"
                await channel.queue_bind(
                    topology.queue, exchange=exchange, routing_key=pattern, timeout=OPERATION_TIMEOUT
                )
            doing = f"consume {topology.queue}"
            channel.on_consumer_cancel_callbacks.add(wire._on_cancel)
            link.tap.connect(channel.number, wire)
            answer = await channel.basic_consume(topology.queue, _never, timeout=OPERATION_TIMEOUT)
        except FOREIGN as error:
            await wire.close()
            raise translate(error, doing) from error
        except BaseException:
            await wire.close()
            raise
        wire._tag = answer.consumer_tag or ""
        return wire

    def settle(self, delivery_tag: int, settlement: Settlement) -> None:
        """Tell the broker about one delivery (basic.ack, basic.nack, basic.reject), with others in one write.

        Raises:
            ConnectionLost: the link went; the broker has taken the message back.
        """
        if self._dead or self.link.is_lost:
            raise ConnectionLost("the connection of this delivery is gone")
        if delivery_tag not in self._unsettled or delivery_tag in self._acked:
            return  # settled before: a second answer would cost the channel (406)
        if settlement is Settlement.ACK:
            self._acked.add(delivery_tag)
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
            return SubscriptionLost(
                f"the broker cancelled the consumer: the queue {self._queue} was deleted. "
                "PulseGuardian deletes queues that grow over its limit"
            )
        finally:
            end.cancel()

    async def stop(self) -> None:
        """End the flow of deliveries (basic.cancel); those that arrived can still be settled."""
        self._flush()
        if self._tag and not self._cancelled.done():
            with contextlib.suppress(*FOREIGN):  # the channel is gone, and the consumer with it
                await self._channel.basic_cancel(self._tag, timeout=OPERATION_TIMEOUT)

    async def delete_queue(self) -> None:
        """Delete the queue and what is in it (queue.delete)."""
        with contextlib.suppress(*FOREIGN):  # an exclusive queue goes with its connection
            await self._channel.queue_delete(self._queue, timeout=OPERATION_TIMEOUT)

    async def close(self) -> None:
        """Close the channel. The broker takes unsettled deliveries back."""
        self._flush()
        self._dead = True
        self.link.tap.disconnect(self._channel.number)
        await _close(self._channel)

    def _flush(self) -> None:
        """Write what is owed: refusals, then one ack for all that are settled from the oldest on, then the others."""
        self._flushing = False
        refused, self._refused = self._refused, []
        acked, self._acked = self._acked, set()
        if self._dead or not (refused or acked):
            return
        number, parts = self._channel.number, refused
        oldest = list(takewhile(acked.__contains__, self._unsettled))
        if oldest:
            parts.append(encode_settlement(number, ACK, oldest[-1], len(oldest) > 1))
            acked.difference_update(oldest)
        for tag in oldest:
            del self._unsettled[tag]
        for tag in sorted(acked):
            del self._unsettled[tag]
            parts.append(encode_settlement(number, ACK, tag, 0))
        self.link.tap.write(b"".join(parts))

    def _on_method(self, method: bytes, data: bytes, start: int, end: int) -> bool:
        if method != DELIVER:
            return False
        self._content = _Content(data[start:end])
        return True

    def _on_content(self, content: _Content) -> None:
        _, at = short_string(content.method, 4)  # the consumer's tag
        (delivery_tag,) = struct.unpack_from(">Q", content.method, at)
        redelivered = bool(content.method[at + 8] & 1)
        exchange, at = short_string(content.method, at + 9)
        routing_key, _ = short_string(content.method, at)
        self._unsettled[delivery_tag] = None
        self._on_delivery(
            Delivery(
                exchange,
                routing_key,
                content.body,
                content.properties,
                content.headers,
                redelivered=redelivered,
                delivery_tag=delivery_tag,
            )
        )

    def _on_cancel(self, _: commands.Basic.Cancel) -> None:
        if not self._cancelled.done():
            self._cancelled.set_result(None)


class _Content:
    """Put a method with content together from its frames."""

    __slots__ = ("_missing", "_parts", "headers", "method", "properties")

    def __init__(self, method: bytes) -> None:
        self.method = method
        self.properties = Properties()
        self.headers: dict[str, Any] = {}
        self._parts: list[bytes] = []
        self._missing = -1

    @property
    def body(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def add(self, kind: int, data: bytes, start: int, end: int) -> bool:
        """Take header or body; return True when it is complete."""
        if kind == HEADER:
            self._missing, self.properties, self.headers = read_header(data, start)
        else:
            self._parts.append(data[start:end])
            self._missing -= end - start
        return self._missing == 0


async def _never(message: aiormq.abc.DeliveredMessage) -> None:
    """Stand for the callback aiormq wants: no delivery reaches it."""
    log.error("a delivery went past the tap: %r", message)


_SHORT_PROPERTIES = (
    "content_type",
    "content_encoding",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "type",
    "user_id",
    "app_id",
)


async def _end_of(channel: aiormq.Channel, doing: str) -> PulsekitError:
    """Wait until the channel is closed, by whomever, and return why."""
    closing = channel.closing
    await asyncio.wait([closing])
    error = None if closing.cancelled() else closing.exception()
    if error is None or isinstance(error, asyncio.CancelledError):
        return ConnectionLost("the channel was closed")
    return translate(error, doing)


async def _close(channel: aiormq.Channel) -> None:
    try:
        await channel.close(timeout=OPERATION_TIMEOUT)
    except FOREIGN as error:
        log.debug("closing a channel: %r", error)
