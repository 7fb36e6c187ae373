"""The programs on the pages of docs/migrating/, and the numbers of their lines in the tables.

`python tests/migrating/pages.py` updates both.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from migrating.programs import DOCS, PROGRAMS, lines

__all__ = ["drawn", "figures", "rows"]

_ROW = re.compile(
    r"^(\| \[(\w+)\]\([^)]*\) \|[^|]*\| )\d+ \| \d+( \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|)$", re.MULTILINE
)
_PROGRAM = re.compile(r"^<!-- (\w+)\.py -->\n```python\n.*?^```$", re.MULTILINE | re.DOTALL)


def rows() -> list[str]:
    """Return the names in the tables."""
    return [row[2] for row in _found()]


def figures(name: str) -> tuple[int, int]:
    """Return how many messages a program loses and handles twice, as its table says it."""
    job, form = name.split("_")
    row = next(row for row in _found() if row[2] == job)
    lost, twice = (row[4], row[6]) if form == "before" else (row[5], row[7])
    return int(lost), int(twice)


def _found() -> list[re.Match[str]]:
    return [row for page in DOCS.glob("*.md") for row in _ROW.finditer(page.read_text(encoding="utf-8"))]


def drawn(text: str) -> str:
    """Return the text of a page with the programs as they are."""
    text = _ROW.sub(lambda row: f"{row[1]}{lines(f'{row[2]}_before')} | {lines(f'{row[2]}_after')}{row[3]}", text)
    return _PROGRAM.sub(
        lambda found: f"<!-- {found[1]}.py -->\n```python\n{(PROGRAMS / f'{found[1]}.py').read_text()}```", text
    )


if __name__ == "__main__":
    for page in DOCS.glob("*.md"):
        page.write_text(drawn(page.read_text(encoding="utf-8")), encoding="utf-8")
