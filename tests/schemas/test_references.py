"""References within a schema whose subschemas have an id, with Python's `jsonschema` as the reference."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from pulsekit.errors import SchemaError
from pulsekit.schemas.schema import load_schema

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
INTEGER = {"type": "integer"}


def _schema(keyword: str, draft: str) -> dict[str, Any]:
    """Return a schema of two resources, in which the same text names different places."""
    return {
        "$schema": draft,
        keyword: "https://example.com/v1/job.json#",
        "definitions": {
            "value": {"type": "string"},
            "named": {keyword: "#named", "type": "boolean"},
            "info": {
                keyword: "info/info.json#",
                "definitions": {"value": INTEGER, "below": {keyword: "more/below.json", "type": "null"}},
                "properties": {
                    "own": {"$ref": "#/definitions/value"},
                    "root": {"$ref": "../job.json#/definitions/value"},
                    "below": {"$ref": "more/below.json"},
                },
            },
        },
        "properties": {
            "info": {"$ref": "info/info.json"},
            "through": {"$ref": "#/definitions/info/properties/own"},
            "absolute": {"$ref": "https://example.com/v1/info/more/below.json#"},
            "value": {"$ref": "#/definitions/value"},
            "named": {"$ref": "#named"},
            "from_other": {"$ref": "job.json#named"},
        },
    }


PAYLOADS = [
    {**outer, **({"info": inner} if inner else {})}
    for value in ("x", 1, None, True)
    for outer in (
        {"through": value},
        {"absolute": value},
        {"value": value},
        {"named": value},
        {"from_other": value},
        {},
    )
    for inner in ({"own": value}, {"root": value}, {"below": value}, None)
]


@pytest.mark.parametrize(
    ("keyword", "draft", "oracle"),
    [("id", DRAFT_4, jsonschema.Draft4Validator), ("$id", DRAFT_7, jsonschema.Draft7Validator)],
)
def test_an_id_within_a_schema_changes_what_references_name(keyword: str, draft: str, oracle: Any) -> None:
    schema = _schema(keyword, draft)
    judge, loaded = oracle(schema), load_schema(schema)
    verdicts = [
        (judge.is_valid(payload), loaded.is_valid(payload), not loaded.problems(payload)) for payload in PAYLOADS
    ]
    assert all(expected == compiled == explained for expected, compiled, explained in verdicts)
    assert {expected for expected, _, _ in verdicts} == {True, False}


def test_an_id_within_a_draft_4_schema_is_accepted() -> None:
    schema = load_schema(
        {
            "$schema": DRAFT_4,
            "id": "https://example.com/schemas/v1/job.json#",
            "properties": {"info": {"id": "https://example.com/schemas/v1/info.json#", "properties": {"n": INTEGER}}},
        }
    )
    assert schema.is_valid({"info": {"n": 1}})
    assert [problem.pointer for problem in schema.problems({"info": {"n": "1"}})] == ["/info/n"]


def test_an_id_beside_a_reference_is_ignored() -> None:
    schema = {
        "definitions": {"a": INTEGER},
        "properties": {"x": {"$id": "other.json", "$ref": "#/definitions/a"}},
    }
    assert load_schema(schema).is_valid({"x": 1})
    assert not load_schema(schema).is_valid({"x": "1"})
    with pytest.raises(SchemaError, match=r"names 'other.json', which is outside of this schema"):
        load_schema({**schema, "items": {"$ref": "other.json"}})


def test_a_property_named_id_is_a_property() -> None:
    schema = load_schema({"$schema": DRAFT_4, "properties": {"id": {"type": "string"}, "$id": INTEGER}})
    assert schema.is_valid({"id": "x", "$id": 1})
    assert not schema.is_valid({"id": 1})
