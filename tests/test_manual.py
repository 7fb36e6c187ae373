"""The pages for `man` and of the site that are made of the help: complete, readable, and in the wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from pulsekit import __version__
from pulsekit.cli.topics import TOPICS

ROOT = Path(__file__).parents[1]
HELPS = ROOT / "tests" / "cli" / "contract" / "help"


@pytest.fixture
def manual(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_site"))
    import manual

    return manual


def words(text: str) -> set[str]:
    """Return the words of a text, without the marks of Markdown and of roff."""
    text = re.sub(r"\\\((aq|ga|ha|ti)", lambda name: {"aq": "'", "ga": "`", "ha": "^", "ti": "~"}[name[1]], text)
    text = re.sub(r"\\([\W_])", r"\1", re.sub(r"\\f[BR]|\\&", "", text))
    return set(re.findall(r"[^\s\[\]()|:.,;…]+", text.replace("`", "").lower()))


def test_the_pages_for_man_and_the_site_have_all_help(manual: Any) -> None:
    pages = manual.manual_pages(HELPS, __version__)
    for path in HELPS.glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        topic = path.stem.removeprefix("pulsekit-help-")
        title = TOPICS[topic].summary if topic in TOPICS else ""
        shown = words(re.sub(r"([\w-]-)\n +(?!pulsekit)", r"\1", text)) - {"usage"}
        assert shown - words(pages[f"pulsekit-{topic}.7" if title else f"{path.stem}.1"]) == set(), path.name
        assert shown - words(manual.markdown(manual.read_manual("", text, topic=title))) == set(), path.name


def test_man_shows_every_page_in_80_columns_without_a_warning(manual: Any) -> None:
    if shutil.which("groff") is None:
        pytest.skip("needs groff")
    for name, source in manual.manual_pages(HELPS, __version__).items():
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-rLL=80n", "-P-c", "-P-b", "-P-u"],
            input=source, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr == "", name
        assert max(map(len, done.stdout.splitlines())) <= 80, name


@pytest.mark.skipif(os.environ.get("PULSEKIT_TEST_INSTALLED") != "1", reason="for the installed wheel")
def test_the_wheel_has_the_page_of_every_command(manual: Any) -> None:
    files = metadata.files("treeherder-pulsekit") or []
    installed = {path.name: path.read_text() for path in files if path.parts[-3:-2] == ("man",)}
    assert installed == manual.manual_pages(HELPS, __version__)
