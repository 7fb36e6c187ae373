"""Read JSON as Treeherder does, with the results of Python's decoder: lone surrogates, NaN and 1e999 are accepted.

This module refuses three things: duplicate keys of an object, because a decoder would drop one of them; integers of
more than 4,300 digits, which the decoder cannot read; and nesting of more than `MAX_DEPTH` levels.

The decoder stores no positions. Most texts need none, so `Places` reads the text a second time when a position is
requested. The text was decoded without error, so it is not checked again: `_MEMBER` skips a key and a scalar in one
match, and the decoder skips an object or a list. Example: to find the value at /b/1 of

    {"a": {"c": 1}, "b": [2, 3]}

`Places` reads the members of the outer object up to b, at offset 21, and then the items of the list at this offset up
to item 1, at offset 25. It stores both offsets, and the iterators for the remaining members, so repeated look-ups read
a long list once. Most keys of a short object are found without reading its members, see `_near`. The line of an offset
is found by bisection in the list of line starts.
"""

from __future__ import annotations

import json
import re
import sys
from bisect import bisect_right
from itertools import count
from typing import TYPE_CHECKING

from pulsekit._documents.nesting import MAX_DEPTH, too_deep_at
from pulsekit.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pulsekit._documents.values import JSON

__all__ = ["Places", "read_json"]

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_NO_BRACKETS = re.compile(r"[^{}\[\]]+")
_COLON = re.compile(r"[ \t\n\r]*+:[ \t\n\r]*+")
_COMMA = re.compile(r"[ \t\n\r]*+(,?)[ \t\n\r]*+")
# A key, which members of a list do not have, and a scalar value with the comma after it.
_MEMBER = re.compile(
    rf"(?:({_STRING})[ \t\n\r]*+:[ \t\n\r]*+)?(?:({_STRING}|[^\"{{\[ \t\n\r,\]}}]++){_COMMA.pattern})?", re.DOTALL
)
_SPACED = b'": '  # a space after a key, which the canonical form does not have
_LEAST = 512  # bytes: for a shorter text, the import of orjson takes longer than the decoder
_MOST = 1024 * 1024  # bytes: a longer text is not a message, and would be in memory twice
_KEY_OR_BRACKET = re.compile(rf"({_STRING})(\s*+:)?|[{{}}\[\]]", re.DOTALL)

_NEAR = 4096  # characters of an object that are searched for a key; a job has less
_FEW = 2  # keys of an object that are searched, which bounds the time of hostile texts


class Places:
    """The positions of values in a JSON text that was decoded without error."""

    __slots__ = ("_first_line", "_line_starts", "_members", "_text")

    def __init__(self, text: str, first_line: int) -> None:
        self._text = text
        self._first_line = first_line
        # For each object or list, by its offset: the offsets of the members found so far, and an iterator over the
        # others, or None before the first is read.
        self._members: dict[int, tuple[dict[str, int], Iterator[tuple[str, int]] | None]] = {}
        self._line_starts: list[int] = []

    def locate(self, tokens: Sequence[str]) -> tuple[int, int]:
        """Return line and column of the value at the path, or of the nearest existing value that encloses the path."""
        offset = _skip(self._text, 0)
        for token in tokens:
            inner = self._member(offset, token)
            if inner is None:
                break
            offset = inner
        return self.position(offset)

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset."""
        if not self._line_starts:
            self._line_starts = [0, *(match.end() for match in re.finditer("\n", self._text))]
        line = bisect_right(self._line_starts, offset)
        return self._first_line + line - 1, offset - self._line_starts[line - 1] + 1

    def _member(self, offset: int, token: str) -> int | None:
        known, left = self._members.setdefault(offset, ({}, None))
        if token in known:
            return known[token]
        if left is None:
            # Not only the first key: most invalid jobs have two findings, in different objects of the job.
            if len(known) < _FEW and (near := _near(self._text, offset, token)) is not None:
                known[token] = near
                return near
            left = _members(self._text, offset)
            self._members[offset] = known, left
        for name, begin in left:
            known[name] = begin
            if name == token:
                return begin
        return None


def _near(text: str, offset: int, name: str) -> int | None:
    r"""Return the offset of a member of the object at an offset, or None if it is not in the first `_NEAR` characters.

    This is three times as fast as reading the members of a job. The name in quotes is the key of the member if a
    colon follows, it is not inside a string, and all brackets between the first one and the name are closed. Without
    backslashes, every second part between quotes is outside of strings. Example: before "c", the parts of
    `{"a":["b"],"c":1}` are `{`, `:[` and `],`, so the brackets are `[]`. If the first occurrence of the name is not the
    key, the members are read.
    """
    if text[offset] != "{" or '"' in name or "\\" in name:
        return None
    at = text.find(f'"{name}"', offset, offset + _NEAR)
    colon = _COLON.match(text, at + len(name) + 2)
    before = text[offset + 1 : at]
    if at < 0 or not colon or "\\" in before:
        return None
    parts = before.split('"')
    if len(parts) % 2 and _is_balanced(_NO_BRACKETS.sub("", "".join(parts[::2]))):
        return colon.end()
    return None


def _is_balanced(brackets: str) -> bool:
    """Return whether the brackets in this part of valid JSON are balanced."""
    left = len(brackets) + 1
    while 0 < len(brackets) < left:
        left = len(brackets)
        brackets = brackets.replace("{}", "").replace("[]", "")
    return not brackets


def _members(text: str, offset: int) -> Iterator[tuple[str, int]]:
    """Yield the offset of each member of the object or list at an offset, in a text that was decoded without error."""
    opening = text[offset]
    at = _skip(text, offset + 1)
    if opening not in "{[" or text[at] in "}]":
        return
    for number in count():
        member = _MEMBER.match(text, at)
        assert member
        key, scalar, comma = member.groups()
        name = str(number)
        if opening == "{":
            name = json.loads(key) if "\\" in key else key[1:-1]
        at = member.end()
        yield name, member.start(2) if scalar else at
        if not scalar:
            after = _COMMA.match(text, _PLAIN.raw_decode(text, at)[1])
            assert after
            comma, at = after[1], after.end()
        if not comma:
            return


def _skip(text: str, offset: int) -> int:
    match = _SPACE.match(text, offset)
    assert match
    return match.end()


def read_json(text: str, *, source: str = "", first_line: int = 1) -> tuple[JSON, Places]:
    """Parse one JSON value, and return it with the positions of its parts.

    Raises:
        DocumentError: Raised when the text cannot be parsed. The error has line and column if they are known.
    """
    places = Places(text, first_line)
    data = text.encode(errors="surrogatepass")
    if _LEAST <= len(data) <= _MOST and _SPACED not in data[:_LEAST]:
        from pulsekit._documents.canonical import read_canonical

        try:
            return read_canonical(data.rstrip(b" \t\r\n")), places  # 10 µs for 3 KB, instead of 22 µs with the decoder
        except ValueError:
            pass
    if (deep := too_deep_at(data)) is not None:
        place = places.position(len(data[:deep].decode(errors="surrogatepass")))
        reason = f"this JSON is nested too deeply: more than {MAX_DEPTH} levels"
        raise DocumentError(reason, source=source, line=place[0], column=place[1])
    offset: int | None = None
    try:
        return _DECODER.decode(text), places
    except json.JSONDecodeError as error:
        reason = f"this is not JSON: {_explain(text, error)}" if text.strip() else "the text contains no JSON value"
        offset = _offset(text, error)
    except _DuplicateKey:
        key, offset = _find_duplicate(text)
        reason = f"the key {key} occurs twice in one object"
    except ValueError:
        limit = sys.get_int_max_str_digits()
        reason = f"an integer has more than {limit} digits, which Treeherder cannot read"
        offset = _find_digits(text, limit)
    line, column = (first_line, None) if offset is None else places.position(offset)
    raise DocumentError(reason, source=source, line=line, column=column)


class _DuplicateKey(Exception):
    pass


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateKey
    return members


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
_PLAIN = json.JSONDecoder()  # for text that was already decoded


def _offset(text: str, error: json.JSONDecodeError) -> int:
    """Return the offset of the error. For a trailing comma, every version of Python gets the offset after the comma."""
    if not error.msg.startswith("Illegal trailing comma"):
        return error.pos
    behind = text[error.pos + 1 :]
    return error.pos + 1 + len(behind) - len(behind.lstrip())


def _explain(text: str, error: json.JSONDecodeError) -> str:
    """Return the message of the decoder, with a hint."""
    offset = _offset(text, error)
    before, after = text[:offset].rstrip(), text[offset:].lstrip()
    reason = (error.msg[:1].lower() + error.msg[1:]).removesuffix(" at").removesuffix(" starting")
    if error.msg == "Extra data":
        return "the value ends here, but more text follows (write several values as NDJSON, one per line)"
    if not after:
        return f"{reason}, but the text ends"
    if after[0] == "'":
        return f"{reason}; use double quotes"
    if after[0] in "}]" and before.endswith(","):
        return f"{reason}; remove the comma before {after[0]!r}"
    if after[0] in "/#":
        return f"{reason}; JSON has no comments"
    if after.startswith(("True", "False", "None")):
        return f"{reason}; write true, false or null"
    return f"{reason}, found {after[0]!a}" if reason.startswith("expecting") else reason


def _find_duplicate(text: str) -> tuple[str, int]:
    """Return the first duplicate key of an object, and its offset. The text before the key must be valid JSON."""
    keys: list[set[str]] = []
    for match in _KEY_OR_BRACKET.finditer(text):
        if match[0] in {"{", "["}:
            keys.append(set())
        elif match[0] in {"}", "]"}:
            keys.pop()
        elif match[2]:
            key = json.loads(match[1])
            if key in keys[-1]:
                return match[1], match.start()
            keys[-1].add(key)
    raise AssertionError("the decoder saw a key twice")


def _find_digits(text: str, limit: int) -> int | None:
    for match in re.finditer(rf"{_STRING}|(?<![\d.])\d{{{limit + 1},}}(?![\d.eE])", text, re.DOTALL):
        if match[0][0] != '"':
            return match.start()
    return None
