"""`pulsekit preview`: show each job as Treeherder would store it, or on a terminal as Treeherder would draw it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit._documents.ndjson import dump_quickly
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.payloads import check_given, read_all
from pulsekit.cli.input.tasks import IngestOption, RepositoriesOption, TaskOption, load_repositories, load_tasks
from pulsekit.cli.options import OutputOption, SetOption, UnsetOption
from pulsekit.cli.output.output import note
from pulsekit.cli.output.reports import Form, PayloadReport, report_record, writer
from pulsekit.errors import DocumentError, InvalidPayload
from pulsekit.records.edits import edits_of
from pulsekit.schemas.names import TODAY
from pulsekit.treeherder.context import Context
from pulsekit.treeherder.document_verdicts import edited_job, judge_subjects
from pulsekit.treeherder.rule_list import Severity
from pulsekit.treeherder.verdict import Judge

if TYPE_CHECKING:
    from pulsekit._documents.document import Document
    from pulsekit.cli.output.jobs import JobDrawing, PreviewedJob
    from pulsekit.cli.output.output import Format
    from pulsekit.schemas.edits import Edits
    from pulsekit.treeherder.document_verdicts import Judged
    from pulsekit.treeherder.subjects import TaskDefinition, TaskGraph

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """
pulsekit preview job.yml
pulsekit preview jobs.ndjson --details
pulsekit preview job.yml --set state=running --unset result
pulsekit preview job.yml -o ndjson | jq .job.result
pulsekit preview task-graph.json --repositories repository.json
pulsekit tail exchange/me/v1/jobs | pulsekit preview -o pretty
"""

_FEW = 3  # by default, the details of up to 3 jobs are shown, which fit on a screen
_MANY = 1000  # the maximum number of jobs in one drawing


def command(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="JSON, NDJSON or YAML. [default: stdin]"),
    ] = None,
    *,
    details: Annotated[
        bool, typer.Option("--details", help=f"Show the details of every job, even if there are more than {_FEW}.")
    ] = False,
    repositories: RepositoriesOption = None,
    task: TaskOption = None,
    ingest: IngestOption = None,
    assignments: SetOption = None,
    removals: UnsetOption = None,
    output: OutputOption = None,
) -> int:
    """Show jobs as Treeherder would store and draw them.

    On a terminal, preview draws the platform, group and symbol of each job in the colour of the result. It also shows
    the details of up to 3 jobs. As NDJSON, preview writes one line for each job: the outcome, the findings of the
    linter, and the values that Treeherder stores, with the names that Treeherder's loader uses. For a record of tail,
    preview shows the job in its payload.

    A file can also contain Taskcluster tasks. A message with its task is {"message": …, "task": …}. For a task
    definition without a message, preview shows one job for each state, from defined to exception. For a
    task-graph.json, preview first lists the tasks that Treeherder would not show. For a push, it shows the repository.

    Exit code: 0 if Treeherder would store all jobs, 1 if Treeherder would drop a job, or if a job cannot be judged.
    """
    check_given(files, "preview")
    from pulsekit._config.settings import load_settings
    from pulsekit.schemas.schema import load_schema

    edits = edits_of(assignments, removals, load_schema(TODAY))
    known = load_repositories(repositories)
    context = Context(rules=load_settings().rules, repositories=known, ingested=ingest)
    shown = _Preview(output, edits, context, load_tasks(task), details=details)
    read_all(files, shown, "preview")
    return shown.end()


class _Preview:
    """A reader that shows jobs: each record at once, and drawings for the jobs that arrived together."""

    def __init__(
        self,
        chosen: Format | None,
        edits: Edits | None,
        context: Context,
        tasks: TaskDefinition | TaskGraph | None,
        *,
        details: bool,
    ) -> None:
        self._out, self._print_report = writer(None if chosen is None else Form(chosen), dump=dump_quickly)
        self._edits = edits
        self._context = context
        self._tasks = tasks
        self._details = details
        self._judge = Judge()
        self._drawing: JobDrawing | None = None
        self._previewed: list[PreviewedJob] = []
        self.payloads = 0
        self._dropped = self._ignored = self._unknown = 0
        self._next = 0  # index of the next payload in the current file

    def begin(self) -> None:
        """Begin the next file: reset the index."""
        self._next = 0
        self._judge.begin()

    def add(self, document: Document | DocumentError) -> None:
        """Show one job, or the reasons why Treeherder would drop it."""
        if isinstance(document, DocumentError):
            self.payloads += 1
            self._drop(PayloadReport(document.source, self._next, [document.problem()]))
            self._next += 1
        else:
            self._next = document.index + 1
            self._preview(document)

    def flush(self) -> None:
        """Draw the buffered jobs, and flush stdout."""
        self._draw()
        self._out.flush()

    def end(self) -> ExitCode:
        """Draw the buffered jobs, print a summary, and return the exit code."""
        self.flush()
        dropped, ignored, unknown = self._dropped, self._ignored, self._unknown
        drops = f"drop {dropped:,}, ignore {ignored:,}" if ignored else f"drop {dropped:,}"
        rest = f"; {unknown:,} cannot be judged" if unknown else ""
        note(
            f"Treeherder would {drops} and store {self.payloads - dropped - ignored - unknown:,}, "
            f"if it has the projects and the pushes{rest}"
        )
        return ExitCode.NEGATIVE if dropped or unknown else ExitCode.DONE

    def _preview(self, document: Document) -> None:
        """Show each job of a document, or why Treeherder would drop it."""
        try:
            changed = document if self._edits is None else edited_job(document, self._edits)
            for judged in judge_subjects(self._judge, changed, self._context, tasks=self._tasks, states=True):
                self._show(document, judged)
        except InvalidPayload as error:
            self.payloads += 1
            self._drop(PayloadReport(document.source, document.index, error.problems))

    def _show(self, document: Document, judged: Judged) -> None:
        placed, verdict = judged.placed, judged.placed.verdict
        dropped, lint = verdict.outcome in {"dropped", "unknown"}, placed.lint
        if dropped and self._out.pretty:
            lint = [one for one in lint if one.finding.severity is Severity.DROPPED]
        report = PayloadReport(document.source, document.index, placed.problems, lint, verdict.outcome)
        self.payloads += 1
        self._ignored += verdict.outcome == "ignored"
        if dropped:
            self._drop(report, judged)
        elif not self._out.pretty:
            self._out.record((verdict.job or {}) | judged.record() | report_record(report))
        elif (push := judged.push) is not None:
            self._draw()
            where = push.repository.name if push.repository is not None else "the active repository that has it"
            branch = f" {push.branch}" if push.branch else ""
            self._out.line("push of ", (push.url, "key"), f"{branch} → {where}")
        elif (form := verdict.job) is not None:
            from pulsekit.cli.output.jobs import PreviewedJob

            self._previewed.append(PreviewedJob(verdict.project, form, judged.variant))
            if len(self._previewed) == _MANY:
                self._draw()

    def _drop(self, report: PayloadReport, judged: Judged | None = None) -> None:
        if report.outcome == "unknown":
            self._unknown += 1
        else:
            self._dropped += 1
        if not self._out.pretty:
            self._out.record(report_record(report) | (judged.record() if judged is not None else {}))
            return
        if judged is not None and judged.label:
            self._out.line((judged.label, "head"))  # a graph is drawn after the list of tasks that would not appear
        else:
            self._draw()  # keep the order of the file
        self._print_report(report)

    def _draw(self) -> None:
        if not self._previewed:
            return
        from pulsekit.cli.output.jobs import JobDrawing  # imports rich, which NDJSON output does not need

        if self._drawing is None:
            self._drawing = JobDrawing()
        self._drawing.overview(self._previewed)
        if self._details or len(self._previewed) <= _FEW:
            for previewed in self._previewed:
                self._drawing.details(previewed)
        self._previewed.clear()
