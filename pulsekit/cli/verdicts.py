"""How a verdict on a payload is shown: as lines for a person, as NDJSON, or as annotations of GitHub's CI."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from pulsekit.cli.files import STDIN
from pulsekit.cli.output import Format, Output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pulsekit.errors import Problem

__all__ = ["Form", "Verdict", "writer"]


class Form(StrEnum):
    """Name how verdicts are shown."""

    PRETTY = "pretty"
    NDJSON = "ndjson"
    GITHUB = "github"


class Verdict(NamedTuple):
    """Say what is wrong with one payload: its file, its number in it, and what the schema has against it."""

    source: str
    number: int
    problems: Sequence[Problem]


def writer(form: Form | None) -> tuple[Output, Callable[[Verdict], None]]:
    """Return where verdicts go, and what writes one.

    Args:
        form: what was asked for; without it a terminal gets `pretty` and anything else NDJSON.
    """
    if form is Form.GITHUB:
        out = Output(Format.PRETTY)
        return out, lambda verdict: _annotate(out, verdict)
    out = Output(None if form is None else Format(form))
    return out, (lambda verdict: _tell(out, verdict)) if out.pretty else (lambda verdict: _record(out, verdict))


def _record(out: Output, verdict: Verdict) -> None:
    errors = [
        {
            "pointer": problem.pointer,
            "message": _message(problem),
            "rule": problem.rule,
            "line": problem.line,
            "column": problem.column,
        }
        for problem in verdict.problems
    ]
    value: dict[str, Any] = {"source": verdict.source, "index": verdict.number, "valid": not errors, "errors": errors}
    out.record(value | {"lint": []})


def _tell(out: Output, verdict: Verdict) -> None:
    for problem in verdict.problems:
        place = ":".join(str(part) for part in (verdict.source, problem.line, problem.column) if part is not None)
        pointer = f"  {problem.pointer}" if problem.pointer else ""
        out.line((place, "head"), (pointer, "key"), f"  {_message(problem)}")


def _annotate(out: Output, verdict: Verdict) -> None:
    """Write GitHub's workflow command `error`, which marks the line in the changes of a pull request."""
    for problem in verdict.problems:
        place = {} if verdict.source == STDIN else {"file": verdict.source, "line": problem.line, "col": problem.column}
        place["title"] = problem.pointer or problem.rule
        properties = ",".join(f"{name}={_property(str(value))}" for name, value in place.items() if value is not None)
        out.line(f"::error {properties}::{_data(_message(problem))}")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _message(problem: Problem) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
