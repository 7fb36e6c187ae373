"""Files and tests that the documents name exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from faults import page

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.relative_to(ROOT) for path in ROOT.glob("docs/**/*.md"))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text):
        source = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE), f"{page} names {path}::{name}"


@pytest.mark.parametrize("page", [*PAGES, Path("CONTRIBUTING.md")], ids=str)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    paths = re.findall(r"(?<=[` ])((?:pulsekit|tests|benchmarks|docs|schemas)/[\w./-]*[\w/])", text)
    assert not [path for path in paths if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", [*PAGES, Path("README.md"), Path("CONTRIBUTING.md")], ids=str)
def test_every_link_of_a_page_leads_to_a_file_and_its_heading(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page} links to {path}"
        if anchor:
            headings = re.findall(r"^#+ (.*)", target.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
            assert anchor in anchors, f"{page} links to {path}#{anchor}"


def test_the_readme_has_at_most_200_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200


def proven(heading: str) -> list[str]:
    """Return what a section of docs/proofs.md names tests for, in its order."""
    text = (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    return re.findall(r"^\| (.+?) \| `tests/[^|]+` \|$", section[1], re.MULTILINE)


@pytest.mark.parametrize("name", ["reliability", "security"])
def test_every_promise_has_tests(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    promises = re.findall(r"^- \*\*(.+?)\.\*\* ", text, re.MULTILINE)
    assert len(promises) > 15
    assert promises == proven(name.capitalize())


def test_the_tables_of_faults_are_those_of_the_runs() -> None:
    text, runs = page.PAGE.read_text(encoding="utf-8"), json.loads(page.FIGURES.read_text(encoding="utf-8"))
    assert page.drawn(text, runs) == text, "python tests/faults/page.py draws it"


def test_every_fault_that_is_measured_is_in_the_table_and_adds_up() -> None:
    runs = json.loads(page.FIGURES.read_text(encoding="utf-8"))
    tests = re.compile(r"^async def (\w+)\(([^)]*)\)", re.MULTILINE)
    measured = {
        f"tests/faults/{path.name}::{name}"
        for path in (ROOT / "tests" / "faults").glob("test_*.py")
        for name, arguments in tests.findall(path.read_text(encoding="utf-8"))
        if "figures" in arguments
    }
    for run in runs:
        assert {fault["test"].partition("[")[0] for fault in run["faults"]} == measured
    for fault in (fault for run in runs for fault in run["faults"]):
        outcomes = ("confirmed", "returned", "refused", "timeout", "unknown", "unsent")
        assert fault["sent"] == sum(fault[outcome] for outcome in outcomes), fault["test"]
        assert fault["received"] == fault["distinct"] + fault["duplicates"], fault["test"]
        assert fault["files"] == 0


def test_every_row_about_the_page_in_the_browser_has_its_tests() -> None:
    text = (ROOT / "docs" / "compared.md").read_text(encoding="utf-8")
    table = text.partition("| Pulse Inspector | `inspector` |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (.+?) \| ", table, re.MULTILINE)
    assert len(rows) > 10
    assert rows == proven("The page in the browser")


def test_every_comparison_has_tests() -> None:
    text = (ROOT / "docs" / "compared.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\|.*\| pulsekit \|\n\|[-|]+\|\n((?:\| .*\n)+)", text, re.MULTILINE)
    assert len(tables) == 3
    assert re.findall(r"^\| (.+?) \| ", "".join(tables), re.MULTILINE) == proven("Pulse Inspector and rabtap")
