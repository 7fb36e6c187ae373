from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import COMPLETED, JOBS, PENDING, mutated

from pulsekit._documents.document import parse_json, parse_yaml
from pulsekit.errors import ConfigurationError, InvalidPayload
from pulsekit.schemas.edits import Edits
from pulsekit.schemas.schema import load_schema

JOB = load_schema("pulse-job")
NOON = datetime(2026, 11, 25, 13, 0, 0, 500, tzinfo=timezone(timedelta(hours=1)))


def edited(payload: Any, *assignments: str, removals: tuple[str, ...] = (), schema: Any = JOB) -> Any:
    return Edits(assignments, removals, schema=schema, now=lambda: NOON).apply(payload)


@pytest.mark.parametrize(
    ("text", "pointer", "value"),
    [
        ("state=running", ("state",), "running"),
        ("tier=2", ("tier",), 2),
        ("isRetried=true", ("isRetried",), True),
        ("origin.project=autoland", ("origin", "project"), "autoland"),
        ("/origin/project=autoland", ("origin", "project"), "autoland"),
        ('labels=["opt","asan"]', ("labels",), ["opt", "asan"]),
        ("labels.0=opt", ("labels", 0), "opt"),
        ("labels.-=opt", ("labels", 2), "opt"),
        ("labels.2=opt", ("labels", 2), "opt"),
        ("jobInfo.links.0.label=Log", ("jobInfo", "links", 0, "label"), "Log"),
        ("reason=a=b", ("reason",), "a=b"),
        ("reason=", ("reason",), ""),
        ("timeStarted=now", ("timeStarted",), "2026-11-25T12:00:00Z"),
        ("reason=now", ("reason",), "now"),
        ('timeStarted="now"', ("timeStarted",), "now"),
    ],
)
def test_a_field_is_found_by_its_path(text: str, pointer: tuple[Any, ...], value: Any) -> None:
    place: Any = edited(COMPLETED, text)
    for step in pointer:
        place = place[step]
    assert place == value
    assert type(place) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("reason=1", "1"),
        ("reason=true", "true"),
        ("reason=null", "null"),
        ('reason="quoted"', "quoted"),
        ("reason=NaN", "NaN"),
        ("reason=[a", "[a"),
        (f"origin.revision={'7' * 40}", "7" * 40),
        (f"origin.revision={'1' * 20}e{'3' * 19}", "1" * 20 + "e" + "3" * 19),
        ("owner={", "{"),
        ("tier=one", "one"),  # which the schema refuses
        ("tier=NaN", "NaN"),
        ("isRetried=1", 1),
        ("result=null", "null"),
    ],
)
def test_a_value_is_text_if_the_schema_requires_text(text: str, value: Any) -> None:
    place = edited(PENDING, text)
    for step in text.partition("=")[0].split("."):
        place = place[step]
    assert place == value
    assert type(place) is type(value)


def test_missing_containers_are_created_as_the_schema_requires() -> None:
    job = edited(
        PENDING,
        "buildMachine.platform=linux64",
        "buildMachine.os=linux",
        "buildMachine.architecture=x86_64",
        "jobInfo.links.0.url=https://ci.example.com/",
        "jobInfo.links.0.linkText=report",
        "jobInfo.links.0.label=Report",
        'logs.-={"name": "live_backing_log", "url": "https://ci.example.com/log"}',
        "labels.-=opt",
        "labels.-=asan",
    )
    assert job == PENDING | {
        "buildMachine": {"platform": "linux64", "os": "linux", "architecture": "x86_64"},
        "jobInfo": {"links": [{"url": "https://ci.example.com/", "linkText": "report", "label": "Report"}]},
        "logs": [{"name": "live_backing_log", "url": "https://ci.example.com/log"}],
        "labels": ["opt", "asan"],
    }
    assert JOB.is_valid(job)


def test_without_a_schema_numbers_index_lists_and_names_objects() -> None:
    assert edited({}, "a.b.0.c=1", "/x.y=now", "l.-=true", "n=null", schema=None) == {
        "a": {"b": [{"c": 1}]},
        "x.y": "now",
        "l": [True],
        "n": None,
    }
    assert edited({"a": {"0": 1}}, "a.0=2", schema=None) == {"a": {"0": 2}}
    either = load_schema({"additionalProperties": {"type": ["array", "object"]}})
    assert edited({"b": {"-": 1}}, "a.0=2", "b.-=3", schema=either) == {"a": [2], "b": {"-": 3}}


def test_removals_come_first_and_may_be_missing() -> None:
    job = edited(
        COMPLETED, "runMachine.name=other", removals=("result", "runMachine", "labels.0", "logs.7", "origin.id")
    )
    assert job["runMachine"] == {"name": "other"}
    assert job["labels"] == COMPLETED["labels"][1:]
    assert "result" not in job
    assert "id" not in job["origin"]
    assert edited(PENDING, removals=("result", "jobInfo.links.0.url")) == PENDING


def test_later_assignments_override_earlier_ones() -> None:
    job = edited(PENDING, "tier=1", "tier=2", 'origin={"project": "a"}', "origin.project=b")
    assert (job["tier"], job["origin"]) == (2, {"project": "b"})


def test_the_given_payload_is_not_changed() -> None:
    before = deepcopy(COMPLETED)
    after = edited(COMPLETED, "origin.project=x", "labels.0=y", "logs.-={}", removals=("jobInfo.links.0.url",))
    assert before == COMPLETED
    assert after != COMPLETED


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("state", "write PATH=VALUE"),
        ("=running", "is not a path"),
        ("origin..project=x", "is not a path"),
        (".=x", "is not a path"),
        ("stat=running", "no field 'stat'; did you mean 'state'?"),
        ("origin.prject=x", "no field 'prject' in origin; did you mean 'project'?"),
        ("zebra=1", "the fields are taskId, "),
        ("logs.0.uri=x", "no field 'uri' in logs.0; the fields are url, name"),
        ("runMachine.os.name=x", "'runMachine.os' is a text"),
        ("labels.first=x", "items go by their number, or -"),
        ("labels.01=x", "items go by their number, or -"),
    ],
)
def test_a_field_that_no_job_has_is_reported_before_reading(assignment: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Edits([assignment], schema=JOB)
    assert words in str(caught.value)
    if "=" in assignment and words != "is not a path":
        removal = Edits([], [assignment.partition("=")[0]], schema=JOB)
        with pytest.raises(ConfigurationError) as caught:
            removal.apply(PENDING)
        assert words in str(caught.value)


def test_an_unknown_field_is_removed_from_payloads_that_have_it() -> None:
    assert Edits([], ["extra", "/origin/more/0"], schema=JOB).apply(
        {**PENDING, "extra": 1, "origin": {**PENDING["origin"], "more": [1, 2]}}
    ) == {**PENDING, "origin": {**PENDING["origin"], "more": [2]}}


@pytest.mark.parametrize(
    ("payload", "assignment", "pointer", "words"),
    [
        ([PENDING], "state=running", "", '"state" cannot be set in a list'),
        (None, "state=running", "", '"state" cannot be set in null'),
        (PENDING | {"origin": "try"}, "origin.project=x", "/origin", '"project" cannot be set in the string "try"'),
        (PENDING | {"labels": {"a": 1}}, "labels.-=x", "/labels", '"-" cannot be set in an object'),
        (COMPLETED, "logs.3.url=x", "/logs", "has 1 item: item 3 cannot be set"),
        (PENDING, "logs.1={}", "/logs", "has 0 items: item 1 cannot be set"),
    ],
)
def test_a_payload_that_cannot_be_edited_has_a_problem(payload: Any, assignment: str, pointer: str, words: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        edited(payload, assignment)
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.rule) == (pointer, "set")
    assert words in problem.message


def test_a_schema_with_branches_allows_fields_of_any_branch() -> None:
    former = load_schema("pulse-job-2020")
    for field in ("pushLogID=1", "pullRequestID=2", "owner=me"):
        Edits([f"origin.{field}"], schema=former)
    with pytest.raises(ConfigurationError, match="did you mean 'pushLogID'"):
        Edits(["origin.pushlogid=1"], schema=former)
    own = load_schema({"patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": False})
    assert edited({}, "x-a=1", schema=own) == {"x-a": "1"}
    with pytest.raises(ConfigurationError):
        Edits(["y=1"], schema=own)
    assert edited({}, "anything.at.all=1", schema=load_schema({})) == {"anything": {"at": {"all": 1}}}


def test_new_values_have_no_position_and_others_keep_theirs() -> None:
    text = "state: pending\ntier: 9\norigin:\n  project: 7\n"
    document = Edits(["state=done"], schema=JOB).document(parse_yaml(text, source="job.yml"))
    places = {problem.pointer: problem.line for problem in JOB.problems(document) if problem.rule != "required"}
    assert places == {"/state": None, "/tier": 2, "/origin/project": 4}
    listed = Edits(["labels.-=a b"], schema=JOB).document(parse_json('{"labels": ["x", 7]}'))
    found = {problem.pointer: problem.line for problem in JOB.problems(listed) if problem.pointer.startswith("/labels")}
    assert found["/labels/2"] is None


def test_one_member_of_a_document_can_be_changed() -> None:
    document = parse_json('{"routing_key": "k",\n "payload": {"state": "pending", "tier": 9}}')
    after = Edits(["state=done"], schema=JOB).document(document, "payload")
    assert after.value == {"routing_key": "k", "payload": {"state": "done", "tier": 9}}
    assert after.locate("/payload/state") is None
    assert after.locate("/payload/tier") == (2, 42)
    with pytest.raises(InvalidPayload) as caught:
        Edits(["origin.project=x"], schema=JOB).document(parse_json('{"payload":\n {"origin": 1}}'), "payload")
    assert caught.value.problems[0].line == 2


STEPS = st.text("ab01-/~.é", max_size=3)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(STEPS, x), max_leaves=8
    ),
    st.lists(STEPS, min_size=1, max_size=4),
)
def test_set_fields_exist_and_removed_fields_do_not(payload: Any, steps: list[str]) -> None:
    path = "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in steps)
    before = repr(payload)
    try:
        place = edited(payload, f"{path}=[true]", schema=None)
    except InvalidPayload:
        place = None
    assert repr(payload) == before
    if place is not None:
        for step in steps:
            place = place[step] if isinstance(place, dict) else place[-1 if step == "-" else int(step)]
        assert place == [True]
    once = edited(payload, removals=(path,), schema=None)
    assert repr(payload) == before
    if not any(step.isdecimal() for step in steps):  # of a list, the next item has that number then
        assert edited(once, removals=(path,), schema=None) == once


def test_any_job_is_edited_or_refused() -> None:
    edits = Edits(["state=running", "origin.project=x", "labels.-=y", "logs.0.name=z"], ["result"], schema=JOB)
    done = 0
    for job in mutated(JOBS, 1000, 20261125):
        before = repr(job)
        try:
            after = edits.apply(job)
        except InvalidPayload:
            continue
        finally:
            assert repr(job) == before
        done += 1
        assert (after["state"], after["origin"]["project"], after["labels"][-1]) == ("running", "x", "y")
    assert done > 500


def test_now_is_the_time_in_utc() -> None:
    times = iter([datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)])
    edits = Edits(["timeStarted=now"], schema=JOB, now=lambda: next(times))
    assert [edits.apply({})["timeStarted"] for _ in range(2)] == ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]
