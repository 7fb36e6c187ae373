"""`pulsekit tail`: show messages when they arrive, like Pulse Inspector, on a private temporary queue."""

from __future__ import annotations

import signal
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit.cli.connection import connect, run
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.options import (
    BindingOption,
    CountOption,
    FieldOption,
    FilterOption,
    FullOption,
    InsecureOption,
    OutputOption,
    QueueOption,
    QueueType,
    QueueTypeOption,
    QuietOption,
    RouteOption,
    TargetOption,
    UrlOption,
    duration,
    every_option,
    force_option,
    save_option,
    schema_option,
)
from pulsekit.cli.output.output import Output
from pulsekit.errors import ConfigurationError, PreconditionFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit.bindings.registration import Binding
    from pulsekit.cli.commands.tail.session import Store
    from pulsekit.cli.output.screens import Screen
    from pulsekit.pulse import Pulse
    from pulsekit.records.expressions import Filter, Query

__all__ = ["EXAMPLES", "command", "virtual_host"]

EXAMPLES = """\
pulsekit tail exchange/me/v1/jobs
pulsekit tail --target staging
pulsekit tail 'exchange/me/v1/jobs:treeherder.#' --schema pulse-job
pulsekit tail exchange/me/v1/jobs exchange/you/x -b 'a.#' --explain
pulsekit tail exchange/me/v1/jobs --filter "payload.result == 'fail'"
pulsekit tail exchange/me/v1/jobs --query '[routing_key, payload.state]'
pulsekit tail exchange/taskcluster-queue/v1/task-completed -n 10 --full
pulsekit tail task-completed --rate
pulsekit tail task-failed --field runId=0 --schema auto
pulsekit tail exchange/me/v1/jobs -o ndjson --idle 30s > jobs.ndjson
pulsekit tail exchange/me/v1/jobs --save jobs.ndjson.gz --for 1h
pulsekit tail exchange/me/v1/jobs --queue lunch --keep 2h
"""

_KEEP = 3600.0  # seconds


def command(
    listen: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EXCHANGE[:PATTERN]|LINK]...",
            help="Exchanges, or a link of Pulse Inspector. 'exchange list' shows short names.",
        ),
    ] = None,
    patterns: BindingOption = None,
    fields: FieldOption = None,
    routes: RouteOption = None,
    target: TargetOption = None,
    count: CountOption = None,
    expected: Annotated[
        int | None,
        typer.Option("--expect", min=1, metavar="N", help="Exit with 1 if fewer than N messages arrive."),
    ] = None,
    idle: Annotated[float | None, duration("--idle", help="Stop after DURATION without a message.")] = None,
    length: Annotated[float | None, duration("--for", help="Stop after DURATION.")] = None,
    chosen: FilterOption = None,
    query: Annotated[
        str | None,
        typer.Option(metavar="EXPRESSION", help="Show the value of this JMESPath for each message."),
    ] = None,
    schema: Annotated[str | None, schema_option()] = None,
    invalid_only: Annotated[
        bool, typer.Option("--invalid-only", help="Show only messages that violate the schema.")
    ] = False,
    unwrap: Annotated[bool, typer.Option("--unwrap", help="Remove mozillapulse's envelope from payloads.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show which binding matched each message, and why.")
    ] = False,
    full: FullOption = False,
    yaml: Annotated[bool, typer.Option("--yaml", help="Show each message in full, with the payload as YAML.")] = False,
    rate: Annotated[bool, typer.Option("--rate", help="Show messages per second instead of messages.")] = False,
    every: Annotated[float | None, every_option("reports", "1s")] = None,
    words: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Group keys by their first N words for --rate. [default: 1]"),
    ] = None,
    queue: QueueOption = None,
    keep: Annotated[
        float | None, duration("--keep", help="Time until the broker deletes --queue after tail stops. [default: 1h]")
    ] = None,
    queue_type: QueueTypeOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="If --queue does not exist, exit with 5 instead of creating it.")
    ] = False,
    save: Annotated[str | None, save_option("the messages")] = None,
    force: Annotated[bool, force_option("Replace an existing FILE.")] = False,
    quiet: QuietOption = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for an exchange that does not exist yet.")] = False,
    link: Annotated[bool, typer.Option("--link", help="Print the link to Pulse Inspector, and exit.")] = False,
    output: OutputOption = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Show the messages of one or more exchanges as they arrive.

    tail uses a private temporary queue; other consumers are not affected. --binding applies to each EXCHANGE without a
    PATTERN. Without --binding and PATTERN, tail shows all messages. Quote patterns, because the shell expands '*'.
    Without EXCHANGE, tail uses the exchange and the destinations of pulsekit.yml. If the broker refuses some bindings,
    tail prints the refused bindings, continues with the others, and exits with 3.

    For known exchanges, --field and --route make the pattern. If --field is given several times for a field, one of the
    values must match. '--schema auto' selects the schema of the catalogue for each exchange.

    --filter and --query are expressions over the record that '-o ndjson' writes. Only selected messages are shown,
    recorded and counted. With --schema, each message is marked as valid or invalid.

    With --queue, tail creates a queue. While tail is not running, this queue stores messages for the time of --keep. To
    continue, run tail again with the same --queue, --keep and --queue-type. tail uses only queues that tail has
    created. For other queues, use 'pulsekit queue show', 'peek' and 'take'.

    --save records the messages with their exact bodies. The name of FILE ends in .ndjson or .ndjson.gz. A message is
    acknowledged once it is on the disk, so the recording has every acknowledged message, even if tail is killed.
    """
    from pulsekit._config.settings import load_settings
    from pulsekit.cli.commands.tail.bindings import configured_texts, read_arguments, schema_for
    from pulsekit.cli.commands.tail.session import Session
    from pulsekit.cli.input.exchanges import warn_of_mistakes
    from pulsekit.cli.output.recordings import new_recording
    from pulsekit.recordings.follow import Until
    from pulsekit.records.selection import Selection

    if quiet and save is None:
        raise ConfigurationError("--quiet shows no messages: add --save FILE to record them")
    if listen and target:
        raise ConfigurationError("--target selects the exchange, so it cannot be combined with EXCHANGE")
    if (keep is not None or queue_type is not None or resume) and queue is None:
        raise ConfigurationError("--keep, --queue-type and --resume need a queue: add --queue NAME")
    if not rate and (every is not None or words is not None):
        raise ConfigurationError("--every and --words need --rate: add --rate")
    if rate and (quiet or query or explain or full or yaml):
        raise ConfigurationError("--rate shows no messages: remove --quiet, --query, --explain, --full and --yaml")
    settings = load_settings().at(target)
    by_name = bool(fields or routes)
    if by_name and patterns:
        raise ConfigurationError("--field and --route make the pattern, so they cannot be combined with --binding")
    texts = listen or configured_texts(settings, by_name=by_name or bool(patterns))
    for text in texts:
        if text.startswith("queue/"):
            raise ConfigurationError(
                f"tail removes no messages from a queue that it did not create. {other_ways(text)}"
            )
    if link:
        return _print_link(texts, read_arguments(texts, patterns, fields, routes))
    wanted, projection = _expressions(chosen, query)
    pulse = connect(settings, url, insecure=insecure, virtual_host=virtual_host(texts))
    bindings = read_arguments(texts, patterns, fields, routes, pulse.user)
    warn_of_mistakes(bindings)
    store = _store(pulse, queue, keep, queue_type, resume=resume)
    selection = Selection(
        bindings,
        filter=wanted,
        query=projection,
        schema=schema_for(schema, bindings),
        invalid_only=invalid_only,
        unwraps=unwrap,
        explains=explain,
    )
    recording = None if save is None else new_recording(save, bindings, replace=force)
    out = None if quiet else Output(output)

    def screen() -> Screen | None:
        if out is None:
            return None
        from pulsekit.cli.output.screens import Meter, Sheet

        if rate:
            return Meter(out, words=words or 1, every=every or 1.0)
        if not out.pretty:
            return Sheet(out, None)
        from pulsekit.cli.output.rows import Notation, Rows

        exchanges = list(dict.fromkeys(binding.exchange for binding in bindings))
        notation = Notation.YAML if yaml else Notation.JSON
        marked = selection.schema is not None
        return Sheet(out, Rows(out, exchanges, marked=marked, explained=explain, full=full or yaml, notation=notation))

    session = Session(pulse, bindings, selection, screen, recording, Until(count, idle, length), store, expected)
    try:
        return run(session.run(wait=wait), signals=(signal.SIGTERM, signal.SIGHUP))
    except PreconditionFailed as error:
        if store is None:
            raise
        raise PreconditionFailed(
            f"{store.queue} exists with other arguments ({error.text}). If tail created it, use "
            f"--keep and --queue-type as before. {other_ways(store.queue)}",
            code=error.code,
            text=error.text,
        ) from error


def other_ways(queue: str) -> str:
    """Return sentences with the commands that show a queue or remove its messages."""
    return (
        f"To look at the queue, run 'pulsekit queue show {quote(queue)}' or 'pulsekit queue peek {quote(queue)}'. "
        f"To remove messages from it, run 'pulsekit queue take {quote(queue)}'"
    )


def _expressions(chosen: str | None, query: str | None) -> tuple[Filter | None, Query | None]:
    if chosen is None and query is None:
        return None, None
    from pulsekit.records.expressions import Filter, Query

    return (
        None if chosen is None else Filter(chosen, name="--filter"),
        None if query is None else Query(query, name="--query"),
    )


def _store(
    pulse: Pulse, queue: str | None, keep: float | None, queue_type: QueueType | None, *, resume: bool
) -> Store | None:
    from pulsekit.bindings.names import check_queue, queue_name
    from pulsekit.cli.commands.tail.session import Store
    from pulsekit.consumer.queue_options import MAX_EXPIRES

    if queue is None:
        return None
    name = check_queue(queue, pulse.user) if queue.startswith("queue/") else queue_name(pulse.user, queue)
    keep = keep or _KEEP
    if not 1 <= keep * 1000 <= MAX_EXPIRES:
        raise ConfigurationError(f"--keep: a broker keeps a queue from 1ms to {MAX_EXPIRES / 3_600_000:.0f}h")
    return Store(name, keep, None if queue_type is None else queue_type.value, resume)


def virtual_host(texts: Sequence[str]) -> str | None:
    """Return the virtual host for the Taskcluster instance of the links, or None.

    Raises:
        ConfigurationError: Raised when the links belong to two virtual hosts.
    """
    from pulsekit.bindings.inspector_link import is_link, read_link

    hosts = {host for text in texts if is_link(text) and (host := read_link(text).virtual_host)}
    if len(hosts) > 1:
        raise ConfigurationError(
            f"the links are of two virtual hosts, {' and '.join(sorted(hosts))}: run the command once for each"
        )
    return next(iter(hosts), None)


def _print_link(texts: Sequence[str], bindings: Sequence[Binding]) -> int:
    from pulsekit.bindings.inspector_link import PAGE, is_link, read_link, write_link

    pages = [read_link(text).page for text in texts if is_link(text)]
    out = Output()
    out.line(write_link(bindings, pages[0] if pages else PAGE))  # percent-encoded, so it has no control characters
    out.flush()
    return ExitCode.DONE
