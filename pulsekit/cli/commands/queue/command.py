"""`pulsekit queue`: show, peek, take, purge and delete over AMQP, without a management API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit._documents.suggestions import counted
from pulsekit.bindings.names import check_queue
from pulsekit.cli.app import Command, Group
from pulsekit.cli.connection import connect_to, run
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.confirm import agreed, check_can_ask, nothing_done
from pulsekit.cli.options import (
    CountOption,
    FullOption,
    InsecureOption,
    OutputOption,
    QuietOption,
    RegistrationOption,
    RuleOption,
    UrlOption,
    YesOption,
    count_option,
    every_option,
    force_option,
    save_option,
)
from pulsekit.cli.output.output import Output, note
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from pulsekit.pulse import Pulse

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit queue show queue/me/jobs --watch
pulsekit queue peek queue/me/jobs -n 3
pulsekit queue take queue/me/jobs --save jobs.ndjson.gz
pulsekit queue purge queue/me/jobs
pulsekit queue delete queue/me/jobs --yes
"""

command = typer.Typer(cls=Group, help="Show, peek, take, purge or delete your queues.", add_completion=False)

_EVERY = 5  # seconds between two reports

_Name = Annotated[str, typer.Argument(metavar="NAME", help="queue/<user>/<name>")]


@command.command(cls=Command)
def show(
    name: _Name,
    *,
    watching: Annotated[bool, typer.Option("--watch", help="Repeat the report, with the rate of growth.")] = False,
    every: Annotated[float, every_option("reports")] = f"{_EVERY}s",  # type: ignore[assignment] # typer parses it
    count: Annotated[int | None, count_option("reports")] = None,
    mail_over: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of messages above which PulseGuardian mails you.")
    ] = 2000,
    delete_over: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of messages above which PulseGuardian deletes the queue.")
    ] = 8000,
    guardian: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Also show the bindings that the PulseGuardian at URL lists."),
    ] = None,
    registration: RegistrationOption = None,
    rule: RuleOption = None,
    prune: Annotated[bool, typer.Option("--prune", help="Unbind bindings that are not in the registrations.")] = False,
    yes: YesOption = False,
    output: OutputOption = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Show the number of messages and consumers of a queue, and PulseGuardian's limits.

    PulseGuardian also counts messages that were delivered but not acknowledged. AMQP does not report the number of
    these messages.

    With --registration, the bindings that PulseGuardian lists are compared with the bindings of the registrations.
    --prune shows the stale bindings, asks for confirmation, and unbinds them.

    Exit code: 5 if the queue does not exist.
    """
    from pulsekit.cli.commands.queue.show import bindings_of, watch
    from pulsekit.cli.commands.queue.show import show as show_once
    from pulsekit.consumer.guardian_limits import Limits

    limits = Limits(mail_over, delete_over, every)
    if watching and (guardian or prune):
        raise ConfigurationError("--watch shows only the depth: remove --guardian and --prune")
    if not watching and (count is not None or every != _EVERY):
        raise ConfigurationError("--count and --every are for repeated reports: add --watch")
    if (prune or registration) and not guardian:
        raise ConfigurationError("only PulseGuardian has the bindings of a queue: add --guardian URL")
    if prune:
        check_can_ask(f"prune {name}", yes=yes)
    pulse = connect_to(name, check_queue, url, insecure=insecure)
    shown = Output(output, live=watching)
    if watching:
        return run(watch(pulse, name, limits, shown, count))
    bound, change = bindings_of(name, guardian, registration, rule, prune=prune)
    return run(show_once(pulse, name, limits, shown, bound, change, prune=prune, yes=yes))


@command.command(cls=Command)
def peek(
    name: _Name,
    *,
    count: Annotated[int, count_option(most=10_000)] = 10,
    full: FullOption = False,
    force: Annotated[bool, force_option("Peek even near the delivery limit.")] = False,
    output: OutputOption = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Show the first messages of a queue, and leave them in the queue.

    While peek reads these messages, consumers do not receive them. Afterwards, the broker returns the messages to their
    former positions, and marks them as redelivered. A quorum queue removes a message that is returned more often than
    its delivery limit. Once a message has been returned half as many times as the limit allows, peek refuses the queue
    for the rest of the day (UTC), unless --force is given.
    """
    from pulsekit.cli.commands.queue.messages import peek as look

    return run(
        look(connect_to(name, check_queue, url, insecure=insecure), name, count, Output(output), full=full, force=force)
    )


@command.command(cls=Command)
def take(
    name: _Name,
    *,
    count: CountOption = None,
    save: Annotated[str | None, save_option("the messages")] = None,
    force: Annotated[bool, force_option("Replace an existing FILE.")] = False,
    full: FullOption = False,
    quiet: QuietOption = False,
    output: OutputOption = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Show the messages of a queue and remove them, until the queue is empty.

    Each message is removed once it has been shown. With --save, each message is recorded in FILE, and removed once it
    is on the disk. The name of FILE ends in .ndjson or .ndjson.gz. If the command stops early, the other messages stay
    in the queue.

    'pulsekit queue peek' shows messages and leaves them in the queue.
    """
    from pulsekit.cli.commands.queue.messages import take as remove
    from pulsekit.cli.output.recordings import new_recording

    if quiet and save is None:
        raise ConfigurationError("--quiet shows nothing: name a file with --save, or use 'pulsekit queue purge'")
    pulse = connect_to(name, check_queue, url, insecure=insecure)
    recording = None if save is None else new_recording(save, [], replace=force)
    return run(remove(pulse, name, count, None if quiet else Output(output), recording, full=full))


@command.command(cls=Command)
def purge(name: _Name, *, yes: YesOption = False, url: UrlOption = None, insecure: InsecureOption = False) -> int:
    """Remove all messages from a queue, except messages that were delivered but not acknowledged."""
    check_can_ask(f"purge {name}", yes=yes)
    return run(_purge(connect_to(name, check_queue, url, insecure=insecure), name, yes=yes))


@command.command(cls=Command)
def delete(
    name: _Name,
    *,
    yes: YesOption = False,
    force: Annotated[bool, force_option("Delete the queue even if it has consumers.")] = False,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Delete a queue and its messages. If the queue has consumers, --force is required."""
    check_can_ask(f"delete {name}", yes=yes)
    return run(_delete(connect_to(name, check_queue, url, insecure=insecure), name, yes=yes, force=force))


async def _purge(pulse: Pulse, name: str, *, yes: bool) -> int:
    from pulsekit.queues.operations import purge_queue, queue_depth

    async with pulse:
        waiting = (await queue_depth(pulse, name)).ready
        if not await agreed(f"remove {counted(waiting, 'message')} from {name}?", yes=yes):
            return nothing_done()
        gone = await purge_queue(pulse, name)
    note(f"removed {counted(gone, 'message')} from {name}")
    return ExitCode.DONE


async def _delete(pulse: Pulse, name: str, *, yes: bool, force: bool) -> int:
    from pulsekit.queues.operations import check_unused, delete_queue, queue_depth

    async with pulse:
        depth = await queue_depth(pulse, name)
        if not force:
            check_unused(depth)  # before the user is asked
        users = f" and {counted(depth.consumers, 'consumer')}" if depth.consumers else ""
        if not await agreed(f"delete {name} with {counted(depth.ready, 'message')}{users}?", yes=yes):
            return nothing_done()
        gone = await delete_queue(pulse, name, if_unused=not force)
    note(f"{name} was deleted with {counted(gone, 'message')}")
    return ExitCode.DONE
