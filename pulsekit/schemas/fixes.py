"""Corrections of values that violate a schema, if the schema and the value suggest one.

A correction is an operation of JSON Patch (RFC 6902), which a program can apply. A hint describes it in words.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pulsekit.schemas.formats import FORMATS, SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["add", "move", "remove", "replace", "retyped", "within"]

_LONGEST = 1000  # characters of a text; for a longer one, no correction is computed
_IN_URI = "-._~!$&'()*+,;=:@/?#%"


def replace(pointer: str, value: Any) -> Mapping[str, Any]:
    """Return the operation that replaces a value."""
    return {"op": "replace", "path": pointer, "value": value}


def add(pointer: str, value: Any) -> Mapping[str, Any]:
    """Return the operation that adds a value."""
    return {"op": "add", "path": pointer, "value": value}


def remove(pointer: str) -> Mapping[str, Any]:
    """Return the operation that removes a value."""
    return {"op": "remove", "path": pointer}


def move(pointer: str, to: str) -> Mapping[str, Any]:
    """Return the operation that renames a property."""
    return {"op": "move", "from": pointer, "path": to}


def retyped(pointer: str, value: Any, types: list[str]) -> Mapping[str, Any] | None:
    """Return the operation that converts a value to one of the types, or None if it is unclear which."""
    if value is None:
        return remove(pointer)
    if isinstance(value, str) and len(value) <= _LONGEST and "string" not in types:
        try:
            read = json.loads(value)
        except (ValueError, RecursionError):
            read = None
        if _fits(read, types):
            return replace(pointer, read)
    if isinstance(value, float) and not isfinite(value):
        return None
    if "string" in types and isinstance(value, int | float) and not isinstance(value, bool):
        return replace(pointer, json.dumps(value))
    if types == ["boolean"] and isinstance(value, int | float) and value in {0, 1}:
        return replace(pointer, bool(value))
    if types == ["array"] and isinstance(value, str | int | float):
        return replace(pointer, [value])
    return None


def _fits(value: Any, types: list[str]) -> bool:
    if isinstance(value, bool):
        return "boolean" in types
    kinds = {"integer": int, "number": int | float, "array": list, "object": dict}
    return any(name in types and isinstance(value, kind) for name, kind in kinds.items())


def within(pointer: str, keyword: str, schema: Mapping[str, Any], value: Any) -> Mapping[str, Any] | None:
    """Return the operation that makes a value fit a limit, a pattern or a format, or None if it is unclear which."""
    make = _FIXES.get(keyword)
    if make is None or (isinstance(value, str) and len(value) > _LONGEST and keyword != "maxLength"):
        return None
    for better in make(schema, value):
        return replace(pointer, better)
    return None


def _matching(schema: Mapping[str, Any], value: str) -> Iterator[str]:
    for text in (value.strip(), value.lower()):  # without other characters, it would be another name
        if re.search(schema["pattern"], text):
            yield text


def _formatted(schema: Mapping[str, Any], value: str) -> Iterator[str]:
    name = schema["format"]
    for fix in _FORMAT_FIXES.get(name, ()):
        try:
            text = fix(value)
        except (ValueError, OverflowError, OSError):
            continue
        if re.search(FORMATS[name].pattern, text):
            yield text


def _cut(schema: Mapping[str, Any], value: str) -> Iterator[str]:
    if "format" not in schema and "pattern" not in schema:  # a truncated link or hash is useless
        yield value[: int(schema["maxLength"])]


def _from_seconds(text: str) -> str:
    if not re.fullmatch(SECONDS, text):
        raise ValueError
    seconds = float(text)
    when = datetime.fromtimestamp(seconds / 1000 if seconds >= 1e11 else seconds, UTC)
    return when.replace(microsecond=0).isoformat().replace("+00:00", "Z")


_FORMAT_FIXES: dict[str, tuple[Callable[[str], str], ...]] = {
    "date-time": (
        str.strip,
        lambda text: text.replace(" ", "T", 1),
        lambda text: f"{text}Z",
        lambda text: f"{text.replace(' ', 'T', 1)}Z",
        lambda text: f"{text[:-2]}:{text[-2:]}",
        lambda text: f"{text}T00:00:00Z",
        _from_seconds,
    ),
    "uri": (
        str.strip,
        lambda text: f"https://{text.lstrip('/')}",
        lambda text: quote(text, safe=_IN_URI),
        lambda text: re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text),
    ),
}

_FIXES: dict[str, Callable[[Mapping[str, Any], Any], Iterator[Any]]] = {
    "const": lambda schema, _: iter([schema["const"]]),
    "format": _formatted,
    "maxItems": lambda schema, value: iter([value[: int(schema["maxItems"])]]),
    "maxLength": _cut,
    "maximum": lambda schema, _: iter([schema["maximum"]]),
    "minimum": lambda schema, _: iter([schema["minimum"]]),
    "pattern": _matching,
}
