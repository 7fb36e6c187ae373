"""Verdicts on tasks, graphs and pushes: that of their job, with the positions in their own text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.samples import CORPUS, REVISION
from support.taskcluster import RUN, SLUG, TASK

from pulsekit._documents.document import parse_json
from pulsekit.errors import InvalidPayload
from pulsekit.treeherder import Context, Judge, Repositories, Repository, TaskMessage, judge, recognize
from pulsekit.treeherder.document_verdicts import Judged, judge_subjects

EXCHANGE = "exchange/taskcluster-queue/v1/task-failed"
BODY = {"status": {"taskId": SLUG, "runs": [RUN]}, "runId": 0}
KNOWN = Repositories([Repository("autoland", "https://hg.mozilla.org/autoland"), Repository("old", active=False)])


def line(**parts: Any) -> dict[str, Any]:
    """Return a message with its task, with some parts changed; None removes one."""
    task = {name: part for name, part in (TASK | parts).items() if part is not None}
    return {"message": {"exchange": EXCHANGE, "payload": BODY}, "task": task}


def judged(value: Any, context: Context | None = None, **options: Any) -> list[Judged]:
    document = parse_json(json.dumps(value, indent=1), source="x.json")
    return list(judge_subjects(Judge(), document, context or Context(), **options))


def test_a_message_with_its_task_has_the_verdict_on_its_job() -> None:
    verdict = judge(recognize(line()))
    assert (verdict.outcome, verdict.problems, verdict.findings) == ("stored", (), ())
    assert verdict.job is not None
    assert verdict.job["job"]["result"] == "testfailed"
    assert verdict.project == "autoland"
    assert verdict.assumptions == (
        "the push of origin.revision exists",
        "origin.project is an active repository",
    )


@pytest.mark.parametrize(
    ("parts", "outcome", "rule", "pointer"),
    [
        ({"routes": []}, "dropped", "route-missing", "/task/routes"),
        ({"created": "never"}, "dropped", "time-unreadable", "/task/created"),
        ({"created": "2026-11-23T19:00:00Z"}, "stored", "times-disordered", "/message/payload/status/runs/0/started"),
        ({"metadata": TASK["metadata"] | {"owner": "x" * 60}}, "stored", "owner-long", "/task/metadata/owner"),
    ],
)
def test_a_finding_has_its_position_in_the_task_or_message(
    parts: dict[str, Any], outcome: str, rule: str, pointer: str
) -> None:
    (found,) = judged(line(**parts))
    assert found.placed.verdict.outcome == outcome
    (placed,) = found.placed.lint
    assert (placed.finding.rule, placed.finding.pointer) == (rule, pointer)
    text = json.dumps(line(**parts), indent=1).splitlines()[(placed.line or 0) - 1]
    assert f'"{pointer.rpartition("/")[2]}":' in text
    if placed.finding.suggestion is not None:
        assert placed.finding.suggestion["path"] == pointer


def test_a_violation_of_the_job_schema_has_its_position_in_the_task() -> None:
    (found,) = judged(line(routes=["tc-treeherder.v2.autoland.abc"]))
    assert found.placed.verdict.outcome == "dropped"
    assert {problem.pointer for problem in found.placed.problems} == {"/task/routes/0"}
    assert found.placed.problems[0].line is not None


def test_without_its_task_a_message_is_unknown_unless_the_definition_is_given() -> None:
    record = {"v": 1, "exchange": EXCHANGE, "routing_key": "primary.x", "payload": BODY}
    (found,) = judged(record)
    assert (found.placed.verdict.outcome, found.placed.problems[0].rule) == ("unknown", "task-unknown")
    graph = {SLUG: {"label": "test", "task": TASK}, SLUG[::-1]: {"label": "other", "task": {}}}
    for tasks in (TASK, graph):
        (found,) = judged(record, tasks=recognize(tasks))
        assert found.placed.verdict.outcome == "stored"
    (found,) = judged(record, tasks=recognize({"label": {"task": TASK}}))
    assert found.placed.verdict.outcome == "unknown"


def test_a_definition_has_a_verdict_per_state_or_one_if_dropped() -> None:
    states = judged(TASK, states=True)
    forms = [found.placed.verdict.job for found in states]
    assert [form["job"]["state"] for form in forms if form] == [
        "unscheduled",
        "pending",
        "running",
        "completed",
        "completed",
        "completed",
    ]
    assert len({found.variant for found in states}) == 6
    assert not any(found.placed.verdict.findings for found in states)
    assert len(judged(TASK)) == 1
    assert len(judged(TASK | {"routes": []}, states=True)) == 1


def test_each_task_of_a_graph_has_a_verdict_label_and_position() -> None:
    found = judged({"build": {"task": TASK}, "test/a": {"task": TASK | {"routes": []}}, "sign": {"task": TASK}})
    assert [(one.label, one.placed.verdict.outcome) for one in found] == [
        ("build", "stored"),
        ("test/a", "dropped"),
        ("sign", "stored"),
    ]
    assert found[1].placed.lint[0].finding.pointer == "/test~1a/task/routes"
    assert found[1].record() == {"label": "test/a"}


@pytest.mark.parametrize(("project", "outcome"), [("autoland", "stored"), ("old", "dropped"), ("none", "dropped")])
def test_repositories_decide_about_projects(project: str, outcome: str) -> None:
    (found,) = judged(line(routes=[f"tc-treeherder.v2.{project}.{REVISION}"]), Context(repositories=KNOWN))
    assert found.placed.verdict.outcome == outcome
    assert [one.finding.pointer for one in found.placed.lint] == (["/task/routes/0"] if outcome == "dropped" else [])


def test_a_push_has_the_verdict_of_its_message_and_its_repository() -> None:
    body = {"payload": {"repo_url": "https://hg.mozilla.org/autoland", "pushlog_pushes": [{"push_full_json_url": ""}]}}
    (found,) = judged(body, Context(repositories=KNOWN))
    verdict = found.placed.verdict
    assert (verdict.outcome, verdict.job) == ("stored", None)
    assert found.record() == {
        "push": {"url": "https://hg.mozilla.org/autoland", "branch": None, "repository": "autoland"}
    }
    body["payload"]["pushlog_pushes"] = []
    (found,) = judged(body, Context(repositories=KNOWN))
    assert (found.placed.verdict.outcome, found.placed.lint[0].finding.rule) == ("dropped", "push-empty")


def test_states_that_go_backwards_are_found_among_messages_and_not_among_definitions() -> None:
    one = Judge()
    pending = {"status": {"taskId": SLUG, "runs": [RUN | {"state": "pending"}]}, "runId": 0}
    after = TaskMessage("exchange/taskcluster-queue/v1/task-pending", pending, TASK)
    assert one.judge(recognize(line())).outcome == "stored"
    assert one.judge(after).outcome == "ignored"
    one.begin()
    assert one.judge(after).outcome == "stored"
    assert [found.placed.verdict.outcome for _ in range(2) for found in judged(TASK, states=True)] == ["stored"] * 12


def test_an_unreadable_record_is_a_problem() -> None:
    with pytest.raises(InvalidPayload, match="version 2"):
        judged({"v": 2, "exchange": EXCHANGE, "routing_key": "x", "body": "{}"})


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="no folder shared/corpus beside the checkout")
def test_real_messages_have_the_verdict_stored_with_the_job_of_treeherder() -> None:
    lines = (CORPUS / "taskcluster" / "treeherder-tasks.ndjson").read_text(encoding="utf-8").splitlines()
    for each in map(json.loads, lines):
        verdict = judge(recognize(each))
        assert (verdict.outcome, verdict.findings, verdict.job) == ("stored", (), each["job"])


@pytest.mark.parametrize(
    ("properties", "outcome"),
    [
        ({"content_type": "application/json"}, "stored"),
        ({"content_type": "text/plain"}, "dropped"),
        ({"content_type": "application/json; charset=utf-8"}, "dropped"),
        ({}, "dropped"),
    ],
)
def test_treeherder_drops_a_task_or_push_of_another_content_type(properties: dict[str, str], outcome: str) -> None:
    received = {"received": "2026-11-23T18:21:00.000Z", "properties": properties}
    pushes = [{"push_full_json_url": "x"}]
    body = {"payload": {"repo_url": "https://hg.example/a", "pushlog_pushes": pushes}}
    push = {"exchange": "exchange/hgpushes/v1", "routing_key": "a", "payload": body}
    task = line()["message"]
    for value in (push | received, {"message": task | received, "task": TASK}, task | received | {"task": TASK}):
        (found,) = judged(value)
        verdict = found.placed.verdict
        assert (verdict.outcome, [one.rule for one in verdict.findings]) == (
            outcome,
            ["content-type"] if outcome == "dropped" else [],
        )
