"""Read YAML 1.2 strictly, into values that JSON can represent.

ruamel.yaml parses the text into events; its constructors are not used. `_Builder` makes values from the events by the
core schema (YAML 1.2.2 §10.3.2), so timestamps, `yes` and `on` are text. It refuses tags, anchors, aliases, merge keys,
duplicate keys, keys that are not text, infinities, NaN, and other versions of YAML. The error has the position.

`read_yaml(…, shared=True)` reads YAML as PyYAML does: with anchors, aliases and merge keys, and with `yes` and `on` as
booleans. Other words that YAML 1.1 and 1.2 read differently, such as 012 and dates, are refused. An alias counts as all
values of its anchor, so the limit of values also refuses a text whose aliases multiply.

The plan: a stack has every open mapping and sequence with the positions of its members. The innermost is last. A scalar
is added to the innermost container: in a mapping, first as a key, then as the value of this key. Example:

    a: [1]      the events  mapping, scalar a, sequence, scalar 1, end, end
                the stack   {}       {} key a  {} []     {} [1]    {}   empty

The invariants: `_Open.key` is set exactly while a mapping waits for a value, and a container is added to its parent
when it opens, so its end needs no action. Depth, size and the number of values are limited, because the time of the
parser is quadratic in the depth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, cast

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

from pulsekit._documents.nesting import MAX_DEPTH, is_deeper
from pulsekit.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pulsekit._documents.values import JSON

__all__ = ["MAX_SIZE", "MAX_VALUES", "Place", "read_yaml"]

MAX_SIZE = 1024 * 1024  # characters; the parser reads about 500,000 per second of prose or jobs
MAX_VALUES = 50_000  # keys and values; the parser reads about 40,000 per second, and a job has a hundred
MAX_TAG = 1024  # characters; the time of the parser is quadratic in the length of a tag

_MERGE = "\0<<"  # the key of a mapping while it waits for the value of a merge key; a YAML text has no zero byte
_LONG_TAG = re.compile(rf"(?<![^\s,\[{{])![^\s]{{{MAX_TAG}}}")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
# YAML 1.1 as PyYAML reads it: further booleans, and texts that are numbers or times only in 1.1 or only in 1.2.
_WORDS_OF_1_1 = {
    word: value
    for lower, value in (("yes", True), ("on", True), ("no", False), ("off", False))
    for word in (lower, lower.title(), lower.upper())
}
_ONLY_IN_ONE = re.compile(
    r"[-+]?(?:0[0-9_]+|0b[01_]+|0o[0-7]+|0x[0-9a-fA-F]*_[0-9a-fA-F_]*|[0-9]+_[0-9_]*(?:\.[0-9_]*)?|[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?)\Z"
    r"|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][0-9]+\Z|[-+]?[0-9]+[eE][-+][0-9]+\Z"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9].*)?\Z"
)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")


@dataclass(slots=True)
class Place:
    """The position of a value, and of its members."""

    line: int
    column: int
    members: dict[str, Place] = field(default_factory=dict)

    def locate(self, tokens: Sequence[str]) -> tuple[int, int]:
        """Return line and column of the value at the path, or of the nearest existing value that encloses the path."""
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
    anchor: str | None = None
    left: int = 0  # how many more values the limit allowed when this container opened
    merged: list[_Anchored] = field(default_factory=list)


@dataclass(slots=True)
class _Anchored:
    """A value that an alias can name, and the number of values in it."""

    value: JSON
    place: Place
    size: int


def read_yaml(text: str, *, source: str = "", shared: bool = False) -> list[tuple[JSON, Place]]:
    """Parse all documents of a YAML text.

    Args:
        text: the text.
        source: the file name, for errors.
        shared: allow anchors, and read words such as `yes` as PyYAML does. An alias gives the object of its anchor.

    Raises:
        DocumentError: Raised when a part of the text is refused. The error has line and column of this part.
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
        return list(_Builder(source, shared=shared).documents(text))
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
        # Raised for what the parser does not check, such as an escape beyond U+10FFFF.
        raise DocumentError(f"this is not YAML: {error}", source=source) from error


def _joined(text: str) -> str:
    r"""Return a text with one character for each pair of surrogates, which JSON writes as `\ud83d\ude00`."""
    if text.isascii():
        return text
    pair = "[\ud800-\udbff][\udc00-\udfff]"
    return re.sub(pair, lambda match: match[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)


def _place(text: str, offset: int) -> dict[str, int]:
    return {"line": text.count("\n", 0, offset) + 1, "column": offset - text.rfind("\n", 0, offset)}


class _Builder:
    def __init__(self, source: str, *, shared: bool) -> None:
        self._source = source
        self._shared = shared
        self._anchors: dict[str, _Anchored | None] = {}  # None while the value is still open
        self._left = MAX_VALUES
        self._stack: list[_Open] = []

    def documents(self, text: str) -> Iterator[tuple[JSON, Place]]:
        root: tuple[JSON, Place] | None = None
        for event in YAML(typ="safe", pure=True).parse(text):
            if isinstance(event, DocumentStartEvent):
                self._check_directives(event)
                self._anchors.clear()
            elif isinstance(event, AliasEvent):
                self._alias(event)
            elif isinstance(event, NodeEvent):
                value, place = self._node(event)
                if self._stack:
                    self._attach(event, value, place)
                else:
                    root = value, place
                if isinstance(value, dict | list):
                    self._open(event, value, place)
            elif isinstance(event, CollectionEndEvent):
                self._close(self._stack.pop())
            elif isinstance(event, DocumentEndEvent) and root is not None:
                if self._anchors and is_deeper(root[0], MAX_DEPTH):
                    self._refuse(event.start_mark, f"with its aliases, this YAML has more than {MAX_DEPTH} levels")
                yield root

    def _node(self, event: NodeEvent) -> tuple[JSON, Place]:
        mark = event.start_mark
        self._count(mark, 1)
        if event.anchor is not None and not self._shared:
            self._refuse(mark, f"the anchor &{event.anchor} is not supported: write the value in each place")
        assert isinstance(event, CollectionStartEvent | ScalarEvent)
        if event.ctag is not None:
            self._refuse(mark, "tags ('!…') are not supported: write the plain value")
        place = Place(mark.line + 1, mark.column + 1)
        if isinstance(event, ScalarEvent):
            value = _joined(event.value) if event.style else self._plain(event)
            if event.anchor is not None:
                self._anchors[event.anchor] = _Anchored(value, place, 1)
            return value, place
        return ({} if isinstance(event, MappingStartEvent) else []), place

    def _count(self, mark: StringMark, size: int) -> None:
        self._left -= size
        if self._left < 0:
            what = f"{MAX_VALUES:,} keys and values of YAML"
            if size > 1:
                self._refuse(mark, f"the aliases of this text stand for more than {what}: use fewer")
            self._refuse(mark, f"more than {what} take too long: write JSON or NDJSON")

    def _alias(self, event: AliasEvent) -> None:
        mark = event.start_mark
        if not self._shared:
            self._refuse(mark, f"the alias *{event.anchor} is not supported: write the value")
        found = self._anchors.get(event.anchor)
        if found is None:
            where = "contains itself" if event.anchor in self._anchors else "has no anchor before it"
            self._refuse(mark, f"the alias *{event.anchor} {where}")
        self._count(mark, found.size)
        parent = self._stack[-1]  # an alias is never the root, because its anchor precedes it
        if parent.key == _MERGE:
            if not isinstance(found.value, dict):
                self._refuse(mark, "a merge key ('<<') needs an object, or a list of objects")
            parent.merged.append(found)
            parent.key = None
        else:
            self._attach(event, found.value, found.place)

    def _close(self, closed: _Open) -> None:
        if closed.anchor is not None:
            self._anchors[closed.anchor] = _Anchored(closed.value, closed.place, closed.left - self._left + 1)
        parent = self._stack[-1] if self._stack else None
        if isinstance(closed.value, dict):
            own = dict(closed.value)
            for one in reversed(closed.merged):  # the mapping itself takes precedence, then the first merged object
                closed.value.update(cast("dict[str, JSON]", one.value))
                closed.place.members = one.place.members | closed.place.members
            closed.value.update(own)
        if parent is not None and parent.key == _MERGE and isinstance(parent.value, dict):
            self._merge(parent, closed)

    def _merge(self, parent: _Open, closed: _Open) -> None:
        """Note the objects of a merge key whose value is not an alias: an object, or a list of objects."""
        parent.key = None
        for number, value in enumerate(closed.value if isinstance(closed.value, list) else [closed.value]):
            place = closed.place.members[str(number)] if isinstance(closed.value, list) else closed.place
            if not isinstance(value, dict):
                reason = "a merge key ('<<') needs an object, or a list of objects"
                raise DocumentError(reason, source=self._source, line=place.line, column=place.column)
            parent.merged.append(_Anchored(value, place, 0))

    def _plain(self, event: ScalarEvent) -> JSON:
        """Resolve an unquoted scalar by the core schema."""
        text: str = event.value
        if text in _WORDS:
            return _WORDS[text]
        if self._shared:
            if text in _WORDS_OF_1_1:
                return _WORDS_OF_1_1[text]
            if _ONLY_IN_ONE.match(text):
                self._refuse(event.start_mark, f"YAML 1.1 and 1.2 differ on {text:.40}: put it in quotes")
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
        elif parent.key == _MERGE:
            if not isinstance(value, dict | list):
                self._refuse(event.start_mark, "a merge key ('<<') needs an object, or a list of objects")
            # `_close` merges the object when it is complete.
        else:
            parent.place.members[parent.key] = place
            parent.value[parent.key] = value
            parent.key = None

    def _key(self, event: NodeEvent, value: JSON, parent: _Open) -> str:
        if isinstance(value, dict | list):
            self._refuse(event.start_mark, "a key must be text, not a list or an object")
        if not isinstance(value, str):
            self._refuse(event.start_mark, f"a key must be text; put {getattr(event, 'value', '') or 'it'} in quotes")
        if value == "<<" and isinstance(event, ScalarEvent) and not event.style:
            if not self._shared:
                self._refuse(event.start_mark, "merge keys ('<<') are not supported: write the members")
            return _MERGE
        if value in parent.place.members:
            first = parent.place.members[value].line
            self._refuse(event.start_mark, f"the key {value!a} occurs twice in one object, first on line {first}")
        return value

    def _open(self, event: NodeEvent, value: dict[str, JSON] | list[JSON], place: Place) -> None:
        if len(self._stack) == MAX_DEPTH:
            self._refuse(event.start_mark, f"this YAML is nested too deeply: more than {MAX_DEPTH} levels")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Open(value, place, anchor=event.anchor, left=self._left))

    def _check_directives(self, event: DocumentStartEvent) -> None:
        if event.version is not None and tuple(event.version) != (1, 2):
            asked = ".".join(map(str, event.version))
            self._refuse(event.start_mark, f"YAML {asked} is not supported: use YAML 1.2")

    def _refuse(self, mark: StringMark, reason: str) -> NoReturn:
        raise DocumentError(reason, source=self._source, line=mark.line + 1, column=mark.column + 1)
