"""Every block of code of the README and the pages runs here, or `ELSEWHERE` has the test that runs it or the reason."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.samples import COMPLETED
from support.taskcluster import RUN, SLUG, TASK

import pulsekit.sync
from cli.contract.helps import FOLDER
from pulsekit._documents.document import parse_json, parse_yaml
from pulsekit.messages import Message
from pulsekit.testing import PulseSandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.conftest import Call

ROOT = Path(__file__).parents[3]
PAGES = ["README.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md")))]
PAGES = [page for page in PAGES if not page.startswith("docs/reference/")]  # made when the site is built
EXCHANGE, QUEUE, KEY = "exchange/me/v1/jobs", "queue/me/jobs", "treeherder.autoland._"
JOB = COMPLETED | {"origin": COMPLETED["origin"] | {"project": "autoland"}}
REVISION = "c0ffee0123456789c0ffee0123456789c0ffee01"
REGISTRATION = {"exchange": EXCHANGE, "destinations": ["treeherder"], "projects": ["autoland._"]}


WORKERS = """\
from pulsekit import Queue, Worker
workers = [Worker(handle, "exchange/taskcluster-queue/v1/task-failed:#", Queue("queue/me/workers"))]
"""


class Block(NamedTuple):
    page: str
    marker: str  # the words of the comment before the block
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for found in re.finditer(r"(?:<!-- ([\w.-]+) -->\n)?^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            yield Block(page, found[1] or "", found[2], found[3])


# Blocks that do not run here, by the beginning of their page and of their text: the tests that run them, or the reason
# why they are not run.
ELSEWHERE = {
    ("README.md", "python3 -m venv .venv && .venv/bin/pip install --quiet . &&"): "nox -s fresh",
    ("README.md", "python3 -m venv .venv && .venv/bin/pip install --quiet nox"): ".ci/run",
    ("README.md", "pipx install"): "it installs programs for the user",
    ("README.md", "import asyncio"): "tests/test_readme.py",
    ("README.md", "import pulsekit.sync"): "tests/test_readme.py",
    ("docs/ci/README.md", "repos:"): "the URL of a repository is missing",
    ("docs/consume.md", "# listener.py"): "tests/consume/test_page.py",
    ("docs/consume.md", "from pulsekit import"): "tests/consume/test_page.py",
    ("docs/consume.md", "async with"): "it is a part of a program; tests/consume/test_workers.py runs Workers",
    ("docs/consume.md", "[Unit]"): "tests/consume/test_page.py",
    ("docs/consume.md", "# /etc/pulsekit"): "variables of a unit of systemd, and no command",
    ("docs/hooks.md", "pulsekit hook"): "tests/hooks/test_page.py",
    ("docs/hooks.md", "from pulsekit.hooks"): "tests/hooks/test_page.py",
    ("docs/migrating/", ""): "tests/migrating",
    ("docs/performance.md", "nox -s bench"): "it measures for twenty minutes",
    ("docs/testing.md", "import pytest"): "tests/test_testing.py",
    ("docs/testing.md", "def count_failures"): "tests/test_testing.py",
    ("docs/tutorial.md", ""): "tests/test_tutorial.py",
    ("docs/treeherder.md", "pulsekit validate job.yml --set"): "tests/test_treeherder_page.py",
}
# Parts of lines that are not run in any block, and the reason.
SKIPPED = {
    "export PULSE_URL=": "the login is a placeholder",
    "pulsekit why": "it asks Taskcluster; tests/cli/commands/test_why.py runs it",
    "pulsekit hook": "it needs a hook of Taskcluster; tests/hooks runs it",
    "pulsekit inspector": "it serves a page until Ctrl-C; tests/inspector runs it",
    'eval "$(pulsekit completion zsh)"': "it needs zsh",
    "pulsekit completion fish": "it needs fish",
    "pip install": "it changes the environment of the tests",
}
# The exit codes of commands that give a negative answer.
CODES = {"pulsekit bindings 'task-failed:primary.*.gecko-level-3.#' --lint": 1}
# Arguments that end a command that would run until Ctrl-C, or would ask.
BOUNDS = {
    r"pulsekit tail .*--save": "-n 1",
    r"pulsekit tail (?!.*--(expect|save))": "--for 0.1s",
    r"pulsekit queue show .*--watch": "-n 1",
    r"pulsekit queue purge": "--yes",
    r"pulsekit sandbox(?!.*-- )": "--port 0 -- true",
    r"pulsekit register$": "--project autoland._",
    r"pulsekit exchange delete": "--force",
    r"pulsekit consume (?!.*--(drain|from))": "--for 0.1s",
}
PROGRAMS = {"make": "exit 0", "pytest": "exit 0", "ruff": "exit 0", "jq": "cat"}
PROGRAMS |= {"git": f"echo {REVISION}", "make-jobs": "cat job.json"}


def runs_elsewhere(block: Block) -> bool:
    return any(block.page.startswith(page) and block.text.startswith(start) for page, start in ELSEWHERE)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[PulseSandbox]:
    """A sandbox with the exchanges that the pages name, to which messages are published all the time."""
    with PulseSandbox() as sandbox:
        stop = threading.Event()
        exchanges = [f"exchange/{name}" for name in ("me/v1/jobs", "you/v1/jobs", "you/x", "tester/v1/jobs")]
        exchanges += ["exchange/hgpushes/v1", "exchange/hgpushes/v2"]
        exchanges += [f"exchange/taskcluster-queue/v1/task-{state}" for state in ("failed", "exception", "completed")]
        exchanges += [pulsekit.catalogue.find_exchange("github-webhooks").name]

        def publish() -> None:
            while not stop.wait(0.02):
                for exchange in exchanges:
                    sandbox.publish(exchange, KEY, JOB)
                sandbox.publish("exchange/hgpushes/v2", "try", JOB)

        thread = threading.Thread(target=publish)
        thread.start()
        yield sandbox
        stop.set()
        thread.join()


@pytest.fixture
def project(folder: Path, tmp_path: Path, sandbox: PulseSandbox, monkeypatch: pytest.MonkeyPatch, call: Call) -> Path:
    """A folder with the files that the pages name, and a queue with messages."""
    assert call("init").code == 0
    files: dict[str, Any] = {"job.json": JOB, "jobs-of-2025.ndjson": JOB, "task.yml": TASK}
    files |= {f"{name}.json": [REGISTRATION] for name in ("registration", "registrations", "new")}
    files |= {"old.json": [REGISTRATION | {"projects": ["try._"]}]}
    files |= {"new.yml": files["new.json"], "old.yml": files["old.json"], "jobs.yml": files["old.json"]}
    files |= {"registrations.yml": files["new.json"]}
    files["task-graph.json"] = {SLUG: {"label": "test", "task": TASK, "dependencies": {}}}
    files["tasks.ndjson"] = {"message": {"status": {"taskId": SLUG, "runs": [RUN]}, "runId": 0}, "task": TASK}
    files["repository.json"] = [{"name": "autoland", "url": "https://hg.mozilla.org/integration/autoland"}]
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value))
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    samples = re.findall(r"```ya?ml\n((?:exchange|targets):.*?)```", page, re.DOTALL)
    assert len(samples) == 2
    (folder / "pulsekit.yml").write_text("".join(samples))
    (folder / "lint.yml").write_text((folder / "job.yml").read_text())
    handler = "def handle(message):\n    pass\n"
    (folder / "listener.py").write_text(f"{handler}on_task = on_failed = handle\n{WORKERS}")
    (folder / "keys.txt").write_text("treeherder.try._\n")
    (folder / "hg.py").write_text(f"{handler}run = handle\n")
    (folder / "after.py").write_text(f"{handler}on_push = handle\n")
    properties = pulsekit.Properties(content_type="application/json")
    body, now = json.dumps(JOB).encode(), datetime.now(UTC)
    message = Message(exchange=EXCHANGE, routing_key=KEY, body=body, received=now, properties=properties)
    for name in ("jobs.ndjson.gz", "jobs.ndjson", "recorded.ndjson"):
        with pulsekit.Recorder(folder / name) as recorder:
            recorder.write([message])
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, script in (PROGRAMS | {"pulsekit": f'exec "{sys.executable}" -m pulsekit "$@"'}).items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    settings = tmp_path / "settings" / "pulsekit"
    settings.mkdir(parents=True)
    (settings / "config.yml").write_text(f"logins: {{staging: {{url: '{sandbox.url('tester')}'}}}}\n")
    variables = {"PULSE_URL": sandbox.url("me"), "REVISION": REVISION, "XDG_CONFIG_HOME": str(settings.parent)}
    variables["PATH"] = f"{programs}:{os.environ['PATH']}"
    variables["PYTHONPATH"] = os.pathsep.join(sys.path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    sandbox.delete_queue(QUEUE)
    sandbox.publish(EXCHANGE, KEY, JOB)  # creates the exchange, which the block before this one may have deleted
    with (
        pulsekit.sync.connect(sandbox.url("me")) as pulse,
        pulse.subscribe(EXCHANGE, queue=QUEUE, prefetch=1) as messages,
    ):
        next(messages)
    return folder


def examples() -> Iterator[Block]:
    """Yield the examples in the help of each command."""
    for path in sorted(FOLDER.glob("*.txt")):
        if found := re.search(r"^  Examples:\n(.*?)\n\n", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            yield Block(path.stem, "", "sh", re.sub(r"^ +", "", found[1], flags=re.MULTILINE))


SHELL: list[Any] = [block for block in blocks() if block.language == "sh" and not runs_elsewhere(block)]
SHELL += [pytest.param(block, marks=pytest.mark.slow) for block in examples()]


@pytest.mark.parametrize("block", SHELL, ids=lambda block: f"{block.page}:{block.text.partition(chr(10))[0][:40]}")
def test_each_command_of_a_page_succeeds(block: Block, project: Path, call: Call) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        command = re.sub(r"\s{2,}#.*", "", line)
        if any(part in command for part in SKIPPED):
            continue
        if command.startswith("pulsekit init"):  # which writes these files
            for path in (*project.glob("pulsekit.*"), project / "job.yml"):
                path.unlink()
        if saved := re.search(r"--save (\S+)", command):
            (project / saved[1]).unlink(missing_ok=True)
        if command.startswith("pulsekit consume"):
            command = command.replace("tasks.ndjson", "recorded.ndjson").replace("9100", "0")
        first, pipe, rest = command.partition(" | ")
        bounded = " ".join([first, *(more for start, more in BOUNDS.items() if re.match(start, first))]) + pipe + rest
        if re.match(r"pulsekit (?!.* [|] )[^$<>]*$", command):
            done = call(*shlex.split(bounded)[1:])
            code, errors = done.code, done.err
        else:
            bash = subprocess.run(["bash", "-ec", bounded], stdin=subprocess.DEVNULL, capture_output=True, check=False)
            code, errors = bash.returncode, bash.stderr.decode()
        assert code == CODES.get(command, 0), f"{line}\n{errors}"


@pytest.mark.parametrize("page", PAGES)
def test_every_other_block_of_a_page_can_be_read_or_run(
    page: str, sandbox: PulseSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_URL", sandbox.url("me"))
    for block in blocks():
        if block.page != page or block.language in {"sh", "ini"}:
            continue
        if block.language == "python":
            code = compile(block.text, page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if not runs_elsewhere(block):
                exec(code, {})
        elif block.language == "text":  # what a command prints
            assert runs_elsewhere(block), block
        elif block.language == "json":
            parse_json(block.text.encode())
        else:
            assert block.language in {"yaml", "yml"}, block
            parse_yaml(block.text.encode())


def test_every_block_that_does_not_run_has_a_reason_and_a_test() -> None:
    shown = [*blocks(), *examples()]
    for (page, start), reason in ELSEWHERE.items():
        assert any(block.page.startswith(page) and block.text.startswith(start) for block in shown), (page, start)
        for path in re.findall(r"tests/[\w/]+(?:\.py)?", reason):
            assert (ROOT / path).exists(), reason
    for part in SKIPPED:
        assert any(part in block.text for block in shown), part
