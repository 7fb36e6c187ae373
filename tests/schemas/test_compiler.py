"""The known errors of fastjsonschema, and a comparison on small schemas of every keyword."""

from __future__ import annotations

import json
import math
import random
import re
import urllib.request
from contextlib import suppress
from copy import deepcopy
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from pulsekit._documents.nesting import MAX_DEPTH
from pulsekit.errors import SchemaError
from pulsekit.schemas.compiler import compile_members
from pulsekit.schemas.drafts import check_schema
from pulsekit.schemas.explain import list_problems
from pulsekit.schemas.schema import load_schema

if TYPE_CHECKING:
    from collections.abc import Callable

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_6 = "http://json-schema.org/draft-06/schema#"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
ORACLES = {
    DRAFT_4: jsonschema.Draft4Validator,
    DRAFT_6: jsonschema.Draft6Validator,
    DRAFT_7: jsonschema.Draft7Validator,
}

VALUES: list[Any] = [
    None, True, False, 0, 1, 1.0, -0.0, -1, 2, 2.5, 7, 10**400, 2**53 + 1, 1e300, math.inf, "", "a", "A", "aa", "a\n",
    "a\n\n", "$", "a$", "é", "٣", "😀", "\ud800", "1", "YQ==", "{}", "a" * 100, [], [1], [1, 1.0], [1, True],
    [0, False], [[1], [True]], [{"a": 1}, {"a": 1.0}], [None, None], ["a", 1, None], {}, {"a": 1}, {"a": "x"}, {"b": 1},
    {"": 1},
    {"a": 1, "b": 2}, {"a.b": 1, "a[0]": 2}, {"$ref": "x"}, {"{data}": 1}, {"a": {"a": {"a": 1}}}, {"A": 1, "a": True},
    {"é\n": 1},
]  # fmt: skip

PATTERNS = ["^a$", "$", "[$]", r"a\$", r"\\$", "^[]$a]+$", "^[^$]$", "^(a|$)", r"^\w$", r"^\d$", "(?i)^A$"]

SCHEMAS: list[dict[str, Any]] = [
    *({"type": name} for name in ("null", "boolean", "integer", "number", "string", "array", "object")),
    {"type": ["integer", "string"]},
    *({"enum": [value]} for value in (1, 1.0, True, False, 0, None, "a", [1], [True], {"a": 1}, {"a": True}, [], {})),
    {"enum": []},
    {"enum": ["a", 1, [1.0], None]},
    *({"type": name, "enum": ["a", 7, True, 2.5, {}]} for name in ("string", "integer", "number", "boolean", "object")),
    {"type": ["string", "null"], "enum": ["a", None], "maxLength": 1},
    {"const": 1},
    {"const": False},
    {"const": [{"a": 1}]},
    {"minLength": 1, "maxLength": 2},
    *({"pattern": pattern} for pattern in PATTERNS),
    {"minimum": 1, "maximum": 2},
    {"multipleOf": 2},
    {"multipleOf": 0.5},
    {"minItems": 1, "maxItems": 2, "uniqueItems": True},
    {"uniqueItems": False},
    {"items": {"type": "integer"}},
    {"items": [{"type": "integer"}, {"type": "boolean"}]},
    {"items": [{"type": "integer"}], "additionalItems": False},
    {"items": [{}], "additionalItems": True},
    {"items": [{}], "additionalItems": {"type": "number"}},
    {"contains": {"type": "boolean"}},
    {"minProperties": 1, "maxProperties": 1},
    {"required": ["a"]},
    {"required": ["a"], "additionalProperties": False},
    {"required": ["a"], "properties": {"b": {}}, "additionalProperties": False},
    {"required": ["a"], "properties": {"a": {}, "b": {}}, "additionalProperties": False, "type": "object"},
    {"properties": {"a": {}, "b": {}}, "dependencies": {"a": {"properties": {"a": {}}, "additionalProperties": False}}},
    {"properties": {}, "additionalProperties": False},
    {"properties": {}},
    {"type": "object", "properties": {}, "additionalProperties": {}},
    {"type": "object", "propertyNames": False},
    {"properties": {"a": {"type": "integer"}, "{data}": {"not": {}}, "a.b": {"maximum": 0}}},
    {"properties": {"a": {"type": "integer"}}, "additionalProperties": True},
    {"properties": {"a": {}}, "additionalProperties": False},
    {"patternProperties": {"^b$": {"type": "integer"}, '"': {}}},
    {"properties": {"a": {}}, "patternProperties": {"^b$": {}}, "additionalProperties": False},
    {"additionalProperties": {"type": "integer"}},
    {"propertyNames": {"pattern": "^[a-z]$"}},
    {"dependencies": {"a": ["b"], "b": {"minProperties": 2}}},
    {"allOf": [{"type": "integer"}, {"minimum": 1}]},
    {"anyOf": [{"type": "integer"}, {"minLength": 2}]},
    {"oneOf": [{"type": "integer"}, {"minimum": 1}, {"type": "string"}]},
    {"not": {"type": ["integer", "string"]}},
    {"if": {"type": "integer"}, "then": {"minimum": 1}, "else": {"type": "string"}},
    {"if": {"type": "integer"}, "else": {"type": "string"}},
    {"$ref": "#/definitions/a", "maximum": -1, "definitions": {"a": {"minimum": 1}}},
    {"properties": {"a": {"$ref": "#"}}, "type": ["object", "integer"]},
    # Parts of the code that do not affect the verdict.
    {"format": "date-time"},
    {"format": "ipv4"},
    {"contentEncoding": "base64"},
    {"contentMediaType": "application/json"},
    {"$comment": "x", "title": "x", "examples": [{"$ref": "http://127.0.0.1:9/x"}], "unknown": 1},
]  # fmt: skip


@pytest.mark.parametrize("draft", ORACLES)
@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_every_keyword_decides_as_jsonschema_does(
    schema: dict[str, Any], draft: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The compiled code must give a verdict, except for numbers that it cannot divide.
    monkeypatch.setattr("pulsekit.schemas.schema._UNJUDGED", (ArithmeticError, ValueError))
    given = {"$schema": draft, **deepcopy(schema)}
    ours, oracle, checked = load_schema(given), ORACLES[draft](given), check_schema(given)
    for value in VALUES:
        try:
            verdict = oracle.is_valid(value)
        except (OverflowError, ValueError):  # jsonschema cannot divide infinity either, so Treeherder drops the job
            verdict = ours.is_valid(value, "treeherder")
        assert ours.is_valid(value, "treeherder") is verdict, value
        assert (list_problems(checked, value, formats=False, most=1) == []) is verdict, value


@pytest.mark.parametrize("count", [400, pytest.param(5_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("draft", ORACLES)
@pytest.mark.timeout(600)
def test_keywords_beside_and_within_each_other_decide_as_jsonschema_does(
    draft: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSEKIT_NO_CACHE", "1")
    monkeypatch.setattr("pulsekit.schemas.schema._UNJUDGED", (ArithmeticError, ValueError))
    chance = random.Random(draft)
    plain = [schema for schema in SCHEMAS if "$ref" not in json.dumps(schema)]
    values = [*VALUES, *({"a": value, "b": value} for value in VALUES), *([value, "a"] for value in VALUES)]

    def combined(depth: int) -> dict[str, Any]:
        schema: dict[str, Any] = {}
        for _ in range(chance.randint(1, 3)):
            schema |= deepcopy(chance.choice(plain))
        if depth:
            inner, other = combined(depth - 1), combined(depth - 1)
            schema |= chance.choice(
                [
                    {"items": inner},
                    {"items": [inner], "additionalItems": other},
                    {"contains": inner},
                    {"properties": {"a": inner, "b": other}, "additionalProperties": False},
                    {"properties": {"a": inner}, "patternProperties": {"b": other}},
                    {"additionalProperties": inner},
                    {"propertyNames": inner},
                    {"dependencies": {"a": inner, "b": ["a"]}},
                    {"anyOf": [inner, other]},
                    {"oneOf": [inner, other]},
                    {"allOf": [inner, other]},
                    {"not": inner},
                    {"if": inner, "then": other},
                ]
            )
        return schema

    for _ in range(count):
        given = {"$schema": draft, **combined(chance.randint(0, 3))}
        ours, oracle, checked = load_schema(given), ORACLES[draft](given), check_schema(given)
        members = compile_members(checked, formats=False)
        for value in chance.sample(values, 20):
            with suppress(OverflowError, ValueError):  # jsonschema cannot divide infinity
                verdict = oracle.is_valid(value)
                assert ours.is_valid(value, "treeherder") is verdict, (given, value)
                problems = list_problems(checked, value, formats=False, most=9)
                assert problems == list_problems(checked, value, formats=False, most=9, members=members)
                assert (problems == []) is verdict, (given, value)


@pytest.mark.parametrize("draft", [DRAFT_6, DRAFT_7])
@pytest.mark.parametrize("keyword", ["not", "contains", "propertyNames", "items", "additionalProperties"])
@pytest.mark.parametrize("allowed", [True, False])
def test_a_schema_may_be_true_or_false_from_draft_6_on(keyword: str, draft: str, allowed: bool) -> None:
    given = {"$schema": draft, keyword: allowed, "properties": {"a": True, "b": False}}
    for value in VALUES:
        assert load_schema(given).is_valid(value) is ORACLES[draft](given).is_valid(value), value


@pytest.mark.parametrize("exclusive", [True, False])
def test_exclusive_limits_of_draft_4_are_flags(exclusive: bool) -> None:
    flags = {"exclusiveMinimum": exclusive, "exclusiveMaximum": exclusive}
    given = {"$schema": DRAFT_4, "minimum": 1, "maximum": 2.5, **flags}
    for value in VALUES:
        assert load_schema(given).is_valid(value) is jsonschema.Draft4Validator(given).is_valid(value)
        assert (load_schema(given).problems(value) == ()) is load_schema(given).is_valid(value)


@pytest.mark.parametrize("draft", [DRAFT_6, DRAFT_7])
def test_exclusive_limits_are_numbers_later(draft: str) -> None:
    given = {"$schema": draft, "exclusiveMinimum": 1, "exclusiveMaximum": 2.5}
    for value in VALUES:
        assert load_schema(given).is_valid(value) is ORACLES[draft](given).is_valid(value)


def test_validating_inserts_no_defaults() -> None:
    payload: dict[str, Any] = {"inner": {}, "list": []}
    schema = load_schema(
        {
            "properties": {
                "a": {"default": 1},
                "inner": {"properties": {"b": {"default": 2}}},
                "list": {"items": [{"default": 3}]},
            }
        }
    )
    schema.check(payload)
    assert payload == {"inner": {}, "list": []}


def test_compiling_does_not_change_the_schema() -> None:
    given = {
        "$id": "http://example.com/x/schema",
        "properties": {
            "a": {"$ref": "#/definitions/a"},
            "b": {"$ref": "http://example.com/x/schema#/definitions/b"},
        },
        "definitions": {"a": {"type": "integer"}, "b": {"pattern": "a$", "format": "uri", "default": 1}},
    }
    before = deepcopy(given)
    load_schema(given).check({"a": 1})
    assert given == before


def test_definitions_with_similar_names_stay_separate() -> None:
    schema = load_schema(
        {
            "properties": {name: {"$ref": f"#/definitions/{name}"} for name in ("a-b", "A_B", "a.b", "ab")},
            "definitions": {
                "a-b": {"type": "integer"},
                "A_B": {"type": "string"},
                "a.b": {"type": "boolean"},
                "ab": {"type": "null"},
            },
        }
    )
    assert schema.is_valid({"a-b": 1, "A_B": "x", "a.b": True, "ab": None})
    for name in ("a-b", "A_B", "a.b", "ab"):
        assert not schema.is_valid({name: []})


@pytest.mark.parametrize(
    "reference",
    [
        "http://127.0.0.1:9/schema.json",
        "https://example.com/x#/definitions/a",
        "file:///etc/passwd",
        "other.json",
        "//example.com/x",
        "urn:x:y",
    ],
)
def test_nothing_is_fetched(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_: pytest.fail("fetched"))
    with pytest.raises(SchemaError, match=r"/properties/a/\$ref: .*outside of this schema; nothing is fetched"):
        load_schema({"properties": {"a": {"$ref": reference}}})
    # In data, $ref is not a reference.
    for keyword in ("const", "default"):
        load_schema({"properties": {"a": {keyword: {"$ref": reference}}}}).problems({"a": 1})
    load_schema({"enum": [{"$ref": reference}]}).problems({"a": 1})


def test_names_in_a_schema_cannot_become_code() -> None:
    nasty = [
        '"',
        "\\",
        '\\"',
        "'",
        "{",
        "}",
        "{data}",
        "{0}",
        "\n",
        "\r",
        '"] = 1 #',
        "{data.__class__}",
        "\u2028",
        "%s",
        "",
    ]
    schema = load_schema(
        {
            "properties": {name: {"type": "integer", "enum": [1, name], "pattern": re.escape(name)} for name in nasty},
            "required": nasty,
            "additionalProperties": False,
            "dependencies": dict.fromkeys(nasty, nasty),
        }
    )
    assert schema.is_valid(dict.fromkeys(nasty, 1))
    assert not schema.is_valid(dict.fromkeys(nasty, 2))
    assert {problem.rule for problem in schema.problems({"x": 1})} == {"required", "additionalProperties"}


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        ({"multipleOf": 0.5}, 10**400),
        ({"multipleOf": 2}, math.inf),
        ({"multipleOf": 0.1}, math.nan),
        ({"items": {"$ref": "#"}}, "deep"),
        ({"anyOf": [{"items": {"$ref": "#"}}, {"type": "null"}]}, "deep"),
        ({"$ref": "#"}, 1),
        ({"allOf": [{"$ref": "#"}]}, 1),
        ({"propertyNames": {"pattern": "a"}}, {1: 2}),
        ({"patternProperties": {"a": {}}}, {None: 2}),
        ({"uniqueItems": True}, [{1, 2}]),
        ({"minimum": 1}, 1 + 1j),
        ({"minimum": 1}, Decimal(0)),
        ({"type": "number"}, Decimal(1)),
    ],
)
def test_an_exception_of_the_compiled_code_becomes_a_verdict(schema: dict[str, Any], payload: Any) -> None:
    if payload == "deep":
        payload = []
        for _ in range(100_000):
            payload = [payload]
    loaded = load_schema(schema)
    for problem in loaded.problems(payload):
        assert problem.message
    assert loaded.is_valid(payload) is (loaded.problems(payload) == ())


def test_a_payload_too_deep_for_its_schema_is_reported() -> None:
    payload: Any = []
    for _ in range(100_000):
        payload = [payload]
    (problem,) = load_schema({"items": {"$ref": "#"}}).problems(payload)
    assert (problem.rule, problem.message) == ("depth", "is nested too deeply to be validated")


def test_fractions_divide_as_they_are_written() -> None:
    schema = {"multipleOf": 0.01}
    for payload, fits in [(19.01, True), (0.3, True), (19.015, False)]:
        assert load_schema(schema).is_valid(payload) is fits
        assert (list_problems(check_schema(schema), payload, formats=False, most=1) == []) is fits


@pytest.mark.parametrize("value", [math.nan, math.inf, [{"a": -math.inf}]])
@pytest.mark.parametrize("keyword", ["enum", "const"])
def test_nan_and_infinity_are_refused_in_a_schema(keyword: str, value: Any) -> None:
    with pytest.raises(SchemaError, match=f"at /{keyword}: it has a number that JSON cannot represent"):
        load_schema({keyword: [value]})


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: {"items": inner},
        lambda inner: {"properties": {"a": inner}, "additionalProperties": False},
        lambda inner: {"additionalProperties": inner},
        lambda inner: {"contains": inner},
        lambda inner: {"not": inner},
    ],
    ids=["items", "properties", "additionalProperties", "contains", "not"],
)
def test_a_schema_of_any_permitted_depth_is_compiled(wrap: Callable[[Any], dict[str, Any]]) -> None:
    deep: dict[str, Any] = {"type": "integer"}
    for _ in range(60):
        deep = wrap(deep)
    loaded = load_schema(deep)
    for payload in (
        1,
        "a",
        [1],
        {"a": 1},
        json.loads("[" * 60 + "1" + "]" * 60),
        json.loads("[" * 60 + "true" + "]" * 60),
        json.loads('{"a":' * 60 + "1" + "}" * 60),
        json.loads('{"a":' * 60 + '""' + "}" * 60),
    ):
        found = list_problems(check_schema(deep), payload, formats=True, most=9)
        assert loaded.is_valid(payload) is (found == [])


def test_a_schema_that_is_too_deep_is_refused_with_a_message() -> None:
    deep: dict[str, Any] = {"type": "integer"}
    for _ in range(MAX_DEPTH):
        deep = {"items": deep}
    with pytest.raises(SchemaError, match="nested too deeply"):
        load_schema(deep)


def test_a_long_chain_of_references_is_followed() -> None:
    chain = {str(number): {"$ref": f"#/definitions/{number + 1}"} for number in range(1000)}
    definitions = chain | {"1000": {"type": "integer"}}
    loaded = load_schema({"$ref": "#/definitions/900", "definitions": definitions})
    assert loaded.is_valid(1)
    assert [problem.rule for problem in loaded.problems("a")] == ["type"]
    assert len(check_schema({"$ref": "#/definitions/0", "definitions": definitions}).targets) == 1001


@pytest.mark.parametrize("pattern", ["(?m)^a$", "(?im)a", "^(?m:a$)"])
def test_a_pattern_that_changes_what_a_dollar_means_is_refused(pattern: str) -> None:
    with pytest.raises(SchemaError, match="flag m"):
        load_schema({"pattern": pattern}).check("a")


def test_a_literal_question_mark_after_a_bracket_is_not_a_flag() -> None:
    assert load_schema({"pattern": r"^\(?mobile(?#$)$"}).is_valid("(mobile\n")
