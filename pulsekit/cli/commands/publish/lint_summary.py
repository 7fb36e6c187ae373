"""What `publish` says about payloads on stderr: why one is refused, and which rules the jobs break that are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit.cli.output.output import fail, note, warn
from pulsekit.cli.output.reports import SEVERITIES
from pulsekit.errors import DocumentError, InvalidPayload, place_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit.publisher.planning import RefusedPayload
    from pulsekit.treeherder.placed import Placed

__all__ = ["LintSummary", "print_problems"]


class LintSummary:
    """Collect what the linter found, and print each rule once, with the number of jobs that break it.

    Args:
        live: whether the first of each rule is printed at once, for jobs come as they are made.
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
                    self._print(rule, "")
            if rule != before:  # those of one rule stand together
                self._counts[rule] += 1
                before = rule

    def print_all(self) -> None:
        """Print what was collected, the worst first; what was printed already, with its number alone."""
        ranks = {rule: SEVERITIES.index(one.finding.severity) for rule, (_, one) in self._first.items()}
        for rule in sorted(ranks, key=ranks.__getitem__):
            count = self._counts[rule]
            if not self._live:
                self._print(rule, f"; {count} jobs" if count > 1 else "")
            elif count > 1:
                note(f"{rule}: {count} jobs")

    def _print(self, rule: str, count: str) -> None:
        source, (finding, line, column) = self._first[rule]
        say = note if finding.severity == SEVERITIES[-1] else warn
        say(f"{place_text(source, line, column)}: {finding} [{rule}, {finding.severity}{count}]")


def print_problems(refused: RefusedPayload) -> None:
    """Say what is wrong with one payload, a line for each problem."""
    document, error = refused.document, refused.error
    if not isinstance(error, InvalidPayload) or isinstance(document, DocumentError):
        place = "" if isinstance(document, DocumentError) else f"{document.source}, payload {document.index + 1}: "
        fail(f"{place}{error}")
        return
    for problem in error.problems:
        place = place_text(document.source, problem.line, problem.column)
        rule = f"Treeherder would drop this job: {problem} [{problem.rule}]" if refused.lint else str(problem)
        fail(f"{place}: {rule}")
