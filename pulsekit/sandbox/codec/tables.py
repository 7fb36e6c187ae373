r"""Field tables: decode with types, encode, and replace single fields (AMQP 0-9-1 §4.2.5.5 and RabbitMQ's errata).

A field is a name (a short string), a type letter and a value. The letter determines the length of the value, or the
length precedes the value: `b"\x01a" b"t" b"\x01"` is `{"a": True}`. Clients use different integer types for one number,
and a broker must not change them. So `Table` keeps the type letters, and `set_field` and `drop_field` edit an encoded
table: `_skip` finds the end of each value without decoding it, and all other fields keep their bytes.

Invariants of decoding: `offset` only grows, and no value ends after the table that contains it. Nesting is limited, so
that a hostile table causes a refusal and not a RecursionError.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from pulsekit.sandbox.refusals import Refusal

__all__ = ["TYPE_NAMES", "Table", "Timestamp", "decode", "drop_field", "encode_field", "long_string", "set_field"]

_MAX_DEPTH: Final = 64
_NUMBERS: Final = {
    letter: struct.Struct(">" + code)
    for letter, code in {
        "b": "b", "B": "B", "s": "h", "u": "H", "I": "i", "i": "I", "l": "q", "L": "q", "f": "f", "d": "d",
    }.items()
}  # fmt: skip
_LONG = struct.Struct(">I")

TYPE_NAMES: Final = {
    "t": "bool", "b": "byte", "B": "unsignedbyte", "s": "short", "u": "unsignedshort", "I": "signedint",
    "i": "unsignedint", "l": "long", "L": "long", "f": "float", "d": "double", "D": "decimal", "S": "longstr",
    "x": "binary", "A": "array", "F": "table", "T": "timestamp", "V": "void",
}  # fmt: skip
"""What RabbitMQ calls each type in its error texts."""


class Table(dict[str, Any]):
    """The decoded values of a field table.

    Attributes:
        letters: the type letter of each field.
    """

    __slots__ = ("letters",)

    def __init__(self) -> None:
        super().__init__()
        self.letters: dict[str, str] = {}


class Timestamp(int):
    """Seconds since 1970, which `encode_field` encodes with the type `T`."""

    __slots__ = ()


def decode(data: bytes, offset: int = 0, end: int | None = None) -> Table:
    """Decode the fields between two offsets. The length of the table precedes them.

    Raises:
        Refusal: Raised with 502 if the bytes are not a table, or are nested more than 64 levels deep.
    """
    try:
        return _table(data, offset, len(data) if end is None else end, 0)
    except (struct.error, IndexError, KeyError):
        raise Refusal(502, "malformed field table") from None


def long_string(value: str) -> bytes:
    """Encode text as a field value with its type letter."""
    raw = value.encode("utf-8", "surrogateescape")
    return b"S" + _LONG.pack(len(raw)) + raw


def encode_field(value: object) -> bytes:
    """Encode a value with its type letter. Integers have 64 bits, as in RabbitMQ's own headers."""
    if isinstance(value, bool):
        return b"t\x01" if value else b"t\x00"
    if isinstance(value, Timestamp):
        return b"T" + struct.pack(">Q", value)
    if isinstance(value, int):
        return b"l" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"d" + struct.pack(">d", value)
    if isinstance(value, str):
        return long_string(value)
    if isinstance(value, bytes):
        return b"x" + _LONG.pack(len(value)) + value
    if isinstance(value, tuple):  # a decimal
        return b"D" + struct.pack(">Bi", *value)
    if isinstance(value, list):
        items = b"".join(map(encode_field, value))
        return b"A" + _LONG.pack(len(items)) + items
    if isinstance(value, dict):
        fields = b"".join(_key(key) + encode_field(item) for key, item in value.items())
        return b"F" + _LONG.pack(len(fields)) + fields
    return b"V"


def set_field(fields: bytes, name: str, value: bytes, *, first: bool = True) -> bytes:
    """Return encoded fields in which one field is replaced or added. `value` starts with its type letter."""
    others = drop_field(fields, name)
    field = _key(name) + value
    return field + others if first else others + field


def drop_field(fields: bytes, name: str) -> bytes:
    """Return encoded fields without the field `name`. The bytes and the order of other fields do not change."""
    key, offset = name.encode(), 0
    kept = bytearray()
    try:
        while offset < len(fields):
            size = fields[offset]
            stop = _skip(fields, offset + 1 + size)
            if fields[offset + 1 : offset + 1 + size] != key:
                kept += fields[offset:stop]
            offset = stop
    except (struct.error, IndexError, KeyError):
        raise Refusal(502, "malformed field table") from None
    return bytes(kept)


def _key(name: str) -> bytes:
    raw = name.encode("utf-8", "surrogateescape")
    return bytes((len(raw),)) + raw


def _skip(data: bytes, offset: int) -> int:
    """Return the offset after the value whose type letter is at `offset`."""
    letter = chr(data[offset])
    offset += 1
    if letter in "SFAx":
        return offset + 4 + int(_LONG.unpack_from(data, offset)[0])
    if letter in _NUMBERS:
        return offset + _NUMBERS[letter].size
    return offset + {"t": 1, "D": 5, "T": 8, "V": 0}[letter]


def _table(data: bytes, offset: int, end: int, depth: int) -> Table:
    table = Table()
    while offset < end:
        size = data[offset]
        name = data[offset + 1 : offset + 1 + size].decode("utf-8", "surrogateescape")
        offset += 1 + size
        table.letters[name] = chr(data[offset])
        table[name], offset = _value(data, offset, end, depth)
    if offset != end:
        raise IndexError
    return table


def _value(data: bytes, offset: int, end: int, depth: int) -> tuple[Any, int]:
    letter = chr(data[offset])
    offset += 1
    if letter in _NUMBERS:
        number = _NUMBERS[letter]
        return number.unpack_from(data, offset)[0], offset + number.size
    if letter in "SFAx":
        if depth >= _MAX_DEPTH:
            raise Refusal(502, "field table nested too deeply")
        stop = offset + 4 + _LONG.unpack_from(data, offset)[0]
        if stop > end:
            raise IndexError
        offset += 4
        if letter == "S":
            return data[offset:stop].decode("utf-8", "surrogateescape"), stop
        if letter == "F":
            return _table(data, offset, stop, depth + 1), stop
        if letter == "x":
            return data[offset:stop], stop
        items = []
        while offset < stop:
            item, offset = _value(data, offset, stop, depth + 1)
            items.append(item)
        return items, stop
    if letter == "t":
        return data[offset] != 0, offset + 1
    if letter == "T":
        return Timestamp(struct.unpack_from(">Q", data, offset)[0]), offset + 8
    if letter == "D":
        return struct.unpack_from(">Bi", data, offset), offset + 5
    if letter == "V":
        return None, offset
    raise KeyError(letter)
