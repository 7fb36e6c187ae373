"""`pulsekit preview`: show each job as Treeherder would store it, or on a terminal as Treeherder would draw it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.payloads import check_given, read_all
from pulsekit.cli.options import OutputOption, SetOption, UnsetOption
from pulsekit.cli.output.output import note, warn
from pulsekit.cli.output.reports import Form, PayloadReport, writer
from pulsekit.errors import DocumentError, InvalidPayload, place_text
from pulsekit.records.edits import edited, edits_of
from pulsekit.records.payload import open_document
from pulsekit.schemas.revisions import TODAY
from pulsekit.treeherder import Linter, Severity, preview_job
from pulsekit.treeherder.placed import placed

if TYPE_CHECKING:
    from pulsekit._documents.document import Document
    from pulsekit.cli.output.jobs import JobDrawing, PreviewedJob
    from pulsekit.cli.output.output import Format
    from pulsekit.schemas.edits import Edits

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """
pulsekit preview job.yml
pulsekit preview jobs.ndjson --details
pulsekit preview job.yml --set state=running --unset result
pulsekit preview job.yml -o ndjson | jq .job.result
pulsekit tail exchange/me/v1/jobs | pulsekit preview -o pretty
"""

_FEW = 3  # jobs up to which the details are shown by default, because they fit on a screen
_MANY = 1000  # jobs in one drawing


def command(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="JSON, NDJSON or YAML; - or none is a pipe."),
    ] = None,
    *,
    details: Annotated[
        bool, typer.Option("--details", help=f"Show the details of every job, not only of up to {_FEW}.")
    ] = False,
    assignments: SetOption = None,
    removals: UnsetOption = None,
    output: OutputOption = None,
) -> int:
    """Show jobs as Treeherder would store and draw them.

    On a terminal: platform, group and symbol in the colour of the result, and the details of a job. As NDJSON: one line
    a job, with the names and values of Treeherder's loader; a job that its schema refuses has its errors instead. Of
    records, as tail writes them, the payload is shown.

    Exit status: 0 when Treeherder would take all, 1 when it would drop one.
    """
    check_given(files, "preview")
    from pulsekit.schemas.schema import load_schema

    edits = edits_of(assignments, removals, load_schema(TODAY))
    shown = _Preview(output, edits, details=details)
    read_all(files, shown, "preview")
    return shown.end()


class _Preview:
    """A reader that shows jobs: records at once, drawings of all jobs that arrived together."""

    def __init__(self, chosen: Format | None, edits: Edits | None, *, details: bool) -> None:
        self._out, self._print_report = writer(None if chosen is None else Form(chosen))
        self._edits = edits
        self._details = details
        self._linter = Linter()
        self._drawing: JobDrawing | None = None
        self._previewed: list[PreviewedJob] = []
        self.payloads = 0
        self._dropped = 0
        self._next = 0  # index in the current file

    def begin(self) -> None:
        """Begin the next file: reset the index."""
        self._next = 0

    def add(self, document: Document | DocumentError) -> None:
        """Show one job, or the reasons why Treeherder would drop it."""
        if isinstance(document, DocumentError):
            index = self._next
            self._drop(PayloadReport(document.source, index, [document.problem()]))
        else:
            index = document.index
            if not self._judge(document):
                return
        self.payloads += 1
        self._next = index + 1

    def flush(self) -> None:
        """Draw the buffered jobs, and flush stdout."""
        if self._previewed:
            self._draw()
        self._out.flush()

    def end(self) -> ExitCode:
        """Draw the buffered jobs, print a summary, and return the exit code."""
        self.flush()
        taken = self.payloads - self._dropped
        note(f"Treeherder would drop {self._dropped} and take {taken}, if it knows the projects and the pushes")
        return ExitCode.NEGATIVE if self._dropped else ExitCode.DONE

    def _judge(self, document: Document) -> bool:
        """Show a job, or why Treeherder would drop it. Return False if the document is not a message of a recording."""
        source, index = document.source, document.index
        try:
            opened = open_document(document if self._edits is None else edited(document, self._edits))
        except InvalidPayload as error:
            self._drop(PayloadReport(source, index, error.problems))
            return True
        if opened is None:
            return False
        payload, _ = opened
        job: Any = payload.value
        try:
            form = preview_job(job)
        except InvalidPayload as error:
            problems = [problem.at(*payload.place(problem.pointer)) for problem in error.problems]
            self._drop(PayloadReport(source, index, problems))
        else:
            lint = [one for one in self._linter.lint(job) if one.severity is Severity.DROPPED]
            self._show(PayloadReport(source, index, [], placed(lint, payload)), job["origin"]["project"], form)
        return True

    def _show(self, report: PayloadReport, project: str, form: dict[str, Any]) -> None:
        if not self._out.pretty:
            self._out.record(form)  # also for a dropped job: the form that the loader would create without the drop
            for finding, line, _ in report.lint:
                warn(
                    f"{place_text(report.source, line)}: Treeherder drops this job: {finding.message} ({finding.hint})"
                )
            self._dropped += bool(report.lint)
        elif report.lint:
            self._drop(report)
        else:
            from pulsekit.cli.output.jobs import PreviewedJob

            self._previewed.append(PreviewedJob(project, form))
            if len(self._previewed) == _MANY:
                self._draw()

    def _drop(self, report: PayloadReport) -> None:
        self._dropped += 1
        if self._previewed:
            self._draw()  # keep the order of the file
        self._print_report(report)

    def _draw(self) -> None:
        from pulsekit.cli.output.jobs import JobDrawing  # imports rich, which NDJSON does not need

        if self._drawing is None:
            self._drawing = JobDrawing()
        self._drawing.overview(self._previewed)
        if self._details or len(self._previewed) <= _FEW:
            for previewed in self._previewed:
                self._drawing.details(previewed)
        self._previewed.clear()
