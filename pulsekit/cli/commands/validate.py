"""`pulsekit validate`: show each violation of each payload, with its line and column and a correction."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit._documents.payloads import unwritable
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.payloads import check_given, read_all
from pulsekit.cli.input.tasks import IngestOption, RepositoriesOption, TaskOption, load_repositories, load_tasks
from pulsekit.cli.options import ProfileOption, SetOption, UnsetOption, output_option, repeatable, schema_option
from pulsekit.cli.output.groups import MOST_SHOWN, Groups
from pulsekit.cli.output.output import Output, note, warn
from pulsekit.cli.output.receipts import Counting
from pulsekit.cli.output.reports import SEVERITIES, Form, PayloadReport, writer
from pulsekit.errors import ConfigurationError, DocumentError, InvalidPayload, place_text
from pulsekit.records.edits import edited, edits_of
from pulsekit.records.payload import may_be_record, open_document, replace_payload
from pulsekit.schemas.limits import watched
from pulsekit.schemas.names import TODAY
from pulsekit.schemas.schema import load_schema
from pulsekit.treeherder.context import Context
from pulsekit.treeherder.document_verdicts import edited_job, judge_subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from pulsekit._documents.document import Document
    from pulsekit.errors import Problem
    from pulsekit.schemas.edits import Edits
    from pulsekit.schemas.profiles import Profile
    from pulsekit.schemas.schema import Schema
    from pulsekit.treeherder.placed import Placed
    from pulsekit.treeherder.subjects import TaskDefinition, TaskGraph
    from pulsekit.treeherder.verdict import Judge

__all__ = ["EXAMPLES", "command"]

_FAILING = SEVERITIES[:2]

EXAMPLES = """
pulsekit validate job.yml
pulsekit validate jobs.ndjson --profile treeherder
pulsekit validate job.yml --set state=pending --unset result
pulsekit validate --migrate jobs-of-2025.ndjson > jobs.ndjson
pulsekit validate registrations.yml --schema registration
pulsekit validate jobs.ndjson --statistics
make-jobs | pulsekit validate -o ndjson
pulsekit tail 'exchange/me/v1/jobs:treeherder.#' | pulsekit validate
"""


def command(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="JSON, NDJSON or YAML. [default: stdin]"),
    ] = None,
    schema: Annotated[str | None, schema_option("pulse-job")] = None,
    profile: ProfileOption = "strict",
    lint_off: Annotated[
        list[str] | None,
        repeatable("--lint-off", metavar="RULE", help="Disable a rule, see 'pulsekit help rules'."),
    ] = None,
    repositories: RepositoriesOption = None,
    task: TaskOption = None,
    ingest: IngestOption = None,
    assignments: SetOption = None,
    removals: UnsetOption = None,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Convert jobs of 2016 to April 2026 to the current form.")
    ] = False,
    most: Annotated[
        int | None,
        typer.Option("--max", min=0, metavar="N", help="Show at most N findings of each kind. [default: 10]"),
    ] = None,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Show how often each kind of finding occurs, instead of each finding.")
    ] = False,
    output: Annotated[Form | None, output_option()] = None,
) -> int:
    """Check jobs against Treeherder's schema and rules, and show every error with its position.

    The rules apply only to jobs. Each rule has a severity: Treeherder drops the job, shows it incorrectly, or shows
    less than it could. For a record of tail, the payload is checked.

    --migrate writes one line for each job that is valid and that Treeherder would not drop. It prints the problems of
    the other jobs on stderr.

    validate also checks Taskcluster tasks, task graphs and pushes, see preview.

    Exit code: 0 if all jobs are valid, 1 if a job is invalid, cannot be read, or would be dropped or shown incorrectly.
    """
    check_given(files, "validate")
    from pulsekit._config.settings import load_settings

    settings = load_settings()
    loaded = load_schema(schema or settings.schema)
    judge = None
    if loaded.name == TODAY:
        from pulsekit.treeherder.verdict import Judge  # imported late: only jobs need it

        judge = Judge([*settings.lint_off, *(lint_off or ())])
    edits = edits_of(assignments, removals, loaded)
    known = load_repositories(repositories)
    context = Context(profile=profile, rules=settings.rules, repositories=known, ingested=ingest)
    if migrate and (output is not None or statistics):
        raise ConfigurationError("--migrate writes jobs, not reports: remove --output and --statistics")
    report = _Report(
        loaded,
        context,
        output,
        judge,
        load_tasks(task),
        migrate=migrate,
        edits=edits,
        most=0 if statistics else most,
        statistics=statistics,
    )
    with report.counting() as report.advance, watched():
        read_all(files, report, "validate")
    return report.end()


class _Report:
    """A reader that validates each payload when it arrives, and shows its violations."""

    def __init__(
        self,
        schema: Schema,
        context: Context,
        form: Form | None,
        judge: Judge | None,
        tasks: TaskDefinition | TaskGraph | None,
        *,
        migrate: bool,
        edits: Edits | None,
        most: int | None,
        statistics: bool,
    ) -> None:
        self._out, self._write = (Output(), self._print_problems) if migrate else writer(form)
        # Records have all findings, because programs read them.
        everything = form is Form.GITHUB or (not migrate and not self._out.pretty)
        self._groups = Groups(MOST_SHOWN if most is None and not everything else most)
        self._statistics = statistics
        self._migrate = migrate
        self._edits = edits
        self._judge = judge
        self._broken: dict[str, int] = {}  # number of payloads by severity of a finding
        self._schema = schema
        self._profile: Profile = context.profile
        self._context = context
        self._tasks = tasks
        self.payloads = 0
        self.advance: Callable[[], None] = lambda: None  # called before each payload
        self._invalid = 0
        self._next = 0  # index of the next payload in the current file

    def counting(self) -> AbstractContextManager[Callable[[], None]]:
        """Return a context that counts payloads on the terminal, unless records are written there."""
        shares = not self._out.pretty and sys.stdout.isatty()
        return nullcontext(self.advance) if shares else Counting("validated")

    def begin(self) -> None:
        """Begin the next file: reset the index."""
        self._next = 0
        if self._judge is not None:
            self._judge.begin()

    def add(self, document: Document | DocumentError) -> None:
        """Validate one payload, or each task of a graph. A parse error counts as an invalid payload."""
        self.advance()
        if isinstance(document, DocumentError):
            self._report(document, (document.problem(),))
            return
        try:
            document = _in_todays_form(document) if self._migrate else document
            if self._judge is None:
                self._validate(document if self._edits is None else edited(document, self._edits))
                return
            document = document if self._edits is None else edited_job(document, self._edits)
            written = not self._migrate
            for placed, *_ in judge_subjects(self._judge, document, self._context, tasks=self._tasks):
                if not written and not placed.reasons:
                    self._out.record(document.value)
                    written = True  # a graph has many tasks
                self._report(document, placed.problems, placed.lint, placed.verdict.outcome)
        except InvalidPayload as error:
            self._report(document, error.problems)

    def _validate(self, document: Document) -> None:
        """Validate a payload against a schema that is not the schema of jobs."""
        opened = open_document(document)
        if opened is None:
            return
        found = self._schema.problems(opened[0], self._profile) or unwritable(opened[0].value)
        if self._migrate and not found:
            self._out.record(document.value)
        self._report(document, found)

    def _report(
        self,
        document: Document | DocumentError,
        found: Sequence[Problem],
        lint: Sequence[Placed] = (),
        outcome: str | None = None,
    ) -> None:
        index = self._next if isinstance(document, DocumentError) else document.index
        self._next = index + 1
        self.payloads += 1
        self._invalid += bool(found)
        for severity in {one.finding.severity for one in lint}:
            self._broken[severity] = self._broken.get(severity, 0) + 1
        report = self._groups.add(PayloadReport(document.source, index, found, lint, outcome))
        if not self._statistics:
            self._write(report)

    def flush(self) -> None:
        """Flush stdout."""
        self._out.flush()

    def end(self) -> ExitCode:
        """Print a summary, and return the exit code."""
        if self._statistics:
            self._show_statistics()
        self._out.flush()
        if not self._statistics and (hidden := self._groups.hidden):
            note(f"{hidden}; --statistics counts them, --max N shows more")
        valid = self.payloads - self._invalid
        counts = ", ".join(f"{self._broken[name]:,} {name}" for name in SEVERITIES if name in self._broken)
        lint = f"; Treeherder's rules: {counts}" if counts else ""
        note(f"{valid:,} valid, {self._invalid:,} invalid against {self._schema.name} ({self._profile}){lint}")
        bad = self._invalid or any(name in self._broken for name in _FAILING)
        return ExitCode.NEGATIVE if bad else ExitCode.DONE

    def _show_statistics(self) -> None:
        if not self._out.pretty:
            for record in self._groups.records():
                self._out.record(record)
        elif rows := self._groups.rows():
            self._out.table(rows)

    def _print_problems(self, report: PayloadReport) -> None:
        for problem in report.problems:
            note(f"{place_text(report.source, problem.line, problem.column)}: {problem}")
        for finding, line, column in report.lint:
            say = note if finding.severity == SEVERITIES[-1] else warn
            say(f"{place_text(report.source, line, column)}: {finding} [{finding.rule}, {finding.severity}]")


def _in_todays_form(document: Document) -> Document:
    """Return a job, or the record of a job, in today's form, with the lines and columns of the original text."""
    from pulsekit.schemas.revisions import migrate

    value: Any = document.value
    if not (may_be_record(value) and "payload" in value):
        return replace(document, value=migrate(value)[0])
    payload, changes = migrate(value["payload"])
    # Also replace the recorded body, which has the former form.
    return replace(document, value=replace_payload(value, payload)) if changes else document
