"""Check that a schema is valid JSON Schema of draft 4, 6 or 7, and resolve its references.

A schema is checked before it is compiled, so each error is reported with its position. The check uses no network.
Source: JSON Schema drafts 4, 6 and 7, core and validation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from pulsekit._documents.nesting import MAX_DEPTH, is_deeper
from pulsekit._documents.values import pointer_token
from pulsekit.errors import SchemaError
from pulsekit.schemas.references import References
from pulsekit.schemas.runtime import without_pattern_warnings

if TYPE_CHECKING:
    from pulsekit._documents.values import JSON

__all__ = ["DRAFTS", "KEYWORDS", "TYPES", "CheckedSchema", "Subschema", "check_schema", "draft_of"]

Subschema: TypeAlias = "dict[str, Any] | bool"

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")

# Taskcluster names its own metaschema, and validates with draft 7: `libraries/validate/src/validate.js`.
_TASKCLUSTER = re.compile(r"(?:https?://[^/]+)?/schemas/common/metaschema\.json#?")

DRAFTS = {4: "draft-04", 6: "draft-06", 7: "draft-07"}

# For each keyword, the shape of its value and the first draft that has it. Other keywords do not affect validity.
KEYWORDS = {
    "type": ("types", 4),
    "enum": ("values", 4),
    "const": ("value", 6),
    "allOf": ("schemas", 4),
    "anyOf": ("schemas", 4),
    "oneOf": ("schemas", 4),
    "not": ("schema", 4),
    "if": ("schema", 7),
    "then": ("schema", 7),
    "else": ("schema", 7),
    "minLength": ("count", 4),
    "maxLength": ("count", 4),
    "pattern": ("pattern", 4),
    "format": ("format", 4),
    "minimum": ("number", 4),
    "maximum": ("number", 4),
    "exclusiveMinimum": ("exclusive", 4),
    "exclusiveMaximum": ("exclusive", 4),
    "multipleOf": ("divisor", 4),
    "minItems": ("count", 4),
    "maxItems": ("count", 4),
    "uniqueItems": ("flag", 4),
    "items": ("items", 4),
    "additionalItems": ("additional", 4),
    "contains": ("schema", 6),
    "minProperties": ("count", 4),
    "maxProperties": ("count", 4),
    "required": ("names", 4),
    "dependencies": ("dependencies", 4),
    "properties": ("members", 4),
    "patternProperties": ("patterns", 4),
    "additionalProperties": ("additional", 4),
    "propertyNames": ("schema", 6),
    "definitions": ("definitions", 4),
}


@dataclass(frozen=True, slots=True)
class CheckedSchema:
    """A well-formed schema, with the targets of its references.

    Attributes:
        root: the given schema.
        draft: 4, 6 or 7.
        targets: for the `id()` of each subschema with a `$ref`, the target of the reference, see `target`.
    """

    root: Subschema
    draft: int
    targets: dict[int, Subschema] = field(default_factory=dict)

    def target(self, schema: dict[str, Any]) -> Subschema:
        """Return the target of the `$ref` of a subschema. The target also depends on the place of the `$ref`."""
        return self.targets[id(schema)]

    def has(self, keyword: str) -> bool:
        """Return whether this draft defines a keyword."""
        return KEYWORDS[keyword][1] <= self.draft


def check_schema(root: JSON) -> CheckedSchema:
    """Return the schema with its references resolved.

    Args:
        root: plain JSON. It is not copied and not changed.

    Raises:
        SchemaError: Raised when the schema has another draft, a keyword has an invalid value, a pattern cannot be
            compiled, or a reference has no target in the schema.
    """
    if not isinstance(root, dict | bool):
        raise SchemaError("a schema must be an object")
    checked = CheckedSchema(root, draft_of(root))
    if is_deeper(root, MAX_DEPTH):
        raise SchemaError("the schema is nested too deeply")
    _Checker(checked).check()
    return checked


def draft_of(root: Subschema) -> int:
    """Return the draft in `$schema`. Return 7 without `$schema`, and for the metaschema of Taskcluster.

    Raises:
        SchemaError: Raised when `$schema` names another draft.
    """
    uri = root.get("$schema", "") if isinstance(root, dict) else ""
    if uri == "" or (isinstance(uri, str) and _TASKCLUSTER.fullmatch(uri)):
        return 7
    for draft, name in DRAFTS.items():
        if isinstance(uri, str) and re.fullmatch(rf"https?://json-schema\.org/{name}/schema#?", uri):
            return draft
    named = re.search(r"/draft[-/]([0-9-]+[0-9])/", uri) if isinstance(uri, str) else None
    what = f"draft {named[1]}" if named else f"$schema {uri!a}"
    raise SchemaError(f"{what} is not supported: use draft 4, 6 or 7 in $schema")


class _Checker:
    """A walk over a schema, which checks the schema and resolves its references."""

    def __init__(self, checked: CheckedSchema) -> None:
        self._checked = checked
        self._seen: set[int] = set()
        self._left: list[tuple[Any, str]] = [(checked.root, "")]  # the root, and the targets of references
        self._references = References(checked.root, checked.draft, KEYWORDS)

    def check(self) -> None:
        while self._left:
            self.schema(*self._left.pop())

    def schema(self, schema: Any, where: str) -> None:
        if isinstance(schema, bool) and self._checked.draft > 4:
            return
        self._need(isinstance(schema, dict), where, "must be a schema: an object")
        if id(schema) in self._seen:
            return
        self._seen.add(id(schema))
        if "$ref" in schema:  # in these drafts, keywords beside a $ref are ignored
            self._reference(schema, f"{where}/$ref")
            return
        for keyword, value in schema.items():
            shape, since = KEYWORDS.get(keyword, ("", 9))
            if since <= self._checked.draft:
                self._keyword(shape, value, f"{where}/{pointer_token(keyword)}")

    def _keyword(self, shape: str, value: Any, where: str) -> None:
        match shape:
            case "additional" if isinstance(value, bool):
                pass  # in draft 4 too
            case "items" if not isinstance(value, list):
                self.schema(value, where)
            case "schema" | "additional":
                self.schema(value, where)
            case "schemas" | "items":
                self._all(value, where)
            case "members" | "patterns" | "definitions":
                self._need(isinstance(value, dict), where, "must be an object of schemas")
                for name, schema in value.items():
                    self.schema(schema, f"{where}/{pointer_token(name)}")
                    if shape == "patterns":
                        self._pattern(name, where)
            case "dependencies":
                self._need(isinstance(value, dict), where, "must be an object of schemas or lists of names")
                for name, needed in value.items():
                    check = self._names if isinstance(needed, list) else self.schema
                    check(needed, f"{where}/{pointer_token(name)}")
            case "names":
                self._names(value, where)
            case "types":
                named = value if isinstance(value, list) else [value]
                known = named and all(isinstance(name, str) and name in TYPES for name in named)
                self._need(known, where, f"must be one or more of {', '.join(TYPES)}")
            case "values" | "value":
                self._need(shape == "value" or isinstance(value, list), where, "must be a list of values")
                self._need(_finite(value), where, "has a number that JSON cannot represent")
            case "count":
                self._need(
                    _number(value) and value >= 0 and value == int(value), where, "must be an integer of 0 or more"
                )
            case "exclusive" if self._checked.draft == 4:
                self._need(isinstance(value, bool), where, "must be true or false in draft 4")
            case "number" | "exclusive":
                self._need(_number(value), where, "must be a number")
            case "divisor":
                self._need(_number(value) and value > 0, where, "must be a number above 0")
            case "flag":
                self._need(isinstance(value, bool), where, "must be true or false")
            case "pattern":
                self._pattern(value, where)
            case "format":
                self._need(isinstance(value, str), where, "must be the name of a format")

    def _reference(self, schema: dict[str, Any], where: str) -> None:
        self._need(isinstance(schema["$ref"], str), where, "must be text")
        found = self._references.resolve(schema)
        if isinstance(found, str):
            self._need(False, where, found)
        else:
            self._checked.targets[id(schema)] = found[0]
            self._left.append(found)  # not recursively: references may form a long chain

    def _all(self, schemas: Any, where: str) -> None:
        self._need(isinstance(schemas, list) and schemas, where, "must be a list of at least one schema")
        for index, schema in enumerate(schemas):
            self.schema(schema, f"{where}/{index}")

    def _names(self, names: Any, where: str) -> None:
        listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
        self._need(listed and len(set(names)) == len(names), where, "must be a list of different names")

    def _pattern(self, pattern: Any, where: str) -> None:
        self._need(isinstance(pattern, str), where, "must be a regular expression")
        try:
            with without_pattern_warnings():
                re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            self._need(False, where, f"{pattern!a} is not a valid regular expression: {error}")

    def _need(self, condition: object, where: str, otherwise: str) -> None:
        if not condition:
            raise SchemaError(f"the schema is invalid at {where or 'its root'}: it {otherwise}")


def _number(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and isfinite(value))


def _finite(value: JSON) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or isfinite(value)
