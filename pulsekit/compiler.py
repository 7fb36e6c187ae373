"""Schemas compiled by fastjsonschema, without its traps.

The compiler gets a copy with nothing in it but what decides: no defaults to fill into payloads, no `$id` or `$ref` that
it would fetch, no two definitions whose function names collide, no content to decode, formats as patterns of ours, and
`$` in patterns as Python means it. So it decides as Python's `jsonschema` does. It need not say what is wrong with a
payload: that is the work of `problems`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from pulsekit.drafts import DRAFTS, KEYWORDS
from pulsekit.errors import SchemaError
from pulsekit.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit.drafts import CheckedSchema, Subschema

    # Takes a payload, and raises whatever it raises when that is not valid.
    Validator: TypeAlias = Callable[[Any], object]

__all__ = ["compile_schema"]


# An escape, a comment, a group that sets the flag m, a class in brackets, or a dollar sign that means the end.
_DOLLARS = re.compile(
    r"\\.|\(\?#[^)]*\)|(?P<multiline>\(\?[aiLsux]*m)|(?P<brackets>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<end>\$)", re.DOTALL
)


def compile_schema(schema: CheckedSchema, *, formats: bool) -> Validator:
    """Return a function that raises for a payload the schema refuses, and changes none.

    It raises `fastjsonschema.JsonSchemaValueException`; on values fastjsonschema did not think of, other exceptions.

    Args:
        schema: it stays as it is.
        formats: whether `date-time` and `uri` are asserted.

    Raises:
        SchemaError: fastjsonschema cannot compile it.
    """
    import fastjsonschema  # 30 ms at start

    try:
        validator: Validator = fastjsonschema.compile(
            _copy(schema, formats=formats), use_default=False, use_formats=False, detailed_exceptions=False
        )
    except fastjsonschema.JsonSchemaDefinitionException as error:
        raise SchemaError(f"the schema cannot be compiled: {error}") from error
    except (RecursionError, SyntaxError) as error:  # Python allows twenty loops within each other
        raise SchemaError("the schema is nested too deeply to be compiled") from error
    return validator


def _copy(schema: CheckedSchema, *, formats: bool) -> Subschema:
    copier = _Copier(schema, formats=formats)
    root = copier.copy(schema.root)
    if isinstance(root, dict):
        root["$schema"] = f"http://json-schema.org/{DRAFTS[schema.draft]}/schema#"
        root["definitions"] = copier.definitions()
    return root


def _python_pattern(pattern: str) -> str:
    """Rewrite a pattern so that fastjsonschema reads it as Python's `re.search` would read the original.

    fastjsonschema replaces every dollar sign without a backslash before it by the end of the text, even within
    brackets; Python's `$` lets one trailing newline through.
    """
    return _DOLLARS.sub(_without_dollar, pattern)


def _without_dollar(match: re.Match[str]) -> str:
    if match["end"]:
        return r"(?=\n?\Z)"
    if match["multiline"]:
        raise SchemaError(f"the pattern {match.string!a} sets the flag m; write it without")
    if match["brackets"]:
        return re.sub(r"\\.|\$", lambda inner: r"\$" if inner[0] == "$" else inner[0], match[0], flags=re.DOTALL)
    return match[0]


class _Copier:
    """Copy what decides, with every reference as a definition of its own with a plain number for a name."""

    def __init__(self, checked: CheckedSchema, *, formats: bool) -> None:
        self._checked = checked
        self._formats = formats
        self._numbers: dict[str, int] = {}

    def definitions(self) -> dict[str, Subschema]:
        """Return the copies of all that was referred to, and of what that refers to in turn."""
        copies: dict[str, Subschema] = {}
        while len(copies) < len(self._numbers):
            reference = list(self._numbers)[len(copies)]
            copies[str(len(copies))] = self.copy(self._checked.targets[reference])
        return copies

    def copy(self, schema: Subschema) -> Subschema:
        if isinstance(schema, bool):
            return schema
        if "$ref" in schema:
            number = self._numbers.setdefault(schema["$ref"], len(self._numbers))
            return {"$ref": f"#/definitions/{number}"}
        copied = {}
        for keyword, value in schema.items():
            shape, since = KEYWORDS.get(keyword, ("", 9))
            told_otherwise = shape in {"definitions", "format", "value"}
            allows_all = shape == "additional" and value is True  # which does not compile in draft 4
            if since <= self._checked.draft and not told_otherwise and not allows_all:
                copied[keyword] = self._value(shape, value)
        more: list[Subschema] = []
        if "const" in schema and self._checked.has("const"):  # without detailed exceptions `const` does not compile
            more.append({"enum": [schema["const"]]})
        if self._formats and schema.get("format") in FORMATS:
            more.append({"pattern": FORMATS[schema["format"]].pattern})
        if more:
            copied["allOf"] = [*copied.get("allOf", ()), *more]
        return copied

    def _value(self, shape: str, value: Any) -> Any:
        match shape:
            case "schema" | "additional":
                return self.copy(value)
            case "schemas":
                return [self.copy(schema) for schema in value]
            case "items":
                return [self.copy(schema) for schema in value] if isinstance(value, list) else self.copy(value)
            case "members" | "patterns":
                return {name: self.copy(schema) for name, schema in value.items()}
            case "dependencies":
                return {name: list(v) if isinstance(v, list) else self.copy(v) for name, v in value.items()}
            case "pattern":
                return _python_pattern(value)
            case _:
                return value
