"""`pulsekit preview`: each job as Treeherder would store it, or on a terminal as it would show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit.cli.exits import ExitCode
from pulsekit.cli.inputs import STDIN, is_piped
from pulsekit.cli.output import FormatOption, Output, note, warn
from pulsekit.cli.payloads import documents_in, read_pipe
from pulsekit.errors import ConfigurationError, DocumentError, InvalidInput, InvalidPayload, Problem
from pulsekit.jobs import Linter, Severity, preview
from pulsekit.records import is_aside, is_record, read_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit.cli.picture import Picture, Sight
    from pulsekit.documents import Document

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """
pulsekit preview job.yml
pulsekit preview jobs.ndjson --details
pulsekit preview job.yml -o ndjson | jq .job.result
pulsekit tail exchange/me/v1/jobs | pulsekit preview -o pretty
"""

_FEW = 3  # jobs, whose details fit on a screen
_MANY = 1000  # jobs that are drawn as one picture


def command(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="JSON, NDJSON or YAML; - or none is a pipe.", show_default=False),
    ] = None,
    *,
    details: Annotated[
        bool, typer.Option("--details", help=f"Show the details of every job, not only of up to {_FEW}.")
    ] = False,
    output: FormatOption = None,
) -> int:
    """Show jobs as Treeherder would store and draw them.

    On a terminal: platform, group and symbol in the colour of the result, and the details of a job. As NDJSON: one line
    a job, with the names and values of Treeherder's loader; a job that its schema refuses has its errors instead. Of
    records, as tail writes them, the payload is shown.

    Exit status: 0 when Treeherder would take all, 1 when it would drop one.
    """
    if not files and not is_piped():
        raise ConfigurationError("nothing to preview: name a file or pipe jobs in, as in 'pulsekit preview job.yml'")
    shown = _Preview(Output(output), details=details)
    for name in files or ["-"]:
        seen = shown.payloads
        shown.begin()
        if name == "-":
            from pulsekit.cli.options import run

            run(_pipe(shown))
        else:
            _file(shown, name)
        if shown.payloads == seen:
            raise ConfigurationError(f"nothing to preview: {STDIN if name == '-' else name} is empty")
    return shown.end()


def _file(shown: _Preview, name: str) -> None:
    try:
        for document in documents_in(name):
            shown.add(document)
    except DocumentError as error:
        shown.add(error)


async def _pipe(shown: _Preview) -> int:
    try:
        documents, stream = await read_pipe()
    except DocumentError as error:
        shown.add(error)
        return ExitCode.NEGATIVE
    for document in documents:
        shown.add(document)
    if stream is not None:
        async for streamed in stream:
            shown.add(streamed)
            shown.flush()
    return ExitCode.DONE


class _Preview:
    """Show jobs as they come: records at once, pictures of many jobs together."""

    def __init__(self, out: Output, *, details: bool) -> None:
        self._out = out
        self._details = details
        self._linter = Linter()
        self._picture: Picture | None = None
        self._sights: list[Sight] = []
        self.payloads = 0
        self._dropped = 0
        self._next = 0  # index in the file in hand

    def begin(self) -> None:
        """Count from zero again: a new file."""
        self._next = 0

    def add(self, document: Document | DocumentError) -> None:
        """Show one job, or say why Treeherder would drop it."""
        if isinstance(document, DocumentError):
            index = self._next
            problem = Problem("", "syntax", document.reason, line=document.line, column=document.column)
            self._drop(document.source, index, [problem])
        elif is_aside(document.value):
            return
        else:
            index = document.index
            self._judge(document)
        self.payloads += 1
        self._next = index + 1

    def flush(self) -> None:
        """Show what has been kept back: somebody waits."""
        if self._sights:
            self._draw()
        self._out.flush()

    def end(self) -> ExitCode:
        """Show the rest, sum up, and return the exit status."""
        self.flush()
        taken = self.payloads - self._dropped
        note(f"Treeherder would drop {self._dropped} and take {taken}, if it knows the projects and the pushes")
        return ExitCode.NEGATIVE if self._dropped else ExitCode.DONE

    def _judge(self, document: Document) -> None:
        value: Any = document.value
        job, base = value, ""
        try:
            if is_record(value):
                # What would be sent again is shown; the payload beside a body has the better places.
                base = next(f"/{name}" for name in ("payload", "body", "body_b64") if name in value)
                job = read_record(value).payload
            form = preview(job)
        except InvalidPayload as error:
            problems: Sequence[Problem] = error.problems
        except InvalidInput as error:
            problems = (Problem("", "record", str(error)),)
        else:
            self._show(document, base, job, form)
            return
        placed = [problem.at(*(document.locate(base + problem.pointer) or (None, None))) for problem in problems]
        self._drop(document.source, document.index, placed)

    def _show(self, document: Document, base: str, job: Any, form: dict[str, Any]) -> None:
        fatal = [one for one in self._linter.lint(job) if one.severity is Severity.DROPPED]
        if not self._out.pretty:
            self._out.record(form)  # the loader would make it, had the job not been dropped before
            for finding in fatal:
                line, _ = document.locate(base + finding.pointer) or (None, None)
                warn(f"{_place(document.source, line)}: Treeherder drops this job: {finding.message} ({finding.hint})")
            self._dropped += bool(fatal)
        elif fatal:
            place = document.locate(base) or (None, None)
            problems = [Problem(one.pointer, one.rule, one.message, hint=one.hint).at(*place) for one in fatal]
            self._drop(document.source, document.index, problems)
        else:
            from pulsekit.cli.picture import Sight

            self._sights.append(Sight(job["origin"]["project"], form))
            if len(self._sights) == _MANY:
                self._draw()

    def _drop(self, source: str, index: int, problems: Sequence[Problem]) -> None:
        self._dropped += 1
        if not self._out.pretty:
            errors = [
                {
                    "pointer": one.pointer,
                    "message": _message(one),
                    "rule": one.rule,
                    "line": one.line,
                    "column": one.column,
                }
                for one in problems
            ]
            self._out.record({"source": source, "index": index, "valid": False, "errors": errors})
            return
        if self._sights:
            self._draw()  # in the order of the file
        for one in problems:
            pointer = f"  {one.pointer}" if one.pointer else ""
            place = _place(source, one.line, one.column)
            self._out.line((place, "head"), "  ", ("dropped", "bad"), (pointer, "key"), f"  {_message(one)}")

    def _draw(self) -> None:
        from pulsekit.cli.picture import Picture  # rich is only for those who look

        if self._picture is None:
            self._picture = Picture()
        self._picture.overview(self._sights)
        if self._details or len(self._sights) <= _FEW:
            for sight in self._sights:
                self._picture.details(sight)
        self._sights.clear()


def _place(source: str, *where: int | None) -> str:
    return ":".join(str(part) for part in (source, *where) if part is not None)


def _message(problem: Problem) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
