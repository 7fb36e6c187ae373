"""JSON of payloads, compared with the standard library, which Treeherder uses."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pulsekit
from pulsekit._documents.canonical import read_canonical
from pulsekit._documents.payloads import decode_body, encode_payload, load_json

TEXT = st.text(st.characters(codec=None))  # with lone surrogates
NUMBERS = st.integers() | st.integers(2**63 - 3, 2**64 + 3) | st.floats() | st.integers(-(2**63) - 3, 3 - 2**63)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
# Texts that are nearly JSON, or that only one of the two readers accepts.
PIECES = st.sampled_from(
    [
        *'[]{},:"\\-0.e+ \n\x00\ufeffé\u2028',
        "\\u",
        "d800",
        "9" * 18,
        "1" * 20,
        "400",
        "NaN",
        "-Infinity",
        "null",
        "true",
        '"a"',
    ]
)


def same(one: Any, other: Any) -> bool:
    """Compare as JSON does: types count, and NaN equals NaN."""
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (one == other and str(one) == str(other))
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    return bool(one == other)


@given(VALUES)
def test_the_standard_library_reads_a_written_payload_as_the_same(payload: Any) -> None:
    try:
        json.dumps(payload, allow_nan=False)
    except ValueError:
        with pytest.raises(pulsekit.InvalidMessage, match="cannot be written as JSON"):
            encode_payload(payload)
    else:
        assert same(json.loads(encode_payload(payload)), payload)


@given(VALUES)
def test_a_body_is_read_as_the_standard_library_reads_it(value: Any) -> None:
    assert same(decode_body(json.dumps(value).encode()), value)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_text_is_json_if_the_standard_library_reads_it(text: str) -> None:
    body = text.encode()
    try:
        value = json.loads(text.removeprefix("\ufeff"))
    except ValueError:
        with pytest.raises(pulsekit.DocumentError):
            decode_body(body)
    else:
        assert same(decode_body(body), value)


@pytest.mark.parametrize(
    "before", ["", "-", "[", "[-", "[1,", "[1, ", "[1,\t", "[\r\n", '{"a":', '{"a": ', '["11111111111111111111",']
)
@pytest.mark.parametrize("size", [19, 20, 38, 57])
def test_an_integer_beyond_64_bits_is_exact_wherever_it_begins(before: str, size: int) -> None:
    text = before + "9" * size + {"[": "]", "{": "}"}.get(before[:1], "")
    assert same(load_json(text.encode()), json.loads(text))


def test_an_identifier_of_digits_is_not_read_by_the_slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'{"message_id":"%s","n":[1]}' % (b"0123456789" * 10)
    monkeypatch.setattr(json, "loads", None)
    assert load_json(text) == {"message_id": "0123456789" * 10, "n": [1]}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_json_in_another_encoding_than_utf_8_is_not_json(encoding: str) -> None:
    with pytest.raises(pulsekit.DocumentError):
        decode_body('{"é": 1}'.encode(encoding))


def test_an_unescaped_surrogate_is_not_json() -> None:
    with pytest.raises(pulsekit.DocumentError, match="0xed"):
        decode_body(b'"\xed\xa0\x80"')
    assert decode_body(b'"\\ud800"') == "\ud800"


@pytest.mark.parametrize("payload", [math.nan, [None, {"a": math.inf}], {1, 2}, object()])
def test_values_that_json_cannot_represent_are_refused(payload: Any) -> None:
    with pytest.raises(pulsekit.InvalidMessage, match="cannot be written as JSON"):
        encode_payload(payload)


def test_text_is_written_as_utf_8_and_escaped_only_if_necessary() -> None:
    assert encode_payload({"é": "🦊\u2028"}) == '{"é":"🦊\u2028"}'.encode()
    assert encode_payload(["é", "\ud800"]) == b'["\\u00e9","\\ud800"]'


@given(VALUES)
def test_encoded_payloads_are_canonical_and_read_by_the_standard_library(value: Any) -> None:
    try:
        body = encode_payload(value)
        read = read_canonical(body)
    except (ValueError, pulsekit.InvalidMessage):
        return  # NaN, or a text that the readers read differently
    assert repr(read) == repr(json.loads(body))


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a": 1}',
        b"[1.50]",
        b"[NaN]",
        b"[1e999]",
        b"[12345678901234567890123]",
        b'["\\ud800"]',
        b'["\\u00e9"]',
        b'"\xff"',
        b"\xef\xbb\xbf1",
        b"1\n",
        b"[" * 300 + b"]" * 300,
        b"",
        b"{",
    ],
)
def test_text_that_readers_interpret_differently_is_not_canonical(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_canonical(body)
