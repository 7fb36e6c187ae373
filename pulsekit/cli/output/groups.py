"""Findings of many payloads in groups: which findings to show, and how many there are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pulsekit._documents.suggestions import counted
from pulsekit.cli.output.reports import SEVERITIES, STYLES, message_of
from pulsekit.errors import place_text

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from pulsekit.cli.output.output import Cell
    from pulsekit.cli.output.reports import PayloadReport
    from pulsekit.errors import Problem
    from pulsekit.treeherder.placed import Placed

__all__ = ["MOST_SHOWN", "Groups"]

MOST_SHOWN = 10  # findings of each group that are shown as text
_INVALID = "invalid"  # the severity of a violation of the schema
_MOST_GROUPS = 1000  # if there are more, further places of a rule are one group
_INDEX = re.compile(r"/\d+(?=/|$)")


class _First(NamedTuple):
    """The first finding of a group."""

    severity: str
    rule: str
    pointer: str
    words: str
    source: str
    line: int | None
    column: int | None


class Groups:
    """The findings of many payloads, grouped by rule and place in the payload.

    Only the first finding of each group is in memory.

    Args:
        most: the number of findings of each group to show, or None for all of them.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._firsts: dict[Hashable, _First] = {}
        self._counts: dict[Hashable, int] = {}

    def add(self, report: PayloadReport) -> PayloadReport:
        """Count the findings of a payload, and return the report with the findings to show."""
        if not report.problems and not report.lint:
            return report
        return report._replace(
            problems=self._shown([(one, self._count_problem(report.source, one)) for one in report.problems]),
            lint=self._shown([(one, self._count_lint(report.source, one)) for one in report.lint]),
        )

    @property
    def hidden(self) -> str:
        """A text with the number of findings that were not shown, by rule. Empty if all were shown."""
        if self._most is None:
            return ""
        left: dict[str, int] = {}
        for key, number in self._counts.items():
            if number > self._most:
                rule = self._firsts[key].rule
                left[rule] = left.get(rule, 0) + number - self._most
        if not left:
            return ""
        rules = ", ".join(f"{number:,} {rule}" for rule, number in sorted(left.items(), key=lambda one: -one[1]))
        return f"{counted(sum(left.values()), 'finding')} not shown: {rules}"

    def rows(self) -> list[list[Cell]]:
        """Return a row for each group: the number of findings, severity, rule, first place, and message."""
        width = max((len(f"{number:,}") for number in self._counts.values()), default=0)
        return [
            [
                f"{number:{width},}",
                (first.severity, STYLES[first.severity]),
                (first.rule, "key"),
                f"{first.words} (first: {place_text(first.source, first.line, first.column)})",
            ]
            for first, number in self._sorted()
        ]

    def records(self) -> list[dict[str, Any]]:
        """Return a record of NDJSON for each group."""
        return [
            {
                "rule": first.rule,
                "severity": first.severity,
                "count": number,
                "pointer": first.pointer,
                "message": first.words,
                "source": first.source,
                "line": first.line,
                "column": first.column,
            }
            for first, number in self._sorted()
        ]

    def _sorted(self) -> list[tuple[_First, int]]:
        ranks = (_INVALID, *SEVERITIES)
        pairs = [(first, self._counts[key]) for key, first in self._firsts.items()]
        return sorted(pairs, key=lambda pair: (ranks.index(pair[0].severity), -pair[1]))

    def _shown(self, numbered: Sequence[tuple[Any, int]]) -> list[Any]:
        return [one for one, number in numbered if self._most is None or number <= self._most]

    def _count_problem(self, source: str, one: Problem) -> int:
        words = f"{one.pointer}: {message_of(one)}" if one.pointer else message_of(one)
        return self._count(_First(_INVALID, one.rule, one.pointer, words, source, one.line, one.column))

    def _count_lint(self, source: str, placed: Placed) -> int:
        one, line, column = placed
        return self._count(_First(str(one.severity), one.rule, one.pointer, str(one), source, line, column))

    def _count(self, found: _First) -> int:
        key = (found.severity, found.rule, _INDEX.sub("/*", found.pointer))
        if key not in self._counts and len(self._counts) >= _MOST_GROUPS:
            key = (found.severity, found.rule, "")
        self._firsts.setdefault(key, found)
        number = self._counts[key] = self._counts.get(key, 0) + 1
        return number
