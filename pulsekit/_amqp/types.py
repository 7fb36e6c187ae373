"""Types that the modules of the client share: properties, settlements, deliveries, short strings."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pulsekit.errors import InvalidMessage

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "PROTOCOL_HEADER",
    "Delivery",
    "Properties",
    "Settlement",
    "encode_short_string",
    "short_string",
]

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"  # the first bytes of a client (AMQP 0-9-1 §4.2.2)

_MAX_SHORT = 255  # bytes of a short string (AMQP 0-9-1 §4.2.5.3)


@dataclass(frozen=True, slots=True)
class Properties:
    """The basic properties of a message, without its headers (AMQP 0-9-1, class basic)."""

    content_type: str | None = None
    content_encoding: str | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: datetime | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None


class Settlement(enum.Enum):
    """The answers of a consumer to a delivery: basic.ack, basic.nack with requeue, basic.reject."""

    ACK = "ack"
    REQUEUE = "requeue"
    REJECT = "reject"


class Delivery(NamedTuple):
    """One basic.deliver with its content. The content header is still encoded."""

    exchange: str
    routing_key: str
    header: bytes
    body: bytes
    redelivered: bool
    delivery_tag: int


def short_string(data: bytes, at: int) -> tuple[str, int]:
    """Return the short string at an offset, and the offset after it.

    Invalid UTF-8 is replaced, since RabbitMQ accepts any bytes as routing key.
    """
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "replace"), end


def encode_short_string(name: str, text: str) -> bytes:
    """Encode a text as a short string: one length byte, then UTF-8 (AMQP 0-9-1 §4.2.5.3).

    Args:
        name: the name of the text in an error message.
        text: at most 255 bytes in UTF-8.

    Raises:
        InvalidMessage: Raised when the text is too long, or has a lone surrogate.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise InvalidMessage(f"the {name} is not valid Unicode text") from None
    if len(data) > _MAX_SHORT:
        raise InvalidMessage(f"the {name} {text[:40]!r}… has {len(data)} bytes; AMQP allows {_MAX_SHORT}")
    return bytes((len(data),)) + data
