"""A verdict with the line and column of each problem and finding in the text of the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pulsekit.errors import InvalidInput, InvalidPayload, Problem
from pulsekit.records.payload import open_payload
from pulsekit.treeherder.rule_list import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit._documents.document import Document
    from pulsekit.treeherder.context import Context
    from pulsekit.treeherder.lint import Finding
    from pulsekit.treeherder.verdict import Judge, Verdict

__all__ = ["Placed", "PlacedVerdict", "judge_document", "place_verdict"]


class Placed(NamedTuple):  # a dataclass would delay the start by a millisecond
    """A finding of the linter, with its line and column in the text."""

    finding: Finding
    line: int | None
    column: int | None


class PlacedVerdict(NamedTuple):
    """A verdict, with the line and column of each problem and finding."""

    verdict: Verdict
    problems: Sequence[Problem] = ()
    lint: Sequence[Placed] = ()

    @property
    def reasons(self) -> Sequence[Problem]:
        """The reasons not to publish the job, see `Verdict.reasons`."""
        if not self.lint:
            return self.problems
        dropping = [one for one in self.lint if one.finding.severity is Severity.DROPPED]
        return [*self.problems, *(finding.problem().at(line, column) for finding, line, column in dropping)]


def judge_document(judge: Judge, document: Document, context: Context) -> PlacedVerdict | None:
    """Return the verdict on a payload or a record in a text, or None for a header, gap or trailer of a recording.

    Raises:
        InvalidPayload: Raised when a record cannot be read.
    """
    try:
        opened = open_payload(document.value, document)
    except InvalidInput as error:
        raise InvalidPayload([Problem("", "record", str(error)).at(*document.place(""))]) from None
    if opened is None:
        return None
    return place_verdict(judge.judge(opened.record or document.value, context), opened.part)


def place_verdict(verdict: Verdict, document: Document | None, line: int | None = None) -> PlacedVerdict:
    """Return a verdict with the lines and columns of a document. Without a document, all have the given line."""
    if not (verdict.problems or verdict.findings):
        return PlacedVerdict(verdict)
    if document is None:
        problems = [problem.at(line, None) for problem in verdict.problems]
        return PlacedVerdict(verdict, problems, [Placed(one, line, None) for one in verdict.findings])
    return PlacedVerdict(
        verdict,
        [problem.at(*document.place(problem.pointer)) for problem in verdict.problems],
        [Placed(one, *document.place(one.pointer)) for one in verdict.findings],
    )
