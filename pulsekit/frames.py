"""The frames of the hot path, written and read by hand: publish, deliver, return and the confirms.

Everything else is aiormq's. Source: AMQP 0-9-1 §2.3.5 and §4.2, class basic.
"""

from __future__ import annotations

import struct
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pamqp import decode, encode

from pulsekit.messages import Properties

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pulsekit.messages import Outgoing

__all__ = [
    "ACK",
    "BODY",
    "CLOSE_CHANNEL",
    "DELIVER",
    "HEADER",
    "HEARTBEAT",
    "METHOD",
    "NACK",
    "REJECT",
    "RETURN",
    "encode_properties",
    "encode_publish",
    "encode_settlement",
    "read_header",
    "short_string",
]

METHOD, HEADER, BODY = 1, 2, 3
ACK, NACK, RETURN, DELIVER = b"\x00\x3c\x00\x50", b"\x00\x3c\x00\x78", b"\x00\x3c\x00\x32", b"\x00\x3c\x00\x3c"
REJECT = b"\x00\x3c\x00\x5a"
CLOSE_CHANNEL = b"\x00\x14\x00\x28"
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"

_PUBLISH = b"\x00\x3c\x00\x28\x00\x00"  # with the reserved short
_BASIC = b"\x00\x3c\x00\x00"  # class, and the weight that is always 0
_END = b"\xce"
_FRAME = struct.Struct(">BHI")
_LONG_LONG = struct.Struct(">Q")
_SETTLE = struct.Struct(">QB")

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


def encode_publish(channel: int, message: Outgoing, frame_max: int) -> Iterator[bytes]:
    """Yield the frames of one basic.publish with its content; a body larger than a frame is split."""
    yield _method(channel, message.exchange, message.routing_key, message.mandatory)
    body = message.body
    header = _BASIC + _LONG_LONG.pack(len(body)) + encode_properties(message.properties, message.headers)
    yield _FRAME.pack(HEADER, channel, len(header)) + header + _END
    most = frame_max - 8
    for start in range(0, len(body), most):
        part = body[start : start + most]
        yield _FRAME.pack(BODY, channel, len(part)) + part + _END


def encode_settlement(channel: int, method: bytes, delivery_tag: int, bits: int) -> bytes:
    """Write basic.ack, basic.nack or basic.reject; the bits are `multiple`, `requeue`, or both."""
    return _FRAME.pack(METHOD, channel, 13) + method + _SETTLE.pack(delivery_tag, bits) + _END


def short_string(data: bytes, at: int) -> tuple[str, int]:
    """Read a short string, and return it with the place behind it.

    A key that is not UTF-8 is read all the same: the broker lets it pass.
    """
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "replace"), end


def read_header(data: bytes, start: int) -> tuple[int, Properties, dict[str, Any]]:
    """Read a content header: the size of the body, the properties, and the header table."""
    (size,) = _LONG_LONG.unpack_from(data, start + 4)
    flags = data[start + 12] << 8 | data[start + 13]
    at = start + 14
    values: dict[str, Any] = {}
    headers: dict[str, Any] = {}
    for name, flag in _FLAGS:
        if not flags & flag:
            continue
        if name in _OCTETS:
            values[name] = data[at]
            at += 1
        elif name == "headers":
            (length,) = struct.unpack_from(">I", data, at)
            _, headers = decode.field_table(data[at : at + 4 + length])
            at += 4 + length
        elif name == "timestamp":
            _, values[name] = decode.timestamp(data[at : at + 8])
            at += 8
        else:
            values[name], at = short_string(data, at)
    return size, Properties(**values), headers


@lru_cache(maxsize=256)
def _method(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:  # noqa: FBT001 - a bit of the frame
    payload = _PUBLISH + _short(exchange) + _short(routing_key) + (b"\x01" if mandatory else b"\x00")
    return _FRAME.pack(METHOD, channel, len(payload)) + payload + _END


def encode_properties(properties: Properties, headers: Mapping[str, Any]) -> bytes:
    """Write the flags and values of the basic properties, the header table among them."""
    flags, parts = 0, [b""]
    for name, flag in _FLAGS:
        if name == "headers":
            if headers:
                flags |= flag
                parts.append(_table(headers))
            continue
        value = getattr(properties, name)
        if value is None:
            continue
        flags |= flag
        if name in _OCTETS:
            parts.append(bytes((value,)))
        elif name == "timestamp":
            parts.append(encode.timestamp(value))
        else:
            parts.append(_short(value))
    parts[0] = flags.to_bytes(2, "big")
    return b"".join(parts)


def _short(text: str) -> bytes:
    data = text.encode()
    return bytes((len(data),)) + data


def _table(fields: Mapping[str, Any]) -> bytes:
    """Write a field table with the types RabbitMQ reads; floats as doubles, which pamqp cuts to half their bits."""
    content = b"".join(_short(name) + _field(value) for name, value in fields.items())
    return len(content).to_bytes(4, "big") + content


def _field(value: Any) -> bytes:
    match value:
        case bool():
            return b"t\x01" if value else b"t\x00"
        case int():
            return struct.pack(">cq", b"l", value)
        case float():
            return struct.pack(">cd", b"d", value)
        case str():
            return b"S" + _long(value.encode())
        case bytes() | bytearray():
            return b"x" + _long(bytes(value))
        case None:
            return b"V"
        case list() | tuple():
            return b"A" + _long(b"".join(map(_field, value)))
        case datetime():
            return b"T" + encode.timestamp(value)
        case Decimal():
            return b"D" + encode.decimal(value)
        case _ if hasattr(value, "items"):
            return b"F" + _table(value)
    raise TypeError(f"{type(value).__name__} has no form in a field table: {value!r:.80}")


def _long(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
