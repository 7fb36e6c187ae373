"""`pulsekit run`: run a command, and report it to Treeherder as a job."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from pulsekit.cli.connection import locate, run
from pulsekit.cli.options import (
    DestinationOption,
    ExchangeOption,
    InsecureOption,
    SetOption,
    TargetOption,
    UnsetOption,
    UrlOption,
    timeout_option,
)
from pulsekit.errors import ConfigurationError, DocumentError, InvalidPayload, place_text

if TYPE_CHECKING:
    from pulsekit._documents.document import Document
    from pulsekit._documents.values import JSON
    from pulsekit.treeherder.job import Job

__all__ = ["EXAMPLES", "command"]

_FIRST = {"state": "pending"}
_DETERMINED = ("taskId", "state", "result", "timeScheduled", "timeStarted", "timeCompleted")

EXAMPLES = """\
pulsekit run --job job.yml -e exchange/me/v1/jobs -d treeherder -- make
pulsekit run --set display.jobSymbol=lint -- ruff check
"""


def command(
    argv: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The command and its arguments.")],
    job_file: Annotated[str, typer.Option("--job", metavar="FILE", help="The job, as YAML or JSON.")] = "job.yml",
    exchange: ExchangeOption = None,
    destinations: DestinationOption = None,
    target: TargetOption = None,
    assignments: SetOption = None,
    removals: UnsetOption = None,
    timeout: Annotated[float | None, timeout_option("30s, from the end of COMMAND")] = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Run a command, and report it to Treeherder as a job.

    The job is published as pending, as running with the start time, and as completed with the end time and the result.
    The result is success or fail; canceled after Ctrl-C or SIGTERM; or exception if another signal killed the command.
    Every run is a new job: run ignores the taskId, state, result and times in the file. --set taskId=... sets the
    taskId.

    COMMAND uses stdin, stdout and stderr directly, and run exits with the exit code of COMMAND. If the broker cannot be
    reached, COMMAND still runs, and a warning lists what was not published.
    """
    from pulsekit._config.settings import load_settings
    from pulsekit.bindings.names import check_exchange
    from pulsekit.job_run import REPORT_TIMEOUT, run_job
    from pulsekit.pulse import Pulse

    settings = load_settings().at(target)
    to = exchange or settings.exchange
    if to is None:
        raise ConfigurationError(
            "no exchange: add --exchange exchange/<user>/<name> or --target, or set it in pulsekit.yml"
        )
    broker = locate(settings, url, insecure=insecure)
    check_exchange(to, broker.user)
    names = destinations or settings.destinations
    if not names:
        raise ConfigurationError("no destination: add --destination treeherder, or set destinations in pulsekit.yml")
    job = _read_job(job_file, assignments, removals)
    keys = [job.routing_key(name, settings.rules.get(to), reserved=settings.reserved(to)) for name in names]

    async def publish(state: Job) -> None:
        # Each state has a new connection, because the command may run for hours.
        async with Pulse(broker) as pulse:
            messages = [(state.payload(), key) for key in keys]
            sent = pulse.publisher(to, schema="pulse-job", mandatory=True).publish_many(messages)
            for receipt in [receipt async for receipt in sent]:
                receipt.check()

    return run(run_job(argv, job, publish, timeout=timeout or REPORT_TIMEOUT))


def _read_job(name: str, assignments: list[str] | None, removals: list[str] | None) -> Job:
    """Return the job of a file, with a new task id and the changes of --set and --unset.

    Raises:
        ConfigurationError: Raised when the file does not have exactly one job, or the job violates the schema.
    """
    from dataclasses import replace

    from pulsekit.cli.input.payloads import documents_in
    from pulsekit.records.edits import edited, edits_of
    from pulsekit.records.payload import open_document
    from pulsekit.schemas.schema import load_schema
    from pulsekit.treeherder import Job

    schema = load_schema("pulse-job")
    found: list[Document] = []
    for one in documents_in(name):
        if isinstance(one, DocumentError):
            raise one
        try:
            opened = open_document(one)
        except InvalidPayload as error:
            problem = error.problems[0]
            raise ConfigurationError(f"{place_text(name, problem.line, problem.column)}: {problem}") from error
        if opened is not None:  # None for the header or the trailer of a recording
            found.append(opened[0])
    if len(found) != 1:
        raise ConfigurationError(f"{name} has {len(found)} payloads, and a run is one job: name a file with one")
    document = found[0]
    if isinstance(document.value, dict):
        given = {key: value for key, value in document.value.items() if key not in _DETERMINED}
        first: dict[str, JSON] = {"taskId": f"{uuid4()}/0", "version": 1, "jobKind": "other", **given, **_FIRST}
        document = replace(document, value=first)
    edits = edits_of(assignments, removals, schema)
    if edits is not None:
        document = edited(document, edits)
    for problem in schema.problems(document.value):
        place = place_text(name, *document.place(problem.pointer))
        raise ConfigurationError(f"{place}: {problem}; 'pulsekit validate {quote(name)}' lists all problems")
    payload: Any = document.value
    return Job.from_payload(payload)
