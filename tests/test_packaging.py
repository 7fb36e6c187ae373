"""The name of the distribution, and its requirements."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# `pulsekit` as an argument of a command that installs from an index: no path and no other name.
_FROM_AN_INDEX = re.compile(
    r"(?:\bpip3?|\bpipx|\buv pip|\buv tool|\buv|\buvx) (?:install|run|add|inject)\b[^\n`'\"]*? pulsekit(?![\w./-])"
    r"|\buvx pulsekit\b"
)


def texts() -> list[Path]:
    """Return every file in which a user may read a command."""
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    return [*documents, *ROOT.glob("pulsekit/**/*.py"), *ROOT.glob("tests/cli/contract/help/*.txt")]


def test_the_distribution_has_its_own_name() -> None:
    assert PROJECT["project"]["name"] == "treeherder-pulsekit"
    assert list(PROJECT["project"]["scripts"]) == ["pulsekit"]


def test_no_text_recommends_installing_pulsekit_from_an_index() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {command[0]}"
        for path in texts()
        for command in _FROM_AN_INDEX.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "command", ["pip install pulsekit", "pipx install --force pulsekit", "uv tool install pulsekit", "uvx pulsekit"]
)
def test_a_command_that_installs_it_from_an_index_is_recognised(command: str) -> None:
    assert _FROM_AN_INDEX.search(command)
    assert not _FROM_AN_INDEX.search(command.replace("pulsekit", "./pulsekit").replace("uvx", "sh"))


def test_the_oldest_python_in_the_classifiers_is_the_oldest_allowed() -> None:
    named = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["project"]["classifiers"]))
    assert named[0] == PROJECT["project"]["requires-python"].removeprefix(">=")
