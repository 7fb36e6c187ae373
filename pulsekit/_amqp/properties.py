"""The basic properties of a message and their encoding in the content header (AMQP 0-9-1 §4.2.6.1).

A content header is the class (2 bytes), a weight that is always 0 (2), the size of the body (8), the property flags
(2), and then the value of each property whose flag is set, in the order of the specification. Header tables are in
`tables`.
"""

from __future__ import annotations

import struct
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pamqp import encode

from pulsekit._amqp.tables import encode_table, read_table, read_timestamp
from pulsekit._amqp.types import Properties, encode_short_string, short_string
from pulsekit.errors import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["encode_properties", "read_properties"]

# The basic properties with their flags, in the order of the specification. A property is a short
# string, except `headers`, `timestamp` and the properties in `_OCTETS`.
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


def read_properties(header: bytes) -> tuple[Properties, dict[str, Any]]:
    """Decode the properties and the header table of a content header.

    A timestamp after the year 9999 is ignored.

    Raises:
        InvalidMessage: Raised when the content header is malformed.
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


def encode_properties(properties: Properties, headers: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Encode flags and values of the basic properties, as the bytes before and after the message id.

    Raises:
        InvalidMessage: Raised when a value is too long, or has a type without an AMQP encoding.
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
                parts.append(encode_short_string(name, value))
        except (AttributeError, TypeError, ValueError, OverflowError, RecursionError, struct.error) as error:
            part = "the headers" if name == "headers" else f"the property {name}"
            reason = f"{value!r:.40} is not text" if isinstance(error, AttributeError) else error
            raise InvalidMessage(f"{part} cannot be written in AMQP: {reason}") from error
    before[0] = flags.to_bytes(2, "big")
    return b"".join(before), b"".join(after)
