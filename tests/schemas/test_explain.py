from __future__ import annotations

import json
import time
from copy import deepcopy
from typing import Any

import pytest
from support.samples import COMPLETED, PENDING

from pulsekit._documents.document import parse_json, parse_yaml
from pulsekit.errors import InvalidPayload, Problem
from pulsekit.schemas.schema import load_schema

JOB = load_schema("pulse-job")


def changed(**members: Any) -> dict[str, Any]:
    return deepcopy(COMPLETED) | members


def only(payload: Any) -> Problem:
    (problem,) = JOB.problems(payload)
    return problem


def test_a_missing_property_is_reported_at_its_object() -> None:
    job = changed()
    del job["display"]["jobName"]
    problem = only(job)
    assert (problem.pointer, problem.rule, problem.message) == ("/display", "required", '"jobName" is missing')
    assert problem.allowed == 'the property "jobName"'


def test_each_missing_property_is_a_separate_problem() -> None:
    assert [problem.message for problem in JOB.problems({"taskId": "x", "version": 1})] == [
        f'"{name}" is missing' for name in ("origin", "buildSystem", "display", "state", "jobKind")
    ]


def test_a_misspelt_property_is_recognised_on_both_sides() -> None:
    job = changed()
    job["jobkind"] = job.pop("jobKind")
    missing, unknown = JOB.problems(job)
    assert (missing.pointer, missing.rule, missing.hint) == ("", "required", 'rename "jobkind" if it is this property')
    assert (unknown.pointer, unknown.rule, unknown.hint) == (
        "/jobkind",
        "additionalProperties",
        'did you mean "jobKind"?',
    )
    assert unknown.message == '"jobkind" is not a known property'


def test_unknown_properties_are_in_order_with_positions() -> None:
    text = json.dumps(PENDING, indent=1)[:-2] + ',\n "zebra": 1,\n "a/b~.[0]": {\n}}'
    assert [(p.pointer, p.line, p.column, p.hint) for p in JOB.problems(parse_json(text))] == [
        ("/zebra", 17, 11, "remove it"),
        ("/a~1b~0.[0]", 18, 14, "remove it"),
    ]


def test_names_with_dots_and_brackets_have_exact_pointers() -> None:
    schema = load_schema({"additionalProperties": {"additionalProperties": {"type": "integer"}}})
    payload = {"a.b": {"c[0]": 1, "c": 2}, "a": {"b.c[0]": "x", "b": 0}, "a.b.c[0]": {"": 7.5}}
    assert [problem.pointer for problem in schema.problems(payload)] == ["/a/b.c[0]", "/a.b.c[0]/"]


def test_a_wrong_value_is_reported_with_the_allowed_ones() -> None:
    problem = only(changed(result="Success"))
    assert problem.pointer == "/result"
    assert problem.found == '"Success"'
    assert problem.allowed == '"success", "fail", "exception", "retry", "canceled", "superseded" or "unknown"'
    assert problem.hint == 'did you mean "success"?'


@pytest.mark.parametrize(
    ("members", "message", "hint"),
    [
        ({"tier": "1"}, 'must be an integer, not the string "1"', "remove the quotes"),
        ({"tier": 1.5}, "must be an integer, not 1.5", ""),
        ({"tier": True}, "must be an integer, not true", ""),
        ({"tier": None}, "must be an integer, not null", "remove the property if there is no value"),
        ({"buildSystem": None}, "must be a string, not null", "write a value: the property is required"),
        ({"tier": 0}, "must be 1 or more, not 0", ""),
        ({"tier": 4}, "must be 3 or less, not 4", ""),
        ({"owner": 7}, "must be a string, not 7", "put it in quotes"),
        ({"reason": ""}, "must not be empty", "remove it, or write a text"),
        ({"owner": ""}, "must not be empty", "write the owner: without it, Treeherder drops the job"),
        ({"owner": None}, "must be a string, not null", "write the owner: without it, Treeherder drops the job"),
        ({"owner": "😀" * 51}, "must have 50 characters at most, has 51", ""),
        ({"labels": "debug"}, 'must be a list, not the string "debug"', 'did you mean ["debug"]?'),
        ({"logs": {}}, "must be a list, not an empty object", ""),
        ({"buildSystem": "a b"}, r'must match ^[\w-]+$, but "a b" does not', 'it cannot have " "'),
        ({"isRetried": 0}, "must be true or false, not 0", "did you mean false?"),
        ({"timeStarted": "now"}, "must be a date and time by RFC 3339, such as 2026-11-23T18:00:00Z", ""),
    ],
)
def test_a_problem_has_the_value_the_allowed_values_and_a_hint(
    members: dict[str, Any], message: str, hint: str
) -> None:
    problem = only(changed(**members))
    assert problem.message.startswith(message)
    assert problem.hint == hint
    assert problem.pointer == f"/{next(iter(members))}"
    assert problem.found == json.dumps(next(iter(members.values())), ensure_ascii=False)[:80]
    assert problem.allowed


def test_a_pattern_is_shown_as_in_the_schema() -> None:
    assert "^[A-Za-z0-9/+-]+$, " in only(changed(taskId="ä")).message


def test_a_numeric_revision_in_yaml_gets_the_necessary_quotes() -> None:
    text = "\n".join(f"{name}: {json.dumps(value)}" for name, value in PENDING.items() if name != "origin")
    document = parse_yaml(f"{text}\norigin:\n  project: try\n  revision: {'7' * 40}\n", source="job.yml")
    problem = only(document)
    assert (problem.pointer, problem.hint, problem.line, problem.column) == (
        "/origin/revision",
        "put it in quotes",
        10,
        13,
    )


def test_every_problem_of_a_job_is_listed_in_its_order() -> None:
    job = changed(state="done", labels=["ok", "a b", 3], version=2)
    job["logs"].append({"url": "x", "nam": "y"})
    assert [(problem.pointer, problem.rule) for problem in JOB.problems(job)] == [
        ("/state", "enum"),
        ("/labels/1", "pattern"),
        ("/labels/2", "type"),
        ("/logs/1", "required"),
        ("/logs/1/nam", "additionalProperties"),
        ("/logs/1/url", "format"),
        ("/version", "enum"),
    ]


ORIGIN = load_schema(
    {
        "properties": {
            "origin": {
                "oneOf": [
                    {
                        "title": "Mercurial",
                        "properties": {"kind": {"const": "hg"}, "push": {"type": "integer"}, "revision": {}},
                        "required": ["kind", "revision"],
                        "additionalProperties": False,
                    },
                    {
                        "properties": {
                            "kind": {"const": "git"},
                            "owner": {},
                            "revision": {},
                            "pull": {"type": "integer"},
                        },
                        "required": ["kind", "revision", "owner", "pull"],
                        "additionalProperties": False,
                    },
                ]
            }
        }
    }
)


@pytest.mark.parametrize(
    ("origin", "nearest", "problems"),
    [
        ({"kind": "hg", "push": "1", "revision": 1}, '"Mercurial"', ["/origin/push"]),
        ({"kind": "git"}, "form 2", ["/origin", "/origin", "/origin"]),
        ({"kind": "svn", "owner": 1, "revision": 1, "pull": 1}, "form 2", ["/origin/kind"]),
    ],
)
def test_of_several_forms_the_nearest_is_explained(origin: Any, nearest: str, problems: list[str]) -> None:
    first, *rest = ORIGIN.problems({"origin": origin})
    assert (first.pointer, first.rule) == ("/origin", "oneOf")
    assert first.message == f"matches none of the 2 forms; the nearest is {nearest}"
    assert [problem.pointer for problem in rest] == problems


def test_a_value_that_matches_two_forms_of_one_is_reported() -> None:
    (problem,) = load_schema({"oneOf": [{"type": "integer"}, {"type": "string"}, {"minimum": 1}]}).problems(1)
    assert problem.message == "matches form 1 and form 3, but must match only one of them"


@pytest.mark.parametrize(
    ("schema", "payload", "rule", "message"),
    [
        ({"anyOf": [{"type": "string"}]}, 1, "type", "must be a string, not 1"),
        ({"not": {"type": "integer"}}, 1, "not", 'must be any value that does not match {"type": "integer"}'),
        ({"const": {"a": 1}}, {"a": True}, "const", 'must be {"a": 1}, not {"a": true}'),
        ({"if": {"minimum": 5}, "then": {"multipleOf": 5}}, 7, "multipleOf", "must be a multiple of 5, not 7"),
        ({"if": {"minimum": 5}, "else": {"maximum": 2}}, 3, "maximum", "must be 2 or less, not 3"),
        (
            {"uniqueItems": True},
            [1, True, 1.0],
            "uniqueItems",
            "must not have duplicate items, but item 2 is equal to item 0",
        ),
        ({"contains": {"const": 1}}, [True], "contains", 'must have one item or more that matches {"const": 1}'),
        ({"minItems": 1}, [], "minItems", "must have 1 item or more, has 0"),
        ({"maxProperties": 0}, {"a": 1}, "maxProperties", "must have 0 properties at most, has 1"),
        (
            {"propertyNames": {"maxLength": 1}},
            {"ab": 1},
            "propertyNames",
            'the name "ab" must have 1 character at most, has 2',
        ),
        ({"dependencies": {"a": ["b"]}}, {"a": 1}, "dependencies", '"b" is missing, which "a" requires'),
        ({"properties": {"a": False}}, {"a": 1}, "false", "is not allowed"),
        ({"exclusiveMinimum": 1}, 1, "exclusiveMinimum", "must be more than 1, not 1"),
        ({"exclusiveMaximum": 1}, 1.5, "exclusiveMaximum", "must be less than 1, not 1.5"),
    ],
)
def test_every_keyword_has_a_message(schema: Any, payload: Any, rule: str, message: str) -> None:
    (problem,) = load_schema(schema).problems(payload)
    assert (problem.rule, problem.message) == (rule, message)


def test_the_shown_value_is_shortened() -> None:
    job = changed(owner="x" * 5_000_000, display=["y"] * 100_000)
    for problem in JOB.problems(job):
        assert len(problem.found) <= 80
        assert len(str(problem)) < 500


def test_a_megabyte_of_mistakes_is_explained_in_seconds() -> None:
    job = changed(labels=[f"bad label {number}" for number in range(50_000)])
    job |= {f"propertie{number}": number for number in range(10_000)}
    document = parse_json(json.dumps(job, indent=1))
    begin = time.process_time()
    problems = JOB.problems(document)
    assert len(problems) == 60_000
    assert all(problem.line for problem in problems)
    assert time.process_time() - begin < 15  # two, unless coverage is measured


def test_the_error_has_one_sentence_per_problem() -> None:
    with pytest.raises(InvalidPayload) as caught:
        JOB.check(changed(tier=9, result="failed"))
    assert str(caught.value) == (
        'invalid against pulse-job: /result: must be "success", "fail", "exception", "retry", "canceled", "superseded" '
        'or "unknown", not "failed" (did you mean "fail"?); /tier: must be 3 or less, not 9'
    )
    assert [problem.rule for problem in caught.value.problems] == ["enum", "maximum"]
    assert caught.value.schema == "pulse-job"


def test_a_missing_property_with_a_circular_schema_is_reported() -> None:
    schema = load_schema(
        {
            "required": ["x"],
            "properties": {"x": {"$ref": "#/definitions/a"}},
            "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}},
        }
    )
    (problem,) = schema.problems({})
    assert (problem.rule, problem.suggestion) == ("required", None)
