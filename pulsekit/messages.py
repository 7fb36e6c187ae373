"""The messages that a consumer receives, and the gaps after lost connections."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from pulsekit._amqp.types import Properties, Settlement
from pulsekit._documents.payloads import decode_body, unwritable
from pulsekit.errors import DocumentError, InvalidMessage, InvalidPayload

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from pulsekit._amqp.types import Delivery
    from pulsekit.bindings.registration import Binding
    from pulsekit.catalogue.keys import Key
    from pulsekit.errors import Problem
    from pulsekit.schemas.schema import Schema

__all__ = [
    "Delivered",
    "Gap",
    "Message",
    "MessageCheck",
    "Settler",
]

_MOST_PROBLEMS = 100  # problems collected per payload, because a payload can have millions

CC = "CC"  # case-sensitive, see https://www.rabbitmq.com/docs/sender-selected


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without a consumer: from a lost connection to the next subscription.

    Attributes:
        start: when the loss of the connection was noticed. If `lossy`, an earlier time, before which no message is
            missing. Messages that waited in the queue are lost with the queue, so a consumer that was behind reports a
            longer gap.
        end: when the consumer was subscribed again.
        epoch: the epoch that began at `end`.
        lossy: whether messages of this time are lost. True if the queue was exclusive, expired, or was on a node that
            was down, or if a message reached the delivery limit of the queue. False if a durable queue stored them. A
            classic queue stores messages only while its node of the cluster is up; on RabbitMQ 4, the node counts as
            down if the broker answers other requests, but none about the queue for a second. A quorum queue is
            replicated.
        created: whether the queue did not exist and was created at `end`. If True, earlier messages are lost. If the
            queue did not exist at the first subscription, the time of its deletion is unknown, and `start` is `end`.
    """

    start: datetime
    end: datetime
    epoch: int
    lossy: bool
    created: bool = False


class Settled:
    """The result of `ack`, `nack` and `reject`, which settle at once. Awaiting it is allowed, and returns at once."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_SETTLED = Settled()


class Settler(Protocol):
    """The settler of the messages of one channel."""

    def settle(self, message: Message, settlement: Settlement) -> None:
        """Settle a message."""

    def live(self, message: Message) -> bool:
        """Return whether a message can still be settled."""

    def bindings(self, message: Message) -> tuple[Binding, ...]:  # noqa: ARG002 - for settlers that have bindings
        """Return the bindings that the message matched."""
        return ()


class MessageCheck(ABC):
    """A check of whole messages, instead of a schema for their payloads.

    Attributes:
        name: the name of the check, for messages.
    """

    name: str = ""

    @abstractmethod
    def problems(self, message: Message, *, most: int = _MOST_PROBLEMS) -> tuple[Problem, ...]:
        """Return at most `most` problems of a message. If there are more, add one that says that more were found."""


class Message:
    """A message that the broker delivered.

    `payload`, `headers` and `properties` are decoded on first access. Settle each message once, with `ack`, `nack` or
    `reject`. Settling a message of an earlier epoch does nothing, because the broker has already requeued it. `settle`
    may be called in any thread. Settlements of one thread stay in order.

    Attributes:
        exchange: the exchange to which the message was published.
        routing_key: the routing key.
        body: the body as bytes.
        redelivered: whether the broker has delivered the message before, to this or another consumer.
        delivery_tag: the broker's number of this delivery, valid in its epoch.
        epoch: the number of the connection, from 1.
    """

    __slots__ = (
        "_headers",
        "_key",
        "_payload",
        "_problems",
        "_properties",
        "_received",
        "_retries",
        "_schema",
        "_settler",
        "body",
        "delivery_tag",
        "epoch",
        "exchange",
        "redelivered",
        "routing_key",
    )

    def __init__(
        self,
        *,
        exchange: str,
        routing_key: str,
        body: bytes,
        received: datetime,
        headers: Mapping[str, Any] | None = None,
        properties: Properties | None = None,
        redelivered: bool = False,
        delivery_tag: int = 0,
        epoch: int = 0,
        settler: Settler | None = None,
        schema: Schema | MessageCheck | None = None,
    ) -> None:
        self.exchange: str = exchange
        self.routing_key: str = routing_key
        self.body: bytes = body
        self.redelivered: bool = redelivered
        self.delivery_tag: int = delivery_tag
        self.epoch: int = epoch
        self._received = received
        self._headers: Mapping[str, Any] = headers or {}
        self._properties = properties or Properties()
        self._settler = settler
        self._schema = schema
        self._payload: Any = _UNREAD
        self._problems: tuple[Problem, ...] | None = None

    @property
    def received(self) -> datetime:
        """The time of arrival, with a time zone."""
        return self._received

    @property
    def headers(self) -> Mapping[str, Any]:
        """The header table, with Python values.

        Raises:
            InvalidMessage: Raised when the content header is malformed.
        """
        return self._headers

    @property
    def properties(self) -> Properties:
        """The basic properties, without the headers.

        Raises:
            InvalidMessage: Raised when the content header is malformed.
        """
        return self._properties

    @property
    def payload(self) -> Any:
        """The decoded JSON body, validated if the subscription has a schema.

        A body that is not UTF-8 JSON is decoded by `content_encoding` and the header `compression`, as kombu does.

        Raises:
            DocumentError: Raised when the body is not JSON.
            InvalidPayload: Raised when the payload violates the schema of the subscription.
        """
        payload = self.decoded
        if problems := self.problems:
            raise InvalidPayload(problems, self._schema.name if self._schema else "")
        return payload

    @property
    def decoded(self) -> Any:
        """The decoded JSON body, even if it violates the schema of the subscription.

        Raises:
            DocumentError: Raised when the body is not JSON.
        """
        if self._payload is _UNREAD:
            try:
                self._payload = decode_body(self.body)
            except DocumentError:
                self._payload = self._decode_as_described()
        return self._payload

    def _decode_as_described(self) -> Any:
        from pulsekit._documents.bodies import decode_described  # few messages need it

        try:
            encoding, compression = self.properties.content_encoding, self.headers.get("compression")
        except InvalidMessage:  # the header is malformed
            encoding = compression = None
        return decode_described(self.body, encoding, compression)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The violations of the subscription's schema. Empty if the payload is valid, or without a schema.

        At most a hundred problems are collected. If there are more, the last problem says that more were found.

        Raises:
            DocumentError: Raised when the body is not JSON.
        """
        if self._schema is None:
            return ()
        if isinstance(self._schema, MessageCheck):
            if self._problems is None:
                self._problems = self._schema.problems(self)
            return self._problems
        if self._problems is None:
            payload = self.decoded
            valid = self._schema.is_valid(payload)
            self._problems = (
                unwritable(payload, self.body) if valid else self._schema.problems(payload, most=_MOST_PROBLEMS)
            )
        return self._problems

    @property
    def cc(self) -> tuple[str, ...]:
        """The additional routing keys in the `CC` header."""
        keys = self.headers.get(CC)
        return tuple(key for key in keys if isinstance(key, str)) if isinstance(keys, list) else ()

    @property
    def live(self) -> bool:
        """Whether the message can still be settled. If not, it was settled, or the broker has requeued it."""
        return self._settler is not None and self._settler.live(self)

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """The bindings of the subscription that match the routing key or a key of the `CC` header.

        Empty if only another binding matched, such as an older one of a durable queue.
        """
        return () if self._settler is None else self._settler.bindings(self)

    @property
    def retries(self) -> int:
        """How often the handler failed before the message waited in a retry queue (`Policy.max_local_delay`)."""
        return getattr(self, "_retries", 0)  # set only if the message waited

    @property
    def key(self) -> Key:
        """The named fields of the routing key, such as `key.taskId`, if the exchange is in `pulsekit.catalogue`.

        Without fields for a key of another form, and for other exchanges.
        """
        try:
            return self._key
        except AttributeError:  # computed on first access, because few programs read it
            from pulsekit.catalogue.keys import read_key

            self._key: Key = read_key(self.exchange, self.routing_key)
            return self._key

    @property
    def delivery_count(self) -> int | None:
        """How often the message was delivered and returned before, or None if unknown.

        Quorum queues send it in the header `x-delivery-count`, and count every return: after a failed handler, a lost
        connection, or the end of a consumer that had the message in its prefetch.
        """
        if not self.redelivered:
            return 0
        try:
            count = self.headers.get("x-delivery-count")
        except InvalidMessage:  # the content header is malformed
            return None
        return count if isinstance(count, int) and count >= 0 else None

    def settle(self, settlement: Settlement) -> None:
        """Settle the message. `ack`, `nack` and `reject` call this."""
        if self._settler is not None:
            self._settler.settle(self, settlement)

    def ack(self) -> Settled:
        """Acknowledge the message (basic.ack)."""
        self.settle(Settlement.ACK)
        return _SETTLED

    def nack(self) -> Settled:
        """Requeue the message, so that the broker delivers it again (basic.nack with requeue)."""
        self.settle(Settlement.REQUEUE)
        return _SETTLED

    def reject(self) -> Settled:
        """Reject the message, so that the broker dead-letters or discards it (basic.reject)."""
        self.settle(Settlement.REJECT)
        return _SETTLED

    def __repr__(self) -> str:
        return f"<Message {self.exchange} {self.routing_key!r} {len(self.body)} bytes>"


class Delivered(Message):
    """A message of a consumer, whose content header and time of arrival are decoded on first access."""

    __slots__ = ("_header", "_when")

    def __init__(
        self,
        delivery: Delivery,
        epoch: int,
        when: float,
        settler: Settler | None,
        schema: Schema | MessageCheck | None,
    ) -> None:
        """Create the message of a delivery that arrived at a time, in seconds since 1970."""
        # super().__init__() is not called, because this runs for each message.
        self.exchange, self.routing_key, self._header, self.body, self.redelivered, self.delivery_tag = delivery
        self.epoch = epoch
        self._when = when
        self._settler = settler
        self._schema = schema
        self._payload = _UNREAD
        self._problems = None

    @property
    def received(self) -> datetime:  # noqa: D102 - see Message
        return datetime.fromtimestamp(self._when, UTC)

    @property
    def headers(self) -> Mapping[str, Any]:  # noqa: D102 - see Message
        if self._header:
            self._read_header()
        return self._headers

    @property
    def properties(self) -> Properties:  # noqa: D102 - see Message
        if self._header:
            self._read_header()
        return self._properties

    def replace(self, exchange: str, routing_key: str, headers: Mapping[str, Any], retries: int) -> None:
        """Restore the original exchange, routing key and headers of a message that waited in a retry queue."""
        self.exchange, self.routing_key, self._headers = exchange, routing_key, headers
        self._retries: int = retries

    def _read_header(self) -> None:
        from pulsekit._amqp.properties import read_properties  # offline commands do not read headers

        self._properties, self._headers = read_properties(self._header)
        self._header = b""


class _Unread(enum.Enum):
    UNREAD = 0


_UNREAD = _Unread.UNREAD
