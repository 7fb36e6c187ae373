from __future__ import annotations

import json
import math

import pytest

from pulsekit.documents import parse_json
from pulsekit.errors import DocumentError


def test_what_treeherder_reads_is_read() -> None:
    value = parse_json(
        '{"a": "\\ud800", "b": NaN, "c": 1e999, "d": -Infinity, "e": 12345678901234567890123, "f": -0.0}'
    ).value
    assert isinstance(value, dict)
    assert value["a"] == "\ud800"
    assert math.isnan(value["b"])  # type: ignore[arg-type]
    assert (value["c"], value["d"], value["e"]) == (math.inf, -math.inf, 12345678901234567890123)


def test_deep_nesting_is_read_as_far_as_python_does() -> None:
    assert parse_json("[" * 500 + "]" * 500).value == json.loads("[" * 500 + "]" * 500)
    with pytest.raises(DocumentError, match="nested too deeply"):
        parse_json("[" * 500_000)
    with pytest.raises(DocumentError, match="nested too deeply"):
        parse_json('{"a":' * 500_000)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('{"a": 1, "a": 2}', (1, 10), 'the key "a" stands twice'),
        ('{"x": {"a": 1},\n "y": [{"b": "a\\": {", \n"b": 2}]}', (3, 1), 'the key "b" stands twice'),
        ('{"a": 1, "\\u0061": 2}', (1, 10), "stands twice"),
        ("{'a': 1}", (1, 2), "double quotes"),
        ('{"a": 1,\n}', (2, 1), "remove the comma"),
        ("[1, ]", (1, 5), "remove the comma"),
        ('{"a": True}', (1, 7), "true, false and null"),
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
def test_an_error_tells_place_and_remedy(text: str, place: tuple[int, int], words: str) -> None:
    with pytest.raises(DocumentError, match=words) as caught:
        parse_json(text, source="job.json")
    assert (caught.value.line, caught.value.column) == place
    assert str(caught.value).startswith(f"job.json:{place[0]}:{place[1]}: ")


def test_a_long_string_is_scanned_without_backtracking() -> None:
    long = json.dumps('\\"' * 1_000_000)
    with pytest.raises(DocumentError, match="stands twice"):
        parse_json(f'{{"a": {long}, "b": 1, "b": 2}}')
