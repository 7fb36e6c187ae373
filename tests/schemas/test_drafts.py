from __future__ import annotations

from typing import Any

import pytest

from pulsekit.errors import SchemaError
from pulsekit.schemas.drafts import check_schema


@pytest.mark.parametrize("number", [4, 6, 7])
@pytest.mark.parametrize("end", ["", "#"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_drafts_4_6_and_7_are_supported(number: int, end: str, scheme: str) -> None:
    assert check_schema({"$schema": f"{scheme}://json-schema.org/draft-0{number}/schema{end}"}).draft == number


def test_a_schema_without_a_draft_is_read_as_draft_7() -> None:
    assert check_schema({}).draft == 7
    assert check_schema(True).draft == 7


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("https://json-schema.org/draft/2020-12/schema", "draft 2020-12 is not supported: use draft 4, 6 or 7"),
        ("https://json-schema.org/draft/2019-09/schema", "draft 2019-09 is not supported"),
        ("http://json-schema.org/draft-03/schema#", "draft 03 is not supported"),
        ("http://json-schema.org/schema#", r"\$schema 'http://json-schema.org/schema#' is not supported"),
        ("http://example.com/not-draft-07/schema", "is not supported"),
        ("x", r"\$schema 'x' is not supported"),
        (7, r"\$schema 7 is not supported"),
        (None, r"\$schema None is not supported"),
    ],
)
def test_another_draft_is_refused_rather_than_misread(uri: Any, words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        check_schema({"$schema": uri})


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"properties": {"a/b": {"minLength": "1"}}}, "/properties/a~1b/minLength"),
        ({"items": [{"maxItems": -1}]}, "/items/0/maxItems"),
        ({"maxLength": 1.5}, "/maxLength"),
        ({"maxLength": True}, "/maxLength"),
        ({"type": "text"}, "/type"),
        ({"type": []}, "/type"),
        ({"type": [["string"]]}, "/type"),
        ({"properties": {"a": {"required": True}}}, "/properties/a/required"),
        ({"required": ["a", "a"]}, "/required"),
        ({"required": [1]}, "/required"),
        ({"enum": 1}, "/enum"),
        ({"properties": ["a"]}, "/properties"),
        ({"properties": {"a": "string"}}, "/properties/a"),
        ({"patternProperties": {"(": {}}}, "/patternProperties"),
        ({"pattern": "a{2,1}"}, "/pattern"),
        ({"pattern": 1}, "/pattern"),
        ({"format": 1}, "/format"),
        ({"minimum": "1"}, "/minimum"),
        ({"minimum": float("nan")}, "/minimum"),
        ({"exclusiveMinimum": True}, "/exclusiveMinimum"),
        ({"multipleOf": 0}, "/multipleOf"),
        ({"uniqueItems": 1}, "/uniqueItems"),
        ({"anyOf": []}, "/anyOf"),
        ({"anyOf": {}}, "/anyOf"),
        ({"not": 1}, "/not"),
        ({"if": []}, "/if"),
        ({"dependencies": {"a": 1}}, "/dependencies/a"),
        ({"dependencies": []}, "/dependencies"),
        ({"definitions": {"unused": {"type": 1}}}, "/definitions/unused/type"),
        ({"items": {"$ref": 1}}, "/items/$ref"),
        ({"items": {"$ref": "#/nowhere"}}, "/items/$ref"),
        ({"items": {"$ref": "#name"}}, "/items/$ref"),
        ({"items": [{"$ref": "#/items/1"}]}, "/items/0/$ref"),
        ({"items": {"$ref": "#/x/y"}, "x": {"y": {"type": 1}}}, "/x/y/type"),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "not": True}, "/not"),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "exclusiveMinimum": 1}, "/exclusiveMinimum"),
    ],
)
def test_a_malformed_schema_is_refused_with_the_position(schema: Any, place: str) -> None:
    with pytest.raises(SchemaError) as caught:
        check_schema(schema)
    assert str(caught.value).startswith(f"the schema is invalid at {place}: it ")


def test_only_an_object_is_a_schema() -> None:
    for value in (None, 1, "x", []):
        with pytest.raises(SchemaError):
            check_schema(value)  # type: ignore[arg-type] # that is the point


def test_keywords_of_later_drafts_are_ignored() -> None:
    checked = check_schema({"$schema": "http://json-schema.org/draft-04/schema#", "const": 1, "if": 1, "$id": 2})
    assert not checked.has("const")
    assert checked.has("enum")


def test_references_find_their_targets_in_any_spelling() -> None:
    schema = {
        "$id": "http://example.com/s",
        "items": [
            {"$ref": "#/definitions/a~1b%20c"},
            {"$ref": "http://example.com/s#/definitions/a~1b%20c"},
            {"$ref": "#"},
            {"$ref": "#/items/0"},
        ],
        "definitions": {"a/b c": {"type": "null"}},
    }
    checked = check_schema(schema)  # type: ignore[arg-type] # invariance
    first, second, third, fourth = (checked.target(item) for item in schema["items"])  # type: ignore[arg-type]
    assert first == second == {"type": "null"}
    assert third is schema
    assert fourth is schema["items"][0]


def test_a_schema_nested_too_deeply_is_refused_with_a_message() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"not": deep}
    with pytest.raises(SchemaError, match="nested too deeply"):
        check_schema(deep)
