"""Write lines of NDJSON without characters that a terminal would act upon."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["dump_line", "escape_unsafe"]

# Everything a terminal or an editor may act upon: DEL and C1, bidi controls, line separators, and surrogates that
# UTF-8 cannot carry. C0 is escaped by JSON itself.
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def dump_line(value: Any) -> str:
    r"""Write one line of NDJSON, without its end.

    Control and bidi characters are always written as `\u` escapes: nothing that reaches a terminal can act there, and
    nothing is lost.

    Raises:
        ValueError: the value holds NaN or infinity, which JSON does not have.
    """
    return escape_unsafe(_ENCODER.encode(value))


def escape_unsafe(text: str) -> str:
    r"""Return JSON with each character that a terminal or an editor may act upon as a `\u` escape.

    It is the same JSON: such characters stand in strings alone, where either form may.
    """
    if text.isascii() and "\x7f" not in text:
        return text
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
