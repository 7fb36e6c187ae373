"""The examples of docs/treeherder.md are run unchanged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pulsekit
from pulsekit.schemas.schema import load_schema
from pulsekit.treeherder import lint_job, preview_job

if TYPE_CHECKING:
    from pulsekit.testing import PulseSandbox

PAGE = (Path(__file__).parents[1] / "docs" / "treeherder.md").read_text(encoding="utf-8")
REVISION = "7" * 40  # which JSON would read as a number


def block(marker: str) -> str:
    found = re.search(rf"<!-- {re.escape(marker)} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, marker
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the page, and its command as in an installation."""
    for name in ("pulsekit.yml", "job.yml"):
        (tmp_path / name).write_text(block(name), encoding="utf-8")
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, arguments in (("pulsekit", "-m pulsekit "), ("python3", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        (commands / name).chmod(0o755)
    return tmp_path


def run(folder: Path, script: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    known = {name: os.environ[name] for name in ("PYTHONPATH", "PYTHONSAFEPATH") if name in os.environ}
    return subprocess.run(
        ["sh", "-c", script, "sh", *arguments],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), "CI": "true", "PYTHONWARNINGS": "error", **known, **more},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "result", "shown"), [("true", "success", "success"), ("false", "fail", "testfailed")]
)
async def test_the_command_is_shown_from_pending_to_completed(
    command: str, result: str, shown: str, folder: Path, pulse_sandbox: PulseSandbox
) -> None:
    async with pulsekit.connect(pulse_sandbox.url("me")) as pulse:
        await pulse.create_exchange("exchange/me/v1/jobs")
        async with pulse.subscribe("exchange/me/v1/jobs:treeherder.autoland._") as messages:
            script = block("run").replace("make check", command)
            done = run(folder, script, PULSE_URL=pulse_sandbox.url("me"), REVISION=REVISION)
            jobs = [(await anext(messages)).payload for _ in range(3)]
    assert done.returncode == (command == "false")
    assert done.stderr == ""
    assert [(job["state"], job.get("result")) for job in jobs] == [
        ("pending", None),
        ("running", None),
        ("completed", result),
    ]
    assert len({job["taskId"] for job in jobs}) == len({job["timeScheduled"] for job in jobs}) == 1
    for job in jobs:
        assert load_schema("pulse-job").is_valid(job)
        assert lint_job(job, "treeherder.autoland._") == ()
        assert job["origin"]["revision"] == REVISION
    form = preview_job(jobs[-1])["job"]
    assert (form["result"], form["machine"]) == (shown, "runner-1")
    assert form["taskcluster_retry_id"] == 0
    assert [log["name"] for log in form["log_references"]] == ["live_backing_log"]
    assert form["submit_timestamp"] <= form["start_timestamp"] <= form["end_timestamp"]


def test_the_checks_of_the_page_pass(folder: Path) -> None:
    lines = block("look").splitlines()
    assert len(lines) == 3
    for line in lines:
        done = run(folder, line)
        assert done.returncode == 0, done.stderr
    assert '"bindings":["treeherder.autoland._"]' in done.stdout


def test_every_command_the_page_names_exists() -> None:
    from pulsekit.cli.app import _COMMANDS

    named = set(re.findall(r"(?:^|`)pulsekit ([a-z]+)", PAGE, re.MULTILINE))
    assert len(named) > 7
    assert named <= set(_COMMANDS)


def test_the_readme_links_to_the_page() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert "](docs/treeherder.md)" in readme
