"""The `triggerSchema` of a hook, with the verdicts of Taskcluster's hooks service.

    schema = TriggerSchema({"type": "object", "required": ["payload"]})
    schema.error             # why it does not compile, or empty
    schema.problems({})      # why the service discards a message; none if the message fits

The service compiles the schema with Ajv 8 in its strict mode, with all formats of ajv-formats. The plan: `_Rewriter`
copies the schema into the form of draft 7 that `pulsekit.schemas` reads, and notes what the strict mode refuses. Ajv
compiles a subschema only when a reference leads to it, so a refused part of `definitions` may have no effect.

    {"$ref": "#/definitions/a", "maxLength": 9}    becomes    {"allOf": [{"$ref": "#/definitions/a"}], "maxLength": 9}
    {"type": "string", "nullable": true}           becomes    {"type": ["string", "null"]}
    {"format": "date"}                             becomes    {"allOf": [{"pattern": "…"}]}

Source: `services/hooks/src/trigger-schema.js` of Taskcluster, https://ajv.js.org/strict-mode.html. docs/hooks.md lists
the differences from Ajv.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pulsekit._documents.nesting import MAX_DEPTH, is_deeper
from pulsekit._documents.values import pointer_token
from pulsekit.errors import Problem, SchemaError
from pulsekit.hooks.formats import FORMATS
from pulsekit.hooks.patterns import translate
from pulsekit.schemas.drafts import KEYWORDS, check_schema
from pulsekit.schemas.keyword_messages import frozen
from pulsekit.schemas.schema import Schema, load_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pulsekit._documents.values import JSON

__all__ = ["DEFAULT_SCHEMA", "TriggerSchema"]

DEFAULT_SCHEMA: dict[str, Any] = {"type": "object", "additionalProperties": False}

_DRAFT_7 = frozenset({"", *(f"http://json-schema.org/{name}schema" for name in ("draft-07/", ""))})
_OLD_DRAFT = re.compile(r"http://json-schema\.org/draft-0[0-6]/schema#?")
# Keywords that do not affect validity, and the type that draft 7 requires for their value.
_NOTES: dict[str, type | tuple[type, ...]] = {
    "$schema": str, "$id": str, "$comment": str, "title": str, "description": str, "contentMediaType": str,
    "contentEncoding": str, "readOnly": bool, "examples": list, "default": object, "writeOnly": object,
    "deprecated": object, "contentSchema": object, "$defs": object, "$vocabulary": object,
}  # fmt: skip
_KNOWN = KEYWORDS.keys() | _NOTES.keys() | {"$ref", "nullable"}
_UNSUPPORTED = ("$async", "formatMinimum", "formatMaximum", "formatExclusiveMinimum", "formatExclusiveMaximum")
_WITHOUT_RULE = (_NOTES.keys() - {"$comment"}) | {"definitions"}
# Every object of JavaScript has these properties, so `required` always finds them.
_INHERITED = frozenset((
    "__proto__", "constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString",
    "valueOf", "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__",
))  # fmt: skip


class TriggerSchema:
    """The schema of a hook, which decides whether the service fires the hook for a message.

    Attributes:
        value: the schema.
    """

    def __init__(self, value: JSON) -> None:
        self.value = value

    @cached_property
    def error(self) -> str:
        """The reason why the service cannot compile the schema, and drops each message. Empty if it can."""
        return self._loaded if isinstance(self._loaded, str) else ""

    @property
    def allows_nothing(self) -> bool:
        """Whether the schema is like the default schema, which allows only objects without properties."""
        value = self.value
        return (
            isinstance(value, dict)
            and value.get("additionalProperties") is False
            and not (value.get("properties") or value.get("patternProperties"))
        )

    def problems(self, payload: Any) -> tuple[Problem, ...]:
        """Return the problems for which the service discards a message with this payload. Empty if it is valid.

        Raises:
            SchemaError: Raised when the schema does not compile, or the validation does not end.
        """
        if isinstance(self._loaded, str):
            raise SchemaError(self._loaded)
        problems = self._loaded.problems(payload, "treeherder")
        if any(problem.rule == "time" for problem in problems):
            raise SchemaError("a pattern or the references of the schema need more than a second for this payload")
        if any(problem.rule == "depth" for problem in problems):
            raise SchemaError("the schema refers to itself without an end, or the payload is nested too deeply")
        return tuple(_as_written(problem, self._rewriter.texts) for problem in problems)

    @cached_property
    def _rewriter(self) -> _Rewriter:
        return _Rewriter()

    @cached_property
    def _loaded(self) -> Schema | str:
        if not isinstance(self.value, dict):
            return "the schema must be an object"
        if is_deeper(self.value, MAX_DEPTH // 2):
            return "the schema is nested too deeply"
        try:
            copy = self._rewriter.copy(self.value, "")
            checked = check_schema(copy)
            for reached in _reached(copy, checked.target):
                for refusal in self._rewriter.refusals.get(id(reached), ()):
                    return refusal
            schema = load_schema(copy)
            schema.is_valid(None, "treeherder")  # compiles the schema
        except SchemaError as error:
            return str(error)
        return schema


class _Rewriter:
    """A copier of schemas. It raises SchemaError if draft 7 forbids a part, which Ajv checks first.

    Attributes:
        refusals: the reasons why Ajv's strict mode refuses a subschema, by the `id()` of its copy.
        texts: the original pattern or format, by the pattern in the copy.
    """

    def __init__(self) -> None:
        self.refusals: dict[int, list[str]] = {}
        self.texts: dict[str, str] = {}

    def copy(self, schema: Any, where: str) -> Any:
        if not isinstance(schema, dict):
            return schema  # a boolean, or a value that `check_schema` refuses
        self._check_notes(schema, where)
        copied = {name: value for name, value in schema.items() if name not in {"$schema", "title"}}
        refusals = self.refusals[id(copied)] = []
        self._refuse_unknown(schema, refusals, where)
        added: list[Any] = []
        for keyword, value in list(copied.items()):
            at = f"{where}/{pointer_token(keyword)}"
            # Ajv does not compile the patterns of `patternProperties` if they allow every value.
            unused = keyword == "patternProperties" and _is_unused(value, schema.get("additionalProperties", True))
            copied[keyword] = self._keyword(keyword, value, at, [] if unused else refusals)
        if isinstance(copied.get("format"), str) and (rule := FORMATS.get(name := copied.pop("format"))):
            added.append(rule)
            if "pattern" in rule:
                self.texts[rule["pattern"]] = f"the format {name}"
        if "$ref" in copied and len(copied) + len(added) > 1:
            added.append({"$ref": copied.pop("$ref")})
        if isinstance(copied.get("required"), list):
            copied["required"] = [name for name in copied["required"] if str(name) not in _INHERITED]
            if copied.get("additionalProperties") is False and not _has_all(
                copied["required"], copied.get("properties")
            ):
                # With such `additionalProperties`, the compiler would refuse names that no object can have.
                added.append({"required": copied.pop("required")})
        if added and isinstance(copied.get("allOf", []), list):
            copied["allOf"] = [*copied.get("allOf", ()), *added]
        if schema.get("nullable") is True and "type" in copied:
            types = copied["type"] if isinstance(copied["type"], list) else [copied["type"]]
            copied["type"] = list(dict.fromkeys([*types, "null"]))
        return copied

    def _keyword(self, keyword: str, value: Any, where: str, refusals: list[str]) -> Any:
        """Return the copy of a keyword's value."""
        match KEYWORDS.get(keyword, ("definitions" if keyword == "$defs" else "",))[0]:
            case "schema" | "additional" | "items" if isinstance(value, dict):
                return self.copy(value, where)
            case "schemas" | "items" if isinstance(value, list) and value:
                return [self.copy(inner, f"{where}/{number}") for number, inner in enumerate(value)]
            case "members" | "definitions" | "dependencies" if isinstance(value, dict):
                return {
                    name: self.copy(inner, f"{where}/{pointer_token(name)}")
                    for name, inner in value.items()
                    if not (keyword == "properties" and name == "__proto__")
                }
            case "patterns" if isinstance(value, dict):
                patterns: dict[str, Any] = {}
                for name, inner in value.items():
                    pattern = self._pattern(name, refusals, where)
                    while pattern in patterns:  # two patterns can have the same translation
                        pattern += "(?:)"
                    patterns[pattern] = self.copy(inner, f"{where}/{pointer_token(name)}")
                return patterns
            case "pattern" if isinstance(value, str):
                return self._pattern(value, refusals, where)
            case "format" if isinstance(value, str) and value not in FORMATS:
                refusals.append(f"{where}: Ajv refuses the unknown format {value!r}")
            case "schemas" if value == []:
                raise SchemaError(f"{where}: it must be a list of at least one schema")
            case "values" if isinstance(value, list) and (not value or len(set(map(frozen, value))) < len(value)):
                raise SchemaError(f"{where}: it must be a list of at least one value, and of different values")
            case "types" if isinstance(value, list) and len(set(map(frozen, value))) < len(value):
                raise SchemaError(f"{where}: it must be a list of different types")
        return value

    def _pattern(self, pattern: str, refusals: list[str], where: str) -> str:
        try:
            translated = translate(pattern)
        except SchemaError as error:
            refusals.append(f"{where}: {error}")
            return "(?!)"
        self.texts.setdefault(translated, pattern)
        return translated

    def _check_notes(self, schema: Mapping[str, Any], where: str) -> None:
        for name, value in schema.items():
            if not isinstance(value, _NOTES.get(name, object)):
                raise SchemaError(f"{where}/{name}: it has the wrong type, so draft 7 forbids the schema")
        named = schema.get("$schema", "")
        if not where and _OLD_DRAFT.fullmatch(named):
            raise SchemaError(f"/$schema: Taskcluster refuses a hook with {named}: use draft-07, or remove it")
        if not where and named.rstrip("#") not in _DRAFT_7:
            raise SchemaError(f"/$schema: Ajv does not have {named}: use http://json-schema.org/draft-07/schema#")

    def _refuse_unknown(self, schema: Mapping[str, Any], refusals: list[str], where: str) -> None:
        """Note the reasons why Ajv's strict mode refuses a subschema (https://ajv.js.org/strict-mode.html)."""
        at = where or "the schema"
        for name in schema:
            if name == "id":
                refusals.append(f'{at}: Ajv does not support "id": use "$id"')
            elif name in _UNSUPPORTED:
                refusals.append(f"{at}: {name!r} is a keyword of Ajv that pulsekit cannot evaluate")
            elif name not in _KNOWN:
                refusals.append(f"{at}: Ajv refuses the unknown keyword {name!r}")
        if "if" in schema and "then" not in schema and "else" not in schema:
            refusals.append(f'{at}: Ajv refuses "if" without "then" and "else"')
        refusals += [
            f'{at}: Ajv refuses "{name}" without "if"'
            for name in ("then", "else")
            if name in schema and "if" not in schema
        ]
        if "additionalItems" in schema and not isinstance(schema.get("items"), list):
            refusals.append(f'{at}: Ajv refuses "additionalItems" if "items" is not a list')
        if "nullable" in schema:
            types = schema.get("type", [])
            types = types if isinstance(types, list) else [types]
            if not isinstance(schema["nullable"], bool):
                refusals.append(f'{at}: "nullable" must be true or false')
            elif not types:
                refusals.append(f'{at}: Ajv refuses "nullable" without "type"')
            elif not schema["nullable"] and "null" in types:
                refusals.append(f'{at}: the type null contradicts "nullable": false')
        members, patterns = schema.get("properties"), schema.get("patternProperties")
        if isinstance(members, dict) and isinstance(patterns, dict) and not _is_unused(patterns):
            refusals += [
                f"{at}: Ajv refuses the property {name!r}, because the pattern {pattern!r} matches it"
                for pattern in patterns
                for name in members
                if _finds(pattern, name)
            ]


def _has_all(names: list[Any], members: Any) -> bool:
    return isinstance(members, dict) and all(isinstance(name, str) and name in members for name in names)


def _finds(pattern: str, text: str) -> bool:
    try:
        return re.search(translate(pattern), text) is not None
    except SchemaError:  # noted when the pattern is copied
        return False


def _allows_all(schema: Any) -> bool:
    """Return whether a schema allows every value because it has no rule. Ajv compiles no code for it."""
    return schema is True or (isinstance(schema, dict) and schema.keys() <= _WITHOUT_RULE)


def _is_unused(patterns: Any, others: Any = True) -> bool:  # noqa: FBT002 - a schema
    """Return whether Ajv ignores `patternProperties` if `additionalProperties` is `others`."""
    return isinstance(patterns, dict) and all(map(_allows_all, (*patterns.values(), others)))


def _reached(root: Any, target: Callable[[dict[str, Any]], Any]) -> Iterator[dict[str, Any]]:
    """Yield each subschema that Ajv compiles, in the order of the schema."""
    seen: set[int] = set()
    left = [root]
    while left:
        schema = left.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        yield schema
        if "$ref" in schema:
            left.append(target(schema))
            continue
        inner: list[Any] = []
        for keyword, value in schema.items():
            shape = KEYWORDS.get(keyword, ("",))[0]
            if shape in {"members", "patterns", "dependencies"}:
                inner += value.values()
            elif keyword == "anyOf" and any(map(_allows_all, value)):  # before it, Ajv only looks for unknown keywords
                first = next(number for number, one in enumerate(value) if _allows_all(one))
                inner += [one for one in value[:first] if isinstance(one, dict) and one.keys() - _KNOWN]
            elif shape in {"schemas", "items"} and isinstance(value, list):
                inner += value
            elif keyword == "if" and _allows_all(schema.get("then", True)) and _allows_all(schema.get("else", True)):
                pass
            elif shape in {"schema", "additional", "items"}:
                inner.append(value)
        left += reversed(inner)


def _as_written(problem: Problem, texts: Mapping[str, str]) -> Problem:
    """Return the problem with the original pattern or format. It has no hint, as the user did not write the message."""
    message, allowed, rule = problem.message, problem.allowed, problem.rule
    for pattern, written in texts.items():
        if pattern != written and pattern in message:
            message, allowed = message.replace(pattern, written), allowed.replace(pattern, written)
            rule = "format" if rule == "pattern" and written.startswith("the format ") else rule
    return replace(problem, message=message, allowed=allowed, rule=rule, hint="", suggestion=None)
