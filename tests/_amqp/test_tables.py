"""Field tables, compared with pamqp for all types that pamqp can read."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode

import pulsekit
from pulsekit._amqp.frames import PublishHeader
from pulsekit._amqp.properties import read_properties
from pulsekit._amqp.tables import encode_table, read_table
from pulsekit._amqp.types import Properties

SIZES = {"t": 1, "b": 1, "B": 1, "s": 2, "u": 2, "I": 4, "i": 4, "l": 8, "L": 8, "f": 4, "d": 8, "D": 5, "V": 0}


def table(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def field(letter: str, data: bytes, name: bytes = b"a") -> bytes:
    return bytes([len(name)]) + name + letter.encode() + data


def fixed(letter: str) -> st.SearchStrategy[bytes]:
    size = SIZES[letter]
    return st.binary(min_size=size, max_size=size).map(letter.encode().__add__)


FIXED = st.sampled_from(sorted(SIZES)).flatmap(fixed)
# Up to the year 2514, in thousandths of a second as well.
TIMES = (st.integers(0, 2**32 - 1) | st.integers(2**33, 2**44)).map(lambda number: b"T" + struct.pack(">Q", number))
TEXTS = st.binary(max_size=9).map(lambda data: b"S" + table(data)) | st.text(max_size=9).map(
    lambda text: b"S" + table(text.encode())
)
VALUES = st.recursive(
    FIXED | TIMES | TEXTS | st.binary(max_size=9).map(lambda data: b"x" + table(data)),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: b"A" + table(b"".join(parts)))
        | st.dictionaries(st.text(max_size=3), inner, max_size=3).map(lambda parts: b"F" + of(parts))
    ),
    max_leaves=8,
)


def of(parts: dict[str, bytes]) -> bytes:
    return table(b"".join(bytes([len(name.encode())]) + name.encode() + value for name, value in parts.items()))


def plain(value: Any) -> Any:
    """Return the values of pamqp with bytes instead of bytearrays."""
    if isinstance(value, list):
        return list(map(plain, value))
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return bytes(value) if isinstance(value, bytearray) else value


@given(st.dictionaries(st.text(max_size=9), VALUES, max_size=4), st.binary(max_size=3), st.binary(max_size=3))
def test_a_table_is_read_as_pamqp_reads_it(parts: dict[str, bytes], before: bytes, behind: bytes) -> None:
    data = of(parts)
    found, end = read_table(before + data + behind, len(before))
    assert end == len(before) + len(data)
    assert repr(found) == repr(plain(decode.field_table(data)[1]))  # as text, for NaN is not itself


@given(st.binary(max_size=60))
def test_any_bytes_are_a_table_or_a_known_error(data: bytes) -> None:
    try:
        read_table(data, 0)
    except (LookupError, ValueError, struct.error):
        return


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (field("V", b"", b"\xff\x1b"), {"\ufffd\x1b": None}),
        (field("S", table(b"\xff")), {"a": b"\xff"}),
        (field("T", b"\xff" * 8), {"a": 2**64 - 1}),
        (field("T", struct.pack(">Q", 1 << 62)), {"a": 1 << 62}),
        (field("T", struct.pack(">Q", 1700000000)), {"a": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)}),
        (field("T", struct.pack(">Q", 1700000000500)), {"a": datetime(2023, 11, 14, 22, 13, 20, 500000, UTC)}),
        (field("D", b"\xff\xff\xff\xff\xff"), {"a": Decimal("-1E-255")}),
        (field("\0", b""), {"a": None}),
        (field("V", b"") + field("t", b"\x07"), {"a": True}),
    ],
)
def test_every_table_that_a_broker_forwards_is_read(content: bytes, found: dict[str, Any]) -> None:
    assert read_table(table(content), 0)[0] == found


@pytest.mark.parametrize(
    "content",
    [
        field("?", b""),
        field("S", b"\xff\xff\xff\xff"),
        field("A", b"\xff\xff\xff\xf0"),
        field("x", struct.pack(">I", 1)),
        field("l", b"1234567"),
        field("A", table(b"l" + b"1234")) + field("l", b"12345678"),
        b"\x09a",
        field("V", b"")[:-1],
    ],
)
def test_a_malformed_table_is_an_error_with_a_message(content: bytes) -> None:
    header = bytes(12) + b"\x20\x00" + table(content)
    with pytest.raises(pulsekit.InvalidMessage, match="cannot be read"):
        read_properties(header)


@pytest.mark.parametrize(("depth", "readable"), [(64, True), (65, False), (18_000, False)])
@pytest.mark.parametrize("letter", ["A", "F"])
def test_nesting_is_limited(letter: str, depth: int, readable: bool) -> None:
    # Writing from the inside out would take quadratic time, so the lengths are computed first.
    name = b"" if letter == "A" else b"\x00"
    size = 5 + len(name)
    levels = [name + letter.encode() + struct.pack(">I", size * (depth - 1 - level)) for level in range(1, depth)]
    content = (b"\x00" if letter == "A" else b"") + b"".join(levels)
    header = bytes(12) + b"\x20\x00" + table(content)
    if readable:
        found: Any = read_properties(header)[1]
        levels = 0
        while found:
            found = found[0] if isinstance(found, list) else found[""]
            levels += 1
        assert levels == depth - 1
    else:
        with pytest.raises(pulsekit.InvalidMessage, match="64 levels"):
            read_properties(header)


class Watched(bytes):
    """A `bytes` that counts the bytes copied out of it."""

    copied = 0

    def __getitem__(self, at: Any) -> Any:
        part = super().__getitem__(at)
        Watched.copied += len(part) if isinstance(part, bytes) else 0
        return part


@pytest.mark.parametrize("content", [b"\x00V" * 50_000, field("A", table(b"V" * 100_000)), field("S", table(b"s" * 9))])
def test_a_table_is_read_in_one_pass(content: bytes) -> None:
    Watched.copied = 0
    read_table(Watched(table(content)), 0)
    assert Watched.copied <= len(content)


def test_a_time_beyond_the_year_9999_is_ignored() -> None:
    properties, headers = read_properties(bytes(12) + b"\x00\x48" + b"\xff" * 8 + b"\x03app")
    assert properties == Properties(app_id="app")
    assert headers == {}


@pytest.mark.parametrize("value", ["1e999999999", "-1e999999999", "9" * 100_000, "1e-300", "NaN", "Infinity"])
def test_a_decimal_beyond_amqps_range_is_refused_at_once(value: str) -> None:
    with pytest.raises(pulsekit.InvalidMessage, match="cannot be written"):
        PublishHeader("x", "k", mandatory=False, properties=Properties(), headers={"a": Decimal(value)})


@given(st.dictionaries(st.text(max_size=9), st.text() | st.integers(-(2**63), 2**63 - 1) | st.binary(), max_size=4))
def test_a_written_table_is_read_back(headers: dict[str, Any]) -> None:
    assert read_table(encode_table(headers), 0)[0] == headers


def test_nesting_that_cannot_be_read_is_not_written() -> None:
    lists: Any = []
    tables: Any = {}
    for _ in range(62):
        lists, tables = [lists], {"a": tables}
    for deep in (lists, tables):  # within the table of headers, 64 levels
        assert read_table(encode_table({"a": deep}), 0)[0] == {"a": deep}
        with pytest.raises(ValueError, match="64 levels"):
            encode_table({"a": {"b": deep}})
