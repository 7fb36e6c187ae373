"""Read YAML 1.2 strictly, into values that JSON can represent.

ruamel.yaml parses the text into events; its constructors are not used. `_Builder` makes values from the events by the
core schema (YAML 1.2.2 §10.3.2), so timestamps, `yes` and `on` are text. It refuses, each with its position: tags,
anchors, aliases, merge keys, duplicate keys, keys that are not text, infinities and NaN, other versions of YAML.

The plan: a stack has every open mapping and sequence, the innermost last, each with the positions of its members. A
scalar goes to the innermost container; in a mapping, first as a key, then as its value. For

    a: [1]      the events  mapping, scalar a, sequence, scalar 1, end, end
                the stack   {}       {} key a  {} []     {} [1]    {}   empty

The invariants: `_Open.key` is set exactly while a mapping waits for a value, and a container is attached to its parent
when it opens, so its end needs no action. Depth, size and the number of values are limited before the parser gets slow:
its time is quadratic in the depth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.reader import ReaderError

from pulsekit._documents.nesting import MAX_DEPTH
from pulsekit.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pulsekit._documents.values import JSON

__all__ = ["MAX_SIZE", "MAX_VALUES", "Place", "read_yaml"]

MAX_SIZE = 1024 * 1024  # characters; the parser reads about 500,000 per second of prose or jobs
MAX_VALUES = 50_000  # keys and values; it reads about 40,000 per second, and a job has a hundred
MAX_TAG = 1024  # characters; the time of the parser is quadratic in the length of a tag

_LONG_TAG = re.compile(rf"(?<![^\s,\[{{])![^\s]{{{MAX_TAG}}}")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")


@dataclass(slots=True)
class Place:
    """The position of a value, and of its members."""

    line: int
    column: int
    members: dict[str, Place] = field(default_factory=dict)

    def locate(self, tokens: Sequence[str]) -> tuple[int, int]:
        """Return line and column of the value at the path, or of the nearest existing value around it."""
        place = self
        for token in tokens:
            if token not in place.members:
                break
            place = place.members[token]
        return place.line, place.column


@dataclass(slots=True)
class _Open:
    """A mapping or sequence that is not yet closed."""

    value: dict[str, JSON] | list[JSON]
    place: Place
    key: str | None = None


def read_yaml(text: str, *, source: str = "") -> list[tuple[JSON, Place]]:
    """Parse all documents of a YAML text.

    Raises:
        DocumentError: Raised when a part of the text is refused. It has line and column of this part.
    """
    if len(text) > MAX_SIZE:
        raise DocumentError(
            f"{len(text):,} characters of YAML are more than the limit of {MAX_SIZE:,}: write JSON or NDJSON",
            source=source,
        )
    if tag := _LONG_TAG.search(text):
        raise DocumentError(
            f"a word that begins with ! has more than {MAX_TAG} characters", source=source, **_place(text, tag.start())
        )
    try:
        return list(_Builder(source).documents(text))
    except ReaderError as error:
        reason = f"YAML does not allow the character U+{error.character:04X}"
        raise DocumentError(reason, source=source, **_place(text, error.position)) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = ", ".join(part for part in (error.context, error.problem) if part)
        raise DocumentError(
            f"this is not YAML: {words}",
            source=source,
            line=mark.line + 1 if mark else None,
            column=mark.column + 1 if mark else None,
        ) from None
    except (YAMLError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The parser does not check everything, such as an escape beyond U+10FFFF.
        raise DocumentError(f"this is not YAML: {error}", source=source) from error


def _place(text: str, offset: int) -> dict[str, int]:
    return {"line": text.count("\n", 0, offset) + 1, "column": offset - text.rfind("\n", 0, offset)}


class _Builder:
    def __init__(self, source: str) -> None:
        self._source = source
        self._left = MAX_VALUES
        self._stack: list[_Open] = []

    def documents(self, text: str) -> Iterator[tuple[JSON, Place]]:
        root: tuple[JSON, Place] | None = None
        for event in YAML(typ="safe", pure=True).parse(text):
            if isinstance(event, DocumentStartEvent):
                self._check_directives(event)
            elif isinstance(event, NodeEvent):
                value, place = self._node(event)
                if self._stack:
                    self._attach(event, value, place)
                else:
                    root = value, place
                if isinstance(value, dict | list):
                    self._open(event, value, place)
            elif isinstance(event, CollectionEndEvent):
                self._stack.pop()
            elif isinstance(event, DocumentEndEvent) and root is not None:
                yield root

    def _node(self, event: NodeEvent) -> tuple[JSON, Place]:
        mark = event.start_mark
        self._left -= 1
        if self._left < 0:
            self._refuse(mark, f"more than {MAX_VALUES:,} keys and values of YAML take too long: write JSON or NDJSON")
        if isinstance(event, AliasEvent):
            self._refuse(mark, f"the alias *{event.anchor} is not supported: write the value")
        if event.anchor is not None:
            self._refuse(mark, f"the anchor &{event.anchor} is not supported: write the value in each place")
        assert isinstance(event, CollectionStartEvent | ScalarEvent)
        if event.ctag is not None:
            self._refuse(mark, "tags ('!…') are not supported: write the plain value")
        place = Place(mark.line + 1, mark.column + 1)
        if isinstance(event, ScalarEvent):
            return (event.value if event.style else self._plain(event)), place
        return ({} if isinstance(event, MappingStartEvent) else []), place

    def _plain(self, event: ScalarEvent) -> JSON:
        """Resolve an unquoted scalar by the core schema."""
        text: str = event.value
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.match(text):
            try:
                return int(text, 0 if text[:2] in {"0o", "0x"} else 10)
            except ValueError:
                self._refuse(
                    event.start_mark, "this integer has more digits than Treeherder can read; put it in quotes"
                )
        if _NOT_FINITE.match(text):
            self._refuse(event.start_mark, f"JSON cannot represent {text}; put it in quotes if it is text")
        if _FLOAT.match(text):
            number = float(text)
            if number in {float("inf"), float("-inf")}:
                self._refuse(event.start_mark, f"{text[:40]} is out of the range of numbers")
            return number
        return text

    def _attach(self, event: NodeEvent, value: JSON, place: Place) -> None:
        parent = self._stack[-1]
        if isinstance(parent.value, list):
            parent.place.members[str(len(parent.value))] = place
            parent.value.append(value)
        elif parent.key is None:
            parent.key = self._key(event, value, parent)
        else:
            parent.place.members[parent.key] = place
            parent.value[parent.key] = value
            parent.key = None

    def _key(self, event: NodeEvent, value: JSON, parent: _Open) -> str:
        if not isinstance(event, ScalarEvent):
            self._refuse(event.start_mark, "a key must be text, not a list or an object")
        if not isinstance(value, str):
            self._refuse(event.start_mark, f"a key must be text; put {event.value or 'it'} in quotes")
        if value == "<<" and not event.style:
            self._refuse(event.start_mark, "merge keys ('<<') are not supported: write the members")
        if value in parent.place.members:
            first = parent.place.members[value].line
            self._refuse(event.start_mark, f"the key {value!a} occurs twice in one object, first on line {first}")
        return value

    def _open(self, event: NodeEvent, value: dict[str, JSON] | list[JSON], place: Place) -> None:
        if len(self._stack) == MAX_DEPTH:
            self._refuse(event.start_mark, f"this YAML is nested too deeply: more than {MAX_DEPTH} levels")
        self._stack.append(_Open(value, place))

    def _check_directives(self, event: DocumentStartEvent) -> None:
        if event.version is not None and tuple(event.version) != (1, 2):
            asked = ".".join(map(str, event.version))
            self._refuse(event.start_mark, f"YAML {asked} is not supported: use YAML 1.2")

    def _refuse(self, mark: StringMark, reason: str) -> NoReturn:
        raise DocumentError(reason, source=self._source, line=mark.line + 1, column=mark.column + 1)
