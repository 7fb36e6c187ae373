"""Field tables, the headers of a message: written with the types RabbitMQ reads, read whatever a broker lets pass.

A table is read in one pass over its bytes: what a stranger has published costs no more than its length, and no value in
it is a reason to refuse the others. Source: AMQP 0-9-1 §4.2.5.5, with RabbitMQ's errata for the letters.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pamqp import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["encode_table", "read_table", "read_timestamp"]

_MAX_DEPTH = 64  # tables and lists within each other

_LENGTH = struct.Struct(">I")
_length = _LENGTH.unpack_from
_TOO_LONG = "a value is longer than what it stands in"
_NUMBERS = {
    ord(letter): struct.Struct(f">{code}")
    for letter, code in {
        "b": "b", "B": "B", "s": "h", "u": "H", "I": "i", "i": "I", "l": "q", "L": "q", "f": "f", "d": "d",
    }.items()
}  # fmt: skip
_TEXT, _BOOLEAN, _TIME, _DECIMAL = b"StTD"
_LONG = frozenset(b"SxAF")  # what begins with its length
_VOID = frozenset(b"V\0")  # the latter is what some write in its place
_SCALED = struct.Struct(">Bi")
_SECONDS = struct.Struct(">Q")
_MILLISECONDS = 1 << 32  # seconds: what is more is meant in thousandths, as other libraries read it, too


def encode_table(fields: Mapping[str, Any]) -> bytes:
    """Write a field table; floats as doubles, which pamqp cuts to half their bits.

    Raises:
        AttributeError, OverflowError, TypeError, ValueError, struct.error: AMQP has no form for it, or it is nested
            more than 64 levels deep, which `read_table` would not read.
    """
    return _table(fields, 1)


def _table(fields: Mapping[str, Any], depth: int) -> bytes:
    return _long(b"".join(_short(name) + _field(value, depth) for name, value in fields.items()))


def read_table(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    """Read the field table at a place, and return it with the place behind it.

    A name that is not UTF-8 is read all the same, text that is not becomes bytes, and a time beyond the year 9999 stays
    a number.

    Raises:
        LookupError, ValueError, struct.error: it is none, or nested more than 64 levels deep.
    """
    end = at + 4 + _length(data, at)[0]
    if end > len(data):
        raise ValueError(_TOO_LONG)
    return _read_fields(data, at + 4, end, 1), end


def read_timestamp(data: bytes, at: int) -> datetime | int:
    """Read a time; one that no `datetime` can hold stays a number.

    Raises:
        struct.error: there is none.
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
    """Read the type letter at a place and the value behind it."""
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
        raise ValueError(f"there is no type {chr(letter)!a}")
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
            if abs(value.adjusted()) > 255:  # beyond what it can hold; to find that out may take for ever
                raise ValueError(f"{value!s:.40} is no decimal of AMQP")
            return b"D" + encode.decimal(value)
        case _ if hasattr(value, "items"):
            return b"F" + _table(value, _deeper(depth))
    raise TypeError(f"{type(value).__name__} has no form in a field table: {value!r:.80}")


def _deeper(depth: int) -> int:
    if depth == _MAX_DEPTH:
        raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep")
    return depth + 1


def _short(text: str) -> bytes:
    data = text.encode()
    return bytes((len(data),)) + data


def _long(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data
