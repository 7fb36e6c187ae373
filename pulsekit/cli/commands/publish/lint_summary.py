"""Remarks on jobs that are sent all the same: what Treeherder will make of them that it should not, once a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit.cli.output.output import note, warn
from pulsekit.cli.output.verdicts import SEVERITIES
from pulsekit.errors import place_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit.cli.output.verdicts import Placed

__all__ = ["LintSummary"]


class LintSummary:
    """Collect what the linter found, and tell each rule once, with the number of jobs that break it.

    Args:
        live: whether the first of each rule is told at once, for jobs come as they are made.
    """

    def __init__(self, *, live: bool = False) -> None:
        self._live = live
        self._counts: dict[str, int] = {}  # jobs, by rule
        self._first: dict[str, tuple[str, Placed]] = {}

    def add(self, source: str, lint: Sequence[Placed]) -> None:
        """Take what was found in one job.

        Args:
            source: the file it is from.
            lint: the findings.
        """
        before = ""
        for one in lint:
            rule = one.finding.rule
            if rule not in self._first:
                self._first[rule] = source, one
                self._counts[rule] = 0
                if self._live:
                    self._tell(rule, "")
            if rule != before:  # those of one rule stand together
                self._counts[rule] += 1
                before = rule

    def tell(self) -> None:
        """Tell what was collected, the worst first; what was told already, with its number alone."""
        ranks = {rule: SEVERITIES.index(one.finding.severity) for rule, (_, one) in self._first.items()}
        for rule in sorted(ranks, key=ranks.__getitem__):
            count = self._counts[rule]
            if not self._live:
                self._tell(rule, f"; {count} jobs" if count > 1 else "")
            elif count > 1:
                note(f"{rule}: {count} jobs")

    def _tell(self, rule: str, count: str) -> None:
        source, (finding, line, column) = self._first[rule]
        say = note if finding.severity == SEVERITIES[-1] else warn
        say(f"{place_text(source, line, column)}: {finding} [{rule}, {finding.severity}{count}]")
