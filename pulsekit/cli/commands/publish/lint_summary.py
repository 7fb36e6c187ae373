"""The messages of `publish` on stderr: why a payload is refused, and which rules the published jobs break."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit.cli.output.groups import MOST_SHOWN, Groups
from pulsekit.cli.output.output import fail, note, warn
from pulsekit.cli.output.reports import SEVERITIES, PayloadReport
from pulsekit.errors import DocumentError, InvalidPayload, Problem, place_text

if TYPE_CHECKING:
    from pulsekit.publisher.planning import PlannedMessages, RefusedPayload
    from pulsekit.treeherder.placed import Placed

__all__ = ["LintSummary", "Refusals"]


class LintSummary:
    """A summary of the linter's findings: each rule once, with the number of jobs that break it.

    Args:
        live: print the first finding of each rule at once, for a stream of jobs.
        quiet: omit cosmetic findings.
    """

    def __init__(self, *, live: bool = False, quiet: bool = False) -> None:
        self._live = live
        self._quiet = quiet
        self._counts: dict[str, int] = {}  # number of jobs by rule
        self._first: dict[str, tuple[str, Placed]] = {}

    def add(self, planned: PlannedMessages) -> None:
        """Add the findings of one job. With --force, its problems are also findings."""
        if planned.verdict is None:
            return
        source, before = planned.source, ""
        dropped = planned.verdict.verdict.outcome == "dropped"
        problems = [_finding(problem, dropped=dropped) for problem in planned.verdict.problems]
        for one in (*problems, *planned.verdict.lint):
            rule = one.finding.rule
            if rule not in self._first:
                self._first[rule] = source, one
                self._counts[rule] = 0
                if self._live:
                    self._print(rule, "")
            if rule != before:  # the findings of one rule are adjacent
                self._counts[rule] += 1
                before = rule

    def print_all(self) -> None:
        """Print each rule, the most severe first. If a rule was already printed, print only the number of jobs."""
        ranks = {rule: SEVERITIES.index(one.finding.severity) for rule, (_, one) in self._first.items()}
        for rule in sorted(ranks, key=ranks.__getitem__):
            count = self._counts[rule]
            if not self._live:
                self._print(rule, f"; {count:,} jobs" if count > 1 else "")
            elif count > 1 and not self._quiet:
                note(f"{rule}: {count:,} jobs")

    def _print(self, rule: str, count: str) -> None:
        source, (finding, line, column) = self._first[rule]
        if self._quiet and finding.severity == SEVERITIES[-1]:
            return
        say = note if finding.severity == SEVERITIES[-1] else warn
        say(f"{place_text(source, line, column)}: {finding} [{rule}, {finding.severity}{count}]")


def _finding(problem: Problem, *, dropped: bool) -> Placed:
    """Return the finding for a problem of a job that is sent anyway."""
    from pulsekit.treeherder.lint import Finding
    from pulsekit.treeherder.placed import Placed
    from pulsekit.treeherder.rule_list import Severity

    severity = Severity.DROPPED if dropped else Severity.COSMETIC
    return Placed(
        Finding(f"schema: {problem.rule}", severity, problem.pointer, problem.message, problem.hint),
        problem.line,
        problem.column,
    )


class Refusals:
    """A printer of the problems of refused payloads: one line each, and at most ten of each kind."""

    def __init__(self) -> None:
        self._groups = Groups(MOST_SHOWN)

    def add(self, refused: RefusedPayload) -> None:
        """Print the problems of one payload."""
        document, error = refused.document, refused.error
        if isinstance(document, DocumentError) or not isinstance(error, InvalidPayload):
            index = 0 if isinstance(document, DocumentError) else document.index
            problem = error.problem() if isinstance(error, DocumentError) else Problem("", "message", str(error))
            if self._groups.add(PayloadReport(document.source, index, [problem])).problems:
                place = "" if isinstance(document, DocumentError) else f"{document.source}, payload {index + 1}: "
                fail(f"{place}{error}")
            return
        rules = {finding.rule for finding, _, _ in refused.lint}
        for problem in self._groups.add(PayloadReport(document.source, document.index, error.problems)).problems:
            place = place_text(document.source, problem.line, problem.column)
            by_rule = problem.rule in rules
            fail(f"{place}: {f'Treeherder would drop this job: {problem} [{problem.rule}]' if by_rule else problem}")

    def end(self) -> None:
        """Print the number of problems that were not printed."""
        if hidden := self._groups.hidden:
            note(f"{hidden}; 'pulsekit validate' shows them")
