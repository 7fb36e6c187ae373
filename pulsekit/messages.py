"""What a consumer receives: messages, and gaps during which messages may have been lost."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from pulsekit._amqp.types import Properties, Settlement
from pulsekit._documents.payloads import decode_body
from pulsekit.errors import InvalidPayload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulsekit._amqp.types import Delivery
    from pulsekit.errors import Problem
    from pulsekit.schemas.schema import Schema

__all__ = [
    "Delivered",
    "Gap",
    "Message",
]

_MOST_PROBLEMS = 100  # of a message: strangers' ones may have millions

CC = "CC"  # upper case: RabbitMQ reads no other spelling ("Routing" of the facts)


@dataclass(frozen=True, slots=True)
class Gap:
    """Tell when nobody was listening: from a lost connection to the next subscription.

    Attributes:
        start: when the connection was noticed to be gone.
        end: when the subscription stood again.
        epoch: the epoch that began with `end`.
        lossy: whether messages of that time are lost: true for a queue that went with the connection, that expired, or
            that was out of reach for publishers as well; false for a durable one that kept them.
    """

    start: datetime
    end: datetime
    epoch: int
    lossy: bool


class _Settler(Protocol):
    def settle(self, message: Message, settlement: Settlement) -> None: ...


class Message:
    """Hold one delivery.

    `payload`, `headers` and `properties` are decoded when first asked for. Settle each message once, with `ack`, `nack`
    or `reject`; settling one of an earlier epoch does nothing, because the broker has already taken it back.

    Attributes:
        exchange: where it was published.
        routing_key: its routing key.
        body: the bytes as they came.
        redelivered: whether the broker delivered it before, to anybody.
        delivery_tag: the broker's number for this delivery, valid within its epoch.
        epoch: number of the connection it came on, from 1.
    """

    __slots__ = (
        "_headers",
        "_payload",
        "_problems",
        "_properties",
        "_received",
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
        settler: _Settler | None = None,
        schema: Schema | None = None,
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
        """When it arrived here, with its zone."""
        return self._received

    @property
    def headers(self) -> Mapping[str, Any]:
        """Its header table; AMQP's own types as Python's.

        Raises:
            InvalidMessage: what came is no header table.
        """
        return self._headers

    @property
    def properties(self) -> Properties:
        """Its other basic properties.

        Raises:
            InvalidMessage: what came are no properties.
        """
        return self._properties

    @property
    def payload(self) -> Any:
        """The decoded JSON body, checked when the subscription has a schema.

        Raises:
            DocumentError: the body is not JSON.
            InvalidPayload: the subscription's schema refuses it.
        """
        if self._payload is _UNREAD:
            self._payload = decode_body(self.body)
        if problems := self.problems:
            raise InvalidPayload(problems, self._schema.name if self._schema else "")
        return self._payload

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the subscription's schema has against the payload; empty when it is valid or there is no schema.

        Of more than a hundred problems the rest is not looked for, and the last one says so.

        Raises:
            DocumentError: the body is not JSON.
        """
        if self._schema is None:
            return ()
        if self._problems is None:
            if self._payload is _UNREAD:
                self._payload = decode_body(self.body)
            valid = self._schema.is_valid(self._payload)
            self._problems = () if valid else self._schema.problems(self._payload, most=_MOST_PROBLEMS)
        return self._problems

    @property
    def cc(self) -> tuple[str, ...]:
        """The further routing keys of the `CC` header."""
        keys = self.headers.get(CC)
        return tuple(key for key in keys if isinstance(key, str)) if isinstance(keys, list) else ()

    def settle(self, settlement: Settlement) -> None:
        """Tell the broker what becomes of the message; `ack`, `nack` and `reject` do."""
        if self._settler is not None:
            self._settler.settle(self, settlement)

    async def ack(self) -> None:
        """Tell the broker that the message is done with (basic.ack)."""
        self.settle(Settlement.ACK)

    async def nack(self) -> None:
        """Give the message back: the broker delivers it again (basic.nack with requeue)."""
        self.settle(Settlement.REQUEUE)

    async def reject(self) -> None:
        """Refuse the message: the broker dead-letters or drops it (basic.reject)."""
        self.settle(Settlement.REJECT)

    def __repr__(self) -> str:
        return f"<Message {self.exchange} {self.routing_key!r} {len(self.body)} bytes>"


class Delivered(Message):
    """Hold a message as a consumer gets it: what not everybody asks for is read when somebody does."""

    __slots__ = ("_header", "_when")

    def __init__(
        self, delivery: Delivery, epoch: int, when: float, settler: _Settler | None, schema: Schema | None
    ) -> None:
        """Take a delivery, and when it arrived, in seconds since 1970."""
        # Not by way of the other __init__: this runs for each message.
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

    def _read_header(self) -> None:
        from pulsekit._amqp.properties import read_properties  # offline commands never ask

        self._properties, self._headers = read_properties(self._header)
        self._header = b""


class _Unread(enum.Enum):
    UNREAD = 0


_UNREAD = _Unread.UNREAD
