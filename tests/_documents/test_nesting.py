"""The limit on nesting: the same for all documents, versions of Python and depths of the stack."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit import ConfigurationError, DocumentError, InvalidMessage
from pulsekit._documents.canonical import read_canonical
from pulsekit._documents.document import parse_json, parse_yaml
from pulsekit._documents.nesting import MAX_DEPTH, is_deeper, is_deeper_text
from pulsekit._documents.payloads import decode_body, encode_payload
from pulsekit.schemas.edits import Edits
from pulsekit.schemas.schema import load_schema

if TYPE_CHECKING:
    from collections.abc import Callable


def lists(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def objects(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def value(depth: int) -> Any:
    made: Any = []
    for _ in range(depth - 1):
        made = [made]
    return made


def far_down(call: Callable[[], Any], frames: int = 400) -> Any:
    return far_down(call, frames - 1) if frames else call()


READERS = [
    lambda text: parse_json(text).value,
    lambda text: parse_yaml(text).value,
    decode_body,
    read_canonical,
]


@pytest.mark.parametrize("nested", [lists, objects])
@pytest.mark.parametrize("read", READERS, ids=["parse_json", "parse_yaml", "decode_body", "read_canonical"])
def test_every_reader_has_the_same_depth_limit_on_any_stack(
    read: Callable[[bytes], Any], nested: Callable[[int], bytes]
) -> None:
    text = nested(MAX_DEPTH)
    if read is READERS[1]:
        text = text.replace(b":", b": ")  # otherwise YAML reads it as a key
    assert far_down(lambda: read(text)) == json.loads(text)
    with pytest.raises((DocumentError, ValueError), match="nested too deeply"):
        read(b"[" + text + b"]")


def test_the_first_bracket_beyond_the_limit_is_reported() -> None:
    with pytest.raises(DocumentError, match=f"more than {MAX_DEPTH} levels") as caught:
        parse_json('["é]", "\\"]",\n' + "{" * 10 + "[" * MAX_DEPTH)
    assert (caught.value.line, caught.value.column) == (2, MAX_DEPTH)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([["[{" * 300, "\\", '"[[' * 300, "]" * 300], {"]}" * 300: {}}]).encode(),
        b"[[], {}, [1, 2]]" * 200,
        b"[" + b",".join([lists(MAX_DEPTH - 1)] * 9) + b"]",
        b'"' + b"[" * 1000,
        b"[]" * 1000 + b"[" * MAX_DEPTH,
    ],
    ids=["strings", "many", "at the limit", "no end", "open"],
)
def test_brackets_in_strings_or_side_by_side_add_no_depth(text: bytes) -> None:
    assert not is_deeper_text(text)


def test_a_value_is_as_deep_as_its_text() -> None:
    for depth in (1, 7, 8):
        assert is_deeper(value(depth), 7) is is_deeper_text(lists(depth), 7) is (depth > 7)
    assert not is_deeper({"a": 1}, 1)
    assert is_deeper({"a": {}}, 1)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 400, 100_000])
def test_payloads_that_could_not_be_read_are_not_written(depth: int) -> None:
    assert far_down(lambda: encode_payload(value(MAX_DEPTH))) == lists(MAX_DEPTH)
    with pytest.raises(InvalidMessage, match="nested too deeply"):
        encode_payload(value(depth))


def test_a_path_longer_than_any_payload_is_deep_is_refused() -> None:
    longest = Edits([".".join(["a"] * MAX_DEPTH) + "=1"])
    assert is_deeper(far_down(lambda: longest.apply({}), 300), MAX_DEPTH - 1)
    with pytest.raises(ConfigurationError, match=f"has {MAX_DEPTH + 1} steps"):
        Edits([".".join(["a"] * (MAX_DEPTH + 1)) + "=1"])


def test_the_verdict_on_a_deep_payload_does_not_depend_on_the_stack() -> None:
    schema = load_schema({"items": {"$ref": "#"}, "type": "array"})
    for depth, rule in ((MAX_DEPTH // 2 - 1, "type"), (MAX_DEPTH - 1, "depth")):
        payload = json.loads(lists(depth).replace(b"[]", b"[1]"))
        found = schema.problems(payload)
        assert [problem.rule for problem in found] == [rule]
        assert far_down(lambda payload=payload: schema.problems(payload), 300) == found


def test_every_python_reads_at_least_the_limit() -> None:
    assert sys.getrecursionlimit() > MAX_DEPTH * 4


@given(
    st.recursive(
        st.text('[]{}"\\a'), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('["\\'), inner)
    )
)
def test_the_depth_of_a_text_equals_that_of_its_value(payload: Any) -> None:
    text = json.dumps(payload, indent=1).encode()
    for levels in range(4):
        assert is_deeper_text(text, levels) is is_deeper(payload, levels)
