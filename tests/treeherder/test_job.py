"""The typed job: its payload is valid, and reading a payload loses nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.samples import JOBS

import pulsekit
from pulsekit.treeherder import Job, Link, Log, Machine, lint_job, preview_job, routing_key

JOB = Job(
    project="autoland",
    revision="c0ffee0123456789c0ffee0123456789c0ffee01",
    symbol="t",
    name="unit tests",
    build_system="my-ci",
    owner="me@example.com",
)
FULL = Job(
    project="autoland",
    revision="c0ffee0123456789c0ffee0123456789c0ffee01",
    symbol="bc",
    name="mochitest",
    build_system="my-ci",
    owner="me@example.com",
    task_id="5b3bb6a5-6d1f-4d3c-9a3b-0f6f2b0f7c11/0",
    kind="test",
    state="completed",
    result="fail",
    group="M",
    group_name="Mochitests",
    chunk=5,
    chunk_count=9,
    tier=2,
    retry_id=0,
    is_retried=False,
    push_id=7,
    scheduled=datetime(2026, 11, 1, 12, tzinfo=UTC),
    started=datetime(2026, 11, 1, 14, 0, 1, 500000, tzinfo=timezone(timedelta(hours=2))),
    completed_at=datetime(2026, 11, 1, 13, tzinfo=UTC),
    labels=("debug",),
    reason="scheduled",
    product="firefox",
    build_machine=Machine("linux64", "linux", "x86_64", "b-1"),
    run_machine=Machine("linux64", "linux", "x86_64"),
    summary="one failure",
    links=(Link("https://example.com/a", "a.log", "artifact"),),
    logs=(Log("https://example.com/log", "live_backing_log"),),
    coalesced=("5b3bb6a5-6d1f-4d3c-9a3b-0f6f2b0f7c12/0",),
)


@pytest.mark.parametrize("job", [JOB, FULL, JOB.running(), JOB.completed("success")])
def test_a_job_is_a_payload_that_treeherder_stores(job: Job) -> None:
    payload = job.payload()
    pulsekit.load_schema("pulse-job").check(payload)
    assert not [finding for finding in lint_job(payload) if finding.severity == "dropped"]
    assert Job.from_payload(payload) == job


def test_every_field_of_the_schema_can_be_written() -> None:
    written = FULL.payload()
    schema = YAML(typ="safe").load((Path(__file__).parents[2] / "schemas" / "pulse-job.yml").read_text())
    assert written.keys() == schema["properties"].keys()
    assert written["timeStarted"] == "2026-11-01T14:00:01.500000+02:00"
    assert written["display"] == {
        "jobSymbol": "bc",
        "chunkId": 5,
        "chunkCount": 9,
        "groupSymbol": "M",
        "jobName": "mochitest",
        "groupName": "Mochitests",
    }
    assert written["origin"] == {"project": "autoland", "revision": JOB.revision, "id": 7}


def test_progress_keeps_the_task_and_its_times() -> None:
    started = datetime(2026, 11, 1, 12, tzinfo=UTC)
    running = JOB.running(started=started)
    done = running.completed("fail", completed_at=started + timedelta(minutes=1))
    assert {JOB.task_id, running.task_id, done.task_id} == {JOB.task_id}
    assert (running.state, done.state, done.result, done.started) == ("running", "completed", "fail", started)
    assert JOB.running().started is not None
    assert JOB.task_id != Job.from_payload({**JOB.payload(), "taskId": "x/1"}).task_id


def test_the_routing_key_is_that_of_the_payload() -> None:
    assert JOB.routing_key("treeherder") == routing_key(JOB.payload(), "treeherder") == "treeherder.autoland._"


def test_a_time_without_a_zone_is_an_error_but_utc_in_payloads() -> None:
    with pytest.raises(pulsekit.InvalidPayload, match=r"/timeStarted: .* has no time zone .*datetime\.now\(UTC\)"):
        JOB.running(started=datetime(2026, 11, 1))  # noqa: DTZ001 - that is the test
    payload = {**JOB.payload(), "timeStarted": "2026-11-01T12:00:00", "timeScheduled": "Sun, 01 Nov 2026 11:00:00"}
    job = Job.from_payload(payload)
    assert job.started == datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert job.scheduled == datetime(2026, 11, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "done"}, "/state"),
        ({"timeStarted": "soon"}, "/timeStarted: 'soon' is not a time"),
        ({"timeStarted": "2026-W48-1"}, "/timeStarted: '2026-W48-1' is not a time"),
        ({"timeStarted": "0001-01-01T00:00:00+10:00"}, "is not a time"),
        ({"owner": None}, "owner"),
    ],
)
def test_a_payload_that_treeherder_drops_is_not_a_job(change: dict[str, Any], words: str) -> None:
    payload = {name: value for name, value in {**JOB.payload(), **change}.items() if value is not None}
    with pytest.raises(pulsekit.InvalidPayload, match=words):
        Job.from_payload(payload)


@pytest.mark.parametrize("text", ["10:00", "Monday", "2025", "-1", "Nov 2026", "20261123T180000Z"])
def test_a_time_that_treeherder_completes_is_read_as_it_does(text: str) -> None:
    payload = JOB.payload() | {"timeScheduled": text}
    assert preview_job(Job.from_payload(payload).payload()) == preview_job(payload)


def test_a_time_keeps_its_fraction_and_zone() -> None:
    payload = JOB.payload() | {"timeScheduled": "2026-11-23T18:00:00.500000+02:00"}
    assert Job.from_payload(payload).payload() == payload


@pytest.mark.parametrize("name", ["labels", "coalesced"])
def test_a_tuple_without_its_comma_is_refused(name: str) -> None:
    values: dict[str, Any] = {name: ("debug")}
    with pytest.raises(pulsekit.InvalidPayload, match=rf"/{name}: 'debug' is text, .*write \('debug',\)"):
        replace(JOB, **values)


def test_an_owner_that_treeherder_cuts_is_read_completely() -> None:
    payload = JOB.payload() | {"owner": "o" * 60}
    assert preview_job(payload)["job"]["who"] == "o" * 49
    assert Job.from_payload(payload).owner == "o" * 60


@pytest.mark.parametrize("payload", JOBS)
def test_reading_a_payload_loses_nothing(payload: dict[str, Any]) -> None:
    assert Job.from_payload(Job.from_payload(payload).payload()) == Job.from_payload(payload)


def test_reading_real_jobs_loses_nothing(corpus: Path) -> None:
    read = 0
    for payload in json.loads((corpus / "treeherder-jobs.json").read_text()):
        try:
            job = Job.from_payload(payload)
        except pulsekit.InvalidPayload:
            continue
        assert preview_job(job.payload()) == preview_job(payload)
        read += 1
    assert read
