"""The jobs that Treeherder makes from Taskcluster's messages: expected values are written by hand from its handler.

The UUID of a slug id is from `echo 'DF9vTi-OTBudejtvDR4qTA==' | tr -- '-_' '+/' | base64 -d | xxd -p`.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import CORPUS, REVISION

from pulsekit.catalogue import known_exchanges
from pulsekit.errors import InvalidPayload
from pulsekit.treeherder import Context, judge, preview_job
from pulsekit.treeherder.subjects import EXCHANGES, TaskDefinition, TaskMessage, normalize_task, recognize
from pulsekit.treeherder.task_rules import PUSH_RULES, TASK_RULES
from pulsekit.treeherder.tasks import predict_job

if TYPE_CHECKING:
    from pulsekit.treeherder.prediction import TaskPrediction

DOCS = Path(__file__).parents[2] / "docs" / "why.md"

SLUG = "DF9vTi-OTBudejtvDR4qTA"
UUID = "0c5f6f4e-2f8e-4c1b-9d7a-3b6f0d1e2a4c"
ROUTE = f"tc-treeherder.v2.autoland.{REVISION}.4711"

TASK: dict[str, Any] = {
    "provisionerId": "gecko-t",
    "workerType": "t-linux-large",
    "taskQueueId": "gecko-t/t-linux-large",
    "schedulerId": "gecko-level-3",
    "taskGroupId": "XrWNyFwpT2in-wLY9frb-w",
    "created": "2026-11-23T17:50:00.000Z",
    "deadline": "2026-11-24T17:50:00.000Z",
    "routes": ["index.gecko.v2.autoland.latest", ROUTE],
    "payload": {"command": ["make"]},
    "metadata": {
        "name": "test-linux64/debug-mochitest-3",
        "description": "Mochitests",
        "owner": "ci@example.com",
        "source": "https://hg.example.com/file",
    },
    "extra": {
        "treeherder": {
            "symbol": "3",
            "groupSymbol": "M",
            "groupName": "Mochitests",
            "productName": "firefox",
            "jobKind": "test",
            "tier": 2,
            "reason": "scheduled by hand",
            "machine": {"platform": "linux64", "os": "linux", "architecture": "x86_64"},
            "labels": ["debug", "asan"],
        }
    },
}

# What Treeherder makes of the task alone, in every state.
COMMON: dict[str, Any] = {
    "buildSystem": "taskcluster",
    "owner": "ci@example.com",
    "taskId": f"{UUID}/0",
    "retryId": 0,
    "isRetried": False,
    "display": {
        "jobName": "test-linux64/debug-mochitest-3",
        "jobSymbol": "3",
        "groupSymbol": "M",
        "groupName": "Mochitests",
    },
    "tier": 2,
    "timeScheduled": "2026-11-23T17:50:00.000Z",
    "jobKind": "test",
    "productName": "firefox",
    "reason": "scheduled by hand",
    "jobInfo": {"links": [], "summary": "Mochitests"},
    "origin": {"project": "autoland", "revision": REVISION, "id": 4711},
    "labels": ["debug", "asan"],
    "version": 1,
}
LINUX = {"platform": "linux64", "os": "linux", "architecture": "x86_64"}
STARTED, RESOLVED = "2026-11-23T18:00:00.000Z", "2026-11-23T18:20:00.000Z"
RAN = {"workerId": "worker-7", "started": STARTED, "resolved": RESOLVED}
LOG = f"https://tc.example/api/queue/v1/task/{SLUG}/runs/1/artifacts/public/logs/live_backing.log"


def message(state: str, *runs: dict[str, Any], number: int | None = None, task: Any = None) -> TaskMessage:
    """Return a message about the last of the runs, or about another one."""
    listed = [{"runId": index, "reasonCreated": "scheduled"} | run for index, run in enumerate(runs)]
    payload: dict[str, Any] = {"status": {"taskId": SLUG, "runs": listed, "state": state}, "version": 1}
    if runs:
        payload["runId"] = len(runs) - 1 if number is None else number
    exchange = f"exchange/taskcluster-queue/v1/task-{state}"
    return TaskMessage(exchange, payload, TASK if task is None else task, "https://tc.example/")


def job_of(state: str, *runs: dict[str, Any], number: int | None = None) -> dict[str, Any]:
    predicted = predict_job(message(state, *runs, number=number))
    assert predicted.findings == ()
    assert predicted.job is not None
    return predicted.job


def changed(**parts: Any) -> dict[str, Any]:
    """Return the task with some fields changed; None removes one."""
    return {name: part for name, part in (TASK | parts).items() if part is not None}


def shown(**config: Any) -> dict[str, Any]:
    """Return the task with some members of extra.treeherder changed; None removes one."""
    members = TASK["extra"]["treeherder"] | config
    return changed(extra={"treeherder": {name: part for name, part in members.items() if part is not None}})


def rules(task: Any) -> list[tuple[str, str]]:
    predicted = predict_job(message("pending", {"state": "pending"}, task=task))
    assert (predicted.job is None) is bool(predicted.findings)
    return [(found.rule, found.pointer) for found in predicted.findings]


# the six exchanges


def test_a_task_that_is_defined_is_unscheduled() -> None:
    expected = COMMON | {"state": "unscheduled", "result": "unknown", "buildMachine": LINUX | {"name": "unknown"}}
    assert job_of("defined") == expected


def test_a_task_that_is_pending_has_no_machine_yet() -> None:
    expected = COMMON | {"state": "pending", "result": "unknown", "buildMachine": LINUX | {"name": "unknown"}}
    assert job_of("pending", {"state": "pending"}) == expected


def test_a_task_that_runs_has_a_machine_and_a_start() -> None:
    run = {"state": "running", "workerId": "worker-7", "started": STARTED}
    expected = COMMON | {"state": "running", "result": "unknown", "timeStarted": STARTED}
    assert job_of("running", run) == expected | {"buildMachine": LINUX | {"name": "worker-7"}}


@pytest.mark.parametrize(("state", "result"), [("completed", "success"), ("failed", "fail")])
def test_a_task_that_ended_has_times_and_the_log_of_its_run(state: str, result: str) -> None:
    expected = COMMON | {
        "taskId": f"{UUID}/1",
        "retryId": 1,
        "state": "completed",
        "result": result,
        "timeStarted": STARTED,
        "timeCompleted": RESOLVED,
        "buildMachine": LINUX | {"name": "worker-7"},
        "logs": [{"name": "live_backing_log", "url": LOG}],
    }
    assert job_of(state, {"state": "exception"}, RAN | {"state": state}) == expected


def test_the_log_has_the_number_that_the_run_itself_has() -> None:
    assert "/runs/x/" in job_of("failed", RAN | {"state": "failed", "runId": "x"})["logs"][0]["url"]


@pytest.mark.parametrize(
    ("reason", "result"),
    [
        ("canceled", "canceled"),
        ("superseded", "superseded"),
        ("deadline-exceeded", "exception"),
        ("worker-shutdown", "exception"),
        (None, "exception"),
    ],
)
def test_an_exception_has_no_logs_and_the_result_of_its_reason(reason: str | None, result: str) -> None:
    run: dict[str, Any] = {"state": "exception", "resolved": RESOLVED}
    run |= {"reasonResolved": reason} if reason else {}
    expected = COMMON | {"state": "completed", "result": result, "timeCompleted": RESOLVED, "logs": []}
    assert job_of("exception", run) == expected | {"buildMachine": LINUX | {"name": "unknown"}}
    assert job_of("exception", run | RAN) == expected | {
        "timeStarted": STARTED,
        "buildMachine": LINUX | {"name": "worker-7"},
    }


@pytest.mark.parametrize(
    ("created", "retried"), [("retry", True), ("task-retry", True), ("rerun", False), ("scheduled", False)]
)
def test_an_exception_is_retried_if_the_next_run_is_a_retry(created: str, retried: bool) -> None:
    runs = [{"state": "exception", "resolved": RESOLVED}, {"state": "pending", "reasonCreated": created}]
    assert job_of("exception", *runs, number=0)["isRetried"] is retried


# what is absent


def test_missing_fields_of_a_task_have_defaults() -> None:
    job = predict_job(message("pending", {"state": "pending"}, task=changed(extra={"treeherder": {"symbol": ""}}))).job
    assert job is not None
    assert job["display"] == {"jobName": COMMON["display"]["jobName"], "jobSymbol": "", "groupSymbol": "?"}
    assert (job["tier"], job["jobKind"], job["reason"], job["labels"]) == (1, "other", "scheduled", ["opt"])
    machine = {"name": "unknown", "platform": "t-linux-large", "os": "-", "architecture": "-"}
    assert job["buildMachine"] == machine
    assert "productName" not in job


@pytest.mark.parametrize(
    ("labels", "collection", "expected"),
    [
        (["asan"], {"debug": True}, ["asan"]),
        ([], {"debug": True, "cc": False}, ["debug", "cc"]),
        (None, {"pgo": True}, ["pgo"]),
        (None, {}, ["opt"]),
        ([], None, ["opt"]),
    ],
)
def test_labels_are_those_of_labels_or_of_collection_or_opt(labels: Any, collection: Any, expected: list[str]) -> None:
    job = predict_job(message("pending", {"state": "pending"}, task=shown(labels=labels, collection=collection))).job
    assert job is not None
    assert job["labels"] == expected


def test_a_name_is_cut_to_139_characters() -> None:
    task = changed(metadata=TASK["metadata"] | {"name": "n" * 150})
    job = predict_job(message("pending", {"state": "pending"}, task=task)).job
    assert job is not None
    assert job["display"]["jobName"] == "n" * 139


@pytest.mark.parametrize(
    ("words", "origin"),
    [
        (f"v2.autoland.{REVISION}", ("autoland", 0)),
        (f"v2.autoland.{REVISION}.", ("autoland", 0)),
        (f"v2.autoland.{REVISION}.4711", ("autoland", 4711)),
        (f"v2.autoland.{REVISION}.4711.x", ("autoland", 0)),
        (f"v2.mozilla-mobile/fenix.{REVISION}", ("fenix", 0)),
        (f"v2.a/b/c.{REVISION}", ("a/b/c", 0)),
    ],
)
def test_a_route_names_project_revision_and_push(words: str, origin: tuple[str, int]) -> None:
    task = changed(routes=["tc-treeherder-stage.v2.x.y", f"tc-treeherder.{words}"])
    job = predict_job(message("pending", {"state": "pending"}, task=task)).job
    assert job is not None
    assert job["origin"] == {"project": origin[0], "revision": REVISION, "id": origin[1]}


# what Treeherder drops


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (changed(routes=[]), [("route-missing", "/routes")]),
        (changed(routes=["index.x", "tc-treeherders.v2.a.b"]), [("route-missing", "/routes")]),
        (changed(routes=["index.x", "tc-treeherder-stage.v2.autoland.x"]), [("route-stage", "/routes/1")]),
        (changed(routes=["a", ROUTE, ROUTE]), [("route-several", "/routes/2")]),
        (changed(routes=["tc-treeherder.v2.autoland"]), [("route-short", "/routes/0")]),
        (changed(routes=["tc-treeherder"]), [("route-short", "/routes/0")]),
        (changed(routes=[f"tc-treeherder.v2.autoland.{REVISION}.x"]), [("route-push-id", "/routes/0")]),
        (changed(routes=[f"tc-treeherder.v2.my.project.{REVISION}"]), [("route-project-dot", "/routes/0")]),
        (changed(routes=[f"tc-treeherder.v2.o/my.old.project.{REVISION}.1"]), [("route-project-dot", "/routes/0")]),
        (changed(routes="x"), [("task-incomplete", "/routes")]),
        (changed(routes=["a", 1]), [("task-incomplete", "/routes/1")]),
        (changed(extra=None), [("treeherder-missing", "")]),
        (changed(extra={}), [("treeherder-missing", "")]),
        (changed(extra={"treeherder": {}}), [("treeherder-missing", "/extra/treeherder")]),
        (changed(extra=[]), [("task-incomplete", "/extra")]),
        (shown(symbol=3), [("treeherder-invalid", "/extra/treeherder/symbol")]),
        (shown(symbol=None), [("treeherder-invalid", "/extra/treeherder")]),
        (shown(tier=4), [("treeherder-invalid", "/extra/treeherder/tier")]),
        (
            shown(machine={"platform": "linux64", "name": "x"}),
            [("treeherder-invalid", "/extra/treeherder/machine/name")],
        ),
        (shown(labels=["a b"]), [("treeherder-invalid", "/extra/treeherder/labels/0")]),
        (shown(labels=None, collection=["debug"]), [("task-incomplete", "/extra/treeherder/collection")]),
        (changed(created=None), [("task-incomplete", "")]),
        (changed(metadata={"name": "x", "owner": "x"}), [("task-incomplete", "/metadata")]),
        (changed(metadata={"name": 1, "owner": "x", "description": ""}), [("task-incomplete", "/metadata/name")]),
        (changed(workerType=None, taskQueueId=None), [("task-incomplete", "")]),
        (changed(routes=[], extra={}), [("route-missing", "/routes"), ("treeherder-missing", "")]),
        ([], [("task-incomplete", "")]),
    ],
)
def test_each_way_in_which_treeherder_drops_a_task_has_a_rule(task: Any, expected: list[tuple[str, str]]) -> None:
    found = rules(task)
    assert found[: len(expected)] == expected
    assert len(found) == len(expected) or task == []


BASE = "https://github.com/mozilla-mobile/reference-browser"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"MOBILE_HEAD_REPOSITORY": BASE, "MOBILE_HEAD_REF": "refs/heads/main"}, None),
        ({"MOBILE_HEAD_REPOSITORY": BASE, "MOBILE_HEAD_REF": "master"}, None),
        ({"MOBILE_HEAD_REPOSITORY": BASE}, None),
        ({"MOBILE_HEAD_REF": "topic"}, None),
        ({"MOBILE_HEAD_REPOSITORY": BASE, "MOBILE_HEAD_REF": "topic"}, "MOBILE_HEAD_REF"),
        ({"MOBILE_HEAD_REPOSITORY": "https://github.com/me/fork"}, "MOBILE_HEAD_REPOSITORY"),
        ({"MOBILE_BASE_REPOSITORY": "https://github.com/mozilla/elsewhere", "MOBILE_HEAD_REPOSITORY": "x"}, None),
    ],
)
def test_mobile_projects_show_only_tasks_of_main(env: dict[str, str], expected: str | None) -> None:
    env = {"MOBILE_BASE_REPOSITORY": BASE} | env
    routes = [f"tc-treeherder.v2.reference-browser.{REVISION}"]
    wanted = [] if expected is None else [("project-mobile-branch", f"/payload/env/{expected}")]
    assert rules(changed(routes=routes, payload={"env": env})) == wanted
    assert rules(changed(payload={"env": env})) == []  # another project


@pytest.mark.parametrize(("ingested", "dropped"), [(None, False), (["try", "autoland"], False), (["try"], True)])
def test_an_instance_that_is_limited_to_projects_ignores_tasks_of_others(
    ingested: list[str] | None, *, dropped: bool
) -> None:
    verdict = judge(message("pending", {"state": "pending"}), context=Context(ingested=ingested))
    assert verdict.outcome == ("dropped" if dropped else "stored")
    found = [(one.rule, one.pointer) for one in verdict.findings if one.severity == "dropped"]
    assert found == ([("project-not-ingested", "/routes/1")] if dropped else [])
    messages = [one.message for one in verdict.findings]
    assert messages == (['"autoland" is not in PROJECTS_TO_INGEST: try'] if dropped else [])


@pytest.mark.parametrize(
    ("text", "outcome"), [("", "stored"), ("try,autoland", "stored"), ("autoland-2,try", "dropped")]
)
def test_projects_to_ingest_can_be_the_text_of_the_variable(text: str, outcome: str) -> None:
    assert judge(message("pending", {"state": "pending"}), context=Context(ingested=text)).outcome == outcome


def test_without_the_base_repository_the_decision_task_decides() -> None:
    task = changed(routes=[f"tc-treeherder.v2.reference-browser.{REVISION}"])
    predicted = predict_job(message("pending", {"state": "pending"}, task=task))
    assert predicted.job is not None
    assert [one for one in predicted.assumptions if "decision task" in one]


def test_an_exception_of_a_task_that_was_never_scheduled_is_dropped() -> None:
    run = {"state": "exception", "reasonCreated": "exception", "reasonResolved": "canceled", "resolved": RESOLVED}
    predicted = predict_job(message("exception", run))
    assert [(one.rule, one.pointer) for one in predicted.findings] == [
        ("run-never-scheduled", "/status/runs/0/reasonCreated")
    ]


@pytest.mark.parametrize(
    ("exchange", "rule"),
    [
        ("exchange/taskcluster-queue/v1/task-group-resolved", "exchange-unknown"),
        ("exchange/taskcluster-hooks/v1/hook-created", "exchange-unknown"),
        ("exchange/taskcluster-auth/v1/role-updated", "exchange-unknown"),
        ("exchange/taskcluster-notify/v1/notification", "exchange-unknown"),
        ("exchange/taskcluster-worker-manager/v1/worker-pool-error", "exchange-unknown"),
        ("exchange/taskcluster-github/v1/release", "push-exchange"),
        ("exchange/github-webhooks/v1", "push-exchange"),
        ("exchange/landoprod/pushes", "push-exchange"),
    ],
)
def test_a_message_that_treeherder_does_not_bind_is_not_a_broken_job(exchange: str, rule: str) -> None:
    verdict = judge(recognize({"exchange": exchange, "routing_key": "a", "payload": {"hookId": "x"}}))
    assert (verdict.outcome, verdict.problems) == ("dropped", ())
    assert [one.rule for one in verdict.findings] == [rule]
    assert "these" not in verdict.findings[0].hint


def test_no_known_exchange_but_that_of_jobs_is_read_as_a_job() -> None:
    names = [known.name for known in known_exchanges()]
    jobs = [name for name in names if recognize({"exchange": name, "routing_key": "a", "payload": {}}) is None]
    assert jobs == ["exchange/taskcluster-treeherder/v1/jobs"]


@pytest.mark.parametrize(
    ("exchange", "payload", "expected"),
    [
        ("exchange/taskcluster-queue/v1/artifact-created", None, ("exchange-unknown", "")),
        (EXCHANGES[2], {}, ("message-incomplete", "")),
        (EXCHANGES[2], {"status": {"taskId": "x", "runs": []}, "runId": 0}, ("message-incomplete", "/status/taskId")),
        (EXCHANGES[2], {"status": {"taskId": SLUG, "runs": []}, "runId": 0}, ("message-incomplete", "/status/runs")),
        (EXCHANGES[2], {"status": {"taskId": SLUG, "runs": {}}, "runId": "a"}, ("message-incomplete", "")),
        (
            EXCHANGES[2],
            {"status": {"taskId": SLUG, "runs": [{"state": "running"}]}, "runId": 0},
            ("message-incomplete", "/status/runs/0"),
        ),
    ],
)
def test_a_message_that_the_handler_cannot_read_is_dropped(
    exchange: str, payload: Any, expected: tuple[str, str]
) -> None:
    whole = message("pending", {"state": "pending"}).payload
    predicted = predict_job(TaskMessage(exchange, whole if payload is None else payload, TASK))
    assert predicted.job is None
    assert (predicted.findings[0].rule, predicted.findings[0].pointer) == expected


def test_every_rule_about_tasks_is_tested() -> None:
    tried = {
        rule
        for test in (
            test_each_way_in_which_treeherder_drops_a_task_has_a_rule,
            test_a_message_that_the_handler_cannot_read_is_dropped,
        )
        for case in test.pytestmark[0].args[1]  # type: ignore[attr-defined] # of pytest
        for rule, _ in (case[-1] if isinstance(case[-1], list) else [case[-1]])
    }
    assert tried | {"run-never-scheduled", "project-mobile-branch", "project-not-ingested"} == {
        rule.name for rule in TASK_RULES
    }
    assert all(rule.severity == "dropped" and rule.hint for rule in TASK_RULES)


def test_a_message_without_its_task_is_unknown_unless_it_decides() -> None:
    known = message("pending", {"state": "pending"})
    predicted = predict_job(TaskMessage(known.exchange, known.payload))
    assert (predicted.job, predicted.findings) == (None, ())
    assert "definition" in predicted.assumptions[0]
    assert predict_job(TaskMessage("exchange/x", known.payload)).findings[0].rule == "exchange-unknown"


# definitions, graphs and other shapes


def test_a_definition_from_a_file_is_completed_as_the_queue_does() -> None:
    given = {"taskQueueId": "p/w", "metadata": {}}
    assert normalize_task(given) == given | {"provisionerId": "p", "workerType": "w", "routes": [], "payload": {}}
    assert given == {"taskQueueId": "p/w", "metadata": {}}
    assert normalize_task(TASK) == TASK
    assert normalize_task({"taskQueueId": "p", "routes": [], "payload": {}}) == {
        "taskQueueId": "p",
        "routes": [],
        "payload": {},
    }


def test_a_definition_without_a_message_is_shown_in_each_state() -> None:
    task = changed(created={"relative-datestamp": "0 seconds"}, workerType=None)
    forms = []
    for each in TaskDefinition(task, SLUG).messages("https://tc.example"):
        job = predict_job(each).job
        assert job is not None
        forms.append(preview_job(job)["job"])
    assert [(form["state"], form["result"]) for form in forms] == [
        ("unscheduled", "unknown"),
        ("pending", "unknown"),
        ("running", "unknown"),
        ("completed", "success"),
        ("completed", "testfailed"),
        ("completed", "exception"),
    ]
    assert {form["job_guid"] for form in forms} == {f"{UUID}/0"}
    assert {form["build_platform"]["platform"] for form in forms} == {"linux64"}
    assert not any("timestamp" in name for form in forms for name in form)


def test_shapes_are_recognized_with_pointers_to_their_parts() -> None:
    payload = message("failed", RAN | {"state": "failed"}).payload
    exchange = EXCHANGES[4]
    line = {"message": {"exchange": exchange, "payload": payload, "root_url": "https://tc.example"}, "task": TASK}
    assert recognize(line) == TaskMessage(exchange, payload, TASK, "https://tc.example", "/message/payload", "/task")
    record = {"v": 1, "exchange": exchange, "routing_key": "primary.x", "payload": payload}
    assert recognize(record) == TaskMessage(exchange, payload, payload_at="/payload", task_at="/task")
    body = {"v": 1, "exchange": exchange, "routing_key": "primary.x", "body": json.dumps(payload)}
    assert recognize(body) == TaskMessage(exchange, payload, payload_at="/body", task_at="/task")
    assert recognize(record | {"task": TASK}) == TaskMessage(
        exchange, payload, TASK, payload_at="/payload", task_at="/task"
    )
    assert recognize(payload) == TaskMessage(exchange, payload)
    assert recognize({"message": payload, "task": TASK}) == TaskMessage(
        exchange, payload, TASK, payload_at="/message", task_at="/task"
    )
    assert recognize(TASK) == TaskDefinition(TASK)
    assert recognize({"label": "build", "task": TASK}) == TaskDefinition(TASK, label="build", task_at="/task")


def test_a_graph_is_recognized_with_labels_or_ids_as_keys() -> None:
    graph = recognize({SLUG: {"label": "build", "task": TASK}, "test/a": {"task_id": "x", "task": {}}})
    assert graph.tasks == (  # type: ignore[union-attr] # that is the point
        TaskDefinition(TASK, SLUG, "build", f"/{SLUG}/task"),
        TaskDefinition({}, "", "test/a", "/test~1a/task"),
    )


@pytest.mark.parametrize(
    "value",
    [
        COMMON,
        {"v": 1, "routing_key": "treeherder.autoland._", "exchange": "exchange/me/v1/jobs", "payload": COMMON},
        {"routing_key": "x", "payload": COMMON},
        {},
        [],
        None,
        {"extra": {}},
        {"a": {"task": 1}},
        {"v": 1, "type": "gap"},
    ],
)
def test_any_other_value_is_a_job(value: Any) -> None:
    assert recognize(value) is None


@pytest.mark.parametrize(
    ("task", "pointer", "hint"),
    [
        (
            changed(routes=["tc-treeherder.v2.autoland.abc"]),
            "/routes/0",
            "the fourth word of the route is the revision",
        ),
        (changed(routes=[f"tc-treeherder.v2..{REVISION}"]), "/routes/0", "the third word of the route is the project"),
        (
            changed(metadata=TASK["metadata"] | {"name": ""}),
            "/metadata/name",
            "Treeherder copies it to /display/jobName of the job",
        ),
        (
            changed(metadata=TASK["metadata"] | {"description": None}),
            "/metadata/description",
            "write a text: without the field, Treeherder drops the message",
        ),
    ],
)
def test_a_task_whose_job_is_invalid_names_the_field_to_change(task: Any, pointer: str, hint: str) -> None:
    problem = judge(message("pending", {"state": "pending"}, task=task)).problems[0]
    assert (problem.pointer, problem.hint) == (pointer, hint)


def test_a_field_of_the_job_has_the_pointer_of_its_source() -> None:
    given = message("pending", {"state": "pending"})
    predicted = predict_job(replace(given, payload_at="/message/payload", task_at="/task"))
    for pointer, source in [
        ("/owner", "/task/metadata/owner"),
        ("/display/jobSymbol", "/task/extra/treeherder/symbol"),
        ("/buildMachine/os", "/task/extra/treeherder/machine/os"),
        ("/origin/revision", "/task/routes/1"),
        ("/labels/0", "/task/extra/treeherder/labels"),
        ("/timeStarted", "/message/payload/status/runs/0/started"),
        ("/version", ""),
        ("", ""),
    ]:
        assert predicted.source(pointer) == source


# real messages, and any others


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="no folder shared/corpus beside the checkout")
def test_real_messages_become_the_jobs_that_treeherder_stored() -> None:
    lines = (CORPUS / "taskcluster" / "treeherder-tasks.ndjson").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 31
    for line in map(json.loads, lines):
        given = deepcopy(line)
        subject = recognize(line)
        assert isinstance(subject, TaskMessage)
        predicted = predict_job(subject)
        assert predicted.findings == ()
        assert preview_job(predicted.job) == line["job"]
        assert line == given


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([SLUG, ROUTE]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from([*TASK, "status", "runs", "runId", "taskId"]), inner)
    ),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """Draw a line with a message and its task, of which one to three parts are changed."""
    state = draw(st.sampled_from(["defined", "pending", "running", "completed", "failed", "exception"]))
    whole = message(state, RAN | {"state": state}, {"state": "pending"}, number=0)
    line: Any = {"message": {"exchange": whole.exchange, "payload": whole.payload}, "task": TASK}
    line = deepcopy(line)
    for _ in range(draw(st.integers(1, 3))):
        parent, key = line, draw(st.sampled_from(["message", "task"]))
        while isinstance(parent[key], dict | list) and parent[key] and draw(st.integers(0, 4)):
            parent = parent[key]
            key = draw(st.sampled_from(sorted(parent) if isinstance(parent, dict) else range(len(parent))))
        if isinstance(parent, dict) and parent is not line and draw(st.booleans()):
            del parent[key]
        else:
            parent[key] = draw(ANY)
    return line


@given(ANY | damaged())
def test_no_input_raises_and_each_has_a_verdict(value: Any) -> None:
    subject = recognize(value)
    if isinstance(subject, TaskMessage):
        _check(predict_job(subject))
    elif isinstance(subject, TaskDefinition):
        for each in subject.messages():
            _check(predict_job(each))


def _check(predicted: TaskPrediction) -> None:
    if predicted.job is None:
        assert predicted.findings or predicted.assumptions
        return
    assert not predicted.findings
    with suppress(InvalidPayload):  # the loader drops the job, with problems
        preview_job(predicted.job)


# the documentation


def test_the_documentation_has_the_tables_of_rules() -> None:
    rows = [f"| `{rule.name}` | {rule.about} | {rule.hint} |" for rule in (*TASK_RULES, *PUSH_RULES)]
    assert re.findall(r"^\| `[\w-]+` \| .* \| .* \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)[7:] == rows


def test_the_sample_of_the_documentation_works(capsys: pytest.CaptureFixture[str]) -> None:
    (sample,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    exec(sample, {})
    assert "task-failed route-missing /routes none of 1 route begins" in capsys.readouterr().out
