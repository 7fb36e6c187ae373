"""The pages of docs/migrating/ show each program as it is, and the table counts its lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from migrating.pages import drawn, rows
from migrating.programs import DOCS, PROGRAMS

if TYPE_CHECKING:
    from pathlib import Path

PAGES = sorted(DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_the_programs_as_they_are(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert drawn(text) == text, "python tests/migrating/pages.py updates it"


def test_every_program_is_on_a_page_and_in_the_table() -> None:
    shown = re.findall(
        r"^<!-- (\w+)\.py -->$", "".join(page.read_text(encoding="utf-8") for page in PAGES), re.MULTILINE
    )
    assert sorted(shown) == sorted(path.stem for path in PROGRAMS.glob("*.py"))
    assert sorted(rows()) == sorted(name.removesuffix("_after") for name in shown if name.endswith("_after"))
