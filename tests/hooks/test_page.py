"""What docs/hooks.md shows: its commands, run on its files."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import pulsekit

TEXT = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text(encoding="utf-8")
COMMANDS = [line for line in re.findall(r"^pulsekit hook (.*)$", TEXT, re.MULTILINE) if "hook.json" in line]


def block(mark: str) -> str:
    found = re.search(rf"^<!-- {mark} -->\n```\w*\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("hook.json", "push.json"):
        (tmp_path / name).write_text(block(f"file: {name}"))
    return tmp_path


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_of_the_page_finds_that_the_hook_fires(line: str, folder: Path) -> None:
    done = pulsekit("hook", *shlex.split(line.partition(" | ")[0]), folder=folder)
    assert done.status == 0, done.err
    assert "1 message: 1 task would be created by 1 hook" in done.err


def test_the_page_shows_the_output_of_its_first_command(folder: Path) -> None:
    out = pulsekit("hook", *shlex.split(COMMANDS[0]), folder=folder).out
    assert re.sub(r'(?<="taskGroupId": ")[^"]+', "…", out) == block("output")


def test_the_sample_of_the_page_prints_what_it_shows(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block("sample")], cwd=folder, capture_output=True, text=True, check=False, timeout=50
    )
    assert (done.stderr, done.stdout) == ("", block("sample output"))
