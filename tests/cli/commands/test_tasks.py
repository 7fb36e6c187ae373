"""`preview` and `validate` of tasks, graphs and pushes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.command import Done, pulsekit
from support.samples import REVISION
from support.taskcluster import RUN, SLUG, TASK

if TYPE_CHECKING:
    from pathlib import Path

MESSAGE = {
    "v": 1,
    "exchange": "exchange/taskcluster-queue/v1/task-failed",
    "routing_key": f"primary.{SLUG}",
    "payload": {"status": {"taskId": SLUG, "runs": [RUN]}, "runId": 0},
}
PUSH = {
    "exchange": "exchange/hgpushes/v1",
    "routing_key": "autoland",
    "payload": {"payload": {"repo_url": "https://hg.example/a", "pushlog_pushes": [{"push_full_json_url": "x"}]}},
}
GRAPH = {
    "build": {"label": "build", "task": TASK},
    "index": {"label": "index", "task": TASK | {"routes": ["index.x"]}},
    "sign": {"label": "sign", "task": TASK | {"extra": {"treeherder": {"symbol": 5}}}},
}
REPOSITORIES = "- name: autoland\n  url: https://hg.example/a\n- name: old\n  active: false\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, value in {"task": TASK, "message": MESSAGE, "push": PUSH, "task-graph": GRAPH}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value, indent=1))
    (tmp_path / "repositories.yml").write_text(REPOSITORIES)
    lines = [{"message": MESSAGE, "task": TASK}, {"message": MESSAGE, "task": TASK | {"routes": []}}]
    (tmp_path / "tasks.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def run(folder: Path, *args: str) -> Done:
    return pulsekit(*args, folder=folder)


def test_a_definition_is_previewed_in_each_state(folder: Path) -> None:
    done = run(folder, "preview", "task.json")
    assert done.status == 0
    assert [(record["job"]["state"], record["job"]["result"]) for record in done.records] == [
        ("unscheduled", "unknown"),
        ("pending", "unknown"),
        ("running", "unknown"),
        ("completed", "success"),
        ("completed", "testfailed"),
        ("completed", "exception"),
    ]
    drawn = run(folder, "preview", "task.json", "-o", "pretty").out
    assert "linux64 opt  M(3 3 3 3 3 3)" in drawn
    assert "1 success  1 testfailed  1 exception  1 running  1 pending  1 unscheduled" in drawn


def test_a_graph_lists_tasks_that_would_not_appear_and_draws_the_push(folder: Path) -> None:
    done = run(folder, "preview", "task-graph.json", "-o", "pretty")
    assert done.status == 1
    assert "index\ntask-graph.json:" in done.out
    assert "none of 1 route begins with tc-treeherder (add the route tc-treeherder.v2." in done.out
    assert "sign\ntask-graph.json:" in done.out
    assert f"autoland {REVISION[:12]}\n  linux64 opt  M(3)\n" in done.out
    assert done.out.index("sign") < done.out.index(f"autoland {REVISION[:12]}")
    records = run(folder, "preview", "task-graph.json").records
    assert [(record["label"], record["outcome"]) for record in records] == [
        ("build", "stored"),
        ("index", "dropped"),
        ("sign", "dropped"),
    ]


@pytest.mark.parametrize("name", ["-", "graph.json"])
def test_a_graph_can_be_one_line_of_more_than_64_mib(folder: Path, name: str) -> None:
    fetched = TASK | {"payload": {"env": {"MOZ_FETCHES": "x" * (66 << 20)}}}
    text = json.dumps({"build": {"label": "build", "task": fetched}, "test": {"label": "test", "task": {}}})
    (folder / "graph.json").write_text(text)
    done = pulsekit("preview", name, folder=folder, given=text if name == "-" else b"")
    assert [(record["label"], record["outcome"]) for record in done.records] == [
        ("build", "stored"),
        ("test", "dropped"),
    ]


def test_a_message_needs_its_task_in_the_line_or_in_a_file(folder: Path) -> None:
    done = run(folder, "preview", "message.json", "-o", "pretty")
    assert done.status == 1
    assert "--task FILE" in done.out
    done = run(folder, "preview", "message.json", "--task", "task.json")
    assert (done.status, done.records[0]["job"]["result"]) == (0, "testfailed")
    done = run(folder, "preview", "tasks.ndjson")
    assert (done.status, [record["outcome"] for record in done.records]) == (1, ["stored", "dropped"])
    assert run(folder, "preview", "message.json", "--task", "push.json").status == 2


def test_a_push_is_shown_with_its_repository(folder: Path) -> None:
    done = run(folder, "preview", "push.json", "--repositories", "repositories.yml", "-o", "pretty")
    assert (done.status, done.out) == (0, "push of https://hg.example/a → autoland\n")
    (record,) = run(folder, "preview", "push.json").records
    assert record["push"] == {"url": "https://hg.example/a", "branch": None, "repository": None}
    (folder / "other.yml").write_text("- name: x\n  url: https://hg.example/x\n")
    done = run(folder, "preview", "push.json", "--repositories", "other.yml", "-o", "pretty")
    assert done.status == 1
    assert "no repository has the URL" in done.out


@pytest.mark.parametrize("command", ["preview", "validate"])
def test_only_fields_of_jobs_are_changed(folder: Path, command: str) -> None:
    done = run(folder, command, "task.json", "--set", "tier=2")
    assert (done.status, done.records[0]["errors"][0]["rule"]) == (1, "edits")


def test_validate_names_the_rules_with_their_places(folder: Path) -> None:
    done = run(folder, "validate", "task.json", "tasks.ndjson", "task-graph.json", "push.json")
    assert done.status == 1
    found = [[finding["rule"] for finding in record["lint"]] for record in done.records]
    assert found == [[], [], ["route-missing"], [], ["route-missing"], ["treeherder-invalid"], []]
    assert done.records[4]["lint"][0]["line"] > 1
    assert run(folder, "validate", "task.json").status == 0


@pytest.mark.parametrize("command", ["preview", "validate"])
def test_repositories_are_checked_for_jobs_and_tasks(folder: Path, command: str) -> None:
    unknown: Any = TASK | {"routes": [f"tc-treeherder.v2.old.{REVISION}"]}
    (folder / "old.json").write_text(json.dumps(unknown))
    assert run(folder, command, "old.json").status == 0
    done = run(folder, command, "old.json", "task.json", "--repositories", "repositories.yml")
    assert done.status == 1
    assert [finding["rule"] for finding in done.records[0]["lint"]] == ["project-unknown"]
    assert done.records[1]["lint"] == []
    assert run(folder, command, "old.json", "--repositories", "none.yml").status == 74
    done = run(folder, command, "old.json", "--repositories", "task.json")
    assert (done.status, done.err) == (2, "error: task.json: an object is not a list of repositories\n")


def test_migrate_writes_a_graph_once(folder: Path) -> None:
    graph = {"build": GRAPH["build"], "test": GRAPH["build"]}
    (folder / "graph.json").write_text(json.dumps(graph))
    done = run(folder, "validate", "--migrate", "graph.json")
    assert (done.status, done.records) == (0, [graph])
