"""What Treeherder stores of a job: expected values are computed by hand from its loader, not with our code.

Epoch seconds come from `date -d`, slugs from `xxd -r -p | base64` with `-` and `_` for `+` and `/`.
"""

from __future__ import annotations

import calendar
import json
import re
from base64 import b64encode, urlsafe_b64decode
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import dateutil.parser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import COMPLETED, CORPUS, JOBS, PENDING, REVISION, RUNNING, mutated

from pulsekit.errors import InvalidPayload
from pulsekit.schemas.schema import load_schema
from pulsekit.treeherder import preview_job

LINUX = {"platform": "linux64", "os": "linux", "architecture": "x86_64"}
MAC = {"platform": "macosx1500-aarch64", "os": "mac", "architecture": "aarch64"}
STORED_LINUX = {"platform": "linux64", "os_name": "linux", "architecture": "x86_64"}
STORED_MAC = {"platform": "macosx1500-aarch64", "os_name": "mac", "architecture": "aarch64"}

STORED_PENDING = {
    "job": {
        "job_guid": "0c5f6f4e-2f8e-4c1b-9d7a-3b6f0d1e2a4c/0",
        "name": "build-linux",
        "job_symbol": "B",
        "group_name": "unknown",
        "group_symbol": "?",
        "product_name": "unknown",
        "state": "pending",
        "result": "unknown",
        "reason": "unknown",
        "who": "ci@example.com",
        "build_system_type": "our-ci",
        "tier": 1,
        "machine": "unknown",
        "option_collection": {},
        "log_references": [],
        "perfherder_data_references": [],
        "build_platform": {},
        "machine_platform": {},
        "taskcluster_task_id": "DF9vTi-OTBudejtvDR4qTA",
        "taskcluster_retry_id": 0,
    },
    "superseded": [],
    "revision": REVISION,
}

STORED_COMPLETED = {
    "job": {
        "job_guid": "1d2e3f40-5a6b-4c7d-8e9f-0a1b2c3d4e5f/1",
        "name": "test-linux-64/debug-browser-chrome-3",
        "job_symbol": "bc3",
        "group_name": "Mochitests",
        "group_symbol": "M",
        "product_name": "firefox",
        "state": "completed",
        "result": "testfailed",
        "reason": "scheduled",
        "who": "ci@example.com",
        "build_system_type": "our-ci",
        "tier": 1,
        "machine": "builder-7",
        "option_collection": {"debug": True, "asan": True},
        "log_references": [
            {"name": "live_backing_log", "url": "https://ci.example.com/1/live.log", "parse_status": "pending"}
        ],
        "perfherder_data_references": [],
        "submit_timestamp": 1795456680,
        "start_timestamp": 1795456800,
        "end_timestamp": 1795458000,
        "build_platform": STORED_LINUX,
        "machine_platform": STORED_LINUX,
        "taskcluster_task_id": "HS4_QFprTH2OnwobLD1OXw",
        "taskcluster_retry_id": 1,
    },
    "superseded": ["0c5f6f4e-2f8e-4c1b-9d7a-3b6f0d1e2a4c/0"],
    "revision": REVISION,
}


def stored(**changes: Any) -> dict[str, Any]:
    """Return the stored form of the complete job with some properties changed."""
    job: dict[str, Any] = preview_job(COMPLETED | changes)["job"]
    return job


def without(job: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in job.items() if name not in names}


def display(**changes: Any) -> dict[str, Any]:
    return COMPLETED["display"] | changes


def test_a_job_with_every_property_is_stored_under_treeherders_names() -> None:
    assert preview_job(COMPLETED) == STORED_COMPLETED


def test_missing_values_of_a_job_are_unknown_or_absent() -> None:
    assert preview_job(PENDING) == STORED_PENDING


def test_times_that_are_absent_stay_absent() -> None:
    expected = deepcopy(STORED_PENDING)
    expected["job"] |= {"state": "running", "tier": 2, "option_collection": {"opt": True}}
    expected["job"] |= {"submit_timestamp": 1795456680, "start_timestamp": 1795456800}
    assert preview_job(RUNNING) == expected


@pytest.mark.parametrize(
    ("result", "kind", "shown"),
    [
        ("fail", "test", "testfailed"),
        ("fail", "build", "busted"),
        ("fail", "other", "busted"),
        ("canceled", "test", "usercancel"),
        ("canceled", "build", "usercancel"),
        ("success", "test", "success"),
        ("exception", "test", "exception"),
        ("retry", "build", "retry"),
        ("superseded", "other", "superseded"),
        ("unknown", "test", "unknown"),
    ],
)
def test_the_result_is_shown_by_kind(result: str, kind: str, shown: str) -> None:
    assert stored(result=result, jobKind=kind)["result"] == shown


def test_a_result_counts_only_when_the_job_is_completed() -> None:
    assert stored(state="running", result="fail")["result"] == "unknown"
    assert stored(state="running", isRetried=True)["result"] == "unknown"
    assert preview_job(without(COMPLETED, "result"))["job"]["result"] == "unknown"
    assert stored(isRetried=True, result="fail")["result"] == "retry"
    assert preview_job(without(COMPLETED, "result") | {"isRetried": True})["job"]["result"] == "retry"


def test_a_symbol_is_followed_directly_by_its_chunk_and_never_cut() -> None:
    assert stored(display=display(jobSymbol="dt", chunkId=10))["job_symbol"] == "dt10"
    assert stored(display=without(display(), "chunkId"))["job_symbol"] == "bc"
    assert stored(display=display(jobSymbol="", chunkId=4))["job_symbol"] == "4"
    assert stored(display=display(jobSymbol="s" * 25, chunkId=12345))["job_symbol"] == "s" * 25 + "12345"
    assert stored(productName="p" * 125)["product_name"] == "p" * 125


@pytest.mark.parametrize(
    ("machines", "name", "build", "run"),
    [
        ({}, "unknown", {}, {}),
        ({"buildMachine": LINUX}, "unknown", STORED_LINUX, STORED_LINUX),
        ({"runMachine": MAC | {"name": "m"}}, "m", STORED_MAC, STORED_MAC),
        ({"buildMachine": LINUX | {"name": "b"}, "runMachine": MAC | {"name": "m"}}, "b", STORED_LINUX, STORED_MAC),
        ({"buildMachine": LINUX, "runMachine": MAC | {"name": "m"}}, "unknown", STORED_LINUX, STORED_MAC),
    ],
)
def test_the_machine_is_the_build_machine_and_one_platform_is_enough(
    machines: dict[str, Any], name: str, build: dict[str, str], run: dict[str, str]
) -> None:
    job = preview_job(PENDING | machines)["job"]
    assert (job["machine"], job["build_platform"], job["machine_platform"]) == (name, build, run)


def test_an_owner_over_fifty_characters_is_cut_before_validation() -> None:
    assert stored(owner="o" * 50)["who"] == "o" * 50
    assert stored(owner="o" * 51)["who"] == "o" * 49


def test_a_missing_value_is_shown_as_unknown() -> None:
    seen = preview_job(without(COMPLETED, "reason", "productName"))["job"]
    assert (seen["reason"], seen["product_name"]) == ("unknown", "unknown")


def test_links_become_logs_by_their_text_and_performance_data_by_their_url() -> None:
    def link(text: str, path: str) -> dict[str, str]:
        return {"label": "artifact", "linkText": text, "url": f"https://ci.example.com/{path}"}

    def reference(name: str, path: str) -> dict[str, str]:
        return {"name": name, "url": f"https://ci.example.com/{path}", "parse_status": "pending"}

    long = "x" * 400 + "/perfherder-data-2.json"
    links = [
        link("mochi_errorsummary.log", "a"),
        link("errorsummary_json", "b_errorsummary.log"),
        link("mochi_errorsummary.log.gz", "c"),
        link("numbers", "perfherder-data-1.json"),
        link("numbers_errorsummary.log", long),
        link("perfherder-data.json", "d.json"),
        link("numbers", "perfherder-data-3.json?x=1"),
        link("numbers", "perfherder_data.json"),
    ]
    logs = [{"name": name, "url": f"https://ci.example.com/{name}"} for name in ("live_backing_log", "other")]
    seen = stored(jobInfo={"summary": "dropped", "links": links}, logs=logs)
    assert seen["log_references"] == [
        reference("live_backing_log", "live_backing_log"),
        reference("other", "other"),
        reference("errorsummary_json", "a"),
        reference("errorsummary_json", long),
    ]
    assert seen["perfherder_data_references"] == [
        reference("numbers", "perfherder-data-1.json"),
        reference("numbers_errorsummary.log", long),
    ]
    assert "dropped" not in json.dumps(seen)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-23T17:58:00Z", 1795456680),
        ("2026-11-23T17:58:00.999Z", 1795456680),
        ("2026-11-23T17:58:00", 1795456680),
        ("2026-11-23 17:58", 1795456680),
        ("2025-02-26T22:45:17-08:00", 1740638717),
        ("1999-12-31T23:59:59-11:30", 946726199),
        ("Mon, 23 Nov 2026 17:58:00 GMT", 1795456680),
    ],
)
def test_times_are_stored_in_seconds_of_utc(text: str, seconds: int) -> None:
    seen = stored(timeScheduled=text, timeStarted=text, timeCompleted=text)
    assert [seen[f"{name}_timestamp"] for name in ("submit", "start", "end")] == [seconds] * 3


@pytest.mark.parametrize("task_id", ["build-7", "build-7/0", "0c5f6f4e-2f8e-4c1b-9d7a-3b6f0d1e2a4c"])
def test_a_task_id_of_another_form_has_no_task(task_id: str) -> None:
    seen = stored(taskId=task_id)
    assert seen["job_guid"] == task_id
    assert "taskcluster_task_id" not in seen
    assert "taskcluster_retry_id" not in seen


# values that Treeherder does not show


@pytest.mark.parametrize(
    ("job", "pointers"),
    [
        (PENDING | {"state": "Pending", "tier": 7}, ["/state", "/tier"]),
        (without(PENDING, "version"), [""]),
        (COMPLETED | {"timeStarted": "soon", "timeCompleted": "25:00"}, ["/timeStarted", "/timeCompleted"]),
        (COMPLETED | {"display": COMPLETED["display"] | {"chunkId": 10**5000}}, [""]),
        (PENDING | {"owner": ""}, ["/owner"]),
        (PENDING | {"owner": ["x"] * 60}, ["/owner"]),
        ([PENDING], [""]),
        (None, [""]),
    ],
)
def test_a_dropped_job_is_refused_with_every_reason(job: Any, pointers: list[str]) -> None:
    with pytest.raises(InvalidPayload) as caught:
        preview_job(job)
    assert [problem.pointer for problem in caught.value.problems] == pointers


def test_an_unreadable_time_is_reported() -> None:
    with pytest.raises(InvalidPayload) as caught:
        preview_job(COMPLETED | {"timeStarted": "soon"})
    assert str(caught.value) == (
        'invalid against pulse-job: /timeStarted: "soon" is not a date or time that Treeherder can read '
        "(write it as in 2026-11-23T18:00:00Z)"
    )


# any input


@pytest.mark.parametrize("count", [1_000, pytest.param(5_000, marks=pytest.mark.slow)])
def test_a_valid_job_is_shown_or_breaks_a_rule_that_drops_it(count: int) -> None:
    schema, seen = load_schema("pulse-job"), 0
    for job in mutated(JOBS, count, 20261123):
        before = deepcopy(job)
        try:
            form = preview_job(job)
        except InvalidPayload as error:
            rules = {problem.rule for problem in error.problems}
            assert rules <= {"time-unreadable", "owner-missing"} or not schema.is_valid(job, "treeherder")
            continue
        finally:
            assert repr(job) == repr(before)
        seen += 1
        assert set(form) == {"job", "superseded", "revision"}
        assert set(form["job"]) <= set(STORED_COMPLETED["job"])  # type: ignore[arg-type] # a dict of dicts
        assert json.loads(json.dumps(form)) == form
        assert all(type(form["job"][name]) is int for name in form["job"] if name.endswith("_timestamp"))
        assert preview_job(job) == form
    assert seen > count / 5


def test_the_form_shares_nothing_with_the_job() -> None:
    job = deepcopy(COMPLETED)
    form = preview_job(job)
    form["superseded"].append("x")
    form["job"]["log_references"][0]["url"] = "x"
    form["job"]["build_platform"]["platform"] = "x"
    form["job"]["option_collection"].clear()
    assert job == COMPLETED


@given(st.uuids(), st.integers(0, 9999))
def test_the_task_of_any_uuid_converts_back(uuid: UUID, retry: int) -> None:
    seen = stored(taskId=f"{uuid}/{retry}")
    assert UUID(bytes=urlsafe_b64decode(seen["taskcluster_task_id"] + "==")) == uuid
    assert seen["taskcluster_retry_id"] == retry


# the documented rules of the loader, implemented again without pulsekit


def by_reference_rules(job: dict[str, Any]) -> dict[str, Any]:
    """Apply the documented rules of Treeherder's loader, one by one."""
    form: dict[str, Any] = {"job_guid": job["taskId"], "state": job["state"], "name": job["display"]["jobName"]}
    # The symbol is jobSymbol followed directly by chunkId.
    form["job_symbol"] = job["display"]["jobSymbol"]
    if "chunkId" in job["display"]:
        form["job_symbol"] += str(job["display"]["chunkId"])
    form["group_symbol"] = job["display"]["groupSymbol"]
    form["build_system_type"] = job["buildSystem"]
    # Fields that are `unknown` if they are missing.
    form["group_name"] = job["display"].get("groupName", "unknown")
    for name, field in (("productName", "product_name"), ("reason", "reason"), ("owner", "who")):
        form[field] = job.get(name, "unknown")
    # An owner over 50 characters is cut to 49.
    if len(form["who"]) > 50:
        form["who"] = form["who"][0:49]
    form["tier"] = job.get("tier", 1)
    # A result counts only in state completed.
    if job["state"] != "completed":
        form["result"] = "unknown"
    elif job.get("isRetried") is True:
        form["result"] = "retry"
    elif "result" not in job:
        form["result"] = "unknown"
    elif job["result"] == "fail":
        form["result"] = "testfailed" if job["jobKind"] == "test" else "busted"
    elif job["result"] == "canceled":
        form["result"] = "usercancel"
    else:
        form["result"] = job["result"]
    # The machine is that of buildMachine, else of runMachine, else unknown; one platform serves for both.
    first = job["buildMachine"] if "buildMachine" in job else job.get("runMachine")
    second = job["runMachine"] if "runMachine" in job else job.get("buildMachine")
    form["machine"] = "unknown" if first is None or "name" not in first else first["name"]
    for field, machine in (("build_platform", first), ("machine_platform", second)):
        form[field] = {}
        if machine is not None:
            form[field]["platform"] = machine["platform"]
            form[field]["os_name"] = machine["os"]
            form[field]["architecture"] = machine["architecture"]
    form["option_collection"] = {}
    for label in job.get("labels", []):
        form["option_collection"][label] = True
    # Every log is kept as a link; links of two kinds become logs and performance data.
    form["log_references"] = []
    form["perfherder_data_references"] = []
    for log in job.get("logs", []):
        form["log_references"].append({"name": log["name"], "url": log["url"], "parse_status": "pending"})
    for link in job.get("jobInfo", {}).get("links", []):
        if link["linkText"][-17:] == "_errorsummary.log":
            kept = {"name": "errorsummary_json", "url": link["url"], "parse_status": "pending"}
            form["log_references"].append(kept)
        if link["url"].find("perfherder-data") >= 0 and link["url"][-5:] == ".json":
            kept = {"name": link["linkText"], "url": link["url"], "parse_status": "pending"}
            form["perfherder_data_references"].append(kept)
    # Times may have any form, and are UTC without a zone; a missing time stays missing.
    for name, field in (
        ("timeScheduled", "submit_timestamp"),
        ("timeStarted", "start_timestamp"),
        ("timeCompleted", "end_timestamp"),
    ):
        if name in job:
            when = dateutil.parser.parse(job[name])
            when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
            form[field] = calendar.timegm(when.timetuple())
    # A task of the form <uuid>/<retry number> is Taskcluster's, known by its slug.
    if match := re.fullmatch("([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/([0-9]+)", job["taskId"]):
        slug = b64encode(bytes.fromhex(match[1].replace("-", ""))).decode()
        form["taskcluster_task_id"] = slug.replace("+", "-").replace("/", "_").rstrip("=")
        form["taskcluster_retry_id"] = int(match[2])
    return {"job": form, "superseded": job.get("coalesced", []), "revision": job["origin"]["revision"]}


def test_every_valid_job_is_shown_as_by_the_reference_rules() -> None:
    seen = with_task = 0
    fields: set[str] = set()
    for job in mutated([*JOBS, COMPLETED, COMPLETED], 4000, 20261126):
        try:
            form = preview_job(job)
        except InvalidPayload:
            continue
        seen += 1
        assert form == by_reference_rules(job)
        with_task += "taskcluster_task_id" in form["job"]
        fields |= {name for name, value in form["job"].items() if value not in ("unknown", {}, [])}
    assert seen > 1000
    assert with_task > 500
    assert fields >= set(STORED_COMPLETED["job"]) - {"perfherder_data_references"}  # type: ignore[arg-type] # see above


@pytest.mark.parametrize("job", [PENDING, RUNNING, COMPLETED])
def test_the_reference_rules_agree_with_worked_examples(job: dict[str, Any]) -> None:
    known = {"pending": STORED_PENDING, "completed": STORED_COMPLETED}
    assert by_reference_rules(job) == known.get(job["state"], preview_job(job))


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="no folder shared/corpus beside the checkout")
def test_real_jobs_are_shown_with_their_own_values() -> None:
    jobs = json.loads((CORPUS / "treeherder-jobs.json").read_bytes())
    assert len(jobs) == 30
    names = {"timeScheduled": "submit", "timeStarted": "start", "timeCompleted": "end"}
    shown = {"success": "success", "fail": "testfailed", "retry": "retry"}  # all of them are tests
    for job in jobs:
        assert preview_job(job) == by_reference_rules(job)
        seen = preview_job(job)["job"]
        for name, field in names.items():
            assert seen[f"{field}_timestamp"] == datetime.fromisoformat(job[name]).timestamp()
        # The URL of an artifact of a real task has the slug and the run.
        urls = [one["url"] for one in [*job.get("logs", []), *job["jobInfo"].get("links", [])]]
        place = f"/task/{seen['taskcluster_task_id']}/runs/{seen['taskcluster_retry_id']}/"
        assert all(place in url for url in urls)
        assert seen["result"] == shown[job["result"]]
        assert seen["job_symbol"] == job["display"]["jobSymbol"]
        assert seen["machine"] == job["runMachine"]["name"]
        assert list(seen["option_collection"]) == job["labels"]
        assert len(seen["log_references"]) == len(job.get("logs", []))
        assert seen["perfherder_data_references"] == []
