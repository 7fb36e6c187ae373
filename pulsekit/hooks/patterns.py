r"""Translate the regular expressions of JavaScript, with its flag `u`, to Python's `re`.

    translate(r"^\d+$")     # r"^[0-9]+\Z"
    translate(r"a\-b")      # raises PatternError: JavaScript refuses this escape

The plan: `_Parser` reads a pattern once from left to right by the grammar of ECMAScript, without its annex B. Every
class becomes a list of ranges of code points, so that `\d`, `\w`, `\s`, `.` and their complements keep the meaning that
they have in JavaScript. In Python, they include digits and letters of all scripts. For `[\w.]`, the ranges are those of
`\w` and one for the dot, and the result is `[0-9A-Z\u005fa-z\u002e]`.

Source: ECMA-262, "Patterns" (https://tc39.es/ecma262/#sec-patterns).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from pulsekit.errors import SchemaError
from pulsekit.schemas.runtime import without_pattern_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PatternError", "translate"]

_Ranges: TypeAlias = "list[tuple[int, int]]"

_LAST = 0x10FFFF
_DIGITS: _Ranges = [(0x30, 0x39)]
_WORDS: _Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_SPACES: _Ranges = [
    (0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
    (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
]  # fmt: skip
_LINE_ENDS: _Ranges = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]
_CLASSES = {"d": _DIGITS, "w": _WORDS, "s": _SPACES}
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_SYNTAX = frozenset("^$\\.*+?()[]{}|/")
_COUNT = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")
_GROUP = re.compile(r"\((?:\?(?::|=|!|<=|<!|<(?P<name>[A-Za-z_][A-Za-z0-9_]*)>))?")
_MOST_TIMES = 2**32 - 2  # the largest repetition of Python's `re`
_MOST_NESTED = 90  # groups; Python's `re` parses recursively


class PatternError(SchemaError):
    """Raised when JavaScript refuses a regular expression, or Python's `re` has no equivalent."""


@lru_cache(maxsize=1024)
def translate(pattern: str) -> str:
    """Return a pattern for `re.search` that matches the same texts as `new RegExp(pattern, "u").test`.

    Raises:
        PatternError: Raised when JavaScript refuses the pattern, or it uses a feature that Python's `re` does not have:
            properties of Unicode, or a look-behind of several lengths.
    """
    translated = "".join(_Parser(pattern).parse())
    try:
        with without_pattern_warnings():
            re.compile(translated)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"the pattern {pattern!r} has no equal in Python: {error}") from None
    return translated


class _Parser:
    """A reader of one pattern. `_at` is the offset of the next character."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        plain = re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", "", pattern, flags=re.DOTALL)
        self._groups = len(re.findall(r"\((?!\?)|\(\?<(?![=!])", plain))
        self._names = set(re.findall(r"\(\?<([A-Za-z_]\w*)>", plain))

    def parse(self) -> Iterator[str]:
        closing: list[bool] = []  # for each open group, whether it can be repeated
        repeatable = False
        while self._at < len(self._pattern):
            char = self._pattern[self._at]
            if char in "*+?{":
                yield self._quantifier(repeatable=repeatable)
                repeatable = False
                continue
            if char == "(":
                group = _GROUP.match(self._pattern, self._at)
                assert group is not None
                if group[0] == "(" and self._pattern.startswith("(?", self._at):
                    self._refuse("an unknown group")
                self._at = group.end()
                closing.append(group[0] not in {"(?=", "(?!", "(?<=", "(?<!"})
                if len(closing) > _MOST_NESTED:
                    self._refuse(f"more than {_MOST_NESTED} nested groups")
                yield f"(?P<{group['name']}>" if group["name"] else group[0]
                repeatable = False
                continue
            self._at += 1
            if char == ")":
                if not closing:
                    self._refuse("an unmatched )")
                repeatable = closing.pop()
                yield ")"
            elif char == "\\":
                repeatable = self._pattern[self._at : self._at + 1] not in {"b", "B"}
                yield self._escape()
            elif char in "^$|":
                repeatable = False
                yield r"\Z" if char == "$" else char
            elif char in "]}":
                self._refuse(f"a lone {char}")
            else:
                repeatable = True
                if char == "[":
                    yield self._class()
                else:
                    yield _written(_complement(_LINE_ENDS)) if char == "." else re.escape(char)
        if closing:
            self._refuse("a group that is not closed")

    def _quantifier(self, *, repeatable: bool) -> str:
        count = _COUNT.match(self._pattern, self._at)
        text = count[0] if count else self._pattern[self._at]
        if text == "{":
            self._refuse("a lone {")
        if not repeatable:
            self._refuse(f"nothing to repeat before {text}")
        if count:
            least, most = int(count[1]), int(count[3] or count[1])
            if most < least:
                self._refuse(f"the numbers of {text} out of order")
            if most > _MOST_TIMES:
                self._refuse(f"too large a number in {text}")
        self._at += len(text)
        if self._pattern.startswith("?", self._at):
            self._at += 1
            text += "?"
        return text

    def _escape(self) -> str:
        """Translate an escape outside of brackets. `_at` is after the backslash."""
        char = self._pattern[self._at : self._at + 1]
        if char in {"b", "B"}:
            self._at += 1
            return r"(?a:\b)" if char == "b" else r"(?!(?a:\b))"  # before Python 3.14, \B does not match the empty text
        if char == "k":
            name = re.compile(r"k<([A-Za-z_]\w*)>").match(self._pattern, self._at)
            if name is None or name[1] not in self._names:
                self._refuse(r"\k without the name of a group")
            self._at = name.end()
            return _backward(name[1], f"(?P={name[1]})")
        if number := re.compile("[1-9][0-9]*").match(self._pattern, self._at):
            if int(number[0]) > self._groups:
                self._refuse(f"\\{number[0]} without such a group")
            self._at = number.end()
            return _backward(number[0], f"\\{number[0]}")
        return _written(self._ranges(within=False))

    def _class(self) -> str:
        r"""Translate brackets. `_at` is after the opening bracket. `[]` matches nothing, `[^]` everything."""
        negated = self._pattern.startswith("^", self._at)
        self._at += negated
        ranges: _Ranges = []
        while not self._pattern.startswith("]", self._at):
            first = self._member()
            behind = self._pattern[self._at + 1 : self._at + 2]
            if self._pattern.startswith("-", self._at) and behind not in {"]", ""}:
                self._at += 1
                last = self._member()
                if not (_is_one(first) and _is_one(last)):
                    self._refuse("a range that begins or ends with a class")
                if last[0][0] < first[0][0]:
                    self._refuse("a range out of order")
                ranges.append((first[0][0], last[0][0]))
            else:
                ranges += first
        self._at += 1
        return _written(_complement(ranges) if negated else ranges)

    def _member(self) -> _Ranges:
        char = self._pattern[self._at : self._at + 1]
        if not char:
            self._refuse("a [ that is not closed")
        self._at += 1
        return self._ranges(within=True) if char == "\\" else [(ord(char), ord(char))]

    def _ranges(self, *, within: bool) -> _Ranges:
        """Return the code points of an escape. `_at` is after the backslash."""
        char = self._pattern[self._at : self._at + 1]
        self._at += 1
        if char.lower() in _CLASSES and char:
            ranges = _CLASSES[char.lower()]
            return ranges if char.islower() else _complement(ranges)
        if char in {"p", "P"}:
            raise PatternError(f"the pattern {self._pattern!r} uses \\{char}, which pulsekit cannot evaluate")
        code = _CONTROLS.get(char)
        if char == "0" and not self._pattern[self._at : self._at + 1].isdecimal():
            code = 0
        elif within and char == "b":
            code = 8
        elif char in _SYNTAX or (within and char == "-"):
            code = ord(char) if char else None
        elif found := re.compile("c([A-Za-z])|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u{([0-9A-Fa-f]+)}").match(
            self._pattern, self._at - 1
        ):
            self._at = found.end()
            code = ord(found[1]) % 32 if found[1] else int(found[2] or found[3] or found[4], 16)
            low = re.compile(r"\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})").match(self._pattern, self._at)
            if found[3] and 0xD800 <= code < 0xDC00 and low:
                self._at = low.end()
                code = 0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        if code is None or code > _LAST:
            self._refuse(f"the escape \\{char}" if char else "a \\ at the end")
        return [(code, code)]

    def _refuse(self, what: str) -> NoReturn:
        raise PatternError(f"the regular expression {self._pattern!r} is invalid in JavaScript: it has {what}")


def _backward(group: str, reference: str) -> str:
    """Return a reference to a group. As in JavaScript, it matches the empty text if the group has no match."""
    return f"(?({group}){reference}|)"


def _is_one(ranges: _Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]


def _complement(ranges: _Ranges) -> _Ranges:
    rest, begin = [], 0
    for first, last in sorted(ranges):
        if first > begin:
            rest.append((begin, first - 1))
        begin = max(begin, last + 1)
    return [*rest, (begin, _LAST)] if begin <= _LAST else rest


def _written(ranges: _Ranges) -> str:
    """Return a class of `re` for ranges of code points, or the character if there is only one."""
    if not ranges:
        return "(?!)"
    if _is_one(ranges):
        return re.escape(chr(ranges[0][0]))
    return f"[{''.join(_code(first) + ('-' + _code(last) if last > first else '') for first, last in ranges)}]"


def _code(code: int) -> str:
    return chr(code) if chr(code).isalnum() and code < 128 else f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"
