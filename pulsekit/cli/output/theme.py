"""The palette. Other modules use the names of this module for colours.

A program cannot find out whether a terminal is dark or light. With 256 colours, the palette uses fixed colours whose
contrast with black and with white is at least 3.5 to 1. With eight colours, the theme of the terminal defines them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["STATUSES", "STYLES", "color_system", "paint", "rich_styles", "sgr", "status_style", "wants_colours"]

_Style = tuple[str, int | None, int | None]  # attribute; colour among 256; colour among eight

_GREEN, _RED, _AMBER, _TEAL = (28, 2), (160, 1), (130, 3), (30, 6)

STYLES: Mapping[str, _Style] = {
    # Texts.
    "head": ("bold", None, None),
    "good": ("", *_GREEN),
    "bad": ("", *_RED),
    "warn": ("", *_AMBER),
    "key": ("", *_TEAL),
    "dim": ("dim", None, None),
    # Results of jobs, in colours similar to Treeherder's. Failures are bold, which is visible without colours.
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
    # The style names of rich's progress bar.
    "bar.back": ("dim", None, None),
    "bar.complete": ("", *_TEAL),
    "bar.finished": ("", *_GREEN),
    "bar.pulse": ("", *_TEAL),
    "progress.download": ("", None, None),
    "progress.elapsed": ("dim", None, None),
    "progress.remaining": ("dim", None, None),
}

# The results and states of jobs, as Treeherder names them, in the order of the legend.
STATUSES = (
    "success", "testfailed", "busted", "exception", "usercancel", "retry", "superseded", "unknown",
    "running", "pending", "unscheduled",
)  # fmt: skip

_ATTRIBUTES = {"bold": "1", "dim": "2"}
_MANY_COLOURS = ("256color", "kitty", "alacritty", "foot", "ghostty", "direct")  # suffixes of TERM with 256 colours


def status_style(status: str) -> str:
    """Return the style of a result or state of a job, or an empty text for an unknown word."""
    return status if status in STATUSES else ""


def paint(text: str, style: str, stream: TextIO) -> str:
    """Return the text in a style if the stream supports colours, else the text unchanged.

    The text must have no control characters.
    """
    return sgr(text, style) if style and text and wants_colours(stream) else text


def wants_colours(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal with colours, unless `NO_COLOR` or `TERM=dumb` is set, or it is closed.

    With `FORCE_COLOR`, any stream has colours, unless `NO_COLOR` is set (https://no-color.org, https://force-color.org).
    """
    if os.environ.get("NO_COLOR") or stream is None:
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def color_system(stream: TextIO) -> Literal["256", "standard"] | None:
    """Return rich's name for the colours of a stream, or None for a stream without colours."""
    if not wants_colours(stream):
        return None
    return "256" if _has_many_colours() else "standard"


def sgr(text: str, style: str) -> str:
    """Return the text in a style, for a terminal with colours (ECMA-48, 8.3.117, and xterm's 256 colours)."""
    attribute, deep, basic = STYLES[style]
    codes = [_ATTRIBUTES[attribute]] if attribute else []
    if deep is not None and basic is not None:
        codes.append(f"38;5;{deep}" if _has_many_colours() else f"3{basic}")
    return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if codes else text


def rich_styles() -> dict[str, str]:
    """Return the palette in the syntax of rich."""
    many = _has_many_colours()
    return {
        name: " ".join([attribute, "" if deep is None else f"color({deep if many else basic})"]).strip() or "none"
        for name, (attribute, deep, basic) in STYLES.items()
    }


def _has_many_colours() -> bool:
    return bool(os.environ.get("COLORTERM")) or os.environ.get("TERM", "").endswith(_MANY_COLOURS)
