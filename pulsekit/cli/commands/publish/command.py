"""`pulsekit publish`: validate all payloads, then publish them with confirms, and show a receipt for each message."""

from __future__ import annotations

import signal
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit.cli.connection import locate, run
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.files import STDIN, is_piped
from pulsekit.cli.options import (
    AlsoOption,
    DestinationOption,
    DryRunOption,
    ExchangeOption,
    InsecureOption,
    OutputOption,
    ProfileOption,
    QuietOption,
    RequireRouteOption,
    SetOption,
    TargetOption,
    UnsetOption,
    UrlOption,
    WindowOption,
    force_option,
    repeatable,
    routing_key_option,
    schema_option,
    timeout_option,
)
from pulsekit.cli.output.output import Output
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from pulsekit.bindings.registration import Binding
    from pulsekit.publisher.planning import PublishPlan

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit publish job.yml --exchange exchange/me/v1/jobs -d treeherder
pulsekit publish jobs.ndjson --routing-key treeherder.autoland._
pulsekit publish job.json -d treeherder --dry-run
pulsekit publish job.yml --set state=running --set timeStarted=now
make-jobs | pulsekit publish -d treeherder --keep-going -o ndjson
"""


class MessageIds(StrEnum):
    """The forms of message ids."""

    RANDOM = "random"
    CONTENT = "content"


def command(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="JSON, NDJSON or YAML. [default: stdin]"),
    ] = None,
    exchange: ExchangeOption = None,
    key: Annotated[str | None, routing_key_option()] = None,
    destinations: DestinationOption = None,
    cc: Annotated[list[str] | None, repeatable("--cc", metavar="KEY", help="Add a CC key to every message.")] = None,
    headers: Annotated[
        list[str] | None, repeatable("--header", metavar="NAME=VALUE", help="Add a header to every message.")
    ] = None,
    properties: Annotated[
        list[str] | None,
        repeatable("--property", metavar="NAME=VALUE", help="Set a property of every message, such as app_id=ci."),
    ] = None,
    keep: AlsoOption = None,
    message_ids: Annotated[
        MessageIds,
        typer.Option(
            metavar="random|content",
            help="Make ids at random, or from the content. Ids from the content are the same in each run.",
        ),
    ] = MessageIds.RANDOM,
    target: TargetOption = None,
    schema: Annotated[str | None, schema_option("pulse-job")] = None,
    profile: ProfileOption = "strict",
    unchecked: Annotated[bool, typer.Option("--no-schema", help="Do not validate.")] = False,
    assignments: SetOption = None,
    removals: UnsetOption = None,
    force: Annotated[bool, force_option("Also publish invalid jobs.")] = False,
    dry_run: DryRunOption = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Skip invalid payloads, and send the others.")
    ] = False,
    skip: Annotated[
        int, typer.Option(min=0, metavar="N", help="Skip the first N jobs, which an earlier run has sent.")
    ] = 0,
    require_route: RequireRouteOption = False,
    window: WindowOption = 256,
    timeout: Annotated[float | None, timeout_option("60s, for each message")] = None,
    quiet: QuietOption = False,
    output: OutputOption = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Validate jobs, then publish them with confirms.

    All files are validated before the first job is sent. NDJSON from a pipe is validated and sent line by line, up to
    the first invalid line. A job that Treeherder would drop is invalid, even if the schema allows the job. If
    Treeherder would show a value incorrectly, publish prints a warning. publish also creates the exchange if it does
    not exist.

    A record of tail keeps its routing key unless an option sets the key. The CC and BCC keys, expiration and reply_to
    of a record are sent only with --also, because these fields could lead to queues of other users.

    On a terminal, publish shows the receipt of each job, or a count if there are 50 jobs or more. --quiet prints
    problems only. If publish is stopped, it prints the option --skip N with which you can continue. With
    --message-ids content, a job that is sent again has the same id.

    --dry-run shows for each job the verdict, its routing keys, the bindings that match them, and how Treeherder would
    show the job.
    """
    from pulsekit._config.settings import load_settings
    from pulsekit.publisher.planning import PublishPlan
    from pulsekit.records.edits import edits_of
    from pulsekit.schemas.names import TODAY
    from pulsekit.schemas.schema import load_schema

    if files == ["-"]:
        files = None
    if quiet and (dry_run or output):
        raise ConfigurationError("--quiet prints nothing on stdout: remove it, or --output and --dry-run")
    if key is not None and destinations:
        raise ConfigurationError("--routing-key and --destination cannot be combined: remove one")
    if not files and not is_piped():
        raise ConfigurationError(
            "nothing to publish: add a file, or pipe jobs, as in "
            "'pulsekit publish job.yml --exchange exchange/me/v1/jobs --destination treeherder'"
        )
    extra_properties = None
    if cc or headers or properties:
        from pulsekit.cli.input.properties import read_properties

        extra_properties = read_properties(cc or (), headers or (), properties or ())
    settings = load_settings().at(target)
    broker = None if dry_run else locate(settings, url, insecure=insecure)
    loaded = None if unchecked else load_schema(schema or settings.schema)
    judge = None
    if loaded is not None and loaded.name == TODAY:
        from pulsekit.treeherder import Judge

        judge = Judge(settings.lint_off)
    plan = PublishPlan(
        exchange=_checked(exchange or settings.exchange, broker.user if broker else None),
        key=key,
        destinations=tuple(destinations or ()),
        defaults=settings.destinations,
        schema=loaded,
        profile=profile,
        edits=edits_of(assignments, removals, loaded),
        judge=judge,
        rule=settings.rules.get(exchange or settings.exchange or ""),
        reserved=settings.reserved(exchange or settings.exchange or ""),
        force=force,
        extra_properties=extra_properties,
        keep=tuple(keep or ()),
    )
    out = Output(output)
    if broker is None:
        from pulsekit.bindings.registration import expand

        return _dry_run(plan, files or [], expand(settings.registrations), out, skip, require_route=require_route)
    from pulsekit.cli.commands.publish.sending import Sending
    from pulsekit.publisher.publisher import PUBLISH_TIMEOUT
    from pulsekit.pulse import Pulse

    sending = Sending(plan, None if quiet else out, keep_going=keep_going, skip=skip)
    if files and not sending.read_files(files):  # read before the event loop runs, so that Ctrl-C works at once
        return ExitCode.NEGATIVE

    async def work() -> int:
        if not files and not await sending.read_pipe():
            return ExitCode.NEGATIVE
        async with Pulse(broker) as pulse:
            publisher = pulse.publisher(
                plan.exchange, mandatory=True, timeout=timeout or PUBLISH_TIMEOUT, message_ids=message_ids.value
            )
            await sending.send(publisher, window, local=broker.loopback)
        return sending.status(require_route=require_route)

    return run(work(), signals=(signal.SIGTERM, signal.SIGHUP))


def _dry_run(
    plan: PublishPlan, names: list[str], bindings: tuple[Binding, ...], out: Output, skip: int, *, require_route: bool
) -> int:
    """Show the messages that would be sent, and previews of their jobs."""
    from pulsekit.cli.commands.publish.dry_run import DryRunReport
    from pulsekit.cli.commands.publish.files import Files
    from pulsekit.cli.input.payloads import read_pipe
    from pulsekit.schemas.limits import watched

    report = DryRunReport(plan, bindings, out, require_route=require_route)
    if names:
        with watched():
            for result in islice(Files(names, plan).judged(), skip, None):
                report.show(result)
    else:

        async def read() -> int:
            documents, stream = await read_pipe()
            results = (result for document in documents if (result := plan.take(document)))
            for result in islice(results, skip, None):
                report.show(result)
            left = skip
            if stream is not None:
                async for streamed in stream:
                    if result := plan.take(streamed):
                        left -= 1
                        if left < 0:
                            report.show(result)
            return ExitCode.DONE

        run(read())
    out.flush()
    if not report.messages:
        raise ConfigurationError(f"nothing to publish: {', '.join(names) or STDIN} is empty")
    report.end()
    if report.refused:
        return ExitCode.NEGATIVE
    return ExitCode.PARTLY if require_route and report.unbound else ExitCode.DONE


def _checked(exchange: str | None, user: str | None) -> str:
    from pulsekit.bindings.names import check_exchange

    if exchange is None:
        raise ConfigurationError(
            "no exchange: add --exchange exchange/<user>/<name> or --target, or set it in pulsekit.yml"
        )
    return check_exchange(exchange, user)
