from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit._documents.document import parse_json
from pulsekit.errors import DocumentError

if TYPE_CHECKING:
    import random


def test_everything_that_treeherder_reads_is_read() -> None:
    value = parse_json(
        '{"a": "\\ud800", "b": NaN, "c": 1e999, "d": -Infinity, "e": 12345678901234567890123, "f": -0.0}'
    ).value
    assert isinstance(value, dict)
    assert value["a"] == "\ud800"
    assert math.isnan(value["b"])  # type: ignore[arg-type]
    assert (value["c"], value["d"], value["e"]) == (math.inf, -math.inf, 12345678901234567890123)


def test_deep_nesting_is_refused_with_a_message() -> None:
    with pytest.raises(DocumentError, match="nested too deeply"):
        parse_json("[" * 500_000)
    with pytest.raises(DocumentError, match="nested too deeply"):
        parse_json('{"a":' * 500_000)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('{"a": 1, "a": 2}', (1, 10), 'the key "a" occurs twice'),
        ('{"x": {"a": 1},\n "y": [{"b": "a\\": {", \n"b": 2}]}', (3, 1), 'the key "b" occurs twice'),
        ('{"a": 1, "\\u0061": 2}', (1, 10), "occurs twice"),
        ("{'a': 1}", (1, 2), "double quotes"),
        ('{"a": 1,\n}', (2, 1), "remove the comma"),
        ("[1, ]", (1, 5), "remove the comma"),
        ('{"a": True}', (1, 7), "true, false or null"),
        ('{"a": 1 // one\n}', (1, 9), "no comments"),
        ('{"a": 1}\n{"a": 2}', (2, 1), "NDJSON"),
        ('{"a": ', (1, 7), "the text ends"),
        ('{"a": "x', (1, 7), "unterminated string$"),
        ('{"a": "\x00"}', (1, 8), "invalid control character$"),
        ("\x00", (1, 1), r"found '\\x00'"),
        ("", (1, 1), "no JSON value"),
        (f'{{"a": "{"1" * 5000}", "b": [1.{"1" * 5000}, {"2" * 4301}]}}', (1, 10021), "more than 4300 digits"),
    ],
)
def test_an_error_has_a_position_and_a_hint(text: str, place: tuple[int, int], words: str) -> None:
    with pytest.raises(DocumentError, match=words) as caught:
        parse_json(text, source="job.json")
    assert (caught.value.line, caught.value.column) == place
    assert str(caught.value).startswith(f"job.json:{place[0]}:{place[1]}: ")


def test_a_long_string_is_scanned_without_backtracking() -> None:
    long = json.dumps('\\"' * 1_000_000)
    with pytest.raises(DocumentError, match="occurs twice"):
        parse_json(f'{{"a": {long}, "b": 1, "b": 2}}')


def written(value: Any, chance: random.Random, path: tuple[str, ...] = ()) -> tuple[str, dict[tuple[str, ...], int]]:
    """Write JSON with white space anywhere, and return the offset of each value."""

    def space() -> str:
        return "".join(chance.choices(" \t\n\r", k=chance.choice((0, 0, 0, 1, 3))))

    begin = space()
    places = {path: len(begin)}
    if not isinstance(value, dict | list):
        return begin + json.dumps(value, ensure_ascii=chance.random() < 0.5), places
    text = begin + "[{"[isinstance(value, dict)]
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for number, (name, member) in enumerate(members):
        text += "," * (number > 0) + space()
        if isinstance(value, dict):
            text += json.dumps(name, ensure_ascii=chance.random() < 0.5) + space() + ":"
        inner, inner_places = written(member, chance, (*path, str(name)))
        places |= {inner_path: len(text) + offset for inner_path, offset in inner_places.items()}
        text += inner + space()
    return text + space() + "]}"[isinstance(value, dict)], places


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.randoms(use_true_random=False))
def test_every_value_has_a_position(value: Any, chance: random.Random) -> None:
    text, places = written(value, chance)
    document = parse_json(text)
    paths = list(places)
    chance.shuffle(paths)
    for path in [*paths, *paths]:
        before = text[: places[path]]
        pointer = "".join(f"/{token.replace('~', '~0').replace('/', '~1')}" for token in path)
        assert document.locate(pointer) == (before.count("\n") + 1, len(before) - before.rfind("\n"))
        assert document.locate(f"{pointer}/ nowhere\n") == document.locate(pointer)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner), max_leaves=8
)


@given(VALUES, st.booleans())
def test_a_long_line_has_the_value_that_python_reads(value: Any, escapes: bool) -> None:
    line = json.dumps({"value": value, "filler": "x" * 600}, separators=(",", ":"), ensure_ascii=escapes)
    assert repr(parse_json(line.encode(errors="surrogatepass") if escapes else line).value) == repr(json.loads(line))


@pytest.mark.parametrize(
    "odd", ['"a":1,"a":2', '"a":NaN', '"a":1e999', '"a":-0', '"a":1.10', '"a":123456789012345678901', r'"a":"\ud800"']
)
def test_an_odd_value_of_a_long_line_is_read_like_that_of_a_short_one(odd: str) -> None:
    def outcome(text: str) -> str:
        try:
            return repr(parse_json(text).value["a"])  # type: ignore[index, call-overload]
        except DocumentError as error:
            return error.reason

    assert outcome(f'{{{odd},"filler":"{"x" * 600}"}}') == outcome(f"{{{odd}}}")


@pytest.mark.parametrize("filler", ["", "x" * 600])
def test_only_white_space_of_json_may_follow_the_value(filler: str) -> None:
    text = f'{{"filler":"{filler}"}}'
    assert parse_json(f"{text} \t\r\n").value == {"filler": filler}
    for end in ("\v", "\f", "\x1c", "\u00a0"):
        with pytest.raises(DocumentError):
            parse_json(text + end)
