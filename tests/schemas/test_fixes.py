"""The suggestion of a problem, applied unchanged, corrects the job."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import COMPLETED, JOBS, PENDING, REVISION, SCHEMA, mutated

from pulsekit.schemas.formats import FORMATS
from pulsekit.schemas.schema import load_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

JOB = load_schema("pulse-job")


def changed(pointer: str, value: Any) -> dict[str, Any]:
    return patched(COMPLETED, {"op": "add", "path": pointer, "value": value})


def without(pointer: str) -> dict[str, Any]:
    return patched(COMPLETED, {"op": "remove", "path": pointer})


def renamed(pointer: str, to: str) -> dict[str, Any]:
    return patched(COMPLETED, {"op": "move", "from": pointer, "path": to})


def patched(payload: Any, operation: Mapping[str, Any]) -> Any:
    """Apply an operation of JSON Patch (RFC 6902) to a copy."""
    payload = deepcopy(payload)

    def place(pointer: str) -> tuple[Any, Any]:
        *steps, last = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
        holder = payload
        for step in steps:
            holder = holder[int(step) if isinstance(holder, list) else step]
        return holder, int(last) if isinstance(holder, list) else last

    if operation["op"] == "move":
        holder, key = place(operation["from"])
        value = holder.pop(key)
        holder, key = place(operation["path"])
        holder[key] = value
        return payload
    holder, key = place(operation["path"])
    if operation["op"] == "remove":
        del holder[key]
    elif operation["op"] == "replace":
        assert key in holder if isinstance(holder, dict) else key < len(holder)
        holder[key] = operation["value"]
    else:
        holder[key] = operation["value"]
    return payload


BROKEN = {
    "type, a number in quotes": (changed("/tier", "2"), "type"),
    "type, a text without quotes": (changed("/owner", 7), "type"),
    "type, nothing": (changed("/reason", None), "type"),
    "type, one item for a list": (changed("/labels", "debug"), "type"),
    "type, a number for a truth": (changed("/isRetried", 0), "type"),
    "type, a revision that YAML read as a number": (changed("/origin/revision", int("7" * 40)), "type"),
    "enum, a capital": (changed("/state", "Completed"), "enum"),
    "enum, a word that is near": (changed("/result", "failed"), "enum"),
    "enum, the only choice": (changed("/version", 2), "enum"),
    "pattern, capitals": (changed("/origin/revision", REVISION.upper()), "pattern"),
    "pattern, a character": (changed("/buildSystem", "our-ci "), "pattern"),
    "pattern, an item of a list": (changed("/labels/0", " debug "), "pattern"),
    "pattern, behind a reference": (changed("/runMachine/os", "linux "), "pattern"),
    "minLength": (changed("/productName", ""), "minLength"),
    "maxLength": (changed("/display/jobName", "j" * 141), "maxLength"),
    "maxLength, within a list": (changed("/logs/0/name", "n" * 51), "maxLength"),
    "minimum": (changed("/display/chunkId", 0), "minimum"),
    "minimum, below nothing": (changed("/retryId", -1), "minimum"),
    "maximum": (changed("/tier", 4), "maximum"),
    "format date-time, no zone": (changed("/timeStarted", "2026-11-23T18:00:00"), "format"),
    "format date-time, a space": (changed("/timeCompleted", "2026-11-23 18:20:00Z"), "format"),
    "format date-time, seconds": (changed("/timeScheduled", "1795456680"), "format"),
    "format uri, no scheme": (changed("/logs/0/url", "ci.example.com/1/live.log"), "format"),
    "format uri, a space": (changed("/jobInfo/links/0/url", "https://ci.example.com/a b"), "format"),
    "required, another spelling": (renamed("/jobKind", "/jobkind"), "required"),
    "required, the only choice": (without("/version"), "required"),
    "required, the default": (without("/jobKind"), "required"),
    "additionalProperties, another spelling": (renamed("/tier", "/Tier"), "additionalProperties"),
    "additionalProperties, a stranger": (changed("/machine", {"name": "x"}), "additionalProperties"),
    "additionalProperties, deep": (changed("/display/symbol", "x"), "additionalProperties"),
    "additionalProperties, a name with a slash": (changed("/buildMachine/a~1b~0", "x"), "additionalProperties"),
    "the form until April 2026": (
        changed("/origin", {"kind": "hg.mozilla.org", "project": "try", "revision": REVISION, "pushLogID": 7}),
        "revision",
    ),
    "several at once": (
        COMPLETED | {"tier": 9, "state": "COMPLETED", "labels": [" ab"], "reason": "", "zebra": 1, "timeStarted": None},
        "enum",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_the_message_suggests_makes_the_job_valid(name: str) -> None:
    job, rule = BROKEN[name]
    before = JOB.problems(job)
    assert rule in {problem.rule for problem in before}
    for left in range(len(before), 0, -1):
        problem = JOB.problems(job)[0]
        assert problem.suggestion is not None
        job = patched(job, problem.suggestion)
        assert len(JOB.problems(job)) < left or left == 1
        if JOB.is_valid(job):
            break
    assert JOB.problems(job) == ()


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/origin/project", "integration/autoland"),
        ("/origin/project", "try._"),
        ("/origin/revision", f"{REVISION}0"),
        ("/origin/revision", f"0x{REVISION[2:]}"),
        ("/timeStarted", "2025"),
        ("/timeStarted", "-1"),
        ("/timeStarted", "Monday"),
    ],
)
def test_a_value_with_another_meaning_is_never_suggested(pointer: str, value: str) -> None:
    assert [problem.suggestion for problem in JOB.problems(changed(pointer, value))] == [None]


def test_every_keyword_of_the_schema_that_can_be_broken_has_its_sample() -> None:
    def keywords(schema: Any) -> set[str]:
        inner = [*schema.get("properties", {}).values(), *schema.get("definitions", {}).values()]
        inner += [schema["items"]] if "items" in schema else []
        return set(schema).union(*map(keywords, inner))

    silent = {"$schema", "title", "description", "default", "definitions", "$ref", "properties", "items"}
    assert len(BROKEN) >= 25
    assert keywords(SCHEMA) - silent == {rule for _, rule in BROKEN.values()} - {"revision"}


def test_hint_and_suggestion_agree() -> None:
    for job, _ in BROKEN.values():
        for problem in JOB.problems(job):
            suggestion = problem.suggestion
            assert suggestion is not None
            words = f"{problem.message} ({problem.hint})"
            if suggestion["op"] == "move":
                ours = problem.rule == "additionalProperties"
                assert json.dumps(suggestion["path" if ours else "from"].rpartition("/")[2]) in words
            elif suggestion["op"] == "remove":
                assert "remove" in words
            elif suggestion["op"] == "add":
                assert f"add it: {json.dumps(suggestion['value'])}" in words
            elif problem.rule in {"type", "enum", "minimum", "maximum"} and "quotes" not in words:
                assert json.dumps(suggestion["value"]) in words


def test_a_suggestion_is_never_worse_than_what_was_there() -> None:
    seen = 0
    for job in mutated(JOBS, 1500, 20261125):
        problems = JOB.problems(job)
        for problem in problems:
            if problem.suggestion is None or problem.rule == "revision":
                continue
            seen += 1
            mended = JOB.problems(patched(job, problem.suggestion))
            fixed = (problem.pointer, problem.rule, problem.message)
            assert fixed not in {(other.pointer, other.rule, other.message) for other in mended}
    assert seen > 500


@given(st.sampled_from(sorted(FORMATS)), st.text(max_size=40))
def test_a_suggested_value_has_the_format(name: str, text: str) -> None:
    schema = load_schema({"format": name})
    for problem in schema.problems(text):
        if problem.suggestion is not None:
            assert schema.is_valid(problem.suggestion["value"])


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ({"state": "gone"}, "enum"),
        ({"tier": 1.5}, "type"),
        ({"tier": True}, "type"),
        ({"tier": [1]}, "type"),
        ({"tier": "NaN"}, "type"),
        ({"timeStarted": "soon"}, "format"),
        ({"taskId": ""}, "minLength"),
        ({"taskId": None}, "type"),
        ({"owner": None}, "type"),
    ],
)
def test_an_ambiguous_correction_is_not_suggested(members: dict[str, Any], rule: str) -> None:
    problems = [problem for problem in JOB.problems(PENDING | members) if problem.rule == rule]
    assert [problem.suggestion for problem in problems] == [None]


def test_half_a_link_is_not_suggested() -> None:
    job = changed("/logs/0/url", f"https://ci.example.com/{'a' * 255}")
    assert [(problem.rule, problem.suggestion) for problem in JOB.problems(job)] == [("maxLength", None)]
