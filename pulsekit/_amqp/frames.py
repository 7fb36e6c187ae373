"""The frames of the hot path, written and read by hand: publish, deliver, return and the confirms.

Everything else is aiormq's. Source: AMQP 0-9-1 §2.3.5 and §4.2, class basic.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.properties import encode_properties
from pulsekit._amqp.types import encode_short_string
from pulsekit.errors import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulsekit._amqp.types import Properties

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
    "PublishHeader",
    "encode_get",
    "encode_id",
    "encode_settlement",
    "read_content",
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

FRAME_MAX = 131_072  # bytes of the largest frame on Pulse, and wherever RabbitMQ was left as it comes (connection.tune)
_MAX_HEADER = FRAME_MAX - 8  # bytes: eight frame a payload (AMQP 0-9-1 §4.2.3)


class PublishHeader:
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
            + encode_short_string("exchange", exchange)
            + encode_short_string("routing key", routing_key)
            + (b"\x01" if mandatory else b"\x00")
        )
        self._before, self._after = encode_properties(properties, headers)
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
    return encode_short_string("message id", message_id)


def encode_get(channel: int, queue: str) -> bytes:
    """Write a basic.get that wants to settle what it gets.

    Raises:
        InvalidMessage: the name of the queue is longer than AMQP can carry, or no text.
    """
    name = encode_short_string("name of the queue", queue)
    return FRAME.pack(METHOD, channel, len(_GET) + len(name) + 1) + _GET + name + b"\x00" + _END


def encode_settlement(channel: int, method: bytes, delivery_tag: int, bits: int) -> bytes:
    """Write basic.ack, basic.nack or basic.reject; the bits are `multiple`, `requeue`, or both."""
    return FRAME.pack(METHOD, channel, 13) + method + SETTLE.pack(delivery_tag, bits) + _END


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
