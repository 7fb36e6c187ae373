r"""Encode and decode the frames of each message: publish, deliver, get and the settlements; describe any frame.

A frame is (AMQP 0-9-1 §2.3.5 and §4.2.3)

    type (1 byte)  channel (2)  payload size (4)  payload  end mark 0xCE

and a method with content is a method frame, one content header frame and as many body frames as the body needs. aiormq
and pamqp encode all other methods.

Plan: published messages with the same routing key differ only in the size of the body, the message id and the body.
`PublishHeader` therefore encodes all other bytes once, and `frames` appends references to them to the list that is
joined and written:

    start                       size  before   message id  end          then for each part of the body
    method frame, header head   (8)   flags …  (varies)    … end mark   frame head, body, end mark

Invariants: `start` contains the channel number and the length of the message id; `_for` is the pair for which it was
encoded. No header frame is larger than `FRAME_MAX`. If the broker's limit is lower, the publisher compares `size`.

Example: `PublishHeader("exchange/me/x", "a.b", …).frames(3, b"\\x02id", b"{}", 131072, parts)` appends a method frame
for basic.publish, a header frame for a body of 2 bytes, and one body frame `03 0003 00000002 7b7d ce`.
"""

from __future__ import annotations

import re
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
    "CANCEL_OK",
    "CLOSE_CHANNEL",
    "CLOSE_CHANNEL_OK",
    "CLOSE_CONNECTION",
    "DELIVER",
    "FLOW",
    "FRAME",
    "FRAME_MAX",
    "GET_EMPTY",
    "GET_OK",
    "HEADER",
    "HEARTBEAT",
    "LEAST_HEADER",
    "METHOD",
    "NACK",
    "OPEN_CHANNEL_OK",
    "QOS_OK",
    "REJECT",
    "RETURN",
    "SETTLE",
    "UNBLOCKED",
    "PublishHeader",
    "describe_frame",
    "encode_cancel",
    "encode_close_ok",
    "encode_flow_ok",
    "encode_get",
    "encode_id",
    "encode_next_consumer",
    "encode_settlement",
    "read_content",
]

METHOD, HEADER, BODY = 1, 2, 3
ACK, NACK, RETURN, DELIVER = b"\x00\x3c\x00\x50", b"\x00\x3c\x00\x78", b"\x00\x3c\x00\x32", b"\x00\x3c\x00\x3c"
REJECT = b"\x00\x3c\x00\x5a"
QOS_OK, CANCEL_OK = b"\x00\x3c\x00\x0b", b"\x00\x3c\x00\x1f"
GET_OK, GET_EMPTY = b"\x00\x3c\x00\x47", b"\x00\x3c\x00\x48"
BLOCKED, UNBLOCKED = b"\x00\x0a\x00\x3c", b"\x00\x0a\x00\x3d"  # connection.blocked is RabbitMQ's extension
FLOW, _FLOW_OK = b"\x00\x14\x00\x14", b"\x00\x14\x00\x15"
OPEN_CHANNEL_OK, CLOSE_CHANNEL_OK = b"\x00\x14\x00\x0b", b"\x00\x14\x00\x29"
CLOSE_CHANNEL, CLOSE_CONNECTION = b"\x00\x14\x00\x28", b"\x00\x0a\x00\x32"
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"

_PUBLISH = b"\x00\x3c\x00\x28\x00\x00"  # basic.publish and its reserved short
_GET = b"\x00\x3c\x00\x46\x00\x00"  # basic.get and its reserved short
_QOS, _CANCEL = b"\x00\x3c\x00\x0a", b"\x00\x3c\x00\x1e"
_CONSUME = b"\x00\x3c\x00\x14\x00\x00"  # basic.consume and its reserved short
_BASIC = b"\x00\x3c\x00\x00"  # class basic, and the weight, which is always 0
_END = b"\xce"
FRAME = struct.Struct(">BHI")  # type, channel, size of the payload
SETTLE = struct.Struct(">QB")  # delivery tag and bits
LEAST_HEADER = 14  # bytes of a content header: class, weight, size of the body, flags
_CONTENT = struct.Struct(">BHI4sQ")  # head of the frame; class, weight and body size of the content header

FRAME_MAX = 131_072  # bytes of the largest frame: RabbitMQ's default, which Pulse uses (connection.tune)
_MAX_HEADER = FRAME_MAX - 8  # bytes of a payload: a frame adds eight (AMQP 0-9-1 §4.2.3)


class PublishHeader:
    """The parts of a publish that many messages share, encoded once: everything except message id and body.

    Attributes:
        exchange: the exchange of the messages.
        routing_key: the routing key of the messages.
        mandatory: whether the broker returns a message that it cannot route to a queue.
        cc: the additional routing keys (the header `CC`), or None without this header.
    """

    __slots__ = ("_after", "_before", "_end", "_for", "_method", "_start", "cc", "exchange", "mandatory", "routing_key")

    def __init__(
        self,
        exchange: str,
        routing_key: str,
        *,
        mandatory: bool,
        properties: Properties,
        headers: Mapping[str, Any],
    ) -> None:
        """Encode the shared parts; the message id of the properties is ignored.

        Raises:
            InvalidMessage: Raised when a name, a property or the header table is larger than AMQP allows, or has a type
                without an AMQP encoding. The broker would close the connection.
        """
        self.exchange = exchange
        self.routing_key = routing_key
        self.mandatory = mandatory
        cc = headers.get("CC")
        self.cc = list(cc) if isinstance(cc, tuple) else cc
        self._method = (
            _PUBLISH
            + encode_short_string("exchange", exchange)
            + encode_short_string("routing key", routing_key)
            + (b"\x01" if mandatory else b"\x00")
        )
        self._before, self._after = encode_properties(properties, headers)
        if len(self._before) + len(self._after) > _MAX_HEADER - 268:  # the header's head and the longest message id
            size = len(self._before) + len(self._after)
            raise InvalidMessage(f"the headers and properties have {size} bytes; AMQP allows {_MAX_HEADER - 268} here")
        self._for = (0, 0)  # channel and length of the message id for which `_start` is valid
        self._start = self._end = b""

    @property
    def size(self) -> int:
        """The size of the content header in bytes, without the message id."""
        return 12 + len(self._before) + len(self._after)

    def frames(
        self, channel: int, message_id: bytes, body: bytes, frame_max: int, into: list[bytes | memoryview]
    ) -> None:
        """Append the frames of one basic.publish with its content to a list.

        Args:
            channel: the channel number.
            message_id: a short string, as `encode_id` returns it.
            body: the body, which is split when it is larger than a frame.
            frame_max: bytes of the largest frame of the connection.
            into: the list to append to.
        """
        size, most = len(body), frame_max - 8
        if self._for != (channel, len(message_id)):
            self._frame(channel, len(message_id))
        into += (self._start, size.to_bytes(8, "big"), self._before, message_id, self._end)
        if 0 < size <= most:
            into += (FRAME.pack(BODY, channel, size), body, _END)
            return
        view = memoryview(body)  # a slice of it is not a copy
        for start in range(0, size, most):
            part = view[start : start + most]
            into += (FRAME.pack(BODY, channel, len(part)), part, _END)

    def _frame(self, channel: int, id_size: int) -> None:
        """Encode the parts that depend on the channel and on the length of the message id."""
        self._for = (channel, id_size)
        head = _CONTENT.size - FRAME.size + len(self._before) + id_size + len(self._after)
        frame = FRAME.pack(METHOD, channel, len(self._method)) + self._method + _END
        self._start = frame + FRAME.pack(HEADER, channel, head) + _BASIC
        self._end = self._after + _END


def encode_id(message_id: str) -> bytes:
    """Encode a message id as a short string.

    Raises:
        InvalidMessage: Raised when the id is longer than 255 bytes, or not valid Unicode.
    """
    return encode_short_string("message id", message_id)


def encode_get(channel: int, queue: str) -> bytes:
    """Encode a basic.get with acknowledgement.

    Raises:
        InvalidMessage: Raised when the name of the queue is longer than 255 bytes, or not valid Unicode.
    """
    name = encode_short_string("name of the queue", queue)
    return FRAME.pack(METHOD, channel, len(_GET) + len(name) + 1) + _GET + name + b"\x00" + _END


def encode_next_consumer(channel: int, queue: str, prefetch: int, *, former: str, tag: str) -> bytes:
    """Encode basic.qos, basic.consume for a new consumer with that prefetch, and basic.cancel for the former one.

    The broker answers basic.qos only: the other two have the bit `nowait`.
    """
    name, new = encode_short_string("name of the queue", queue), encode_short_string("consumer tag", tag)
    qos = _QOS + struct.pack(">IHB", 0, prefetch, 0)
    consume = _CONSUME + name + new + b"\x08" + bytes(4)  # nowait, and no arguments
    return _method(channel, qos) + _method(channel, consume) + encode_cancel(channel, former, nowait=True)


def encode_cancel(channel: int, tag: str, *, nowait: bool = False) -> bytes:
    """Encode basic.cancel."""
    return _method(channel, _CANCEL + encode_short_string("consumer tag", tag) + bytes((nowait,)))


def _method(channel: int, payload: bytes) -> bytes:
    return FRAME.pack(METHOD, channel, len(payload)) + payload + _END


def encode_flow_ok(channel: int, *, active: bool) -> bytes:
    """Encode the answer to channel.flow."""
    return _method(channel, _FLOW_OK + bytes((active,)))


def encode_close_ok(channel: int) -> bytes:
    """Encode channel.close-ok."""
    return _method(channel, CLOSE_CHANNEL_OK)


def encode_settlement(channel: int, method: bytes, delivery_tag: int, bits: int) -> bytes:
    """Encode basic.ack, basic.nack or basic.reject; the bits are `multiple`, `requeue`, or both."""
    return FRAME.pack(METHOD, channel, 13) + method + SETTLE.pack(delivery_tag, bits) + _END


def read_content(data: bytes, at: int, channel: int) -> tuple[bytes, bytes, int] | None:
    """Return the header, the body and the end offset of the content at an offset.

    Return None if the content is incomplete, or its body has several frames: `IncomingContent` collects such frames.
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


_SECRETS = frozenset({"challenge", "new_secret", "response"})  # arguments of class connection
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")


def describe_frame(data: bytes) -> str:
    """Describe one whole frame for a log, such as `channel 3 basic.publish exchange='exchange/x' key='a.b' mandatory`.

    The description has no body, no password, and neither header tables nor values of properties.
    """
    if data[:4] == b"AMQP":
        return f"protocol header AMQP {'-'.join(map(str, data[5:8]))}"
    if len(data) < 8 or data[-1:] != _END:
        return f"no frame, {len(data)} bytes"
    kind, channel, size = FRAME.unpack_from(data)
    if kind == METHOD:
        return f"channel {channel} {_describe_method(data)}"
    if kind == HEADER and size >= LEAST_HEADER:
        return f"channel {channel} content header, body of {int.from_bytes(data[11:19], 'big')} bytes"
    if kind == BODY:
        return f"channel {channel} body of {size} bytes"
    return f"channel {channel} heartbeat" if data == HEARTBEAT else f"channel {channel} frame of type {kind}"


def _describe_method(data: bytes) -> str:
    import pamqp.exceptions
    import pamqp.frame

    try:
        method: Any = pamqp.frame.unmarshal(data)[2]
    except (pamqp.exceptions.PAMQPException, ValueError, LookupError, TypeError, struct.error):
        return f"method {int.from_bytes(data[7:9], 'big')}.{int.from_bytes(data[9:11], 'big')}, {len(data)} bytes"
    words = [_WORDS.sub("-", method.name).lower()]
    for name, value in method:
        shown = "key" if name == "routing_key" else name.rstrip("_")
        if name in _SECRETS or name == "ticket":
            continue
        if value is True:
            words.append(shown)
        elif (isinstance(value, str) and value) or (isinstance(value, int) and value is not False):
            words.append(f"{shown}={value!r}")
    return " ".join(words)
