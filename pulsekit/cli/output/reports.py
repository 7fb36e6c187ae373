"""How a report on a payload is shown: as lines for a person, as NDJSON, or as annotations of GitHub's CI."""

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

__all__ = ["SEVERITIES", "Form", "PayloadReport", "report_record", "writer"]

SEVERITIES = ("dropped", "wrong", "cosmetic")  # the worst first; not from `jobs`, which is only for who lints

_STYLES = {"dropped": "bad", "wrong": "warn", "cosmetic": "dim"}
_COMMANDS = {"dropped": "error", "wrong": "warning", "cosmetic": "notice"}


class Form(StrEnum):
    """Name how reports are shown."""

    PRETTY = "pretty"
    NDJSON = "ndjson"
    GITHUB = "github"


# A tuple, because a data class takes a millisecond of the start.
class PayloadReport(NamedTuple):
    """Say what is wrong with one payload: its file, its number in it, and what schema and linter have against it."""

    source: str
    number: int
    problems: Sequence[Problem]
    lint: Sequence[Placed] = ()


def writer(form: Form | None) -> tuple[Output, Callable[[PayloadReport], None]]:
    """Return where reports go, and what writes one.

    Args:
        form: what was asked for; without it a terminal gets `pretty` and anything else NDJSON.
    """
    if form is Form.GITHUB:
        out = Output(Format.PRETTY)
        return out, lambda report: _annotate(out, report)
    out = Output(None if form is None else Format(form))
    return out, (lambda report: _print_report(out, report)) if out.pretty else (
        lambda report: out.record(report_record(report))
    )


def report_record(report: PayloadReport) -> dict[str, Any]:
    """Return a report as a record of `validate`."""
    errors = [
        {
            "pointer": problem.pointer,
            "message": _message(problem),
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
        }
        for finding, line, column in report.lint
    ]
    value: dict[str, Any] = {"source": report.source, "index": report.number, "valid": not errors}
    return value | {"errors": errors, "lint": lint}


def _suggestion(problem: Problem) -> Mapping[str, Any] | None:
    """Return what a problem suggests, unless JSON has no form for it: it may hold what the payload held."""
    if problem.suggestion is not None:
        try:
            dump_line(problem.suggestion)
        except (ValueError, RecursionError):
            return None
    return problem.suggestion


def _print_report(out: Output, report: PayloadReport) -> None:
    for problem in report.problems:
        place = place_text(report.source, problem.line, problem.column)
        out.wrapped((place, "head"), (_aside(problem.pointer), "key"), f"  {_message(problem)}")
    for finding, line, column in report.lint:
        place = place_text(report.source, line, column)
        severity: Cell = (f"  {finding.severity}", _STYLES[finding.severity])
        words = f"  {finding.message} ({finding.hint})"
        out.wrapped((place, "head"), severity, (_aside(finding.pointer), "key"), words, (f" [{finding.rule}]", "dim"))


def _annotate(out: Output, report: PayloadReport) -> None:
    """Write GitHub's workflow commands, which mark lines in the changes of a pull request."""
    for problem in report.problems:
        title = problem.pointer or problem.rule
        _command(out, "error", report.source, problem.line, problem.column, title, _message(problem))
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


def _message(problem: Problem) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
