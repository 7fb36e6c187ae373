"""Jobs of the previous form."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import JOBS

from pulsekit import load_schema
from pulsekit.schemas.forms import revision_of
from pulsekit.schemas.names import FORMER, TODAY
from pulsekit.schemas.revisions import migrate

REVISION = "c0ffee0123456789c0ffee0123456789c0ffee01"


def former(**origin: Any) -> dict[str, Any]:
    return deepcopy(JOBS[0]) | {"origin": {"project": "autoland", "revision": REVISION} | origin}


HG = former(kind="hg.mozilla.org", pushLogID=7)
GIT = former(kind="github.com", owner="mozilla", pullRequestID=8)


@pytest.mark.parametrize("job", [HG, GIT, former(kind="hg.mozilla.org"), former(kind="github.com")])
def test_a_job_of_an_older_form_becomes_valid_by_migration(job: dict[str, Any]) -> None:
    before = deepcopy(job)
    assert load_schema(FORMER).is_valid(job)
    assert not load_schema(TODAY).is_valid(job)
    migrated, changes = migrate(job)
    assert changes
    assert load_schema(TODAY).is_valid(migrated)
    assert job == before


def test_migration_renames_the_number_and_keeps_all_other_values() -> None:
    assert migrate(HG)[0]["origin"] == {"project": "autoland", "revision": REVISION, "id": 7}
    assert migrate(GIT)[0]["origin"] == {"project": "autoland", "revision": REVISION, "id": 8}
    assert {key: value for key, value in migrate(GIT)[0].items() if key != "origin"} == {
        key: value for key, value in GIT.items() if key != "origin"
    }


def test_every_change_is_listed() -> None:
    assert [str(change) for change in migrate(GIT)[1]] == [
        "origin.kind was removed",
        "origin.owner was removed",
        "origin.pullRequestID → origin.id",
    ]


@pytest.mark.parametrize("job", [JOBS[0], former(kind="hg.mozilla.org", pushLogID=1, id=2), 7, None, {"origin": []}])
def test_current_and_ambiguous_jobs_are_not_migrated(job: Any) -> None:
    assert migrate(job) == (job, ())


@pytest.mark.parametrize(
    "job",
    [
        former(kind="bitbucket"),
        former(kind="hg.mozilla.org", owner="mozilla"),
        former(kind="github.com", pushLogID=1),
        former(kind="hg.mozilla.org", pushLogID="1"),
        former(),
    ],
)
def test_the_former_schema_refused_these_too(job: dict[str, Any]) -> None:
    assert not load_schema(FORMER).is_valid(job)


def test_the_two_revisions_differ_only_in_the_origin() -> None:
    for job in JOBS:
        expected = load_schema(TODAY).is_valid(job)
        origin = {"kind": "hg.mozilla.org"} | {key: value for key, value in job["origin"].items() if key != "id"}
        assert load_schema(FORMER).is_valid(job | {"origin": origin}) == expected


def test_fields_that_treeherder_no_longer_reads_are_removed() -> None:
    logs = [{"name": "log", "url": "https://ci.example.com/", "steps": [], "errorsTruncated": True}, 7]
    job = HG | {"extra": {"b": 1}, "logs": logs}
    before = deepcopy(job)
    migrated, changes = migrate(job)
    assert "extra" not in migrated
    assert migrated["logs"] == [{"name": "log", "url": "https://ci.example.com/"}, 7]
    assert [str(change) for change in changes[-3:]] == [
        "extra was removed",
        "logs.*.steps was removed",
        "logs.*.errorsTruncated was removed",
    ]
    assert job == before


FIRST = {
    "jobGuid": "d2",
    "status": "fail",
    "who": "me",
    "optionCollection": ["opt"],
    "machine": {},
    "origin": {"kind": "hg.mozilla.org"},
}
ENVELOPE = {"payload": JOBS[0], "_meta": {"exchange": "exchange/me/x", "routing_key": "a", "sent": "2026-11-28"}}
REST = {"project": "try", "revision": REVISION, "job": {"job_guid": "d2", "job_symbol": "t", "result": "testfailed"}}
NEEDS_HASH = deepcopy(JOBS[0]) | {"origin": {"kind": "hg.mozilla.org", "project": "try", "revision_hash": REVISION}}


@pytest.mark.parametrize(
    ("payload", "revision", "pointers", "words"),
    [
        (HG, FORMER, ["/origin"], ["until April 2026", "origin.pushLogID → origin.id", "validate --migrate"]),
        (former(kind="github.com", revision="c0ffee"), FORMER, ["/origin", "/origin/revision"], ["until April 2026"]),
        (HG | {"extra": {"b": 1}}, "pulse-job-2016", [""], ["from 2016 to 2019", "extra was removed"]),
        (HG | {"extra": {"b": 1}, "tier": 7}, "pulse-job-2016", ["", "/tier"], ["from 2016 to 2019"]),
        (NEEDS_HASH, "pulse-job-2015", ["/origin"], ["in 2015", "another hash"]),
        (former(kind="github.com", projectName="x"), "pulse-job-2015", ["/origin"], ["in 2015"]),
        (FIRST, "pulse-job-2015", [""], ["in 2015", "jobGuid → taskId", "status → state", "origin.kind was removed"]),
        (ENVELOPE, "mozillapulse", [""], ["envelope of mozillapulse", "drops the message"]),
        ({"payload": {"_meta": {}, "heads": []}}, "mozillapulse", [""], ["envelope of mozillapulse"]),
        (former(kind="hg.mozilla.org", pushLogID=1, id=2), FORMER, ["/origin"], ["origin.pushLogID and origin.id →"]),
        (former(pushLogID=1, pullRequestID=1), FORMER, ["/origin"], ["until April 2026", "the one of them that is"]),
        ({"payload": [JOBS[0]], "_meta": {}}, "mozillapulse", [""], ['each object in "payload"']),
        ({"id": "1", "data": JOBS[0]}, "envelope", [""], ["is an envelope:", 'the object in "data"']),
        ({"jobs": JOBS[:2]}, "envelope", [""], ["drops the message", 'each object in "jobs"']),
        ([REST], "rest", [""], ["REST API", "job.job_guid → taskId", '"testfailed" → "fail" with "test" as jobKind']),
        (REST | {"revision_hash": "x"}, "rest", [""], ["revision_hash → origin.revision, which is another hash"]),
        (JOBS[0] | {"extra": {}}, TODAY, ["/extra"], ["not a known property"]),
        (JOBS[0] | {"tier": 7}, TODAY, ["/tier"], ["7"]),
        ({"a": 1}, "", [""] * 7 + ["/a"], []),
        ([], "", [""], []),
    ],
)
def test_an_older_form_is_explained_in_one_problem(
    payload: Any, revision: str, pointers: list[str], words: list[str]
) -> None:
    problems = load_schema(TODAY).problems(payload)
    assert revision_of(payload) == revision
    assert sorted(problem.pointer for problem in problems) == sorted(pointers)
    assert all(word in str(problems[0]) for word in words)


@pytest.mark.parametrize(
    "job", [NEEDS_HASH, former(pushLogID=1, pullRequestID=2), former(kind="github.com", projectName="x")]
)
def test_no_suggestion_replaces_one_hash_by_another_or_drops_a_number(job: dict[str, Any]) -> None:
    for problem in load_schema(TODAY).problems(job):
        assert problem.suggestion is None
        assert "meant to be" not in problem.hint


@pytest.mark.parametrize(
    ("shown", "kind", "result", "suggested"),
    [
        ("testfailed", "test", "fail", True),
        ("testfailed", "build", "fail", False),
        ("busted", "build", "fail", True),
        ("busted", "test", "fail", False),
        ("usercancel", "test", "canceled", True),
    ],
)
def test_a_result_that_only_treeherder_shows_is_written_as_in_messages(
    shown: str, kind: str, result: str, suggested: bool
) -> None:
    (problem,) = load_schema(TODAY).problems(JOBS[2] | {"result": shown, "jobKind": kind})
    assert f'write "{result}"' in problem.hint
    assert (problem.suggestion is not None) is suggested
    assert problem.suggestion in (None, {"op": "replace", "path": "/result", "value": result})


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.dictionaries(
    st.sampled_from(["origin", "kind", "projectName", "pushLogID", "pullRequestID", "id", "project", "extra"]),
    inner, max_size=4,
)))  # fmt: skip
def test_migrating_twice_changes_nothing_more(job: Any) -> None:
    once, _ = migrate(job)
    assert migrate(once) == (once, ())
