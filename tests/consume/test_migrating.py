"""docs/migrating/kombu.md: its program loses messages with kombu, and none with pulsekit."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.children import Child
from support.command import environment

import pulsekit.sync
from pulsekit import NotFound
from pulsekit.queues import queue_depth
from pulsekit.testing import PulseSandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = (Path(__file__).parents[2] / "docs" / "migrating" / "kombu.md").read_text(encoding="utf-8")
EXCHANGE = "exchange/hgpushes/v2"
# Push 1 fails when it is analysed for the first time.
ANALYSIS = """
from pathlib import Path

def analyse(push):
    number = push["n"]
    failed = Path("failed")
    if number == 1 and not failed.exists():
        failed.touch()
        print("failed", number, flush=True)
        raise OSError("the database is away")
    print("analysed", number, flush=True)
"""
CONSUME = re.search(r"^pulsekit (consume .*)$", PAGE, re.MULTILINE)
assert CONSUME is not None


@pytest.fixture(scope="module")
def broker() -> Iterator[PulseSandbox]:
    """A sandbox on which the names of the page are free."""
    with PulseSandbox() as sandbox, pulsekit.sync.connect(sandbox.url("hgpushes")) as pulse:
        pulse.create_exchange(EXCHANGE)
        yield sandbox


def consumers(pulse: pulsekit.sync.Pulse, queue: str) -> int | None:
    """Return how many consumers a queue has, or None without the queue."""
    try:
        return pulse.run(queue_depth, queue).consumers
    except NotFound:
        return None


def run_twice(command: Sequence[str], queue: str, broker: PulseSandbox, folder: Path, ends: list[int]) -> list[str]:
    """Run a program that gets pushes 0, 1 and 2; stop it; publish 3; run it again, and publish 4."""
    for name in ("before.py", "after.py", "after_sync.py"):
        sample = re.search(rf"<!-- {name} -->\n```python\n(.*?)```", PAGE, re.DOTALL)
        assert sample is not None
        (folder / name).write_text(sample[1])
    (folder / "analysis.py").write_text(ANALYSIS)
    lines: list[str] = []
    # With PYTHONSAFEPATH, Python does not import from the folder of a program.
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    settings = environment(folder, broker.url("me"), {"PYTHONWARNINGS": "default", "PYTHONPATH": path})
    with (
        pulsekit.sync.connect(broker.url("me")) as pulse,
        pulsekit.sync.connect(broker.url("hgpushes")) as mercurial,
    ):
        pushes = mercurial.publisher(EXCHANGE)
        for numbers, last in (((0, 1, 2), "analysed 2"), ((4,), "analysed 4")):
            with Child(
                command, cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            ) as process:
                while not consumers(pulse, queue):
                    assert process.poll() is None
                    time.sleep(0.01)  # between two questions: nothing announces a consumer
                for number in numbers:
                    pushes.publish({"n": number}, "mozilla-central")
                assert process.stdout is not None
                while not lines or lines[-1] != last:
                    lines.append(process.stdout.readline().strip())
                    assert lines[-1], lines
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=30) in ends
            while consumers(pulse, queue):
                time.sleep(0.01)  # nothing announces that a consumer is gone either
            if numbers[0] == 0:
                pushes.publish({"n": 3}, "mozilla-central")
    return lines


def test_with_kombu_a_failed_push_and_one_during_a_restart_are_lost(broker: PulseSandbox, tmp_path: Path) -> None:
    lines = run_twice([sys.executable, "before.py"], "queue/me/pushes", broker, tmp_path, [-signal.SIGTERM])
    assert lines == ["analysed 0", "failed 1", "analysed 2", "analysed 4"]


@pytest.mark.parametrize(
    "command", [[sys.executable, "-m", "pulsekit", *CONSUME[1].split()], [sys.executable, "after_sync.py"]]
)
def test_with_pulsekit_every_push_is_analysed(broker: PulseSandbox, tmp_path: Path, command: list[str]) -> None:
    lines = run_twice(command, "queue/me/pushes-2", broker, tmp_path, [os.EX_OK])
    assert lines == ["analysed 0", "failed 1", *(f"analysed {number}" for number in range(1, 5))]
