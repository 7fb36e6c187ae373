"""AMQP frames: divide a stream into frames, decode and encode them (AMQP 0-9-1 §2.3.5 and §4.2).

pamqp supplies the list of methods, with the name, order and type of their fields. This module decodes and encodes by
position, for three reasons: pamqp cannot distinguish a short frame from a malformed one, its constructors refuse names
that RabbitMQ allows, and its decoder copies the rest of the frame for every field of a table.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pamqp import commands

from pulsekit.sandbox.codec import tables
from pulsekit.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Generator

    from pamqp.base import Frame


__all__ = [
    "BODY", "HEADER", "HEARTBEAT", "METHOD", "PROTOCOL_HEADERS", "PUBLISH", "Publish", "Splitter", "content",
    "decode", "delivery", "encode", "frame", "method_ids", "publish", "short_string", "unknown",
]  # fmt: skip

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
# The header of AMQP 0-9-1, and that of AMQP 0-9, which aioamqp sends. RabbitMQ treats both as AMQP 0-9-1.
PROTOCOL_HEADERS: Final = (b"AMQP\x00\x00\x09\x01", b"AMQP\x01\x01\x00\x09")
PUBLISH: Final = b"\x00\x3c\x00\x28"

_END: Final = b"\xce"
_PREFIX = struct.Struct(">BHI")
_FIXED: Final = {
    "octet": struct.Struct(">B"),
    "short": struct.Struct(">H"),
    "long": struct.Struct(">I"),
    "longlong": struct.Struct(">Q"),
    "timestamp": struct.Struct(">Q"),
}
_DELIVERY_TAG = struct.Struct(">QB")


class Splitter:
    r"""A splitter of a stream of bytes into frames.

    A frame is a type (1 byte), a channel (2), a length (4), a payload of that length and the end marker 0xCE (AMQP
    0-9-1 §4.2.3). TCP delivers it in any number of pieces. `split` puts the rest of the previous call before the new
    bytes, finds the complete frames by position, copies only their payloads, and stores the rest.

    Invariants: `_rest` starts at the first byte of a frame. Unless the caller stopped early, it is at most 7 bytes
    longer than `frame_max`, because a length is checked once the seven bytes before the payload have arrived.

    A payload may be as large as `frame_max`, as in RabbitMQ, although in the specification the limit includes the 8
    bytes around it. amqpstorm sends such frames. As in RabbitMQ, the text of the refusal contains the limit of the
    specification.

    Example: `split(b"\x08\0\0\0\0\0\0\xce" + b"\x01\0")` yields `(8, 0, b"")`, a heartbeat, and keeps `b"\x01\0"`.
    """

    def __init__(self, frame_max: int) -> None:
        self.frame_max = frame_max
        self._rest = b""

    def split(self, data: bytes) -> Generator[tuple[int, int, bytes]]:
        """Yield type, channel and payload of every complete frame.

        If the caller closes the generator early, the next call continues with the next frame.

        Raises:
            Refusal: Raised with 501 if the stream is not AMQP. Bytes after these cannot be read.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        offset, size = 0, len(data)
        try:
            while size - offset >= 7:
                kind, channel, length = _PREFIX.unpack_from(data, offset)
                if length > self.frame_max:
                    limit = self.frame_max - 8
                    raise Refusal(501, f"type {kind}, all octets = <<>>: {{frame_too_large,{length},{limit}}}")
                start = offset + 7
                stop = start + length
                if stop >= size:
                    break
                payload, end = data[start:stop], data[stop]
                if end != 0xCE:
                    octets = _erlang_binary(payload)
                    raise Refusal(501, f"type {kind}, all octets = {octets}: {{invalid_frame_end_marker,{end}}}")
                offset = stop + 1
                yield kind, channel, payload
        finally:
            self._rest = data[offset:]


def unknown(kind: int, payload: bytes) -> Refusal:
    """Build the refusal of a frame whose type does not exist, or does not fit its payload."""
    return Refusal(501, f"type {kind}, all octets = {_erlang_binary(payload)}: unknown_frame")


def _erlang_binary(payload: bytes) -> str:
    return "<<" + ",".join(map(str, payload[:48])) + ">>"


class Publish(NamedTuple):
    """The fields of a Basic.Publish. `address` is the encoded exchange and key, which Basic.Deliver repeats."""

    exchange: str
    routing_key: str
    address: bytes
    mandatory: bool
    immediate: bool


@lru_cache(maxsize=1024)
def publish(payload: bytes) -> Publish:
    """Decode a Basic.Publish. The result is cached, because most publishers use few keys.

    Raises:
        Refusal: Raised when the fields do not fill the frame.
    """
    first = payload[6] + 7 if len(payload) > 6 else len(payload)
    second = payload[first] + first + 1 if len(payload) > first else len(payload)
    if second + 1 != len(payload):
        raise Refusal(501, "cannot decode <<>>")
    return Publish(
        payload[7:first].decode("utf-8", "surrogateescape"),
        payload[first + 1 : second].decode("utf-8", "surrogateescape"),
        payload[6:second],
        bool(payload[second] & 1),
        bool(payload[second] & 2),
    )


def method_ids(payload: bytes) -> tuple[int, int]:
    """Return the ids of class and method of a method frame, or zeros if it is too short."""
    return struct.unpack_from(">HH", payload) if len(payload) >= 4 else (0, 0)


def decode(payload: bytes) -> Frame:
    """Decode any method.

    The fields follow one another in the order of pamqp's `__slots__`. Consecutive bits share an octet, lowest bit first
    (AMQP 0-9-1 §4.2.5.2): `bit` is the next bit of the octet `bits`, and 8 if the next bit starts a new octet.

    Raises:
        Refusal: Raised with 501 if the method does not exist or a field is malformed, with 502 if a table is malformed.
    """
    if len(payload) < 4:
        raise Refusal(501, "cannot decode <<>>")
    kind: type[Frame] | None = commands.INDEX_MAPPING.get(int.from_bytes(payload[:4], "big"))
    if kind is None:
        raise Refusal(501, "cannot decode <<>>")
    method: Frame = kind.__new__(kind)
    offset, bit = 4, 8
    try:
        for name in kind.__slots__:
            field = kind.amqp_type(name)
            if field == "bit":
                if bit == 8:
                    bits, bit, offset = payload[offset], 0, offset + 1
                setattr(method, name, bool(bits >> bit & 1))
                bit += 1
                continue
            bit = 8
            value, offset = _field(payload, offset, field)
            setattr(method, name, value)
    except UnicodeDecodeError:
        raise Refusal(501, "Malformed UTF-8 in shortstr") from None
    except (struct.error, IndexError):
        offset = -1
    if offset != len(payload):
        raise Refusal(501, f"cannot decode {_erlang_binary(payload[4:])}")
    return method


def _field(payload: bytes, offset: int, field: str) -> tuple[Any, int]:
    if field in _FIXED:
        number = _FIXED[field]
        return number.unpack_from(payload, offset)[0], offset + number.size
    if field == "shortstr":
        start, size = offset + 1, payload[offset]
    else:
        start, size = offset + 4, struct.unpack_from(">I", payload, offset)[0]
    stop = start + size
    if stop > len(payload):
        raise IndexError
    if field == "table":
        return tables.decode(payload, start, stop), stop
    # Names have to be UTF-8; the response of a login may be any bytes.
    return payload[start:stop].decode("utf-8", "strict" if field == "shortstr" else "surrogateescape"), stop


def encode(channel: int, method: type[Frame], *values: Any) -> bytes:
    """Encode a method frame. The values are in the order of the method's fields."""
    parts = [method.index.to_bytes(4, "big")]
    bits, count = 0, 0
    for name, value in zip(method.__slots__, values, strict=True):
        field = method.amqp_type(name)
        if field == "bit":
            bits |= bool(value) << count
            count += 1
            continue
        if field in _FIXED:
            parts.append(_FIXED[field].pack(value))
        elif field == "shortstr":
            parts.append(short_string(value))
        elif field == "table":
            parts.append(tables.encode_field(value)[1:])
        else:
            parts.append(tables.long_string(value)[1:])
    if count:  # in every method that a server sends, the bits are the last fields, and fit into one octet
        parts.append(bytes((bits,)))
    return frame(METHOD, channel, b"".join(parts))


def short_string(value: str) -> bytes:
    """Encode a short string. Text of more than 255 bytes is truncated, as in RabbitMQ's reply texts."""
    raw = value.encode("utf-8", "surrogateescape")
    if len(raw) > 255:
        raw = raw[:252].decode("utf-8", "ignore").encode() + b"..."
    return bytes((len(raw),)) + raw


def delivery(channel: int, consumer_tag: bytes, delivery_tag: int, redelivered: bool, address: bytes) -> bytes:  # noqa: FBT001
    """Encode a Basic.Deliver. `consumer_tag` and `address` are already encoded."""
    payload = b"\x00\x3c\x00\x3c" + consumer_tag + _DELIVERY_TAG.pack(delivery_tag, redelivered) + address
    return _PREFIX.pack(METHOD, channel, len(payload)) + payload + _END


def content(channel: int, header: bytes, body: bytes, frame_max: int) -> bytes:
    """Encode content header and body. The body is divided into frames of at most `frame_max` bytes."""
    size, room = len(body), frame_max - 8
    head = _PREFIX.pack(HEADER, channel, len(header)) + header + _END
    if not size:
        return head
    if size <= room:
        return head + _PREFIX.pack(BODY, channel, size) + body + _END
    pieces = [frame(BODY, channel, body[start : start + room]) for start in range(0, size, room)]
    return head + b"".join(pieces)


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """Encode one frame."""
    return _PREFIX.pack(kind, channel, len(payload)) + payload + _END
