"""What a terminal would obey, and the search for it in what was shown."""

from __future__ import annotations

import re

__all__ = ["HOSTILE", "raw_characters"]

# The title of the window; a cleared screen; colours by C1; text that runs backwards; rich's markup; line ends; a bell, a
# backspace and a deletion; the string terminators; a query that a terminal would answer on the keyboard.
HOSTILE = (
    "\x1b]0;title\x07", "\x1b[2J", "\x1b]52;c;ZXZpbA==\x1b\\", "\x1b[6n", "\x1b[5m", "\x1b[8m", "\x1bP+q544e\x1b\\", "\x9b31m", "\x9d0;t\x9c",
    "\u202e", "\u2066", "\u200f", "\u061c", "[bold red]x[/]", "[link=http://h]", "\r\n", "\n", "\r", "\x00", "\x07",
    "\x08", "\x7f", "\x85", "\u2028", "\u2029", "\t",
)  # fmt: skip

# Colours alone, as we write them ourselves; what blinks or hides is not ours.
_OURS = re.compile("\x1b\\[(?![58]m)[0-9;]*m")
_RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def raw_characters(shown: str) -> list[str]:
    """Return what a terminal would obey in a text, but for its lines and our own colours."""
    return _RAW.findall(_OURS.sub("", shown))
