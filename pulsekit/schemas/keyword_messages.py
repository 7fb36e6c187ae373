"""The keywords of a schema that limit a single value, and the messages for violations.

Each function gets the subschema, the value and the draft. It returns None if the value is within the limit, otherwise
message, allowed values and hint. Example: for {"minLength": 2} and "a", it returns ("must have 2 characters or more,
has 1", "2 characters or more", ""). `explain` calls a function only for values of the type in `LIMITS`. Source: JSON
Schema validation, drafts 4, 6 and 7; patterns are those of Python's `re.search`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isfinite
from typing import Any, TypeAlias

from pulsekit._documents.suggestions import brief, counted, how_to_match

__all__ = ["LIMITS", "frozen", "types_of"]

_Refusal: TypeAlias = tuple[str, str, str] | None
_Limit: TypeAlias = Callable[[dict[str, Any], Any, int], _Refusal]


def frozen(value: Any) -> Any:
    """Return a hashable value. It is equal for equal JSON values: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, list | tuple):
        return "list", tuple(map(frozen, value))
    if isinstance(value, dict):
        return "object", frozenset((name, frozen(member)) for name, member in value.items())
    return value


def types_of(value: Any, *, whole_floats: bool) -> tuple[str, ...]:
    """Return the types of JSON Schema that a value has. Every value has `any`. Since draft 6, 1.0 is an integer."""
    if isinstance(value, str):
        return ("any", "string")
    if isinstance(value, bool):
        return ("any", "boolean")
    if isinstance(value, int):
        return ("any", "number", "integer")
    if isinstance(value, float):
        return ("any", "number", "integer") if whole_floats and value.is_integer() else ("any", "number")
    if isinstance(value, dict):
        return ("any", "object")
    if isinstance(value, list | tuple):
        return ("any", "array")
    return ("any", "null") if value is None else ("any",)


def _const(schema: dict[str, Any], value: Any, _draft: int) -> _Refusal:
    allowed = schema["const"]
    return None if frozen(value) == frozen(allowed) else _unlike(brief(allowed), value)


def _pattern(schema: dict[str, Any], value: str, _draft: int) -> _Refusal:
    pattern = schema["pattern"]
    if re.search(pattern, value):
        return None
    return (
        f"must match {pattern}, but {brief(value)} does not",
        f"text that matches {pattern}",
        how_to_match(pattern, value),
    )


def _min_length(schema: dict[str, Any], value: str, _draft: int) -> _Refusal:
    if not value and schema["minLength"]:
        return "must not be empty", f"{counted(schema['minLength'], 'character')} or more", ""
    return _size("minLength", "character")(schema, value, _draft)


def _unique_items(schema: dict[str, Any], value: list[Any], _draft: int) -> _Refusal:
    first: dict[Any, int] = {}
    for index, item in enumerate(value if schema["uniqueItems"] else ()):
        earlier = first.setdefault(frozen(item), index)
        if earlier != index:
            return f"must not have duplicate items, but item {index} is equal to item {earlier}", "different items", ""
    return None


def _multiple_of(schema: dict[str, Any], value: float, _draft: int) -> _Refusal:
    from fractions import Fraction  # loads `decimal`, which few schemas need

    divisor = schema["multipleOf"]
    # Compute with decimal fractions: 19.01 is a multiple of 0.01, but not with binary numbers.
    exact = Fraction if isinstance(divisor, int) else lambda number: Fraction(_exact(number))
    if (isinstance(value, int) or isfinite(value)) and (exact(value) / exact(divisor)).denominator == 1:
        return None
    return _unlike(f"a multiple of {divisor}", value)


def _exact(number: float) -> int | str:
    return number if isinstance(number, int) else repr(number)


def _size(keyword: str, noun: str) -> _Limit:
    """Return the limit for the size of a value, for a keyword that begins with `min` or `max`. The noun is the unit."""

    def limit(schema: dict[str, Any], value: Any, _draft: int) -> _Refusal:
        bound, has = schema[keyword], len(value)
        if has >= bound if keyword.startswith("min") else has <= bound:
            return None
        allowed = f"{counted(bound, noun)} {'or more' if keyword.startswith('min') else 'at most'}"
        return f"must have {allowed}, has {has}", allowed, ""

    return limit


def _bound(keyword: str, flag: str = "") -> _Limit:
    """Return the limit for a number. In draft 4, a flag next to `minimum` or `maximum` makes the bound exclusive."""
    is_lower = keyword in {"minimum", "exclusiveMinimum"}

    def limit(schema: dict[str, Any], value: float, draft: int) -> _Refusal:
        bound = schema[keyword]
        exclusive = not flag or (draft == 4 and schema.get(flag))
        beyond = value < bound if is_lower else value > bound
        if (not flag and draft == 4) or not (beyond or (exclusive and value == bound)):
            return None
        if exclusive:
            return _unlike(f"{'more' if is_lower else 'less'} than {bound}", value)
        return _unlike(f"{bound} or {'more' if is_lower else 'less'}", value)

    return limit


def _unlike(allowed: str, value: Any) -> _Refusal:
    return f"must be {allowed}, not {brief(value)}", allowed, ""


# For each keyword, the type of values that it limits, and its function. The order is that of the problems.
LIMITS: dict[str, tuple[str, _Limit]] = {
    "const": ("any", _const),
    "minLength": ("string", _min_length),
    "maxLength": ("string", _size("maxLength", "character")),
    "pattern": ("string", _pattern),
    "minimum": ("number", _bound("minimum", "exclusiveMinimum")),
    "maximum": ("number", _bound("maximum", "exclusiveMaximum")),
    "exclusiveMinimum": ("number", _bound("exclusiveMinimum")),
    "exclusiveMaximum": ("number", _bound("exclusiveMaximum")),
    "multipleOf": ("number", _multiple_of),
    "minItems": ("array", _size("minItems", "item")),
    "maxItems": ("array", _size("maxItems", "item")),
    "uniqueItems": ("array", _unique_items),
    "minProperties": ("object", _size("minProperties", "property")),
    "maxProperties": ("object", _size("maxProperties", "property")),
}
