"""`pulsekit validate`: every error of every payload, with its place and what to change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit.cli.exits import ExitCode
from pulsekit.cli.files import STDIN, is_piped
from pulsekit.cli.output import Output, note
from pulsekit.cli.payloads import documents_in, piped_documents
from pulsekit.cli.verdicts import Form, Verdict, writer
from pulsekit.errors import ConfigurationError, DocumentError, InvalidInput, Problem
from pulsekit.schemas import Profile, load_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit.documents import Document
    from pulsekit.schemas import Schema

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """
pulsekit validate job.yml
pulsekit validate jobs.ndjson --profile treeherder
pulsekit validate --migrate jobs-of-2025.ndjson > jobs.ndjson
pulsekit validate registrations.yml --schema registration
make-jobs | pulsekit validate -o ndjson
pulsekit tail 'exchange/me/v1/jobs:treeherder.#' | pulsekit validate
"""


def command(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="JSON, NDJSON or YAML; - or none is a pipe.", show_default=False),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="What to validate against. [default: pulse-job]", show_default=False),
    ] = None,
    profile: Annotated[
        Profile, typer.Option(help="What Treeherder itself checks, or dates and URIs besides.")
    ] = "strict",
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Write each job as today's, from the form until April 2026.")
    ] = False,
    output: Annotated[
        Form | None,
        typer.Option("-o", "--output", help="How to show verdicts. [default: pretty on a terminal, else ndjson]"),
    ] = None,
) -> int:
    """Check jobs against Treeherder's schema, and tell every error with its place.

    Of records, as tail writes them, the payload is checked. --migrate writes the jobs that are valid, each on a line
    of its own, and tells on stderr what is wrong with the others.

    Exit status: 0 when all are valid, 1 when one is not or cannot be read.
    """
    if not files and not is_piped():
        raise ConfigurationError("nothing to validate: name a file or pipe jobs in, as in 'pulsekit validate job.yml'")
    if schema is None:
        from pulsekit.settings import load_settings

        schema = load_settings().schema
    report = _Report(load_schema(schema), profile, output, migrate=migrate)
    for name in files or ["-"]:
        seen = report.payloads
        report.begin()
        try:
            for document in piped_documents(report.flush) if name == "-" else documents_in(name):
                report.add(document)
        except DocumentError as error:
            report.add(error)
        if report.payloads == seen:
            raise ConfigurationError(f"nothing to validate: {STDIN if name == '-' else name} is empty")
    return report.end()


class _Report:
    """Judge payloads as they come, and show what is wrong with them."""

    def __init__(self, schema: Schema, profile: Profile, form: Form | None, *, migrate: bool) -> None:
        if migrate and form is not None:
            raise ConfigurationError("--migrate writes jobs, not verdicts: leave -o away")
        self._out, self._write = (Output(), self._tell) if migrate else writer(form)
        self._migrate = migrate
        self._schema = schema
        self._profile = profile
        self.payloads = 0
        self._invalid = 0
        self._next = 0  # index in the file in hand

    def begin(self) -> None:
        """Count from zero again: a new file."""
        self._next = 0

    def add(self, document: Document | DocumentError) -> None:
        """Judge one payload, or count what could not be read as an invalid one."""
        if isinstance(document, DocumentError):
            found: Sequence[Problem] = (
                Problem("", "syntax", document.reason, line=document.line, column=document.column),
            )
        else:
            if self._migrate:
                document = _in_todays_form(document)
            if not _may_be_record(document.value):
                found = self._schema.problems(document, self._profile)
            else:
                from pulsekit.records import is_aside  # of no use to those who have jobs alone

                if is_aside(document.value):
                    return
                found = self._problems(document)
            if self._migrate and not found:
                found = self._pass_on(document.value)
        self.payloads += 1
        self._invalid += bool(found)
        index = self._next if isinstance(document, DocumentError) else document.index
        self._next = index + 1
        self._write(Verdict(document.source, index, found))

    def flush(self) -> None:
        """Hand over what was shown so far to whoever waits for it."""
        self._out.flush()

    def end(self) -> ExitCode:
        """Sum up, and return the exit status."""
        self._out.flush()
        valid = self.payloads - self._invalid
        note(f"{valid} valid, {self._invalid} invalid against {self._schema.name} ({self._profile})")
        return ExitCode.NEGATIVE if self._invalid else ExitCode.DONE

    def _problems(self, document: Document) -> Sequence[Problem]:
        from pulsekit.records import is_record, read_record

        value: Any = document.value
        if not is_record(value):
            return self._schema.problems(document, self._profile)
        # What would be sent again is judged; where both are given, the payload beside the body has the better places.
        base = next(f"/{name}" for name in ("payload", "body", "body_b64") if name in value)
        try:
            found = self._schema.problems(read_record(value).payload, self._profile)
        except InvalidInput as error:
            found = (Problem("", "record", str(error)),)
        return [problem.at(*(document.locate(base + problem.pointer) or (None, None))) for problem in found]

    def _pass_on(self, value: Any) -> Sequence[Problem]:
        try:
            self._out.record(value)
        except ValueError:
            return (Problem("", "json", "holds NaN or infinity, which JSON does not have"),)
        return ()

    def _tell(self, verdict: Verdict) -> None:
        for problem in verdict.problems:
            place = ":".join(str(part) for part in (verdict.source, problem.line, problem.column) if part is not None)
            note(f"{place}: {problem}")


def _in_todays_form(document: Document) -> Document:
    """Return a job, or a record of one, in today's form. Places are those of what was read."""
    from pulsekit.revisions import migrate

    value: Any = document.value
    if not (_may_be_record(value) and "payload" in value):
        return replace(document, value=migrate(value)[0])
    payload, changes = migrate(value["payload"])
    if not changes:
        return document
    # The body as it came is that of the former form.
    kept = {name: part for name, part in value.items() if name not in {"body", "body_b64"}}
    return replace(document, value=kept | {"payload": payload})


def _may_be_record(value: Any) -> bool:
    """Tell whether a payload has what every line of a recording has, and no job."""
    return isinstance(value, dict) and ("routing_key" in value or "type" in value)
