"""Frames: cut from the stream, read and written (AMQP 0-9-1 §2.3.5 and §4.2).

pamqp supplies the catalogue: which methods exist, and the name, order and type of their fields. Reading and writing is
done here by position, for three reasons: pamqp cannot tell a short frame from a malformed one, its constructors refuse
names that RabbitMQ allows, and its reader copies the rest of the frame for every field of a table.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pamqp import commands

from pulsekit.sandbox.codec import tables
from pulsekit.sandbox.refusals import frame_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pamqp.base import Frame

    from pulsekit.sandbox.refusals import Refusal

__all__ = [
    "BODY",
    "HEADER",
    "HEARTBEAT",
    "METHOD",
    "PROTOCOL_HEADER",
    "PUBLISH",
    "Publish",
    "Splitter",
    "content",
    "decode",
    "delivery",
    "encode",
    "frame",
    "method_ids",
    "publish",
    "short_string",
    "unknown",
]

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
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
    """Cut a stream of bytes into frames, holding back at most one unfinished frame."""

    def __init__(self, frame_max: int) -> None:
        self.frame_max = frame_max
        self._rest = b""

    def split(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield type, channel and payload of every complete frame.

        Raises:
            Refusal: 501, at the first byte that shows the stream is not AMQP; nothing after it can be read.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        offset, size = 0, len(data)
        while size - offset >= 7:
            kind, channel, length = _PREFIX.unpack_from(data, offset)
            if length > self.frame_max - 8:
                raise frame_error(f"type {kind}, all octets = <<>>: {{frame_too_large,{length},{self.frame_max - 8}}}")
            start = offset + 7
            stop = start + length
            if stop >= size:
                break
            payload = data[start:stop]
            if data[stop] != 0xCE:
                raise frame_error(
                    f"type {kind}, all octets = {_erlang_binary(payload)}: {{invalid_frame_end_marker,{data[stop]}}}"
                )
            yield kind, channel, payload
            offset = stop + 1
        self._rest = data[offset:]


def unknown(kind: int, payload: bytes) -> Refusal:
    """Refuse a frame of a type that does not exist, or that cannot be what it says."""
    return frame_error(f"type {kind}, all octets = {_erlang_binary(payload)}: unknown_frame")


def _erlang_binary(payload: bytes) -> str:
    return "<<" + ",".join(map(str, payload[:48])) + ">>"


class Publish(NamedTuple):
    """The fields of a Basic.Publish; `address` is exchange and key as they came, ready for Basic.Deliver."""

    exchange: str
    routing_key: str
    address: bytes
    mandatory: bool
    immediate: bool


@lru_cache(maxsize=1024)
def publish(payload: bytes) -> Publish:
    """Read a Basic.Publish; publishers repeat themselves, so the last ones are remembered.

    Raises:
        Refusal: the fields do not fill the frame.
    """
    first = payload[6] + 7 if len(payload) > 6 else len(payload)
    second = payload[first] + first + 1 if len(payload) > first else len(payload)
    if second + 1 != len(payload):
        raise frame_error("cannot decode <<>>")
    return Publish(
        payload[7:first].decode("utf-8", "surrogateescape"),
        payload[first + 1 : second].decode("utf-8", "surrogateescape"),
        payload[6:second],
        bool(payload[second] & 1),
        bool(payload[second] & 2),
    )


def method_ids(payload: bytes) -> tuple[int, int]:
    """Return class and method of a method frame, zeros when it is too short to tell."""
    return struct.unpack_from(">HH", payload) if len(payload) >= 4 else (0, 0)


def decode(payload: bytes) -> Frame:
    """Read any method.

    Raises:
        Refusal: 501, the method does not exist or its fields cannot be read; 502, a table cannot.
    """
    if len(payload) < 4:
        raise frame_error("cannot decode <<>>")
    kind: type[Frame] | None = commands.INDEX_MAPPING.get(int.from_bytes(payload[:4], "big"))
    if kind is None:
        raise frame_error("cannot decode <<>>")
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
        raise frame_error("Malformed UTF-8 in shortstr") from None
    except (struct.error, IndexError):
        raise frame_error(f"cannot decode {_erlang_binary(payload[4:])}") from None
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
    # Names have to be text; a response to the login may be any bytes.
    return payload[start:stop].decode("utf-8", "strict" if field == "shortstr" else "surrogateescape"), stop


def encode(channel: int, method: type[Frame], *values: Any) -> bytes:
    """Write a method frame; the values stand in the order of the method's fields."""
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
    if count:  # in every method a server sends, the bits come last and fit one octet
        parts.append(bytes((bits,)))
    return frame(METHOD, channel, b"".join(parts))


def short_string(value: str) -> bytes:
    """Encode text of at most 255 bytes; what is longer is cut, as RabbitMQ cuts its reply texts."""
    raw = value.encode("utf-8", "surrogateescape")
    if len(raw) > 255:
        raw = raw[:252].decode("utf-8", "ignore").encode() + b"..."
    return bytes((len(raw),)) + raw


def delivery(channel: int, consumer_tag: bytes, delivery_tag: int, redelivered: bool, address: bytes) -> bytes:  # noqa: FBT001
    """Write Basic.Deliver around the exchange and key as they were published; the tag is an encoded short string."""
    payload = b"\x00\x3c\x00\x3c" + consumer_tag + _DELIVERY_TAG.pack(delivery_tag, redelivered) + address
    return _PREFIX.pack(METHOD, channel, len(payload)) + payload + _END


def content(channel: int, header: bytes, body: bytes, frame_max: int) -> bytes:
    """Write content header and body, the body in as many frames as the peer's limit asks for."""
    size, room = len(body), frame_max - 8
    head = _PREFIX.pack(HEADER, channel, len(header)) + header + _END
    if not size:
        return head
    if size <= room:
        return head + _PREFIX.pack(BODY, channel, size) + body + _END
    pieces = [frame(BODY, channel, body[start : start + room]) for start in range(0, size, room)]
    return head + b"".join(pieces)


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """Write one frame around its payload."""
    return _PREFIX.pack(kind, channel, len(payload)) + payload + _END
