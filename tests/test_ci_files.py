"""The hooks for pre-commit and the pipelines of docs/ci: their commands are run as each server runs them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.site_on_loopback import site

import pulsekit as library
from pulsekit._documents.document import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from support.rabbitmq.broker import PulseUser

ROOT = Path(__file__).parents[1]
HOOKS: list[dict[str, Any]] = parse_yaml((ROOT / ".pre-commit-hooks.yaml").read_text()).value  # type: ignore[assignment]
GIT = {f"GIT_{role}_{part}": "me@example" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
SECRET = "/api/secrets/v1/secret/project/me/pulse"

Command = tuple[list[str], dict[str, str]]  # an argument vector, and its environment


def github_actions(facts: Mapping[str, str]) -> list[Command]:
    workflow: Any = parse_yaml((ROOT / "docs/ci/github-actions.yml").read_text()).value
    [job] = workflow["jobs"].values()
    commands = []
    for step in job["steps"]:
        if "run" in step:
            environment = {**workflow["env"], **step.get("env", {}), "CI": "true", "GITHUB_SHA": facts["revision"]}
            known = {name: text.replace("${{ secrets.PULSE_URL }}", facts["url"]) for name, text in environment.items()}
            commands.append((["bash", "-e", "-c", step["run"]], known))
    return commands


def taskcluster(facts: Mapping[str, str]) -> list[Command]:
    tasks: Any = parse_yaml((ROOT / "docs/ci/taskcluster.yml").read_text()).value
    [task] = tasks["tasks"]["then"]
    assert [f"secrets:get:{SECRET.partition('secret/')[2]}"] == task["scopes"]
    event = {"${event.after}": facts["revision"], "${event.repository.clone_url}": facts["folder"]}
    environment = {name: event.get(text, text) for name, text in task["payload"]["env"].items()}
    assert "${" not in "".join(environment.values())
    return [(task["payload"]["command"], environment | {"TASKCLUSTER_PROXY_URL": facts["proxy"]})]


def jenkins(facts: Mapping[str, str]) -> list[Command]:
    text = (ROOT / "docs/ci/Jenkinsfile").read_text()
    environment = {"PULSE_URL": facts["url"], "CI": "true", "GIT_COMMIT": facts["revision"]}
    environment |= dict(re.findall(r"^ +(PULSEKIT) = '(.*)'$", text, re.MULTILINE))
    return [(["sh", "-xe", "-c", command], environment) for command in re.findall(r"^ +sh '(.*)'$", text, re.MULTILINE)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with tests, beside a `bin` with `pulsekit` and with a python3 that installs nothing."""
    programs = tmp_path / "bin"
    programs.mkdir()
    python = f'case "$2" in pip|venv) echo "$@" >> {tmp_path}/installed;; *) exec {sys.executable} "$@";; esac'
    for name, script in {"pulsekit": f'exec {sys.executable} -m pulsekit "$@"', "python3": python}.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "run-tests.sh").write_text("#!/bin/sh\necho passed\n")
    (folder / "run-tests.sh").chmod(0o755)
    return folder


def environment_of(folder: Path, **extra: str) -> dict[str, str]:
    path = f"{folder.parent / 'bin'}:{os.environ['PATH']}"
    return {"HOME": str(folder.parent), "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path), **GIT, **extra}


def done(folder: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=folder, env=environment_of(folder, **extra), stdin=subprocess.PIPE, capture_output=True,
        text=True, timeout=50, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("server", [github_actions, taskcluster, jenkins])
async def test_a_pipeline_checks_runs_and_reports_the_tests(
    user: PulseUser, project: Path, server: Callable[[Mapping[str, str]], list[Command]]
) -> None:
    exchange = f"exchange/{user.name}/ci"
    assert done(project, "pulsekit", "init", "--exchange", exchange).returncode == 0
    facts = {"url": user.url, "folder": str(project), "revision": "c0ffee01" * 5}
    if server is taskcluster:
        if shutil.which("git") is None:
            pytest.skip("git is not installed")
        for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
            assert done(project, "git", *command).returncode == 0
        facts["revision"] = done(project, "git", "rev-parse", "HEAD").stdout.strip()
    with site() as secrets:
        secrets.pages[SECRET] = (200, json.dumps({"secret": {"url": user.url}}).encode())
        commands = server(facts | {"proxy": secrets.url})
        async with library.connect(user.url) as pulse:
            await pulse.create_exchange(exchange)
            async with pulse.subscribe(f"{exchange}:#") as messages:
                for arguments, environment in commands:
                    finished = await asyncio.to_thread(done, project, *arguments, **environment)
                    assert finished.returncode == 0, finished.stderr
                for state in ("pending", "running", "completed"):
                    message = await anext(messages)
                    await message.ack()
                    assert message.payload["state"] == state
                    assert message.payload["origin"]["revision"] == facts["revision"]
                    assert message.routing_key == "treeherder.autoland._"
            await pulse.delete_exchange(exchange)
    assert "-m pip install git+https://" in (project.parent / "installed").read_text()


def hooked(folder: Path) -> dict[str, tuple[list[str], int, str]]:
    """Run each hook on the files of a folder as pre-commit does: with its files as arguments, and an empty stdin."""
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    found = {}
    for hook in HOOKS:
        chosen = [name for name in files if re.search(hook["files"], name)]
        if chosen:
            names = chosen if hook.get("pass_filenames", True) else []
            finished = done(folder, *shlex.split(hook["entry"]), *names)
            found[hook["id"]] = (chosen, finished.returncode, finished.stdout + finished.stderr)
    return found


def test_the_hooks_accept_the_files_of_init_and_report_errors(project: Path) -> None:
    assert hooked(project) == {}
    assert done(project, "pulsekit", "init").returncode == 0
    found = hooked(project)
    assert found["pulsekit-validate"][:2] == (["job.yml"], 0)
    assert found["pulsekit-bindings"][:2] == (["pulsekit.yml"], 0)
    job = (project / "job.yml").read_text()
    (project / "jobs").mkdir()
    (project / "jobs" / "a.yml").write_text(job.replace("tier: 3", "tier: 4"))
    (project / "nightly-job.yml").write_text(job)
    (project / "jobs.yml").write_text("- no job\n")
    (project / "pulsekit.yml").write_text("registrations: exchange/taskcluster-queue/v1/task-failed:secondary.#\n")
    found = hooked(project)
    chosen, code, words = found["pulsekit-validate"]
    assert (chosen, code) == (["job.yml", "jobs/a.yml", "nightly-job.yml"], 1)
    assert "jobs/a.yml" in words
    assert "/tier" in words
    _, code, words = found["pulsekit-bindings"]
    assert code == 1
    assert "secondary.#" in words
