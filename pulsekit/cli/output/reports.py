"""The formats of a report on a payload: lines for users, NDJSON, or annotations for GitHub Actions."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from pulsekit._documents.ndjson import dump_line
from pulsekit.cli.input.files import STDIN
from pulsekit.cli.output.output import Cell, Format, Output
from pulsekit.errors import place_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pulsekit.errors import Problem
    from pulsekit.treeherder.placed import Placed

__all__ = ["SEVERITIES", "STYLES", "Form", "PayloadReport", "message_of", "report_record", "writer"]

SEVERITIES = ("dropped", "wrong", "cosmetic")  # most severe first; a copy, to avoid importing the linter

STYLES = {"invalid": "bad", "dropped": "bad", "wrong": "warn", "cosmetic": "dim"}
_COMMANDS = {"dropped": "error", "wrong": "warning", "cosmetic": "notice"}


class Form(StrEnum):
    """The format of reports."""

    PRETTY = "pretty"
    NDJSON = "ndjson"
    GITHUB = "github"


# A named tuple, because a data class adds a millisecond to the start-up time.
class PayloadReport(NamedTuple):
    """A report on one payload: file, index in the file, schema violations, findings, and Treeherder's outcome."""

    source: str
    number: int
    problems: Sequence[Problem]
    lint: Sequence[Placed] = ()
    outcome: str | None = None


def writer(
    form: Form | None, *, dump: Callable[[Any], str] = dump_line
) -> tuple[Output, Callable[[PayloadReport], None]]:
    """Return an output, and a function that writes a report to it.

    Args:
        form: the format. The default is `pretty` on a terminal, else NDJSON.
        dump: encodes a record as NDJSON without the line end.
    """
    if form is Form.GITHUB:
        out = Output(Format.PRETTY)
        return out, lambda report: _annotate(out, report)
    out = Output(None if form is None else Format(form), dump=dump)
    if out.pretty:
        return out, lambda report: _print_report(out, report)
    return out, lambda report: out.record(report_record(report))


def report_record(report: PayloadReport) -> dict[str, Any]:
    """Return a report as a record of `validate`."""
    errors = [
        {
            "pointer": problem.pointer,
            "message": message_of(problem),
            "rule": problem.rule,
            "line": problem.line,
            "column": problem.column,
            "suggestion": _suggestion(problem),
        }
        for problem in report.problems
    ]
    lint = [
        {
            "rule": finding.rule,
            "severity": finding.severity,
            "message": f"{finding.message} ({finding.hint})",
            "pointer": finding.pointer,
            "line": line,
            "column": column,
            "suggestion": finding.suggestion,
        }
        for finding, line, column in report.lint
    ]
    value: dict[str, Any] = {"source": report.source, "index": report.number, "valid": not errors}
    return value | {"errors": errors, "lint": lint, "outcome": report.outcome}


def _suggestion(problem: Problem) -> Mapping[str, Any] | None:
    """Return the suggestion of a problem, or None if JSON cannot encode it: it can contain a value of the payload."""
    if problem.suggestion is not None:
        try:
            dump_line(problem.suggestion)
        except (ValueError, RecursionError):
            return None
    return problem.suggestion


def _print_report(out: Output, report: PayloadReport) -> None:
    for problem in report.problems:
        place = place_text(report.source, problem.line, problem.column)
        out.wrapped((place, "head"), (_aside(problem.pointer), "key"), f"  {message_of(problem)}")
    for finding, line, column in report.lint:
        place = place_text(report.source, line, column)
        severity: Cell = (f"  {finding.severity}", STYLES[finding.severity])
        words = f"  {finding.message} ({finding.hint})"
        out.wrapped((place, "head"), severity, (_aside(finding.pointer), "key"), words, (f" [{finding.rule}]", "dim"))


def _annotate(out: Output, report: PayloadReport) -> None:
    """Write workflow commands of GitHub Actions, which annotate lines in the diff of a pull request."""
    for problem in report.problems:
        title = problem.pointer or problem.rule
        _command(out, "error", report.source, problem.line, problem.column, title, message_of(problem))
    for finding, line, column in report.lint:
        words = f"{finding.pointer or 'the job'}: {finding.message} ({finding.hint})"
        _command(out, _COMMANDS[finding.severity], report.source, line, column, finding.rule, words)


def _command(
    out: Output, name: str, source: str, line: int | None, column: int | None, title: str, message: str
) -> None:
    place = {} if source == STDIN else {"file": source, "line": line, "col": column}
    given = {**place, "title": title}
    properties = ",".join(f"{key}={_property(str(value))}" for key, value in given.items() if value is not None)
    out.line(f"::{name} {properties}::{_data(message)}")


def _aside(pointer: str) -> str:
    return f"  {pointer}" if pointer else ""


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def message_of(problem: Problem) -> str:
    """Return the message of a problem with its hint."""
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
