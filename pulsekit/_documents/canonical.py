"""Read JSON in the form in which `payloads.encode_payload` and `tail` write it."""

from __future__ import annotations

from typing import Any

import orjson

from pulsekit._documents.nesting import MAX_DEPTH, is_deeper_text

__all__ = ["read_canonical"]


def read_canonical(body: bytes, levels: int = MAX_DEPTH) -> Any:
    """Decode JSON that has exactly the form of `encode_payload`.

    Such JSON is one line, has no duplicate keys, is not nested deeper than `levels`, and its numbers are exact.

    Raises:
        ValueError: Raised when the body has another form. Such a body may still be JSON.
    """
    if is_deeper_text(body, levels):
        raise ValueError("the body is nested too deeply")
    value = orjson.loads(body)
    if orjson.dumps(value) != body:
        raise ValueError("the body has another form")
    return value
