"""Encode and decode field tables: the headers of a message, and the arguments of queues.

A field table is (AMQP 0-9-1 §4.2.5.5; the type letters are those of RabbitMQ's errata)

    size in bytes (4)  then for each field: name (short string)  type letter (1)  value

Strings, byte arrays, lists (`A`) and tables (`F`) begin with a size of 4 bytes, other values have a fixed size.

Plan: decoding is one pass over the bytes. `_read_value` reads the type letter at an offset, and returns the value and
the offset after it; lists and tables recurse.

Invariants: no value extends beyond the list or table that contains it, so the time is linear in the size; nesting is
limited to 64 levels, for encoding too; a value that Python cannot represent (text that is not UTF-8, a time after the
year 9999) is replaced by bytes or a number, and the other fields are still readable.

Example: `{"n": 1}` is `0000000b 01 6e 6c 0000000000000001`: 11 bytes; a name of 1 byte, "n"; letter "l"; 8 bytes.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any

from pamqp import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["encode_table", "read_table", "read_timestamp"]

_MAX_DEPTH = 64  # levels of nested tables and lists

_LENGTH = struct.Struct(">I")
_length = _LENGTH.unpack_from
_TOO_LONG = "a value is longer than its table or list"
_NUMBERS = {
    ord(letter): struct.Struct(f">{code}")
    for letter, code in {
        "b": "b", "B": "B", "s": "h", "u": "H", "I": "i", "i": "I", "l": "q", "L": "q", "f": "f", "d": "d",
    }.items()
}  # fmt: skip
_TEXT, _BOOLEAN, _TIME, _DECIMAL = b"StTD"
_LONG = frozenset(b"SxAF")  # the value begins with its size
_VOID = frozenset(b"V\0")  # some clients write a zero byte as the letter
_SCALED = struct.Struct(">Bi")
_SECONDS = struct.Struct(">Q")
_MILLISECONDS = 1 << 32  # a larger timestamp is in milliseconds, as pamqp reads it too


def encode_table(fields: Mapping[str, Any]) -> bytes:
    """Encode a field table. Floats become doubles, where pamqp would truncate them to single precision.

    Raises:
        AttributeError, OverflowError, TypeError, ValueError, struct.error: Raised when a value has no AMQP encoding, or
            is nested more than 64 levels deep.
    """
    return _table(fields, 1)


def _table(fields: Mapping[str, Any], depth: int) -> bytes:
    return _long(b"".join(_short(name) + _field(value, depth) for name, value in fields.items()))


def read_table(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    """Return the field table at an offset, and the offset after it.

    Raises:
        LookupError, ValueError, struct.error: Raised when the table is malformed, or nested more than 64 levels deep.
    """
    end = at + 4 + _length(data, at)[0]
    if end > len(data):
        raise ValueError(_TOO_LONG)
    return _read_fields(data, at + 4, end, 1), end


def read_timestamp(data: bytes, at: int) -> datetime | int:
    """Return the timestamp at an offset, as a number if it is after the year 9999.

    Raises:
        struct.error: Raised when fewer than 8 bytes follow.
    """
    (seconds,) = _SECONDS.unpack_from(data, at)
    try:
        return datetime.fromtimestamp(seconds if seconds < _MILLISECONDS else seconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return int(seconds)


def _read_fields(data: bytes, at: int, end: int, depth: int) -> dict[str, Any]:
    fields = {}
    while at < end:
        behind = at + 1 + data[at]
        name = data[at + 1 : behind].decode("utf-8", "replace")
        fields[name], at = _read_value(data, behind, end, depth)
    return fields


def _read_items(data: bytes, at: int, end: int, depth: int) -> list[Any]:
    items = []
    while at < end:
        item, at = _read_value(data, at, end, depth)
        items.append(item)
    return items


def _read_value(data: bytes, at: int, limit: int, depth: int) -> tuple[Any, int]:
    """Return the value whose type letter is at an offset, and the offset after it."""
    letter = data[at]
    at += 1
    value: Any = None
    if letter in _LONG:
        end = at + 4 + _length(data, at)[0]
        if end > limit:
            raise ValueError(_TOO_LONG)
        if letter in _NESTING:
            return _NESTING[letter](data, at + 4, end, _deeper(depth)), end
        value = data[at + 4 : end]
        if letter == _TEXT:
            try:
                return value.decode(), end
            except UnicodeDecodeError:
                return value, end
        return value, end
    if letter in _NUMBERS:
        form = _NUMBERS[letter]
        (value,) = form.unpack_from(data, at)
        end = at + form.size
    elif letter == _BOOLEAN:
        value, end = bool(data[at]), at + 1
    elif letter == _TIME:
        value, end = read_timestamp(data, at), at + 8
    elif letter == _DECIMAL:
        scale, unscaled = _SCALED.unpack_from(data, at)
        value, end = Decimal(unscaled).scaleb(-scale), at + 5
    elif letter in _VOID:
        end = at
    else:
        raise ValueError(f"unknown type {chr(letter)!a}")
    if end > limit:
        raise ValueError(_TOO_LONG)
    return value, end


_NESTING: dict[int, Callable[[bytes, int, int, int], Any]] = {ord("A"): _read_items, ord("F"): _read_fields}


def _field(value: Any, depth: int) -> bytes:
    match value:
        case bool():
            return b"t\x01" if value else b"t\x00"
        case int():
            return struct.pack(">cq", b"l", value)
        case float():
            if not isfinite(value):  # RabbitMQ would close the connection (541)
                raise ValueError(f"RabbitMQ cannot read the number {value}")
            return struct.pack(">cd", b"d", value)
        case str():
            return b"S" + _long(value.encode())
        case bytes() | bytearray():
            return b"x" + _long(bytes(value))
        case None:
            return b"V"
        case list() | tuple():
            inner = _deeper(depth)
            return b"A" + _long(b"".join(_field(item, inner) for item in value))
        case datetime():
            return b"T" + encode.timestamp(value)
        case Decimal():
            if abs(value.adjusted()) > 255:  # the scale has one byte; pamqp would compute a huge integer first
                raise ValueError(f"{value!s:.40} is too large or small for a decimal of AMQP")
            return b"D" + encode.decimal(value)
        case _ if hasattr(value, "items"):
            return b"F" + _table(value, _deeper(depth))
    raise TypeError(f"{type(value).__name__} has no encoding in a field table: {value!r:.80}")


def _deeper(depth: int) -> int:
    if depth == _MAX_DEPTH:
        raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep")
    return depth + 1


def _short(text: str) -> bytes:
    data = text.encode()
    return bytes((len(data),)) + data


def _long(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data
