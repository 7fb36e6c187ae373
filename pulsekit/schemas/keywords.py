"""Keywords of a schema that limit a single value, and the messages for a value beyond a limit.

Each function gets the subschema, the value and the draft. It returns None if the value is within the limit, otherwise
message, allowed values and hint: {"minLength": 2} and "a" give ("must have 2 characters or more, has 1", "2 characters
or more", ""). `explain` calls a function only for values of the type in `LIMITS`. Source: JSON Schema validation,
drafts 4, 6 and 7; patterns are those of Python's `re.search`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isfinite
from typing import Any, TypeAlias

from pulsekit._documents.suggestions import brief, counted, how_to_match

__all__ = ["LIMITS", "frozen"]

_Refusal: TypeAlias = tuple[str, str, str] | None
_Limit: TypeAlias = Callable[[dict[str, Any], Any, int], _Refusal]


def frozen(value: Any) -> Any:
    """Return something hashable that is equal for equal JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, list | tuple):
        return "list", tuple(map(frozen, value))
    if isinstance(value, dict):
        return "object", frozenset((name, frozen(member)) for name, member in value.items())
    return value


def _const(schema: dict[str, Any], value: Any, _draft: int) -> _Refusal:
    allowed = schema["const"]
    return None if frozen(value) == frozen(allowed) else _unlike(brief(allowed), value)


def _pattern(schema: dict[str, Any], value: str, _draft: int) -> _Refusal:
    pattern = schema["pattern"]
    if re.search(pattern, value):
        return None
    return (
        f"must match {pattern}, which {brief(value)} does not",
        f"text that matches {pattern}",
        how_to_match(pattern, value),
    )


def _min_length(schema: dict[str, Any], value: str, _draft: int) -> _Refusal:
    if not value and schema["minLength"]:
        return "must not be empty", f"{counted(schema['minLength'], 'character')} or more", ""
    return _least(schema["minLength"], len(value), "character")


def _max_length(schema: dict[str, Any], value: str, _draft: int) -> _Refusal:
    return _most(schema["maxLength"], len(value), "character")


def _min_items(schema: dict[str, Any], value: list[Any], _draft: int) -> _Refusal:
    return _least(schema["minItems"], len(value), "item")


def _max_items(schema: dict[str, Any], value: list[Any], _draft: int) -> _Refusal:
    return _most(schema["maxItems"], len(value), "item")


def _min_properties(schema: dict[str, Any], value: dict[str, Any], _draft: int) -> _Refusal:
    return _least(schema["minProperties"], len(value), "property")


def _max_properties(schema: dict[str, Any], value: dict[str, Any], _draft: int) -> _Refusal:
    return _most(schema["maxProperties"], len(value), "property")


def _unique_items(schema: dict[str, Any], value: list[Any], _draft: int) -> _Refusal:
    first: dict[Any, int] = {}
    for index, item in enumerate(value if schema["uniqueItems"] else ()):
        earlier = first.setdefault(frozen(item), index)
        if earlier != index:
            return f"must not hold an item twice, but item {index} is item {earlier} again", "each item once", ""
    return None


def _minimum(schema: dict[str, Any], value: float, draft: int) -> _Refusal:
    least = schema["minimum"]
    if draft == 4 and schema.get("exclusiveMinimum"):
        return None if not value <= least else _unlike(f"more than {least}", value)
    return None if not value < least else _unlike(f"{least} or more", value)


def _maximum(schema: dict[str, Any], value: float, draft: int) -> _Refusal:
    most = schema["maximum"]
    if draft == 4 and schema.get("exclusiveMaximum"):
        return None if not value >= most else _unlike(f"less than {most}", value)
    return None if not value > most else _unlike(f"{most} or less", value)


def _exclusive_minimum(schema: dict[str, Any], value: float, draft: int) -> _Refusal:
    bound = schema["exclusiveMinimum"]
    return None if draft == 4 or not value <= bound else _unlike(f"more than {bound}", value)


def _exclusive_maximum(schema: dict[str, Any], value: float, draft: int) -> _Refusal:
    bound = schema["exclusiveMaximum"]
    return None if draft == 4 or not value >= bound else _unlike(f"less than {bound}", value)


def _multiple_of(schema: dict[str, Any], value: float, _draft: int) -> _Refusal:
    from fractions import Fraction  # which loads `decimal`; few schemas divide

    divisor = schema["multipleOf"]
    # In fractions, by the decimal digits: 19.01 is a multiple of 0.01, but not as binary numbers.
    exact = Fraction if isinstance(divisor, int) else lambda number: Fraction(_exact(number))
    if (isinstance(value, int) or isfinite(value)) and (exact(value) / exact(divisor)).denominator == 1:
        return None
    return _unlike(f"a multiple of {divisor}", value)


def _exact(number: float) -> int | str:
    return number if isinstance(number, int) else repr(number)


def _least(least: float, has: int, noun: str) -> _Refusal:
    if has >= least:
        return None
    allowed = f"{counted(least, noun)} or more"
    return f"must have {allowed}, has {has}", allowed, ""


def _most(most: float, has: int, noun: str) -> _Refusal:
    if has <= most:
        return None
    allowed = f"{counted(most, noun)} at most"
    return f"must have {allowed}, has {has}", allowed, ""


def _unlike(allowed: str, value: Any) -> _Refusal:
    return f"must be {allowed}, not {brief(value)}", allowed, ""


# For each keyword the type of values it limits, and its function; in the order in which problems are reported.
LIMITS: dict[str, tuple[str, _Limit]] = {
    "const": ("any", _const),
    "minLength": ("string", _min_length),
    "maxLength": ("string", _max_length),
    "pattern": ("string", _pattern),
    "minimum": ("number", _minimum),
    "maximum": ("number", _maximum),
    "exclusiveMinimum": ("number", _exclusive_minimum),
    "exclusiveMaximum": ("number", _exclusive_maximum),
    "multipleOf": ("number", _multiple_of),
    "minItems": ("array", _min_items),
    "maxItems": ("array", _max_items),
    "uniqueItems": ("array", _unique_items),
    "minProperties": ("object", _min_properties),
    "maxProperties": ("object", _max_properties),
}
