"""Jobs of the form before today's."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import JOBS

from pulsekit import load_schema
from pulsekit.schemas.revisions import FORMER, TODAY, migrate

REVISION = "c0ffee0123456789c0ffee0123456789c0ffee01"


def former(**origin: Any) -> dict[str, Any]:
    return deepcopy(JOBS[0]) | {"origin": {"project": "autoland", "revision": REVISION} | origin}


HG = former(kind="hg.mozilla.org", pushLogID=7)
GIT = former(kind="github.com", owner="mozilla", pullRequestID=8)


@pytest.mark.parametrize("job", [HG, GIT, former(kind="hg.mozilla.org"), former(kind="github.com")])
def test_the_former_schema_takes_what_todays_does_not_and_the_migrated_job_is_todays(job: dict[str, Any]) -> None:
    before = deepcopy(job)
    assert load_schema(FORMER).is_valid(job)
    assert not load_schema(TODAY).is_valid(job)
    migrated, changes = migrate(job)
    assert changes
    assert load_schema(TODAY).is_valid(migrated)
    assert job == before


def test_the_number_keeps_its_value_under_its_new_name_and_the_rest_stays() -> None:
    assert migrate(HG)[0]["origin"] == {"project": "autoland", "revision": REVISION, "id": 7}
    assert migrate(GIT)[0]["origin"] == {"project": "autoland", "revision": REVISION, "id": 8}
    assert {key: value for key, value in migrate(GIT)[0].items() if key != "origin"} == {
        key: value for key, value in GIT.items() if key != "origin"
    }


def test_every_change_is_named() -> None:
    assert [str(change) for change in migrate(GIT)[1]] == [
        "origin.kind is gone",
        "origin.owner is gone",
        "origin.pullRequestID → origin.id",
    ]


@pytest.mark.parametrize("job", [JOBS[0], former(kind="hg.mozilla.org", pushLogID=1, id=2), 7, None, {"origin": []}])
def test_what_is_not_of_the_former_form_or_ambiguous_is_left_alone(job: Any) -> None:
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


def test_the_two_revisions_agree_on_all_but_the_origin() -> None:
    for job in JOBS:
        expected = load_schema(TODAY).is_valid(job)
        origin = {"kind": "hg.mozilla.org"} | {key: value for key, value in job["origin"].items() if key != "id"}
        assert load_schema(FORMER).is_valid(job | {"origin": origin}) == expected


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.dictionaries(
    st.sampled_from(["origin", "kind", "owner", "pushLogID", "pullRequestID", "id", "project"]), inner, max_size=4
)))  # fmt: skip
def test_migrating_twice_changes_nothing_more(job: Any) -> None:
    once, _ = migrate(job)
    assert migrate(once) == (once, ())
