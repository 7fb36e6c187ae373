"""Write NDJSON without characters that a terminal interprets."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["dump_line", "dump_quickly", "escape_unsafe"]

# All characters that a terminal or an editor may interpret: DEL and C1, bidi controls, line separators; and surrogates,
# which UTF-8 cannot encode. JSON itself escapes C0. The pattern is compiled when a text needs it: 1 % of a start.
_UNSAFE = "[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_DISTINCT = 64  # different characters that are replaced one by one; only surrogates can be more
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def dump_line(value: Any) -> str:
    r"""Return one line of NDJSON, without its end.

    Control and bidi characters are always written as `\u` escapes, so the line has no effect on a terminal, and no
    program splits it.

    Raises:
        ValueError: Raised when the value contains NaN or infinity, which JSON cannot represent.
    """
    return escape_unsafe(_ENCODER.encode(value))


def dump_quickly(value: Any) -> str:
    """Return the line of a value without NaN and infinity, three times as fast as `dump_line`.

    The exponent of a number can have another form. Use this only if the command imports orjson anyway.
    """
    import orjson

    from pulsekit._documents.payloads import ONLY_JSON

    try:
        return escape_unsafe(orjson.dumps(value, option=ONLY_JSON).decode())
    except orjson.JSONEncodeError:  # a surrogate, or an integer beyond 64 bits
        return dump_line(value)


def escape_unsafe(text: str) -> str:
    r"""Return the JSON with `\u` escapes for all characters that a terminal or an editor may interpret.

    The value does not change: such characters occur only in strings, in which both forms are allowed.
    """
    if text.isascii() and "\x7f" not in text:
        return text
    pattern, at = re.compile(_UNSAFE), 0
    for _ in range(_DISTINCT):
        if (match := pattern.search(text, at)) is None:
            return text
        text, at = text.replace(match[0], _escape(match)), match.start()
    return pattern.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
