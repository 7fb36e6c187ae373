"""Values that the modules of the client share: properties, outcomes, settlements, deliveries, and short strings."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pulsekit.errors import InvalidMessage

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Delivery", "Outcome", "Properties", "Settlement", "encode_short_string", "short_string"]

_MAX_SHORT = 255  # bytes of a short string (AMQP 0-9-1 §4.2.5.3)


class Outcome(enum.StrEnum):
    """Name what became of one published message.

    Attributes:
        CONFIRMED: the broker has it, and routed it (basic.ack).
        RETURNED: the broker has it, and nobody is bound to its key (basic.return); only when asked with `mandatory`.
        REFUSED: the broker could not take it (basic.nack).
        TIMEOUT: no answer before the deadline.
        UNKNOWN: the connection went after it was sent and before the answer.
        INVALID: the schema refuses it; it was not sent.
    """

    CONFIRMED = "confirmed"
    RETURNED = "returned"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Properties:
    """Hold the basic properties of a message, headers apart (AMQP 0-9-1, class basic)."""

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
    """Name what a consumer tells the broker about a delivery."""

    ACK = "ack"
    REQUEUE = "requeue"
    REJECT = "reject"


class Delivery(NamedTuple):
    """Hold one basic.deliver with its content, as the wire cut it; the content header is still encoded."""

    exchange: str
    routing_key: str
    header: bytes
    body: bytes
    redelivered: bool
    delivery_tag: int


def short_string(data: bytes, at: int) -> tuple[str, int]:
    """Read a short string, and return it with the place behind it.

    A key that is not UTF-8 is read all the same: the broker lets it pass.
    """
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "replace"), end


def encode_short_string(name: str, text: str) -> bytes:
    """Encode a text as a short string: one length byte, then UTF-8.

    Args:
        name: what the text is, for the error.
        text: at most 255 bytes in UTF-8.

    Raises:
        InvalidMessage: Raised when the text is too long, or has a lone surrogate.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise InvalidMessage(f"the {name} is not valid Unicode text") from None
    if len(data) > _MAX_SHORT:
        raise InvalidMessage(f"the {name} {text[:40]!r}… has {len(data)} bytes; AMQP carries {_MAX_SHORT}")
    return bytes((len(data),)) + data
