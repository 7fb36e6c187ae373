from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

import pulsekit
from pulsekit.cli.output.output import console
from pulsekit.cli.output.theme import STYLES, paint, rich_styles, sgr

PACKAGE = Path(pulsekit.__file__).parent
COLOUR = re.compile(
    r"(?:\b(?:bold|dim|on|not|italic|underline|reverse|bright)[ _])*"
    r"(?:bold|italic|underline|reverse|black|red|green|yellow|blue|magenta|cyan|white|gr[ae]y\d*|\w*orange\d*|"
    r"\w*purple\d*|\w*blue\d*|#[0-9a-fA-F]{6}|rgb\(.*\)|color\(.*\))"
)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def rgb(number: int) -> tuple[int, ...]:
    """Return a colour of the cube of 216 colours, which no terminal lets its user change (xterm, 256colres.pl)."""
    assert 16 <= number <= 231
    steps = (0, 95, 135, 175, 215, 255)
    return tuple(steps[(number - 16) // factor % 6] for factor in (36, 6, 1))


def luminance(colour: tuple[int, ...]) -> float:
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Return the contrast of two colours (WCAG 2.2, "contrast ratio")."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", [name for name, (_, deep, _) in STYLES.items() if deep is not None])
@pytest.mark.parametrize("background", [BLACK, WHITE], ids=["dark", "light"])
def test_colours_are_readable_on_dark_and_light(name, background) -> None:
    deep = STYLES[name][1]
    assert deep is not None
    assert contrast(rgb(deep), background) >= 3.5


def test_no_other_file_names_a_colour() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}: {node.value!r}"
        for path in PACKAGE.rglob("*.py")
        if path.name != "theme.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if COLOUR.fullmatch(node.value) or "\x1b[3" in node.value
    ]
    assert found == []


def test_a_terminal_with_eight_colours_uses_its_own(monkeypatch) -> None:
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert sgr("x", "bad") == "\x1b[31mx\x1b[0m"
    assert rich_styles()["testfailed"] == "bold color(3)"
    monkeypatch.setenv("TERM", "xterm-256color")
    assert sgr("x", "bad") == "\x1b[38;5;160mx\x1b[0m"
    assert rich_styles()["testfailed"] == "bold color(166)"


def test_rich_knows_every_name_of_the_theme() -> None:
    shown = console()
    for name in STYLES:
        assert shown.get_style(name) is not None


def test_paint_does_not_change_text_without_colours(capsys) -> None:
    assert paint("x", "bad", sys.stdout) == "x"
