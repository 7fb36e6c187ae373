"""Change fields of a payload before it is validated or published, so that one file is enough for all states of a job.

    edits = Edits(["state=running", "timeStarted=now"], ["result"], schema=load_schema("pulse-job"))
    edits.apply(job)                # a changed copy

A path names its steps with dots (`origin.project`, `logs.0.url`) or is a JSON pointer (RFC 6901: `/origin/project`),
which is required for a name with a dot. Items of lists have numbers from 0. As in JSON Patch (RFC 6902), `-` is the
item after the last. If a value is JSON and the schema allows its type, it is parsed as JSON, otherwise as text. So a
revision of digits is a text. If the schema requires a date and time, `now` is the current time.

The plan: `_Places` follows each path through the schema once. For each step, it computes the list of forms, which are
all subschemas that may apply to the value. If no form is left, the schema has no such field. Each step also has the
kind of its container, an object or a list, if the schema determines it. `_changed` then copies the containers along the
path, from the outside in, and creates missing containers of this kind. The invariant: the given payload is never
changed, and the result shares its unchanged parts. `origin.id=7` on {"origin": {"project": "try"}} gives {"origin":
{"project": "try", "id": 7}}.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from pulsekit._documents.document import parse_json
from pulsekit._documents.nesting import MAX_DEPTH
from pulsekit._documents.suggestions import Guesses, brief, counted, described, either
from pulsekit._documents.values import pointer_token, pointer_tokens
from pulsekit.errors import ConfigurationError, DocumentError, InvalidPayload, Problem
from pulsekit.schemas.keyword_messages import types_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pulsekit._documents.document import Document
    from pulsekit.schemas.drafts import CheckedSchema, Subschema
    from pulsekit.schemas.schema import Schema

    _Forms: TypeAlias = "list[dict[str, Any]]"

__all__ = ["Edits"]

_NEXT = "-"  # the item after the last (RFC 6902 §4.1)
_INDEX = re.compile(r"(?:0|[1-9]\d{0,8})\Z", re.ASCII)
_COMBINING = ("allOf", "anyOf", "oneOf")
_CHOOSING = ("then", "else")
_MEMBERS = ("properties", "patternProperties", "additionalProperties")
_NOUNS = {"array": "a list", "integer": "a number", "null": "null", "object": "an object", "string": "a text"}
_TELLING = {*_MEMBERS, "type", "items", "enum", "const"}


class _Within(Enum):
    """The kind of container of a step. If the schema allows both, a number is a step into a list."""

    LIST = auto()
    LIKE_A_LIST = auto()
    OBJECT = auto()


@dataclass(frozen=True, slots=True)
class _Edit:
    """One change of one field.

    Attributes:
        steps: the path, as tokens.
        make: returns the new value, or None to remove the field.
        within: the kind of container of each step.
        unknown: for a removal, the reason why the schema has no such field. Empty if it has the field.
    """

    steps: tuple[str, ...]
    make: Callable[[], Any] | None
    within: tuple[_Within, ...]
    unknown: str = ""


class Edits:
    """Changes of fields, to apply to many payloads.

    Args:
        assignments: assignments such as `state=running`. A later one overrides an earlier one.
        removals: paths that are removed first. If a field is in the schema, it may be missing in a payload. If it is
            not, it must be in each payload, because otherwise the path is probably misspelt.
        schema: the schema of the payloads, or None to allow any field.
        now: returns the current time, with its zone.

    Raises:
        ConfigurationError: Raised when a change has no path or no value, or the schema has no such field to set.
    """

    def __init__(
        self,
        assignments: Iterable[str] = (),
        removals: Iterable[str] = (),
        *,
        schema: Schema | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        places = _Places(schema)
        self._now = now
        self._edits = [_removal(path, places) for path in removals]
        self._edits += [self._assignment(text, places) for text in assignments]

    def __bool__(self) -> bool:
        return bool(self._edits)

    def apply(self, payload: Any) -> Any:
        """Return a copy of the payload with the fields changed.

        Raises:
            ConfigurationError: Raised when a field to remove is neither in the schema nor in the payload.
            InvalidPayload: Raised when the payload has no object or list on the path of a field.
        """
        for edit in self._edits:
            if edit.unknown and not _has(payload, edit.steps):
                raise ConfigurationError(edit.unknown)
            payload = _changed(payload, edit, 0)
        return payload

    def document(self, document: Document, base: str = "") -> Document:
        """Return the document with the fields of its value, or of one member, changed. New values have no position.

        Raises:
            InvalidPayload: Raised when the payload has no object or list on the path of a field. Problems have
                positions.
        """
        value: Any = document.value
        try:
            value = value | {base: self.apply(value[base])} if base else self.apply(value)
        except InvalidPayload as error:
            above = f"/{base}" if base else ""
            problems = [problem.at(*document.place(above + problem.pointer)) for problem in error.problems]
            raise InvalidPayload(problems, error.schema) from None
        depth = 1 if base else 0
        return document.changed(value, lambda tokens: self._made(tokens[depth:]))

    def _made(self, tokens: Sequence[str]) -> bool:
        """Return whether the value at this place, or a value that contains it, was set."""
        return any(
            edit.make is not None
            and len(edit.steps) <= len(tokens)
            and all(step in {token, _NEXT} for step, token in zip(edit.steps, tokens, strict=False))
            for edit in self._edits
        )

    def _assignment(self, text: str, places: _Places) -> _Edit:
        path, equals, value = text.partition("=")
        if not equals:
            raise ConfigurationError(f"{text!r:.80} has no value: write PATH=VALUE, such as state=running")
        steps = _steps(path)
        forms, within = places.along(steps)
        if value == "now" and any(form.get("format") == "date-time" for form in forms):
            return _Edit(steps, lambda: self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), within)
        given = _read(value, forms)
        return _Edit(steps, lambda: given, within)


def _removal(path: str, places: _Places) -> _Edit:
    steps = _steps(path)
    try:
        return _Edit(steps, None, places.along(steps)[1])
    except ConfigurationError as error:
        return _Edit(steps, None, (_Within.LIKE_A_LIST,) * len(steps), str(error))


def _has(value: Any, steps: Sequence[str]) -> bool:
    for step in steps:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and _INDEX.match(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return False
    return True


def _steps(path: str) -> tuple[str, ...]:
    tokens = pointer_tokens(path) if path.startswith("/") else path.split(".")
    if not tokens or (not path.startswith("/") and "" in tokens):
        raise ConfigurationError(
            f"{path!r:.80} is not a path: write names with dots between them, such as origin.project, "
            "or a JSON pointer, such as /origin/project"
        )
    if len(tokens) > MAX_DEPTH:
        raise ConfigurationError(f"{path!r:.80} has {len(tokens)} steps; a payload has at most {MAX_DEPTH} levels")
    return tuple(tokens)


def _read(text: str, forms: _Forms) -> Any:
    """Parse a value as JSON if it is JSON and the schema does not require text. Otherwise, return the text."""
    try:
        value = parse_json(text).value
    except DocumentError:
        return text
    if isinstance(value, float) and not isfinite(value):
        return text
    types = {name for form in forms for name in _types(form)}
    return text if "string" in types and types.isdisjoint(types_of(value, whole_floats=False)) else value


def _types(form: dict[str, Any]) -> list[str]:
    """Return the types that a form allows, or an empty list if it allows all types."""
    named = form.get("type", [])
    return [named] if isinstance(named, str) else list(named)


class _Places:
    """The subschemas that may apply to the value at a path, for any payload."""

    def __init__(self, schema: Schema | None) -> None:
        self._name = schema.name if schema else ""
        self._checked: CheckedSchema | None = schema.checked if schema else None

    def along(self, steps: Sequence[str]) -> tuple[_Forms, tuple[_Within, ...]]:
        """Return the possible forms of the last step, and the container of each step.

        Raises:
            ConfigurationError: Raised when the schema has no such field.
        """
        forms = self._expanded([self._checked.root] if self._checked else [True])
        within = []
        for number, step in enumerate(steps):
            within.append(_within(forms, step))
            inner: list[Subschema] = [member for form in forms for member in _members(form, step)] if forms else [True]
            if not inner:
                raise ConfigurationError(self._nowhere(forms, steps[:number], step))
            forms = self._expanded(inner)
        return forms, tuple(within)

    def _expanded(self, schemas: list[Subschema]) -> _Forms:
        """Return the targets of references and the parts of combinations that are not empty. No forms mean any form."""
        forms, seen, left = [], set(), list(schemas)
        while left:
            one = left.pop(0)
            if isinstance(one, bool) or id(one) in seen:
                continue
            seen.add(id(one))
            if "$ref" in one and self._checked:
                left.append(self._checked.target(one))
                continue
            left += [branch for word in _COMBINING for branch in one.get(word, ())]
            left += [one[word] for word in _CHOOSING if word in one]
            if not _TELLING.isdisjoint(one):
                forms.append(one)
        return forms

    def _nowhere(self, forms: _Forms, before: Sequence[str], step: str) -> str:
        where = f" in {'.'.join(before)}" if before else ""
        known = [name for form in forms for name in form.get("properties", {})]
        if not known:
            types = sorted({name for form in forms for name in _types(form)})
            inside = "items go by their number, or -" if "array" in types else f"{brief(step)} cannot be in it"
            what = either([_NOUNS.get(name, name) for name in types]) if types else "a value without fields"
            return f"{'.'.join(before)!r:.80} is {what} by the schema {self._name}: {inside}"
        guess = Guesses().nearest(step, known)
        meant = f"did you mean {guess!r}?" if guess else f"the fields are {', '.join(known)}"
        return f"the schema {self._name} has no field {step!r:.80}{where}; {meant}"


def _members(form: dict[str, Any], step: str) -> Iterator[Subschema]:
    """Yield the subschemas of a form for one member. There are none if the form does not allow the member."""
    types = _types(form)
    if (not types or "array" in types) and (step == _NEXT or _INDEX.match(step)):
        items = form.get("items", True)
        if isinstance(items, list):
            yield from [*items, form.get("additionalItems", True)]
        elif items is not False:
            yield items
        if types == ["array"]:
            return
    if types and "object" not in types:
        return
    if step in form.get("properties", {}):
        yield form["properties"][step]
        return
    found = [rule for pattern, rule in form.get("patternProperties", {}).items() if re.search(pattern, step)]
    other = form.get("additionalProperties", True)
    yield from found or ([] if other is False else [other])


def _within(forms: _Forms, step: str) -> _Within:
    types = {name for form in forms for name in _types(form)}
    if "object" not in types and "array" in types:
        return _Within.LIST
    undecided = not types or {"array", "object"} <= types
    return _Within.LIKE_A_LIST if undecided and (step == _NEXT or _INDEX.match(step)) else _Within.OBJECT


def _changed(value: Any, edit: _Edit, depth: int) -> Any:
    """Return a copy of a value in which the field is changed. The steps from `depth` on lead to the field."""
    step, last = edit.steps[depth], depth + 1 == len(edit.steps)
    if isinstance(value, dict) and edit.within[depth] is not _Within.LIST:
        return _changed_object(value, step, edit, depth, last=last)
    if isinstance(value, list) and (step == _NEXT or _INDEX.match(step)):
        return _changed_list(value, step, edit, depth, last=last)
    if edit.make is None:
        return value
    raise _no_place(edit, depth, value, f"{brief(step)} cannot be set in {described(value)}")


def _changed_object(value: dict[str, Any], step: str, edit: _Edit, depth: int, *, last: bool) -> dict[str, Any]:
    if edit.make is None:
        if step not in value:
            return value
        if last:
            return {name: member for name, member in value.items() if name != step}
    elif last:
        return value | {step: edit.make()}
    return value | {step: _changed(value[step] if step in value else _missing(edit, depth), edit, depth + 1)}


def _changed_list(value: list[Any], step: str, edit: _Edit, depth: int, *, last: bool) -> list[Any]:
    index = len(value) if step == _NEXT else int(step)
    if edit.make is None:
        if index >= len(value):
            return value
        if last:
            return [*value[:index], *value[index + 1 :]]
    if index > len(value):
        has = counted(len(value), "item")
        raise _no_place(edit, depth, value, f"has {has}: item {step} cannot be set", "the next item is -")
    if last and edit.make is not None:
        new = edit.make()
    else:
        new = _changed(value[index] if index < len(value) else _missing(edit, depth), edit, depth + 1)
    return [*value[:index], new, *value[index + 1 :]]


def _missing(edit: _Edit, depth: int) -> list[Any] | dict[str, Any]:
    return {} if edit.within[depth + 1] is _Within.OBJECT else []


def _no_place(edit: _Edit, depth: int, value: Any, message: str, hint: str = "") -> InvalidPayload:
    pointer = "".join(f"/{pointer_token(step)}" for step in edit.steps[:depth])
    return InvalidPayload([Problem(pointer, "set", message, brief(value), hint=hint)])
