from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.pairs import KEYWORDS, PUSH, PUSH_SCHEMA, VALUES
from pulsekit.errors import SchemaError
from pulsekit.hooks import TriggerSchema
from pulsekit.hooks.formats import FORMATS
from pulsekit.hooks.patterns import PatternError, translate
from pulsekit.hooks.trigger_schema import DEFAULT_SCHEMA


def fits(schema: Any, payload: Any) -> bool:
    return not TriggerSchema(schema).problems(payload)


def test_the_schema_of_pushes_allows_pushes_and_names_what_it_discards() -> None:
    schema = TriggerSchema(PUSH_SCHEMA)
    assert not schema.error
    assert not schema.problems(PUSH)
    (problem,) = schema.problems({"payload": PUSH["payload"] | {"type": "obsolete.1"}})
    assert str(problem) == '/payload/type: must be "changegroup.1", not "obsolete.1"'


def test_the_default_schema_discards_every_message_with_a_property() -> None:
    assert fits(DEFAULT_SCHEMA, {})
    assert not fits(DEFAULT_SCHEMA, {"payload": {}})
    assert TriggerSchema(DEFAULT_SCHEMA).allows_nothing


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"properties": {"a": {"tpye": "string"}}}, "/properties/a: Ajv refuses the unknown keyword 'tpye'"),
        ({"anyOf": [{"type": "string"}, {"id": "x"}]}, 'does not support "id"'),
        ({"format": "made-up"}, "unknown format 'made-up'"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "Taskcluster refuses a hook with"),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema"}, "Ajv does not have"),
        ({"anyOf": [{"tpye": "string"}, {}]}, "unknown keyword 'tpye'"),
        ({"anyOf": [{"type": "string"}, {"tpye": 1}]}, "unknown keyword 'tpye'"),
        ({"pattern": r"^a\-b$"}, r"it has the escape \-"),
        ({"pattern": "(?i)a"}, "it has an unknown group"),
        ({"if": {"type": "string"}}, 'refuses "if" without "then" and "else"'),
        ({"then": {"type": "string"}}, 'refuses "then" without "if"'),
        ({"items": {}, "additionalItems": False}, 'refuses "additionalItems"'),
        ({"nullable": True}, '"nullable" without "type"'),
        ({"type": "null", "nullable": False}, "contradicts"),
        ({"properties": {"ab": {}}, "patternProperties": {"^a": {"type": "string"}}}, "the property 'ab'"),
        ({"enum": []}, "at least one value"),
        ({"type": ["string", "string"]}, "different types"),
        ({"allOf": []}, "at least one schema"),
        ({"title": 1}, "wrong type"),
        ({"required": "a"}, "must be a list"),
        ({"$ref": "#/definitions/a", "definitions": {"a": {"unknown": 1}}}, "/definitions/a: Ajv refuses"),
        ({"$ref": "#/definitions/none"}, "not in this schema"),
        ([], "must be an object"),
    ],
)
def test_a_schema_that_ajv_refuses_has_an_error_with_position(schema: Any, words: str) -> None:
    assert words in TriggerSchema(schema).error
    with pytest.raises(SchemaError, match=re.escape(words)):
        TriggerSchema(schema).problems({})


@pytest.mark.parametrize(
    "schema",
    [
        {"definitions": {"a": {"unknown": 1}}},  # no $ref names it
        {"anyOf": [{"if": {}}, {}]},  # Ajv does not compile the members beside one without rules
        {"patternProperties": {"[": {}}},
        {"$schema": "http://json-schema.org/draft-07/schema", "$comment": "c", "examples": [1], "deprecated": True},
    ],
)
def test_a_schema_that_ajv_does_not_compile_is_no_error(schema: Any) -> None:
    assert not TriggerSchema(schema).error


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"$ref": "#/$defs/a", "maxLength": 2, "$defs": {"a": {"type": "string"}}}, "ab", "abc"),
        ({"type": "string", "nullable": True}, None, 1),
        ({"required": ["toString", "a"]}, {"a": 1}, {}),
        ({"required": ["a"], "additionalProperties": False}, 1, {"a": 1}),
        ({"pattern": r"^\d$"}, "1", "\u0661"),
        ({"pattern": "^a$"}, "a", "a\n"),
        ({"properties": {"a": {"format": "email"}}}, {"a": "me@example.org"}, {"a": "me"}),
        ({"format": "int32"}, 5, 5.5),
    ],
)
def test_verdicts_are_those_of_ajv_where_other_validators_differ(schema: Any, good: Any, bad: Any) -> None:
    assert fits(schema, good)
    assert not fits(schema, bad)


def test_a_problem_has_the_pattern_or_format_of_the_hook() -> None:
    schema = TriggerSchema({"properties": {"a": {"pattern": r"^\d+$"}, "b": {"format": "date"}}})
    assert [str(problem) for problem in schema.problems({"a": "x", "b": "y"})] == [
        r'/a: must match ^\d+$, but "x" does not',
        '/b: must match the format date, but "y" does not',
    ]
    (problem,) = TriggerSchema({"propertyNames": {"pattern": r"^\w$"}}).problems({"ab": 1})
    assert problem.message == r'the name "ab" must match ^\w$, but "ab" does not'


def test_a_circular_schema_is_an_error() -> None:
    with pytest.raises(SchemaError, match="refers to itself"):
        TriggerSchema({"$ref": "#"}).problems({})


def test_two_patterns_with_one_translation_both_decide() -> None:
    schema = {"patternProperties": {r"^\d": {"type": "string"}, "^[0-9]": {"minLength": 2}}}
    assert fits(schema, {"1": "ab"})
    assert not fits(schema, {"1": 1})
    assert not fits(schema, {"1": "a"})


def test_any_value_of_a_keyword_is_accepted_or_an_error() -> None:
    for keyword, _ in KEYWORDS:
        for value in VALUES[::2]:
            schema = TriggerSchema({"type": "object", "nullable": False, keyword: value, "format": "date"})
            assert isinstance(schema.error, str)
    for beside in ({"required": [{}], "additionalProperties": False}, {"properties": 1, "required": ["a"]}):
        assert TriggerSchema(beside).error
    assert TriggerSchema({"type": 5, "nullable": False}).error
    assert TriggerSchema({"format": ["date"]}).error


GOOD_AND_BAD = {
    "date": ("2024-02-29", "2023-02-29"),
    "time": ("00:59:60+01:00", "12:00:60Z"),
    "date-time": ("2026-11-23 18:00:00+01", "2026-11-23T18:00:00"),
    "iso-time": ("12:30:45", "24:00:00"),
    "iso-date-time": ("2026-11-23T18:00:00", "2026-11-23"),
    "duration": ("P1DT2H", "PT"),
    "uri": ("https://[::1]:8/a?b#c", "a b:c"),
    "uri-reference": ("../a?b", "a\\b"),
    "uri-template": ("/a/{b,c:3}{?d*}", "/a/{b"),
    "url": ("https://example.org/é", "http://10.0.0.1/"),
    "email": ("a.b+c@x-y.example", "a@b"),
    "hostname": ("a-b.example.", "-a.b"),
    "ipv4": ("1.2.3.4", "01.2.3.4"),
    "ipv6": ("1:2::1.2.3.4", "1:2:3:4:5:6:7::8"),
    "uuid": ("urn:uuid:01234567-89ab-cdef-0123-456789abcdef", "01234567"),
    "json-pointer": ("/a~1b", "/a~"),
    "json-pointer-uri-fragment": ("#/a%20b", "/a"),
    "relative-json-pointer": ("1/a", "01"),
    "byte": ("YWI=", "Y"),
}


@pytest.mark.parametrize("name", GOOD_AND_BAD)
def test_each_format_of_ajv_is_asserted(name: str) -> None:
    good, bad = GOOD_AND_BAD[name]
    assert fits({"format": name}, good)
    assert fits({"format": name}, 1)
    assert not fits({"format": name}, bad)


def test_every_format_with_a_pattern_has_a_good_and_a_bad_text() -> None:
    assert {name for name, schema in FORMATS.items() if "pattern" in schema} == GOOD_AND_BAD.keys()


@pytest.mark.parametrize(
    ("pattern", "found", "missed"),
    [
        (r"^\w+\s\S$", "a_1\u00a0x", "é x"),
        (r"^.$", "😀", "\u2028"),
        (r"^[^\W\d]+$", "ab_", "a1"),
        (r"^(?<n>a|b)\k<n>$", "aa", "ab"),
        (r"^(?:(a)|b)\1$", "b", "a"),
        (r"^[\]\-\\^]+$", "]-\\^", "a"),
        (r"^\u{1F600}\x41\cJ\0[\b]$", "😀A\n\0\b", "A"),
        (r"^\ud83d\ude00$", "😀", "x"),
        (r"^[^]$", "\n", ""),
        (r"a{2,}?", "aa", "a"),
        (r"(?<!x)\by", "y", "xy"),
        (r"^\B$", "", "a"),
    ],
)
def test_a_pattern_of_javascript_finds_the_same_texts(pattern: str, found: str, missed: str) -> None:
    assert re.search(translate(pattern), found)
    assert not re.search(translate(pattern), missed)


@pytest.mark.parametrize(
    "pattern",
    [
        "a++", "{", "a{2,1}", "]", "(", ")", "(?P<n>a)", r"\Z", r"\_", r"\1", r"\k<n>", "[b-a]", r"[\w-a]", "[", "\\",
        "(?=a)*", r"\u{110000}", "^*", r"\b+", r"\p{L}", "(?<=a+)b",
    ],
)  # fmt: skip
def test_a_pattern_that_javascript_or_python_does_not_have_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        translate(pattern)


@given(st.text(alphabet="ab01.*+?()[]{}|^$\\-<>=!:dwsuxk/,", max_size=12))
def test_every_text_is_translated_or_refused(pattern: str) -> None:
    with suppress(PatternError):
        re.compile(translate(pattern))
