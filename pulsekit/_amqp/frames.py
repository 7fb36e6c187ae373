"""The frames of the hot path, written and read by hand: publish, deliver, return and the confirms.

Everything else is aiormq's. Source: AMQP 0-9-1 §2.3.5 and §4.2, class basic.
"""

from __future__ import annotations

import struct
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pamqp import encode

from pulsekit._amqp.tables import encode_table, read_table, read_timestamp
from pulsekit.errors import InvalidMessage
from pulsekit.messages import Properties

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ACK",
    "BLOCKED",
    "BODY",
    "CLOSE_CHANNEL",
    "CLOSE_CONNECTION",
    "DELIVER",
    "FRAME",
    "FRAME_MAX",
    "GET_EMPTY",
    "GET_OK",
    "HEADER",
    "HEARTBEAT",
    "LEAST_HEADER",
    "METHOD",
    "NACK",
    "REJECT",
    "RETURN",
    "SETTLE",
    "UNBLOCKED",
    "Envelope",
    "encode_get",
    "encode_id",
    "encode_settlement",
    "read_content",
    "read_properties",
    "short_string",
]

METHOD, HEADER, BODY = 1, 2, 3
ACK, NACK, RETURN, DELIVER = b"\x00\x3c\x00\x50", b"\x00\x3c\x00\x78", b"\x00\x3c\x00\x32", b"\x00\x3c\x00\x3c"
REJECT = b"\x00\x3c\x00\x5a"
GET_OK, GET_EMPTY = b"\x00\x3c\x00\x47", b"\x00\x3c\x00\x48"
BLOCKED, UNBLOCKED = b"\x00\x0a\x00\x3c", b"\x00\x0a\x00\x3d"  # connection.blocked is RabbitMQ's extension
CLOSE_CHANNEL, CLOSE_CONNECTION = b"\x00\x14\x00\x28", b"\x00\x0a\x00\x32"
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"

_PUBLISH = b"\x00\x3c\x00\x28\x00\x00"  # with the reserved short
_GET = b"\x00\x3c\x00\x46\x00\x00"  # with the reserved short
_BASIC = b"\x00\x3c\x00\x00"  # class, and the weight that is always 0
_END = b"\xce"
FRAME = struct.Struct(">BHI")  # kind, channel, size of what follows up to the end mark
SETTLE = struct.Struct(">QB")  # delivery tag and bits
LEAST_HEADER = 14  # bytes of a content header: class, weight, size of the body, flags
_CONTENT = struct.Struct(">BHI4sQ")  # the frame and the head of a content header, up to the size of the body

_MAX_SHORT = 255  # bytes of a short string (AMQP 0-9-1 §4.2.5.3)
FRAME_MAX = 131_072  # bytes of the largest frame on Pulse, and wherever RabbitMQ was left as it comes (connection.tune)
_MAX_HEADER = FRAME_MAX - 8  # bytes: eight frame a payload (AMQP 0-9-1 §4.2.3)

# The basic properties that are short strings, with their flags, around those that are not, in the order of the class.
_FLAGS = (
    ("content_type", 1 << 15),
    ("content_encoding", 1 << 14),
    ("headers", 1 << 13),
    ("delivery_mode", 1 << 12),
    ("priority", 1 << 11),
    ("correlation_id", 1 << 10),
    ("reply_to", 1 << 9),
    ("expiration", 1 << 8),
    ("message_id", 1 << 7),
    ("timestamp", 1 << 6),
    ("type", 1 << 5),
    ("user_id", 1 << 4),
    ("app_id", 1 << 3),
)
_OCTETS = frozenset({"delivery_mode", "priority"})


class Envelope:
    """Hold everything of a publish but its message id and its body, encoded once for many messages.

    Attributes:
        exchange: where it goes.
        routing_key: of all of them.
        mandatory: whether the broker returns what nobody is bound to (basic.publish).
    """

    __slots__ = ("_after", "_before", "_end", "_for", "_method", "_start", "exchange", "mandatory", "routing_key")

    def __init__(
        self,
        exchange: str,
        routing_key: str,
        *,
        mandatory: bool,
        properties: Properties,
        headers: Mapping[str, Any],
    ) -> None:
        """Encode what is the same for all; the message id of the properties is not.

        Raises:
            InvalidMessage: a name, a property or the header table is larger than AMQP can carry, which would cost the
                whole connection, or has a type it lacks.
        """
        self.exchange = exchange
        self.routing_key = routing_key
        self.mandatory = mandatory
        self._method = (
            _PUBLISH
            + _checked("exchange", exchange)
            + _checked("routing key", routing_key)
            + (b"\x01" if mandatory else b"\x00")
        )
        self._before, self._after = _encode_properties(properties, headers)
        if len(self._before) + len(self._after) > _MAX_HEADER - 268:  # what the head and a message id can take
            size = len(self._before) + len(self._after)
            raise InvalidMessage(f"the headers and properties have {size} bytes; AMQP carries {_MAX_HEADER - 268} here")
        self._for = (0, 0)  # the channel, and the length of a message id, that the next two are for
        self._start = self._end = b""

    @property
    def size(self) -> int:
        """The bytes of the content header, apart from the message id."""
        return 12 + len(self._before) + len(self._after)

    def frames(self, channel: int, message_id: bytes, body: bytes, frame_max: int, into: list[bytes]) -> None:
        """Append the frames of one basic.publish with its content; a body larger than a frame is split.

        The message id is a short string as `encode_id` makes it.
        """
        size, most = len(body), frame_max - 8
        if self._for != (channel, len(message_id)):
            self._frame(channel, len(message_id))
        into += (self._start, size.to_bytes(8, "big"), self._before, message_id, self._end)
        if 0 < size <= most:
            into += (FRAME.pack(BODY, channel, size), body, _END)
            return
        for start in range(0, size, most):
            part = body[start : start + most]
            into += (FRAME.pack(BODY, channel, len(part)), part, _END)

    def _frame(self, channel: int, id_size: int) -> None:
        """Put together what is around the size of the body and the message id; both lengths are part of it."""
        self._for = (channel, id_size)
        head = _CONTENT.size - FRAME.size + len(self._before) + id_size + len(self._after)
        frame = FRAME.pack(METHOD, channel, len(self._method)) + self._method + _END
        self._start = frame + FRAME.pack(HEADER, channel, head) + _BASIC
        self._end = self._after + _END


def encode_id(message_id: str) -> bytes:
    """Write a message id as the short string it travels as.

    Raises:
        InvalidMessage: it is longer than AMQP can carry, or no text.
    """
    return _checked("message id", message_id)


def encode_get(channel: int, queue: str) -> bytes:
    """Write a basic.get that wants to settle what it gets.

    Raises:
        InvalidMessage: the name of the queue is longer than AMQP can carry, or no text.
    """
    name = _checked("name of the queue", queue)
    return FRAME.pack(METHOD, channel, len(_GET) + len(name) + 1) + _GET + name + b"\x00" + _END


def encode_settlement(channel: int, method: bytes, delivery_tag: int, bits: int) -> bytes:
    """Write basic.ack, basic.nack or basic.reject; the bits are `multiple`, `requeue`, or both."""
    return FRAME.pack(METHOD, channel, 13) + method + SETTLE.pack(delivery_tag, bits) + _END


def short_string(data: bytes, at: int) -> tuple[str, int]:
    """Read a short string, and return it with the place behind it.

    A key that is not UTF-8 is read all the same: the broker lets it pass.
    """
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "replace"), end


def read_content(data: bytes, at: int, channel: int) -> tuple[bytes, bytes, int] | None:
    """Read the content at a place, if it lies there complete: header, body, and the place behind it.

    What has come in part only, or is cut into several frames, is None.
    """
    if len(data) - at < _CONTENT.size:
        return None
    kind, owner, length, _, size = _CONTENT.unpack_from(data, at)
    if kind != HEADER or owner != channel or length < LEAST_HEADER:
        return None
    header, behind = at + 7, at + 8 + length
    if not size:
        return (data[header : behind - 1], b"", behind) if behind <= len(data) else None
    body = behind + 7
    if body + size >= len(data) or FRAME.unpack_from(data, behind) != (BODY, channel, size):
        return None
    return data[header : behind - 1], data[body : body + size], body + size + 1


def read_properties(header: bytes) -> tuple[Properties, dict[str, Any]]:
    """Read the properties and the header table of a content header, which begins with its class.

    A time beyond the year 9999 is left out, as if it were not there.

    Raises:
        InvalidMessage: it is none.
    """
    try:
        return _read_properties(header)
    except (ValueError, LookupError, struct.error) as error:
        raise InvalidMessage(f"the properties or headers of the message cannot be read: {error}") from error


def _read_properties(header: bytes) -> tuple[Properties, dict[str, Any]]:
    flags = header[12] << 8 | header[13]
    at = 14
    values: dict[str, Any] = {}
    headers: dict[str, Any] = {}
    for name, flag in _FLAGS:
        if not flags & flag:
            continue
        if name in _OCTETS:
            values[name] = header[at]
            at += 1
        elif name == "headers":
            headers, at = read_table(header, at)
        elif name == "timestamp":
            when = read_timestamp(header, at)
            values[name] = when if isinstance(when, datetime) else None
            at += 8
        else:
            values[name], at = short_string(header, at)
    return Properties(**values), headers


def _encode_properties(properties: Properties, headers: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Write the flags and values of the basic properties, with a gap where the message id goes.

    Raises:
        InvalidMessage: one of them does not fit, or has a type AMQP lacks.
    """
    flags, before, after = 0, [b""], [b""]
    parts = before
    for name, flag in _FLAGS:
        if name == "message_id":
            flags |= flag
            parts = after
            continue
        value: Any = (headers or None) if name == "headers" else getattr(properties, name)
        if value is None:
            continue
        flags |= flag
        try:
            if name == "headers":
                parts.append(encode_table(value))
            elif name in _OCTETS:
                parts.append(bytes((value,)))
            elif name == "timestamp":
                parts.append(encode.timestamp(value))
            else:
                parts.append(_checked(name, value))
        except (AttributeError, TypeError, ValueError, OverflowError, RecursionError, struct.error) as error:
            raise InvalidMessage(f"the headers or properties cannot be written in AMQP: {error}") from error
    before[0] = flags.to_bytes(2, "big")
    return b"".join(before), b"".join(after)


def _checked(name: str, text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise InvalidMessage(f"the {name} is not valid Unicode text") from None
    if len(data) > _MAX_SHORT:
        raise InvalidMessage(f"the {name} {text[:40]!r}… has {len(data)} bytes; AMQP carries {_MAX_SHORT}")
    return bytes((len(data),)) + data
