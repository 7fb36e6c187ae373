"""The steps of `why`, on a stand-in for Taskcluster and Treeherder over HTTP."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.samples import REVISION
from support.site_on_loopback import dripping
from support.taskcluster import GROUP, RUN, SLUG, STORED, TASK, Stand, standing

from pulsekit.errors import InvalidInput
from pulsekit.why import STEPS, Explanation, OnlineEvidence, SavedEvidence, Target, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def stand() -> Iterator[Stand]:
    with standing() as running:
        yield running


def ask(stand: Stand, run: int | None = None, *, timeout: float = 20, **limits: int) -> Explanation:
    target = Target(SLUG, run, root_url=stand.url, treeherder=stand.url)
    return explain(target, OnlineEvidence(timeout, **limits))


def test_a_task_on_treeherder_succeeds_in_every_step(stand: Stand) -> None:
    explanation = ask(stand)
    assert [step.name for step in explanation.steps] == list(STEPS)
    assert {step.status for step in explanation.steps} == {"ok"}
    assert explanation.failed is None
    assert explanation.steps[-1].detail == "Treeherder shows M(3), testfailed"
    assert explanation.job is not None
    assert explanation.job["job"]["machine"] == "worker-7"
    query = f"repo=autoland&revision={REVISION}&selectedTaskRun={SLUG}.0"
    assert explanation.link == f"{stand.url}/jobs?{query}"


def changed(**parts: Any) -> dict[str, Any]:
    return {name: part for name, part in (TASK | parts).items() if part is not None}


BREAKS: list[tuple[str, Callable[[Stand], None], str, str]] = [
    ("task", lambda stand: stand.answer(f"/api/queue/v1/task/{SLUG}", {}, 404), "has no task", "--root-url"),
    ("route", lambda stand: stand.task(changed(routes=[])), "no route begins", "add the route"),
    ("route", lambda stand: stand.task(changed(routes=None)), "no route begins", "add the route"),
    ("route", lambda stand: stand.task(changed(routes=["tc-treeherder.x"])), "has 2 words", "write it as"),
    ("treeherder", lambda stand: stand.task(changed(extra={})), "is missing", "symbol"),
    (
        "treeherder",
        lambda stand: stand.task(changed(extra={"treeherder": {"symbol": 1}})),
        "/extra/treeherder/symbol",
        "",
    ),
    ("run", lambda stand: stand.task(changed(metadata={})), "/metadata", "complete the definition"),
    (
        "project",
        lambda stand: stand.task(changed(routes=[f"tc-treeherder.v2.autolnad.{REVISION}"])),
        "is not a repository",
        "did you mean 'autoland'?",
    ),
    (
        "project",
        lambda stand: stand.task(changed(routes=[f"tc-treeherder.v2.old.{REVISION}"])),
        "not active",
        "activate",
    ),
    (
        "push",
        lambda stand: stand.answer(f"/api/project/autoland/push/?revision={REVISION}", {"results": []}),
        f"no push of {REVISION}",
        "head of a push",
    ),
    (
        "run",
        lambda stand: stand.status([RUN | {"reasonCreated": "exception", "state": "exception"}]),
        "never",
        "deadline",
    ),
    ("run", lambda stand: stand.task(changed(created="never")), "/created", "2026-11-23T18:00:00Z"),
    ("job", lambda stand: stand.jobs(STORED | {"results": []}), "has not stored run 0", "wait"),
    (
        "job",
        lambda stand: stand.jobs(STORED | {"results": [["M", "3", "running", "unknown", SLUG, 0]]}),
        "M(3), running, but the run is completed testfailed",
        "wait",
    ),
]


@pytest.mark.parametrize(("name", "change", "detail", "hint"), BREAKS)
def test_the_first_failed_step_says_what_to_change(
    stand: Stand, name: str, change: Callable[[Stand], None], detail: str, hint: str
) -> None:
    change(stand)
    explanation = ask(stand)
    assert explanation.failed is explanation.steps[-1]
    assert explanation.failed is not None
    assert (explanation.failed.name, explanation.failed.status) == (name, "failed")
    assert detail in explanation.failed.detail
    assert hint in explanation.failed.hint


def test_a_run_is_the_requested_one_or_the_last(stand: Stand) -> None:
    first = RUN | {"state": "exception", "reasonResolved": "worker-shutdown"}
    stand.status([first, RUN | {"runId": 1, "reasonCreated": "retry"}])
    retry = STORED | {"results": [["M", "3", "completed", "retry", SLUG, 0]]}
    stand.jobs(retry)
    stand.jobs(STORED, run=1)
    assert ask(stand).steps[-1].detail == "Treeherder shows M(3), testfailed"
    assert ask(stand, 0).steps[-1].detail == "Treeherder shows M(3), retry"
    failed = ask(stand, 2).failed
    assert failed is not None
    assert (failed.name, failed.detail) == ("run", "the task has no run 2, but 2 runs, numbered from 0")


def test_a_task_without_a_run_has_only_run_0(stand: Stand) -> None:
    stand.status([])
    stand.jobs(STORED | {"results": [["M", "3", "unscheduled", "unknown", SLUG, 0]]})
    assert ask(stand, 0).failed is None
    failed = ask(stand, 1).failed
    assert failed is not None
    assert (failed.name, failed.detail) == ("run", "the task has no run 1, but 0 runs, numbered from 0")
    assert failed.hint == "ask about run 0"


def test_a_task_without_a_run_is_unscheduled(stand: Stand) -> None:
    stand.status([])
    stand.jobs(STORED | {"results": [["M", "3", "unscheduled", "unknown", SLUG, 0]]})
    explanation = ask(stand)
    assert explanation.failed is None
    assert explanation.steps[-1].detail == "Treeherder shows M(3), unscheduled"


def test_the_content_of_a_404_is_not_read(stand: Stand) -> None:
    stand.answer(f"/api/project/autoland/push/?revision={REVISION}", {"results": [5]}, 404)
    failed = ask(stand).failed
    assert failed is not None
    assert (failed.name, failed.status) == ("push", "failed")


# slow, broken and hostile answers

PAGES = [
    (f"/api/queue/v1/task/{SLUG}", "task"),
    ("/api/repository/", "project"),
    (f"/api/project/autoland/push/?revision={REVISION}", "push"),
    (f"/api/queue/v1/task/{SLUG}/status", "run"),
    (f"/api/jobs/?task_id={SLUG}&retry_id=0", "job"),
]
BODIES: list[Any] = [
    *(b"<html>", b"", b"\xff", b"[" * 100_000, b"null", b"[1]", b'"x"', b"{}", b"1e999"),
    *({"results": 1}, {"status": 1}, {"status": {"runs": 1}}, {"results": [1], "job_property_names": [1]}),
]


@pytest.mark.parametrize(("path", "name"), PAGES)
def test_an_answer_that_cannot_be_read_leaves_its_step_unknown(stand: Stand, path: str, name: str) -> None:
    for body in BODIES:
        stand.answer(path, body)
        failed = ask(stand).failed
        assert failed is not None, body
        is_definition = name == "task" and (isinstance(body, dict) or body == b"{}")  # one without routes
        expected = ("route", "failed") if is_definition else (name, "unknown")
        assert (failed.name, failed.status) == expected, body
    for status in (302, 403, 429, 500):
        stand.answer(path, {}, status)
        failed = ask(stand).failed
        assert failed is not None
        assert (failed.name, failed.status) == (name, "unknown")
        assert str(status) in failed.detail


def test_a_slow_site_leaves_the_step_unknown_at_the_deadline(stand: Stand) -> None:
    with dripping(b"HTTP/1.1 200 OK\r\nX-Long: ") as slow:
        failed = explain(Target(SLUG, root_url=stand.url, treeherder=slow), OnlineEvidence(1)).failed
    assert failed is not None
    assert (failed.name, failed.status) == ("project", "unknown")
    assert "did not answer within" in failed.detail


def test_a_page_over_the_limit_is_not_read(stand: Stand) -> None:
    failed = ask(stand, max_bytes=100).failed
    assert failed is not None
    assert "more than 100 bytes" in failed.detail


def test_one_deadline_covers_all_requests(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    from pulsekit.why import evidence

    given: list[float] = []
    fetch = evidence.fetch
    monkeypatch.setattr(
        evidence, "fetch", lambda *args, timeout, **more: given.append(timeout) or fetch(*args, timeout=timeout, **more)
    )
    online = OnlineEvidence(20)
    began = time.monotonic()
    explain(Target(SLUG, root_url=stand.url, treeherder=stand.url), online)
    assert len(given) == 5
    assert given == sorted(set(given), reverse=True)
    assert 20 - given[-1] <= time.monotonic() - began
    late = OnlineEvidence(0.001)
    late.page("a", f"{stand.url}/a")
    assert re.search("did not answer within|are over", late.page("b", f"{stand.url}/b").error)


def test_hostile_names_and_runs_never_raise(stand: Stand) -> None:
    hostile = {"name": "\x1b]0;x\x07\u202e", "description": {}, "owner": []}
    for task in (changed(metadata=hostile), changed(extra=[]), changed(routes={}), [], 1):
        stand.task(task)
        assert ask(stand).failed is not None
    stand.task(TASK)
    for runs in ([1], [{}], [{"state": []}], [{"state": "running"}], [None]):
        stand.answer(f"/api/queue/v1/task/{SLUG}/status", {"status": {"taskId": SLUG, "runs": runs}})
        failed = ask(stand).failed
        assert failed is not None
        assert failed.name == "run"


# groups


def test_a_group_lists_the_tasks_that_would_not_be_shown(stand: Stand) -> None:
    def entry(task: Any) -> dict[str, Any]:
        return {"task": task, "status": {"taskId": SLUG}}

    path = f"/api/queue/v1/task-group/{GROUP}/list?limit=200"
    stand.answer(path, {"tasks": [entry(TASK), entry(changed(routes=[]))], "continuationToken": "a b"})
    stand.answer(f"{path}&continuationToken=a+b", {"tasks": [entry(changed(extra={})), 1, entry(changed(created="x"))]})
    target = Target(group_id=GROUP, root_url=stand.url, treeherder=stand.url)
    explanation = explain(target, OnlineEvidence(20))
    assert [(step.name, step.status) for step in explanation.steps] == [
        ("group", "ok"),
        ("project", "ok"),
        ("push", "ok"),
        ("jobs", "ok"),
        ("tasks", "failed"),
    ]
    assert explanation.steps[-1].detail == "4 of 5 tasks are not on Treeherder"
    assert [(task.name, task.rule) for task in explanation.tasks] == [
        ("test-linux64", "route-missing"),
        ("test-linux64", "treeherder-missing"),
        ("", "route-missing"),
        ("test-linux64", "time-unreadable"),
    ]
    stand.answer(path, {"tasks": [entry(TASK)]})
    assert explain(target, OnlineEvidence(20)).failed is None
    stand.answer(path, {}, 404)
    failed = explain(target, OnlineEvidence(20)).failed
    assert failed is not None
    assert "has no task group" in failed.detail


def test_a_group_of_too_many_tasks_is_not_judged_by_its_first(stand: Stand) -> None:
    path = f"/api/queue/v1/task-group/{GROUP}/list?limit=200"
    for asked in (path, f"{path}&continuationToken=a"):
        stand.answer(asked, {"tasks": [{"task": TASK, "status": {"taskId": SLUG}}], "continuationToken": "a"})
    failed = explain(Target(group_id=GROUP, root_url=stand.url, treeherder=stand.url), OnlineEvidence(20)).failed
    assert failed is not None
    assert (failed.name, failed.status) == ("group", "unknown")
    assert "has more than 100 tasks" in failed.detail


JOBS = "/api/jobs/?push_id=4711&count=2000"
OTHER = "A35mWTRuQmyj88yMnIF0fA"


def grouped(stand: Stand, *task_ids: str, task: Any = TASK) -> Target:
    entries = [{"task": task, "status": {"taskId": task_id}} for task_id in task_ids]
    stand.answer(f"/api/queue/v1/task-group/{GROUP}/list?limit=200", {"tasks": entries})
    return Target(group_id=GROUP, root_url=stand.url, treeherder=stand.url)


def test_a_group_asks_treeherder_for_all_jobs_of_its_push_at_once(stand: Stand) -> None:
    target = grouped(stand, SLUG, OTHER)
    explanation = explain(target, OnlineEvidence(20))
    assert [path for path in stand.site.asked if "/jobs/" in path] == [JOBS]
    assert [(one.task_id, one.rule, one.message) for one in explanation.tasks] == [
        (OTHER, "", "Treeherder has no job of the task")
    ]
    assert explanation.failed == explanation.steps[-1]
    assert "Treeherder has a job of 1 of 2 tasks of the push" in [step.detail for step in explanation.steps]


def test_a_task_of_another_push_is_not_said_to_be_on_treeherder(stand: Stand) -> None:
    target = grouped(stand, SLUG)
    moved = changed(routes=[route.replace(REVISION, REVISION[::-1]) for route in TASK["routes"]])
    entries = [{"task": TASK, "status": {"taskId": SLUG}}, {"task": moved, "status": {"taskId": OTHER}}]
    stand.answer(f"/api/queue/v1/task-group/{GROUP}/list?limit=200", {"tasks": entries})
    failed = explain(target, OnlineEvidence(20)).failed
    assert failed is not None
    assert (failed.name, failed.status) == ("tasks", "unknown")
    assert failed.detail == "1 task of other pushes was not checked"


@pytest.mark.parametrize("site", ["http://elsewhere.example", "https://[", ""])
def test_further_pages_of_jobs_are_read_from_the_same_site(stand: Stand, site: str) -> None:
    target = grouped(stand, SLUG, OTHER)
    stand.answer(JOBS, STORED | {"next": f"{site}/api/jobs/?page=2"})
    names = ["task_id", "retry_id"]
    stand.answer("/api/jobs/?page=2", {"results": [[OTHER, 0]], "job_property_names": names, "next": None})
    explanation = explain(target, OnlineEvidence(20))
    assert len(explanation.tasks) == (site == "https://[")  # not a URL
    assert explanation.steps[-1].name == "tasks"


def test_pages_of_jobs_that_never_end_are_not_read_for_ever(stand: Stand) -> None:
    target = grouped(stand, SLUG, OTHER)
    stand.answer(JOBS, STORED | {"next": JOBS})
    failed = explain(target, OnlineEvidence(20)).failed
    assert failed is not None
    assert (failed.name, failed.status) == ("jobs", "unknown")
    assert stand.site.asked.count(JOBS) == 1


@pytest.mark.parametrize("answer", [{}, {"results": 1}, [], {"results": [1]}, b"<html>"])
def test_jobs_that_cannot_be_read_leave_the_group_unknown(stand: Stand, answer: Any) -> None:
    target = grouped(stand, SLUG)
    stand.answer(JOBS, answer)
    failed = explain(target, OnlineEvidence(20)).failed
    assert failed is not None
    assert (failed.name, failed.status) == ("jobs", "unknown")


# files


def test_a_saved_file_is_explained_again_without_the_network(stand: Stand) -> None:
    target = Target(SLUG, root_url=stand.url, treeherder=stand.url)
    online = OnlineEvidence(20)
    explanation = explain(target, online)
    saved = SavedEvidence(json.loads(json.dumps(online.save(target))))
    stand.site.pages.clear()
    assert saved.target == target
    assert explain(saved.target, saved) == explanation


def test_a_file_without_a_page_leaves_its_step_unknown(stand: Stand) -> None:
    target = Target(SLUG, root_url=stand.url, treeherder=stand.url)
    online = OnlineEvidence(20)
    explain(target, online)
    value = online.save(target)
    del value["pages"]["push"]
    failed = explain(target, SavedEvidence(value)).failed
    assert failed is not None
    assert (failed.name, failed.status) == ("push", "unknown")
    assert "the file does not have" in failed.detail


GOOD = {"v": 1, "type": "pulsekit-why", "target": {"task_id": SLUG}, "pages": {}}


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        GOOD | {"type": "x"},
        GOOD | {"v": 2},
        GOOD | {"target": {"task": 1}},
        GOOD | {"target": {}},
        GOOD | {"target": {"task_id": SLUG, "run": "x"}},
        GOOD | {"target": {"task_id": SLUG, "run": -1}},
        GOOD | {"target": {"task_id": 1}},
        GOOD | {"pages": {"task": {"address": 1}}},
        GOOD | {"pages": {"task": 1}},
        GOOD | {"pages": 1},
    ],
)
def test_a_file_that_is_not_from_why_is_refused(value: Any) -> None:
    assert SavedEvidence(GOOD).target == Target(SLUG)
    with pytest.raises(InvalidInput, match="file"):
        SavedEvidence(value)
