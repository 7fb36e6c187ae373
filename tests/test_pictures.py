"""The pictures of the README and the pages exist, and show nothing of the machine on which they were made."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"
PICTURES = sorted(FOLDER.glob("*.svg"))


def text_of(picture: Path) -> str:
    """Return what a picture shows, a line a row."""
    rows: dict[float, str] = {}
    for one in ET.fromstring(picture.read_text(encoding="utf-8")).iter("{http://www.w3.org/2000/svg}text"):
        row = float(one.get("y", "0"))
        rows[row] = rows.get(row, "") + " " + "".join(one.itertext()).replace("\xa0", " ")
    return "\n".join(rows[row] for row in sorted(rows))


def test_every_picture_is_shown_and_made() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    shown = {
        (page.parent / path).relative_to(ROOT)
        for page in pages
        for path in re.findall(r"!\[[^\]]+\]\(((?:docs/)?pictures/\w+\.svg)\)", page.read_text(encoding="utf-8"))
    }
    assert sorted(shown) == [path.relative_to(ROOT) for path in PICTURES]
    made = runpy.run_path(str(FOLDER / "__main__.py"), run_name="pictures")["SCENES"]
    assert sorted(scene.__name__ for scene in made) == [path.stem for path in PICTURES]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_a_picture_fetches_nothing_and_runs_nothing(picture: Path) -> None:
    source = picture.read_text(encoding="utf-8")
    root = ET.fromstring(source)
    assert {one.tag.rpartition("}")[2] for one in root.iter()} <= {
        "svg", "style", "defs", "clipPath", "rect", "g", "text", "circle",
    }  # fmt: skip
    addresses = re.findall(r"(?:href|src|url)\s*[=(]\s*[\"']?([^\"')]+)", source)
    assert all(address.startswith("#") for address in addresses)
    assert "@import" not in source
    assert "@font-face" not in source


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_a_picture_shows_no_secret_and_no_machine(picture: Path) -> None:
    shown = text_of(picture)
    assert shown.lstrip().startswith("pulsekit ") or "$ pulsekit " in shown
    assert "Traceback" not in shown
    assert not re.search(r"://[^\s/@]*:(?!\*\*\*@)[^\s/@]*@", shown)  # a password in a URL
    for place in ("/tmp", "/home", "/root", "/work", "/Users"):
        assert not re.search(rf"(?<![\w.]){re.escape(place)}\b", shown), place
