"""List the problems of an invalid payload, each with its position, the allowed values, and a correction.

For payloads that the compiled schema has refused, this module walks schema and payload together. A test compares the
verdicts of the walk and the compiled schema on thousands of payloads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace as changed
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from pulsekit._documents.suggestions import Guesses, brief, described, either
from pulsekit._documents.values import pointer_token
from pulsekit.errors import Problem
from pulsekit.schemas.fixes import add, move, remove, replace, retyped, within
from pulsekit.schemas.formats import FORMATS
from pulsekit.schemas.keyword_messages import LIMITS, frozen, types_of
from pulsekit.schemas.runtime import without_pattern_warnings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulsekit.schemas.drafts import CheckedSchema, Subschema
    from pulsekit.schemas.runtime import Validator

__all__ = ["list_problems"]

_MOST_WITHIN = 200  # nested subschemas; each needs up to four of the thousand frames that Python allows

_NOUNS = {
    "null": "null",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "array": "a list",
    "object": "an object",
}


def list_problems(
    schema: CheckedSchema, payload: Any, *, formats: bool, most: int, members: Mapping[int, Validator] | None = None
) -> list[Problem]:
    """List the problems of a payload, in the order of the payload. The list is empty if the payload is valid.

    The number is limited, because a hostile payload of ten megabytes can have millions of problems, and listing them
    would take minutes.

    Args:
        schema: the schema.
        payload: plain JSON, which is not changed.
        formats: whether `date-time` and `uri` are asserted.
        most: the maximum number of problems. If there are more, an additional problem says that more were found.
        members: validators of subschemas by `id()`, from `compile_members`. With them, the walk skips valid members,
            and a job with one problem is explained five times as fast.

    Raises:
        RecursionError: Raised when more than `_MOST_WITHIN` subschemas are nested.
        TypeError: Raised when the payload contains a value that JSON cannot represent.
    """
    with without_pattern_warnings():
        walk = _Walk(schema, members or {}, formats=formats, most=most + 1)
        found = list(islice(walk.explain(schema.root, payload, ""), most + 1))
    if len(found) > most:
        found[most] = Problem("", "many", f"has more than {most:,} problems; the others are not listed")
    return found


class _Walk:
    """The walk over one payload. `at` is always the JSON pointer of the current value."""

    def __init__(self, checked: CheckedSchema, members: Mapping[int, Validator], *, formats: bool, most: int) -> None:
        self.checked = checked
        self.members = members
        self.formats = formats
        self.most = most
        self.guesses = Guesses()
        self._keywords: dict[int, list[str]] = {}  # for each subschema, the rules that apply, in order
        self._within = 0

    def explain(self, schema: Subschema, value: Any, at: str) -> Iterator[Problem]:
        self._within += 1
        try:
            if self._within > _MOST_WITHIN:
                raise RecursionError
            if isinstance(schema, bool):
                if not schema:
                    yield Problem(at, "false", "is not allowed", brief(value), "nothing", "remove it")
                return
            if "$ref" in schema:
                yield from self.explain(self.checked.target(schema), value, at)
                return
            if id(schema) not in self._keywords:
                self._keywords[id(schema)] = [word for word in _ORDER if word in schema and self.checked.has(word)]
            types = self.types(value)
            for keyword in self._keywords[id(schema)]:
                if keyword in LIMITS:
                    kind, limit = LIMITS[keyword]
                    refusal = limit(schema, value, self.checked.draft) if kind in types else None
                    if refusal:
                        message, allowed, hint = refusal
                        fix = within(at, keyword, schema, value)
                        yield Problem(at, keyword, message, brief(value), allowed, hint, suggestion=fix)
                else:
                    kind, rule = _RULES[keyword]
                    if kind in types:
                        yield from rule(self, schema, value, at)
        finally:
            self._within -= 1

    def is_known_valid(self, schema: Subschema, value: Any) -> bool:
        """Return whether compiled code accepts a value, or False without compiled code."""
        validator = self.members.get(id(schema))
        if validator is None:
            return False
        try:
            validator(value)
        except Exception:  # noqa: BLE001 - the walk decides, also about values that the code cannot compare
            return False
        return True

    def fits(self, schema: Subschema, value: Any) -> bool:
        return next(self.explain(schema, value, ""), None) is None

    def types(self, value: Any) -> tuple[str, ...]:
        return types_of(value, whole_floats=self.checked.draft > 4)


def _type(walk: _Walk, schema: dict[str, Any], value: Any, at: str) -> Iterator[Problem]:
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not set(types).isdisjoint(walk.types(value)):
        return
    allowed = either([_NOUNS[name] for name in types])
    hint = ""
    if value is None:
        hint = "remove the property if there is no value"
    elif isinstance(value, str) and _reads_as(walk, value, types):
        hint = "remove the quotes"
    elif "string" in types and isinstance(value, int | float):
        hint = "put it in quotes"
    fix = retyped(at, value, types)
    if fix and not hint:
        hint = f"did you mean {brief(fix['value'])}?"
    message = f"must be {allowed}, not {described(value)}"
    yield Problem(at, "type", message, brief(value), allowed, hint, suggestion=fix)


def _reads_as(walk: _Walk, text: str, types: list[str]) -> bool:
    try:
        value = json.loads(text) if len(text) <= 100 else text
    except (ValueError, RecursionError):
        return False
    return not set(types).isdisjoint(walk.types(value))


def _enum(walk: _Walk, schema: dict[str, Any], value: Any, at: str) -> Iterator[Problem]:
    given = frozen(value)
    if any(given == frozen(choice) for choice in schema["enum"]):
        return
    allowed = either([brief(choice) for choice in schema["enum"]])
    guess = walk.guesses.nearest(value, schema["enum"])
    hint = f"did you mean {brief(guess)}?" if guess else ""
    choices = schema["enum"] if len(schema["enum"]) == 1 else [guess] if guess else []
    message = f"must be {allowed}, not {brief(value)}"
    fix = replace(at, choices[0]) if choices else None
    yield Problem(at, "enum", message, brief(value), allowed, hint, suggestion=fix)


def _format(walk: _Walk, schema: dict[str, Any], value: str, at: str) -> Iterator[Problem]:
    form = FORMATS.get(schema["format"])
    if walk.formats and form and not re.search(form.pattern, value):
        message = f"must be {form.allowed}, not {brief(value)}"
        fix = within(at, "format", schema, value)
        yield Problem(at, "format", message, brief(value), form.allowed, form.hint(value), suggestion=fix)


def _all_of(walk: _Walk, schema: dict[str, Any], value: Any, at: str) -> Iterator[Problem]:
    for branch in schema["allOf"]:
        yield from walk.explain(branch, value, at)


def _any_of(walk: _Walk, schema: dict[str, Any], value: Any, at: str) -> Iterator[Problem]:
    if not any(walk.fits(branch, value) for branch in schema["anyOf"]):
        yield from _nearest_branch(walk, "anyOf", schema["anyOf"], value, at)


def _one_of(walk: _Walk, schema: dict[str, Any], value: Any, at: str) -> Iterator[Problem]:
    branches = schema["oneOf"]
    fitting = [_label(branch, index) for index, branch in enumerate(branches) if walk.fits(branch, value)]
    if not fitting:
        yield from _nearest_branch(walk, "oneOf", branches, value, at)
    elif len(fitting) > 1:
        message = f"matches {' and '.join(fitting[:5])}, but must match only one of them"
        yield Problem(at, "oneOf", message, brief(value), "exactly one of the forms")


def _nearest_branch(walk: _Walk, keyword: str, branches: list[Subschema], value: Any, at: str) -> Iterator[Problem]:
    """Report the problems of the branch that fits a value best. A fitting type counts more than missing members."""
    by_branch = [list(islice(walk.explain(branch, value, at), walk.most)) for branch in branches]
    telling = {"type", "const", "enum", "false"}
    distances = [(sum(problem.rule in telling for problem in problems), len(problems)) for problems in by_branch]
    nearest = distances.index(min(distances))
    if len(branches) > 1:
        labels = [_label(branch, index) for index, branch in enumerate(branches)]
        message = f"matches none of the {len(branches)} forms; the nearest is {labels[nearest]}"
        yield Problem(at, keyword, message, brief(value), either(labels))
    yield from by_branch[nearest]


def _label(branch: Subschema, index: int) -> str:
    title = branch.get("title") if isinstance(branch, dict) else None
    return brief(title) if isinstance(title, str) else f"form {index + 1}"


def _not(walk: _Walk, schema: dict[str, Any], value: Any, at: str) -> Iterator[Problem]:
    if walk.fits(schema["not"], value):
        allowed = f"any value that does not match {brief(schema['not'])}"
        yield Problem(at, "not", f"must be {allowed}", brief(value), allowed)


def _if(walk: _Walk, schema: dict[str, Any], value: Any, at: str) -> Iterator[Problem]:
    branch = "then" if walk.fits(schema["if"], value) else "else"
    yield from walk.explain(schema.get(branch, True), value, at)


def _items(walk: _Walk, schema: dict[str, Any], value: list[Any], at: str) -> Iterator[Problem]:
    given = schema["items"]
    for index, item in enumerate(value):
        if not isinstance(given, list):
            rule = given
        elif index < len(given):
            rule = given[index]
        else:
            rule = schema.get("additionalItems", True)
        if not walk.is_known_valid(rule, item):
            yield from walk.explain(rule, item, f"{at}/{index}")


def _contains(walk: _Walk, schema: dict[str, Any], value: list[Any], at: str) -> Iterator[Problem]:
    if not any(walk.fits(schema["contains"], item) for item in value):
        allowed = f"one item or more that matches {brief(schema['contains'])}"
        yield Problem(at, "contains", f"must have {allowed}", brief(value), allowed)


def _required(walk: _Walk, schema: dict[str, Any], value: dict[str, Any], at: str) -> Iterator[Problem]:
    missing = [name for name in schema["required"] if name not in value]
    known = schema.get("properties", {})
    strangers = [name for name in value if name not in known][:100] if missing else []
    for name in missing:
        guess = walk.guesses.nearest(name, strangers)
        inner = _join(at, name)
        fix: Mapping[str, Any] | None = None
        hint = ""
        if guess:
            hint, fix = f"rename {brief(guess)} if it is this property", move(_join(at, guess), inner)
        elif usual := _usual(walk, known.get(name, True)):
            hint, fix = f"add it: {brief(usual[0])}", add(inner, usual[0])
        allowed = f"the property {brief(name)}"
        yield Problem(at, "required", f"{brief(name)} is missing", brief(value), allowed, hint, suggestion=fix)


def _usual(walk: _Walk, schema: Subschema) -> tuple[Any, ...]:
    """Return the default of a property, or its only allowed value, as a tuple. It is empty if there is none."""
    followed: set[int] = set()
    while isinstance(schema, dict) and "$ref" in schema:
        if id(schema) in followed:
            return ()  # references that form a loop
        followed.add(id(schema))
        schema = walk.checked.target(schema)
    if isinstance(schema, bool):
        return ()
    if "default" in schema:
        return (schema["default"],)
    choices = schema.get("enum", ())
    return tuple(choices) if len(choices) == 1 else ()


def _additional_properties(walk: _Walk, schema: dict[str, Any], value: dict[str, Any], at: str) -> Iterator[Problem]:
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    rule = schema["additionalProperties"]
    strangers = [name for name in value if name not in known]
    missing = [name for name in known if name not in value] if strangers else []
    allowed = either([brief(name) for name in known]) if strangers else ""
    for name in strangers:
        member = value[name]
        if any(re.search(pattern, name) for pattern in patterns):
            continue
        inner = _join(at, name)
        if rule is not False:
            yield from walk.explain(rule, member, inner)
            continue
        guess = walk.guesses.nearest(name, missing)
        hint = f"did you mean {brief(guess)}?" if guess else "remove it"
        message = f"{brief(name)} is not a known property"
        fix = move(inner, _join(at, guess)) if guess else remove(inner)
        yield Problem(inner, "additionalProperties", message, brief(member), allowed, hint, suggestion=fix)


def _dependencies(walk: _Walk, schema: dict[str, Any], value: dict[str, Any], at: str) -> Iterator[Problem]:
    for name, needed in schema["dependencies"].items():
        if name not in value:
            continue
        if not isinstance(needed, list):
            yield from walk.explain(needed, value, at)
            continue
        for other in needed:
            if other not in value:
                message = f"{brief(other)} is missing, which {brief(name)} requires"
                yield Problem(at, "dependencies", message, brief(value), f"the property {brief(other)}")


def _property_names(walk: _Walk, schema: dict[str, Any], value: dict[str, Any], at: str) -> Iterator[Problem]:
    for name in value:
        for problem in walk.explain(schema["propertyNames"], name, ""):
            message = f"the name {brief(name)} {problem.message}"
            yield Problem(_join(at, name), "propertyNames", message, brief(name), problem.allowed, problem.hint)


def _properties(walk: _Walk, schema: dict[str, Any], value: dict[str, Any], at: str) -> Iterator[Problem]:
    known, needed = schema["properties"], schema.get("required", ())
    for name, member in value.items():
        if name in known and not walk.is_known_valid(known[name], member):
            found = walk.explain(known[name], member, _join(at, name))
            if member is None and name in needed:
                yield from map(_kept, found)
            else:
                yield from found if member != "" or name in needed else map(_left_out, found)


def _left_out(problem: Problem) -> Problem:
    """Return the problem of an empty text that can be omitted, with the hint to omit it."""
    if problem.hint or problem.suggestion:
        return problem
    return changed(problem, hint="remove it, or write a text", suggestion=remove(problem.pointer))


def _kept(problem: Problem) -> Problem:
    """Return the problem of a required null, without the hint to remove it."""
    if problem.suggestion != remove(problem.pointer):
        return problem
    return changed(problem, hint="write a value: the property is required", suggestion=None)


def _pattern_properties(walk: _Walk, schema: dict[str, Any], value: dict[str, Any], at: str) -> Iterator[Problem]:
    for name, member in value.items():
        for pattern, rule in schema["patternProperties"].items():
            if re.search(pattern, name):
                yield from walk.explain(rule, member, _join(at, name))


def _join(at: str, name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the key {name!r:.40} is not text")
    return f"{at}/{pointer_token(name)}"


_Rule: TypeAlias = Callable[[_Walk, dict[str, Any], Any, str], Iterator[Problem]]

# For each keyword whose rule needs more than the value: the type to which it applies, and its rule.
_RULES: dict[str, tuple[str, _Rule]] = {
    "type": ("any", _type),
    "enum": ("any", _enum),
    "format": ("string", _format),
    "allOf": ("any", _all_of),
    "anyOf": ("any", _any_of),
    "oneOf": ("any", _one_of),
    "not": ("any", _not),
    "if": ("any", _if),
    "required": ("object", _required),
    "additionalProperties": ("object", _additional_properties),
    "dependencies": ("object", _dependencies),
    "propertyNames": ("object", _property_names),
    "properties": ("object", _properties),
    "patternProperties": ("object", _pattern_properties),
    "items": ("array", _items),
    "contains": ("array", _contains),
}

# First the type of a value, then its limits, then its members.
_ORDER = ("type", "enum", *LIMITS, *(keyword for keyword in _RULES if keyword not in {"type", "enum"}))
