"""`pulsekit why`, on a stand-in for Taskcluster and Treeherder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.command import Done, pulsekit
from support.taskcluster import GROUP, SLUG, TASK, Stand, standing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEPS = ["task", "route", "treeherder", "project", "push", "run", "job"]


@pytest.fixture
def stand() -> Iterator[Stand]:
    with standing() as running:
        yield running


def why(stand: Stand, folder: Path, *args: str) -> Done:
    return pulsekit("why", *args, "--root-url", stand.url, "--treeherder", stand.url, folder=folder)


def test_a_task_on_treeherder_exits_0_with_a_record_for_each_step(stand: Stand, tmp_path: Path) -> None:
    done = why(stand, tmp_path, SLUG)
    assert done.status == 0
    assert [record["step"] for record in done.records] == STEPS
    assert all(record.keys() == {"step", "status", "detail", "hint", "address"} for record in done.records)
    assert f"reading public pages of {stand.url} and {stand.url}" in done.err
    assert "each step succeeded" in done.err
    shown = why(stand, tmp_path, f"{stand.url}/tasks/{SLUG}", "-o", "pretty")
    assert "ok       job         Treeherder shows M(3), testfailed" in shown.out
    assert f"{stand.url}/jobs?repo=autoland&" in shown.out


def test_the_first_step_that_failed_is_shown_with_a_hint(stand: Stand, tmp_path: Path) -> None:
    stand.task(TASK | {"routes": ["tc-treeherder-stage.v2.autoland.x"], "metadata": {"name": "\x1b[31m"}})
    done = why(stand, tmp_path, SLUG, "-o", "pretty")
    assert done.status == 1
    assert "failed   route       /routes/0: the route begins with tc-treeherder-stage" in done.out
    assert "hint  add the route tc-treeherder.v2.<project>.<revision>.<push id>" in done.out
    assert "\x1b" not in done.out + done.err
    assert "route failed" in done.err


def test_a_group_shows_the_reason_of_each_task(stand: Stand, tmp_path: Path) -> None:
    entries = [{"task": task, "status": {"taskId": SLUG}} for task in (TASK, TASK | {"routes": []})]
    stand.answer(f"/api/queue/v1/task-group/{GROUP}/list?limit=200", {"tasks": entries})
    url = f"{stand.url}/tasks/groups/{GROUP}"
    done = why(stand, tmp_path, url)
    assert done.status == 1
    assert done.records[-1]["rule"] == "route-missing"
    assert "[route-missing]" in why(stand, tmp_path, url, "-o", "pretty").out


def test_the_answers_are_saved_and_explained_offline(stand: Stand, tmp_path: Path) -> None:
    online = why(stand, tmp_path, SLUG, "--save", str(tmp_path / "why.json"))
    stand.site.pages.clear()
    stand.site.asked.clear()
    offline = pulsekit("why", "why.json", folder=tmp_path)
    assert (offline.status, offline.out) == (0, online.out)
    assert stand.site.asked == []
    assert json.loads((tmp_path / "why.json").read_text())["target"]["task_id"] == SLUG


def test_a_site_that_fails_exits_4(stand: Stand, tmp_path: Path) -> None:
    stand.answer("/api/repository/", {}, 503)
    done = why(stand, tmp_path, SLUG)
    assert done.status == 4
    assert done.records[-1]["status"] == "unknown"
    assert "503" in done.records[-1]["detail"]


@pytest.mark.parametrize(
    ("subject", "status", "words"),
    [
        ("nonsense", 2, "is not the id of a task"),
        ("absent.json", 74, "absent.json: No such file"),
        ("broken.json", 1, "broken.json:1:1"),
        ("other.json", 1, "not a file of `pulsekit why --save`: for a task graph, a definition or a recording, use"),
        ("https://treeherder.mozilla.org/jobs?repo=autoland&revision=0123", 2, "use the URL of its task group"),
        ("http://tc.example/tasks/A35mWTRuQmyj88yMnIF0fA", 2, "https"),
    ],
)
def test_an_invalid_subject_is_an_error(subject: str, status: int, words: str, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("x")
    (tmp_path / "other.json").write_text("{}")
    done = pulsekit("why", subject, folder=tmp_path)
    assert (done.status, done.out) == (status, "")
    assert words in done.err
