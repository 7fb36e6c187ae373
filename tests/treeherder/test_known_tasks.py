"""A task is judged once: the verdicts on its next messages are those of a judge that remembers no task."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from support.samples import REVISION

from pulsekit.treeherder import Context, Judge
from pulsekit.treeherder import tasks as predicting
from pulsekit.treeherder.subjects import EXCHANGES, TaskMessage

if TYPE_CHECKING:
    import pytest

    from pulsekit.treeherder import Verdict

SLUGS = ["DF9vTi-OTBudejtvDR4qTA", "A35mWTRuQmyj88yMnIF0fA", "A35mWTRuQmyj88yMnIF0fA==!", "short"]
ROOT_URLS = ["https://tc.example.com", "https://tc.example.com/", f"https://{'x' * 240}.example.com", "no url"]
TIMES = [
    "2026-11-23T18:00:00.000Z", "2026-11-23T19:00:00.000Z", "2026-11-23T17:00:00.000Z", "2026-02-30T18:00:00.000Z",
    "2026-11-23T18:00:00", "10:00", "never", 5, None,
]  # fmt: skip
WORKERS = ["i-0abc", "w" * 50, "w" * 51, "a b", "", 7, None, "é"]
REASONS = ["scheduled", "retry", "task-retry", "rerun", "exception", None]
RESOLVED = ["completed", "failed", "canceled", "superseded", "deadline-exceeded", "claim-expired", None]
TASK: dict[str, Any] = {
    "taskQueueId": "gecko-t/t-linux",
    "created": "2026-11-23T17:30:00.000Z",
    "routes": [f"tc-treeherder.v2.autoland.{REVISION}.4711"],
    "payload": {},
    "metadata": {"name": "test", "description": "Tests", "owner": "ci@example.com"},
    "extra": {"treeherder": {"symbol": "3", "tier": 2, "jobKind": "test"}},
}


def test_a_known_task_has_the_verdicts_of_an_unknown_one(monkeypatch: pytest.MonkeyPatch) -> None:
    complete: list[TaskMessage] = []
    predict_job = predicting.predict_job
    rng = random.Random(20261129)
    messages = [_message(rng) for _ in range(6000)]
    # The tasks are remembered for one context. The states of a job are remembered for all.
    others = Judge()
    expected = []
    for number, message in enumerate(messages):
        if number % 10 == 0:
            others.begin()
        expected.append(_seen(others.judge(message, Context())))
    monkeypatch.setattr(predicting, "predict_job", lambda *given: complete.append(given[0]) or predict_job(*given))
    judge, context = Judge(), Context()
    for number, (message, verdict) in enumerate(zip(messages, expected, strict=True)):
        if number % 10 == 0:
            judge.begin()  # without it, the first `completed` would be the last state of all
        assert _seen(judge.judge(message, context)) == verdict, message
    assert {one[0] for one in expected} == {"stored", "dropped", "ignored"}
    assert len(complete) < len(messages) * 0.9  # the others were not predicted completely


def test_a_task_is_judged_again_in_another_context() -> None:
    judge, message = Judge(), TaskMessage(EXCHANGES[0], {"status": {"taskId": SLUGS[0], "runs": []}}, TASK)
    contexts = (Context(), Context(repositories={"try": True}), Context(ingested=["try"]), Context())
    outcomes = [judge.judge(message, context).outcome for context in contexts]
    assert outcomes == ["stored", "dropped", "dropped", "stored"]


def test_the_stored_forms_of_one_task_share_no_object() -> None:
    judge, context = Judge(), Context()
    message = TaskMessage(EXCHANGES[0], {"status": {"taskId": SLUGS[0], "runs": []}}, TASK)
    forms = [judge.judge(message, context).job for _ in range(3)]
    assert forms[0]
    assert forms[1]
    expected = deepcopy(forms[0])
    forms[0]["superseded"].append("x")
    for value in forms[1]["job"].values():
        if isinstance(value, dict | list):
            value.clear()
    assert forms[2] == expected


def _seen(verdict: Verdict) -> tuple[Any, ...]:
    job = verdict.job
    order = job and (list(job), list(job["job"]))  # the order of the output
    return (verdict.outcome, verdict.problems, verdict.findings, verdict.revision, verdict.assumptions, job, order)


def _message(rng: random.Random) -> TaskMessage:
    """Return a message that is usual, or unusual in one or two fields of its run, its task or itself."""

    def usually(values: list[Any]) -> Any:
        return values[0] if rng.random() < 0.9 else rng.choice(values)

    task = deepcopy(TASK)
    config = task["extra"]["treeherder"]
    config["jobKind"] = rng.choice(["test", "other"])
    config["tier"] = usually([2, True, 1, 4])
    task["created"] = usually([TASK["created"], "2026-11-23T18:30:00.000Z", "yesterday", 1])
    task["metadata"]["owner"] = usually(["ci@example.com", "o" * 51, ""])
    task["routes"] = usually([TASK["routes"], [], [f"tc-treeherder.v2.reference-browser.{REVISION}"]])
    task["payload"] = usually([{}, {"env": {"MOBILE_BASE_REPOSITORY": "https://x/reference-browser"}}])
    exchange = rng.choice(EXCHANGES)
    state = exchange.rpartition("-")[2]
    number = usually([0, 1, -1, True, "0", None])
    run = {
        "runId": usually([0, "x" * 300, None]), "state": usually([state, "running", "completed", 3]),
        "reasonCreated": usually(REASONS), "reasonResolved": rng.choice(RESOLVED), "workerId": usually(WORKERS),
        "started": usually([TIMES[0], *TIMES]), "resolved": usually([TIMES[1], *TIMES]),
    }  # fmt: skip
    for name in list(run):
        if rng.random() < 0.02:
            del run[name]
    runs = [run, {"runId": 1, "state": "pending", "reasonCreated": rng.choice(REASONS)}][: rng.choice((1, 2))]
    payload = {"status": {"taskId": usually(SLUGS), "runs": runs}, "runId": number}
    kind = usually(["application/json", "text/plain"])
    return TaskMessage(exchange, payload, task, usually(ROOT_URLS), content_type=kind)
