from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pulsekit.errors import ConfigurationError
from pulsekit.records.expressions import Filter, Query

RECORD = {
    "routing_key": "a.b",
    "cc": ["c"],
    "headers": {},
    "payload": {"result": "fail", "tier": 0, "big": [1e308, 1e308]},
}


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("payload.result == 'fail'", True),
        ("payload.result == 'fail' && payload.tier > `1`", False),
        ("contains(cc, 'c')", True),
        ("starts_with(routing_key, 'a.')", True),
        ("headers", False),
        ("payload.tier", True),  # in JMESPath, every number is true, even zero
        ("payload.nothing", False),
        ("`false`", False),
        ("''", False),
    ],
)
def test_a_filter_matches_values_that_jmespath_calls_true(text: str, taken: bool) -> None:
    chosen = Filter(text)
    assert chosen.matches(RECORD) is taken
    assert not chosen.failures


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("payload.[", r"at its end"),
        ("payload $ x", r"'\$ x' \(character 9\)"),
        ("payload.'x'", r"character 9"),
        ("", "is empty"),
        ("payload.x[?nope(@)]", r"unknown function nope\(\)"),
        ("length(a, b)", r"length\(\) takes 1 arguments, not 2"),
        ("not_null()", r"not_null\(\) takes at least 1"),
        ("[" * 20_000, "deeply"),
    ],
)
def test_an_invalid_expression_is_refused_with_the_position(text: str, words: str) -> None:
    for kind in (Filter, Query):
        with pytest.raises(ConfigurationError, match=rf"(?s)--filter.*{words}"):
            kind(text, name="--filter")


def test_a_record_for_which_an_expression_fails_is_skipped_and_counted() -> None:
    total = Filter("sum(payload) > `1`")
    assert [total.matches({"payload": payload}) for payload in ([1, 2], "words", ["x"], [1, 1])] == [
        True,
        False,
        False,
        True,
    ]
    assert total.failures == 2
    assert "sum()" in total.failure


def test_a_query_makes_one_line_of_json() -> None:
    assert Query("[routing_key, payload.result]").line(RECORD) == '["a.b","fail"]'
    assert Query("payload.nothing").line(RECORD) == "null"
    assert Query("payload").line({"payload": "\x1b\u202e"}) == '"\\u001b\\u202e"'


def test_a_number_that_json_lacks_is_a_failure() -> None:
    query = Query("sum(payload.big)")
    assert query.line(RECORD) is None
    assert query.failures == 1
    assert query.failure


def test_jmespath_is_imported_only_for_an_expression() -> None:
    modules = subprocess.run(
        [sys.executable, "-c", "import sys, json, pulsekit.records.expressions; print(json.dumps(list(sys.modules)))"],
        capture_output=True,
        check=True,
    ).stdout
    assert "jmespath" not in json.loads(modules)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("payload.reslt == 'fail'", ("payload.reslt; did you mean payload.result?",)),
        ("paylod.result == 'fail'", ("paylod; did you mean payload?",)),
        ("payload.result == 'fail' && !(payload.teir)", ("payload.teir; did you mean payload.tier?",)),
        ("contains(ccs, 'x') || starts_with(routing_key, 'x')", ("ccs; did you mean cc?",)),
        ("[routing_key, payload.tear]", ("payload.tear; did you mean payload.tier?",)),
        ("{a: payload.xyz, b: payload.xyz.more}", ("payload.xyz",)),
        ("payload.bigg[0]", ("payload.bigg; did you mean payload.big?",)),
        ("payload.bigs[?x == 'a'].y | [0]", ("payload.bigs; did you mean payload.big?",)),
        ("@.payload.nul", ("payload.nul; did you mean payload.null?",)),
        ("payload.tier.deep", ("payload.tier.deep",)),
        ("payload.null", ()),
        ("payload.big[*].anything", ()),
        ("payload.big[?anything == `1`]", ()),
        ("sort_by(payload.big, &anything)", ()),
        ("payload.* | [0].anything", ()),
        ("headers.x || payload.tier", ("headers.x",)),
    ],
)
def test_missing_fields_are_named_with_suggestions(text: str, missing: tuple[str, ...]) -> None:
    record = RECORD | {"payload": RECORD["payload"] | {"null": None}}  # type: ignore[operator] # a dict
    query = Query(text)
    query.line(record)
    query.line(RECORD | {"payload": None})
    query.line(record)
    assert query.missing_fields == missing


def test_a_field_that_any_record_has_is_not_missing() -> None:
    chosen = Filter("payload.result == 'x' || payload.tier == `7`")
    for payload in ({"result": "y"}, {"tier": 1}, {}):
        chosen.matches({"payload": payload})
    assert chosen.missing_fields == ()
