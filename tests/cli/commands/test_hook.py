"""`pulsekit hook`, with hooks and recordings of the tests."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hooks.pairs import PUSH, PUSH_SCHEMA
from support.command import Done, pulsekit, start

if TYPE_CHECKING:
    from pathlib import Path

HOOK = {
    "hookGroupId": "hg-push",
    "hookId": "try",
    "bindings": [{"exchange": "exchange/hgpushes/v2", "routingKeyPattern": "try"}],
    "triggerSchema": PUSH_SCHEMA,
    "task": {"routes": ["pushlog.${payload.payload.data.pushlog_pushes[0].pushid}"]},
}


def message(payload: Any = PUSH, key: str = "try", **more: Any) -> dict[str, Any]:
    return {"exchange": "exchange/hgpushes/v2", "routing_key": key, "payload": payload, **more}


def push(**data: Any) -> dict[str, Any]:
    return {"payload": PUSH["payload"] | {"data": PUSH["payload"]["data"] | data}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hook.json").write_text(json.dumps(HOOK))
    messages = [
        message(received="2026-11-23T18:00:00Z"),
        message(push(pushlog_pushes=[])),
        message({"payload": {"type": "obsolete.1", "data": {}}}),
        message(key="other"),
    ]
    (tmp_path / "pushes.ndjson.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, messages)).encode()))
    (tmp_path / "push.json").write_text(json.dumps(message(), indent=2))
    return tmp_path


def run(folder: Path, *args: str, given: str = "") -> Done:
    return pulsekit("hook", *args, folder=folder, given=given)


def test_each_message_of_a_recording_has_its_outcome_and_task(folder: Path) -> None:
    done = run(folder, "hook.json", "--messages", "pushes.ndjson.gz")
    assert done.status == 1  # a template failed
    *records, summary = done.records
    assert [record["outcome"] for record in records] == ["fires", "template-error", "discarded", "no-binding"]
    assert records[0]["task"] == {
        "routes": ["pushlog.2"],
        "created": "2026-11-23T18:00:00.000Z",
        "deadline": "2026-11-24T18:00:00.000Z",
        "expires": "2026-12-23T18:00:00.000Z",
        "taskGroupId": records[0]["taskId"],
    }
    assert records[1]["place"] == ".routes[0]"
    assert records[2]["errors"][0]["pointer"] == "/payload/type"
    assert {name: count for name, count in summary["outcomes"].items() if count} == dict.fromkeys(
        ("fires", "template-error", "discarded", "no-binding"), 1
    )
    assert "4 messages: 1 task would be created by 1 hook" in done.err


def test_a_terminal_shows_the_task_the_reasons_and_a_summary(folder: Path) -> None:
    out = run(folder, "hook.json", "--messages", "pushes.ndjson.gz", "-o", "pretty").out
    assert 'fires           hg-push/try  try\n  {\n    "routes": [\n      "pushlog.2"\n' in out
    assert 'discarded       hg-push/try  try\n  /payload/type must be "changegroup.1", not "obsolete.1"\n' in out
    assert "template-error  hg-push/try  try\n  .routes[0] TemplateError: index out of bounds\n" in out
    assert "hg-push/try  no-binding 1, discarded 1, template-error 1, fires 1\n" in out
    assert '\n  1x /payload/type: must be "changegroup.1", not "obsolete.1"\n' in out


@pytest.mark.parametrize(("expected", "status"), [("1", 0), ("0", 1), ("2", 1)])
def test_expect_compares_the_number_of_tasks(expected: str, status: int, folder: Path) -> None:
    done = run(folder, "hook.json", "--messages", "push.json", "--expect", expected)
    assert done.status == status
    assert ("1 task would be created, not the expected" in done.err) is bool(status)


def test_a_bare_payload_is_not_compared_with_bindings(folder: Path) -> None:
    (record, _) = run(folder, "hook.json", given=json.dumps(PUSH)).records
    assert (record["outcome"], record["binding"], record["routing_key"]) == ("fires", None, None)


@pytest.mark.parametrize("name", ["push.ndjson", "push"])
def test_a_file_can_have_one_payload_per_line(name: str, folder: Path) -> None:
    (folder / name).write_text(f"{json.dumps(PUSH)}\n{json.dumps(PUSH)}\n")
    done = run(folder, "hook.json", "--messages", name, "--expect", "2")
    assert (done.status, [record["outcome"] for record in done.records[:-1]]) == (0, ["fires", "fires"])


def test_a_truncated_recording_of_messages_is_refused(folder: Path) -> None:
    lines = [{"v": 1, "type": "header"}, message()]
    (folder / "cut.ndjson").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = run(folder, "hook.json", "--messages", "cut.ndjson")
    assert done.status == 1
    assert "cut.ndjson:3: the trailer is missing" in done.err


def test_messages_of_a_pipe_are_shown_as_they_arrive(folder: Path) -> None:
    with start("hook", "hook.json", folder=folder, stdin=subprocess.PIPE) as running:
        for _ in range(2):
            running.stdin.write(json.dumps(message()) + "\n")
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["outcome"] == "fires"


def test_a_hook_without_messages_is_checked(folder: Path) -> None:
    configuration = """\
a/one: {template_file: t.yml, trigger_schema: {additionalProperties: false},
  bindings: [{exchange: exchange/taskcluster-queue/v1/task-faild, routing_key_pattern: '#'}]}
a/two: {template_file: t.yml}
"""
    (folder / "t.yml").write_text("{}")
    (folder / "hooks.yml").write_text(configuration)
    done = run(folder, "hooks.yml")
    assert done.status == 1
    assert "a/one: triggerSchema discards every message that has a property" in done.err
    assert "did you mean exchange/taskcluster-queue/v1/task-failed? [exchange]" in done.err
    assert run(folder, "hooks.yml", "--hook", "a/two").status == 0
    unknown = run(folder, "hooks.yml", "--hook", "a/tow")
    assert unknown.status == 2
    assert "Did you mean 'a/two'?" in unknown.err


def test_text_of_messages_and_hooks_cannot_control_the_terminal(folder: Path) -> None:
    hook = HOOK | {"task": {"name": "${payload.payload.data.source}\x1b[31m"}, "hookId": "\x1b[31m"}
    (folder / "hook.json").write_text(json.dumps(hook))
    given = json.dumps(message(push(source="\x1b]0;\u202e")))
    for form in ("pretty", "ndjson"):
        done = run(folder, "hook.json", "-o", form, given=given)
        assert not {"\x1b", "\u202e"} & set(done.out + done.err)


def test_without_json_e_the_error_says_how_to_install_it(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['jsone'] = None\n")
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    done = pulsekit("hook", "hook.json", folder=folder, extra={"PYTHONPATH": path})
    assert done.status == 2
    assert done.err == "error: hooks need json-e: run pip install '.[hooks]' in the checkout of pulsekit\n"
