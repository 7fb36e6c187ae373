"""The limit of the nesting of a document. It is the same for JSON and YAML, in every version of Python.

Python 3.11 reads about a thousand levels, minus the current depth of the stack. Later versions read many thousands. The
limit is lower than all of these. A job of Treeherder has ten levels.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["MAX_DEPTH", "is_deeper", "is_deeper_text", "too_deep_at"]

MAX_DEPTH = 200  # nested objects and lists; 64 levels of AMQP headers become 130 in a record

_CONTAINERS = (dict, list)
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_SQUARE = bytes.maketrans(b"{}", b"[]")
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def is_deeper(value: Any, levels: int) -> bool:
    """Return whether the nesting of a value exceeds the limit."""
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for one in layer
            if isinstance(one, _CONTAINERS)  # a constant: `dict | list` would create an object each time
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not layer:
            return False
    return any(isinstance(one, _CONTAINERS) for one in layer)


def is_deeper_text(text: bytes, levels: int = MAX_DEPTH) -> bool:
    """Return whether the nesting of a JSON text that is not yet decoded exceeds the limit."""
    return too_deep_at(text, levels) is not None


def too_deep_at(text: bytes, levels: int = MAX_DEPTH) -> int | None:
    """Return the offset of the first bracket of JSON that is one level too deep, or None.

    Most texts have too few brackets. For the others, the plan is: keep only brackets and quotes, without escapes.
    Remove the strings: two adjacent quotes are one string, or the end of one and the begin of the next. Then remove all
    adjacent pairs of brackets, once for each level: `[[][]]` becomes `[]`, and then empty. If the rest does not
    change, is too deep, or is not empty at the end, the text is read bracket by bracket.
    """
    if text.count(b"[") + text.count(b"{") <= levels:
        return None
    plain = text.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in text else text
    kept = plain.translate(_SQUARE, _OTHERS).replace(b'""', b"")
    brackets = b"".join(kept.split(b'"')[::2])
    too_many = b"[" * (levels + 1)
    for _ in range(levels):
        before, brackets = len(brackets), brackets.replace(b"[]", b"")
        if not brackets:
            return None
        if len(brackets) == before or too_many in brackets:
            break
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        if match[0] in b"[{":
            depth += 1
            if depth > levels:
                return match.start()
        elif match[0] in b"]}":
            depth -= 1
    return None
