"""The publish and the delivery path of one epoch: messages in and out, nothing about reconnecting.

A batch of messages goes in, and for each of them exactly one verdict comes out; deliveries go to a sink as they arrive,
never more of them unsettled than the prefetch. Whoever holds a wire learns from `closed` why it ended, takes what has
no verdict yet to the wire of the next epoch, and forgets this one.

This implementation walks aio-pika's public path.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import aiormq
import aiormq.abc
import aiormq.exceptions
from pamqp import commands
from pamqp.header import ContentHeader

from pulsekit.connection import OPERATION_TIMEOUT
from pulsekit.errors import ConnectionLost, InvalidMessage, PulsekitError, SubscriptionLost
from pulsekit.messages import Outcome, Properties, Settlement
from pulsekit.translation import FOREIGN, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
    if not message.headers:
        return
    try:
        size = len(ContentHeader(properties=_properties(message), body_size=0).marshal())
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidMessage(f"the headers cannot be written in AMQP: {error}") from error
    if size > _MAX_HEADER:
        raise InvalidMessage(f"the headers have {size} bytes; AMQP carries {_MAX_HEADER} here")


class PublishWire:
    """Publish on one channel of one link, with confirms."""

    def __init__(self, link: Link, channel: aiormq.Channel, on_verdict: OnVerdict) -> None:
        self.link = link
        self._channel = channel
        self._on_verdict = on_verdict
        self._tasks: set[asyncio.Task[None]] = set()
        # aiormq finds the publish of a basic.return by message id alone, so one id is never twice in flight.
        self._same_id: defaultdict[str | None, deque[tuple[int, Outgoing]]] = defaultdict(deque)

    @classmethod
    async def open(cls, link: Link, on_verdict: OnVerdict) -> PublishWire:
        """Open a channel in confirm mode.

        Raises:
            ConnectionLost: the link went, or the broker did not answer in time.
        """
        return cls(link, await link.channel(confirms=True), on_verdict)

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
        """Put messages on their way, in order. Each token gets exactly one verdict, `closed` included."""
        for token, message in batch:
            waiting = self._same_id[message.properties.message_id]
            waiting.append((token, message))
            if len(waiting) == 1:
                self._start(token, message)

    async def closed(self) -> PulsekitError:
        """Wait for the end of the wire and return its reason; by then every message sent has its verdict."""
        reason = await _end_of(self._channel, "publish")
        while self._tasks:
            await asyncio.wait(self._tasks)
        return reason

    async def close(self) -> None:
        """Close the channel. What is in flight gets the verdict unknown."""
        await _close(self._channel)

    def _start(self, token: int, message: Outgoing) -> None:
        task = self.link.tasks.create_task(self._publish(token, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _publish(self, token: int, message: Outgoing) -> None:
        outcome, detail = Outcome.UNKNOWN, ""
        try:
            await self._channel.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=_properties(message),
                mandatory=message.mandatory,
                wait=False,
            )
            outcome = Outcome.CONFIRMED
        except aiormq.exceptions.PublishError as error:
            outcome, detail = Outcome.RETURNED, str(error.args[0] or "")
        except aiormq.exceptions.DeliveryError:
            outcome = Outcome.REFUSED
        except FOREIGN as error:
            detail = str(translate(error, "publish"))
        except asyncio.CancelledError:
            # A heartbeat that failed cancels aiormq's futures; only a cancellation of this very task is one.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
        finally:
            self._on_verdict(token, outcome, detail)
            self._next(message.properties.message_id)

    def _next(self, message_id: str | None) -> None:
        waiting = self._same_id[message_id]
        waiting.popleft()
        if not waiting:
            del self._same_id[message_id]
            return
        token, message = waiting[0]
        self._start(token, message)


class DeliveryWire:
    """Consume one queue on one channel of one link."""

    def __init__(self, link: Link, channel: aiormq.Channel, queue: str) -> None:
        self.link = link
        self._channel = channel
        self._queue = queue
        self._tag = ""
        self._cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

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
        wire = cls(link, channel, topology.queue)
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

            async def deliver(message: aiormq.abc.DeliveredMessage) -> None:
                on_delivery(_delivery(message))

            answer = await channel.basic_consume(topology.queue, deliver, timeout=OPERATION_TIMEOUT)
        except FOREIGN as error:
            await _close(channel)
            raise translate(error, doing) from error
        except BaseException:
            await _close(channel)
            raise
        wire._tag = answer.consumer_tag or ""
        return wire

    async def settle(self, delivery_tag: int, settlement: Settlement) -> None:
        """Tell the broker about one delivery (basic.ack, basic.nack, basic.reject).

        Raises:
            ConnectionLost: the link went; the broker has taken the message back.
        """
        try:
            if settlement is Settlement.ACK:
                await self._channel.basic_ack(delivery_tag, wait=False)
            elif settlement is Settlement.REQUEUE:
                await self._channel.basic_nack(delivery_tag, requeue=True, wait=False)
            else:
                await self._channel.basic_reject(delivery_tag, requeue=False, wait=False)
        except FOREIGN as error:
            raise translate(error, "settle a delivery") from error

    async def closed(self) -> PulsekitError:
        """Wait for the end of the wire and return its reason: the link went, or the broker cancelled the consumer."""
        end = asyncio.ensure_future(_end_of(self._channel, f"consume {self._queue}"))
        try:
            ends: list[asyncio.Future[Any]] = [end, self._cancelled]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                return end.result()
            return SubscriptionLost(
                f"the broker cancelled the consumer: the queue {self._queue} was deleted. "
                "PulseGuardian deletes queues that grow over its limit"
            )
        finally:
            end.cancel()

    async def stop(self) -> None:
        """End the flow of deliveries (basic.cancel); those that arrived can still be settled."""
        if self._tag and not self._cancelled.done():
            with contextlib.suppress(*FOREIGN):  # the channel is gone, and the consumer with it
                await self._channel.basic_cancel(self._tag, timeout=OPERATION_TIMEOUT)

    async def delete_queue(self) -> None:
        """Delete the queue and what is in it (queue.delete)."""
        with contextlib.suppress(*FOREIGN):  # an exclusive queue goes with its connection
            await self._channel.queue_delete(self._queue, timeout=OPERATION_TIMEOUT)

    async def close(self) -> None:
        """Close the channel. The broker takes unsettled deliveries back."""
        await _close(self._channel)

    def _on_cancel(self, _: commands.Basic.Cancel) -> None:
        if not self._cancelled.done():
            self._cancelled.set_result(None)


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


def _properties(message: Outgoing) -> commands.Basic.Properties:
    own = message.properties
    return commands.Basic.Properties(
        content_type=own.content_type,
        content_encoding=own.content_encoding,
        headers={name: _field(value) for name, value in message.headers.items()} or None,
        delivery_mode=own.delivery_mode,
        priority=own.priority,
        correlation_id=own.correlation_id,
        reply_to=own.reply_to,
        expiration=own.expiration,
        message_id=own.message_id,
        timestamp=own.timestamp,
        message_type=own.type,
        user_id=own.user_id,
        app_id=own.app_id,
    )


def _field(value: Any) -> Any:
    """Return a header value as pamqp wants it: it writes a bytearray, and refuses bytes."""
    if isinstance(value, bytes):
        return bytearray(value)
    if isinstance(value, list):
        return [_field(item) for item in value]
    if isinstance(value, dict):
        return {name: _field(item) for name, item in value.items()}
    return value


def _delivery(message: aiormq.abc.DeliveredMessage) -> Delivery:
    deliver, theirs = message.delivery, message.header.properties
    assert isinstance(deliver, commands.Basic.Deliver)
    return Delivery(
        exchange=deliver.exchange or "",
        routing_key=deliver.routing_key or "",
        body=message.body,
        properties=Properties(
            content_type=theirs.content_type,
            content_encoding=theirs.content_encoding,
            delivery_mode=theirs.delivery_mode,
            priority=theirs.priority,
            correlation_id=theirs.correlation_id,
            reply_to=theirs.reply_to,
            expiration=theirs.expiration,
            message_id=theirs.message_id,
            timestamp=theirs.timestamp,
            type=theirs.message_type,
            user_id=theirs.user_id,
            app_id=theirs.app_id,
        ),
        headers=theirs.headers or {},
        redelivered=bool(deliver.redelivered),
        delivery_tag=deliver.delivery_tag or 0,
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
