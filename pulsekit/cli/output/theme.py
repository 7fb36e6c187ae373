"""The one palette: every colour that pulsekit shows has a name here, and no other file names one.

A terminal does not tell whether it is dark or light. Where it has 256 colours, those of the fixed part are used that
stand out from black and from white alike, at a contrast of at least 3.5 to 1. Where it has eight, they are the
terminal's own, which its user has chosen to be legible.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["STYLES", "paint", "rich_styles", "sgr", "wants_colours"]

_Style = tuple[str, int | None, int | None]  # attribute; colour among 256; colour among eight

_GREEN, _RED, _AMBER, _TEAL = (28, 2), (160, 1), (130, 3), (30, 6)

STYLES: Mapping[str, _Style] = {
    # What is said.
    "head": ("bold", None, None),
    "good": ("", *_GREEN),
    "bad": ("", *_RED),
    "warn": ("", *_AMBER),
    "key": ("", *_TEAL),
    "dim": ("dim", None, None),
    # Results of jobs: Treeherder's colours, as near as terminals come. Failures are bold, to stand out without colours.
    "success": ("", *_GREEN),
    "testfailed": ("bold", 166, 3),
    "busted": ("bold", *_RED),
    "exception": ("bold", 98, 5),
    "usercancel": ("", 162, 5),
    "retry": ("", 32, 4),
    "superseded": ("", *_TEAL),
    "unknown": ("dim", None, None),
    "running": ("", None, None),
    "pending": ("dim", None, None),
    "unscheduled": ("dim", None, None),
    # The names by which rich draws a progress bar.
    "bar.back": ("dim", None, None),
    "bar.complete": ("", *_TEAL),
    "bar.finished": ("", *_GREEN),
    "bar.pulse": ("", *_TEAL),
    "progress.download": ("", None, None),
    "progress.elapsed": ("dim", None, None),
    "progress.remaining": ("dim", None, None),
}

_ATTRIBUTES = {"bold": "1", "dim": "2"}
_MANY_COLOURS = ("256color", "kitty", "alacritty", "foot", "ghostty", "direct")  # how TERM says it


def paint(text: str, style: str, stream: TextIO) -> str:
    """Return the text in a style when the stream is a terminal that wants colours (`NO_COLOR` is heeded).

    The text must be clean.
    """
    return sgr(text, style) if style and text and wants_colours(stream) else text


def wants_colours(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal that wants colours, by `NO_COLOR` and `TERM`."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def sgr(text: str, style: str) -> str:
    """Return the text in a style, for a terminal that wants colours (ECMA-48, 8.3.117, and xterm's 256 colours)."""
    attribute, deep, basic = STYLES[style]
    codes = [_ATTRIBUTES[attribute]] if attribute else []
    if deep is not None and basic is not None:
        codes.append(f"38;5;{deep}" if _has_many_colours() else f"3{basic}")
    return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if codes else text


def rich_styles() -> dict[str, str]:
    """Return the palette in rich's words."""
    many = _has_many_colours()
    return {
        name: " ".join([attribute, "" if deep is None else f"color({deep if many else basic})"]).strip() or "none"
        for name, (attribute, deep, basic) in STYLES.items()
    }


def _has_many_colours() -> bool:
    return bool(os.environ.get("COLORTERM")) or os.environ.get("TERM", "").endswith(_MANY_COLOURS)
