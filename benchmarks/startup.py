"""Measure the time from the start of a command to its end, or to its first line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands import environment
from benchmarks.measure import Client, Part, in_fresh_process
from benchmarks.stage import KEY
from benchmarks.tasks import Failed
from pulsekit.schemas.schema import shipped_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measure import Meter
    from benchmarks.stage import Stage
    from benchmarks.tasks import Sample, Task

__all__ = ["PART"]

_BARE = "import typer\ndef main(name: str, count: int = 1) -> None: typer.echo(name * count)\ntyper.run(main)"
_CONNECT = """
import asyncio, sys, pulsekit
async def main():
    async with pulsekit.connect(sys.argv[1]) as pulse:
        await pulse.check()
asyncio.run(main())
"""
_AIO_PIKA_CONNECT = """
import asyncio, sys, aio_pika
async def main():
    async with await aio_pika.connect(sys.argv[1]) as connection:
        await connection.channel()
asyncio.run(main())
"""
_TYPED = {"_PULSEKIT_COMPLETE": "bash", "_PULSEKIT_LINE": "pulsekit ma", "_PULSEKIT_BREAKS": " :="}
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


def _connect(task: Task, meter: Meter, script: str) -> None:
    _start(task, meter, sys.executable, "-c", script, task.url)


def _complete(task: Task, meter: Meter) -> None:
    if "match" not in (answer := _run(task, _PULSEKIT, more=_TYPED)):
        raise Failed(f"match is not completed: {answer}")
    _start(task, meter, _PULSEKIT, more=_TYPED)


def _first_line(task: Task, meter: Meter, *command: str) -> None:
    for count in meter.phases():
        for _ in range(count):
            with subprocess.Popen(
                command, cwd=task.folder, env=_environment(task), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as process:
                assert process.stdout
                if not any(map(bytes.strip, process.stdout)):  # the first one is blank
                    raise Failed(f"{' '.join(command)} printed nothing")
                process.kill()


def _start(task: Task, meter: Meter, *command: str, more: Mapping[str, str] | None = None) -> None:
    for count in meter.phases():
        for _ in range(count):
            _run(task, *command, more=more)


def _environment(task: Task) -> dict[str, str]:
    """Return the environment for an installed package: without the settings of Python, and with bytecode."""
    kept = {name: value for name, value in environment(task.folder).items() if not name.startswith("PYTHON")}
    # A checkout may have no bytecode, or may be read-only.
    bytecode = {"PYTHONPYCACHEPREFIX": f"{task.folder}/bytecode"}
    return kept | bytecode | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}


def _run(task: Task, *command: str, status: int = 0, more: Mapping[str, str] | None = None) -> str:
    """Run a command, and return its output."""
    variables = _environment(task) | (more or {})
    done = subprocess.run(command, cwd=task.folder, env=variables, capture_output=True, text=True, check=False)
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
    "pulsekit, a completion": _complete,
    "pulsekit demo, to its first line": lambda task, meter: _first_line(task, meter, _PULSEKIT, "demo"),
    "pulsekit, import and connect": partial(_connect, script=_CONNECT),
    "aio-pika, import and connect": partial(_connect, script=_AIO_PIKA_CONNECT),
    "python -c pass": lambda task, meter: _python(task, meter, "-c", "pass"),
    "a bare typer application": lambda task, meter: _python(task, meter, "-c", _BARE, "hello"),
}


def _measure(stage: Stage, part: str, case: str) -> Sample:
    if "connect" not in case:
        return in_fresh_process(part, stage.task(case))
    with stage.queue(case) as task:
        return in_fresh_process(part, task)


PART = Part("startup: from the start of the process to its end", "ms", _CLIENTS, _measure)
