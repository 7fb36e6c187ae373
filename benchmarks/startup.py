"""Measure the time from the start of a command to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Client, Part
from benchmarks.stage import KEY
from benchmarks.tasks import Failed
from pulsekit.schemas.schema import shipped_text

if TYPE_CHECKING:
    from benchmarks.measure import Meter
    from benchmarks.tasks import Task

__all__ = ["PART"]

_BARE = "import typer\ndef main(name: str, count: int = 1) -> None: typer.echo(name * count)\ntyper.run(main)"
_PULSEKIT = str(Path(sys.executable).with_name("pulsekit"))


def _pulsekit(task: Task, meter: Meter, verdict: str, good: list[str], bad: list[str]) -> None:
    """Check a match and a mismatch, so that a constant answer fails."""
    Path(task.folder, "own.yml").write_text(shipped_text("pulse-job"), encoding="utf-8")
    answer, refusal = _run(task, _PULSEKIT, *good), _run(task, _PULSEKIT, *bad, status=1)
    if (json.loads(answer)[verdict], json.loads(refusal)[verdict]) != (True, False):
        raise Failed(f"a wrong answer: {answer}{refusal}")
    _start(task, meter, _PULSEKIT, *good)


def _python(task: Task, meter: Meter, *command: str) -> None:
    _start(task, meter, sys.executable, *command)


def _start(task: Task, meter: Meter, *command: str) -> None:
    for count in meter.phases():
        for _ in range(count):
            _run(task, *command)


def _run(task: Task, *command: str, status: int = 0) -> str:
    """Run a command without the configuration of the user, and return its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULSE", "PYTHON"))}
    environment = kept | dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), task.folder)
    # An installed package has bytecode. A checkout may have none, or may be read-only.
    environment |= {"PYTHONPYCACHEPREFIX": f"{task.folder}/bytecode", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = subprocess.run(command, cwd=task.folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != status:
        raise Failed(f"{' '.join(command)}: exit {done.returncode}, not {status}: {done.stderr}")
    return done.stdout


_CLIENTS: dict[str, Client] = {
    "pulsekit match KEY --binding PATTERN": partial(
        _pulsekit,
        verdict="matched",
        good=["match", KEY, "--binding", "treeherder.#"],
        bad=["match", KEY, "--binding", "other.#"],
    ),
    "pulsekit validate JOB.json": partial(
        _pulsekit, verdict="valid", good=["validate", "job.json"], bad=["validate", "spoiled.json"]
    ),
    "pulsekit validate JOB.json --schema OWN.yml": partial(
        _pulsekit,
        verdict="valid",
        good=["validate", "job.json", "--schema", "own.yml"],
        bad=["validate", "spoiled.json", "--schema", "own.yml"],
    ),
    "pulsekit --help": lambda task, meter: _start(task, meter, _PULSEKIT, "--help"),
    "python -c pass": lambda task, meter: _python(task, meter, "-c", "pass"),
    "a bare typer application": lambda task, meter: _python(task, meter, "-c", _BARE, "hello"),
}
PART = Part("startup: from the start of the process to its end", "ms", _CLIENTS)
