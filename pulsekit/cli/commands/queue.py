"""`pulsekit queue`: show, peek, purge and delete queues over AMQP, without a management API."""

from __future__ import annotations

import json
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit._documents.suggestions import counted
from pulsekit.bindings.names import check_queue
from pulsekit.cli.app import Command, Group
from pulsekit.cli.connection import connect_to, run
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.confirm import agreed, check_can_ask
from pulsekit.cli.input.registrations import configured_registrations, registrations_from, under_rule
from pulsekit.cli.options import (
    CountOption,
    ForceOption,
    FullOption,
    InsecureOption,
    OutputOption,
    RegistrationOption,
    RuleOption,
    UrlOption,
    YesOption,
    count_option,
    every_option,
)
from pulsekit.cli.output.output import Cell, Output, note, warn
from pulsekit.errors import ConfigurationError, InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit.bindings.registration import Binding, Rule
    from pulsekit.consumer.depth import Limits, QueueDepth
    from pulsekit.messages import Message
    from pulsekit.pulse import Pulse
    from pulsekit.queues.guardian import Bound, Comparison

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit queue show queue/me/jobs --watch
pulsekit queue peek queue/me/jobs -n 3
pulsekit queue purge queue/me/jobs
pulsekit queue delete queue/me/jobs --yes
"""

command = typer.Typer(cls=Group, help="Look at your queues, into them, and empty or delete them.", add_completion=False)

_STYLES = ("good", "warn", "bad")  # by QueueDepth.level
_LEVELS = ("fine", "mailed", "deleted")
_GLANCE = 1000  # characters of a body shown on one line; terminals are narrower
_MARKS: dict[str, Cell] = {"stale": ("- ", "bad"), "missing": ("+ ", "good"), "kept": "  "}

_Name = Annotated[str, typer.Argument(metavar="NAME", help="queue/<user>/<name>")]


@command.command(cls=Command)
def show(
    name: _Name,
    *,
    watching: Annotated[bool, typer.Option("--watch", help="Look again and again, with the rate of growth.")] = False,
    every: Annotated[float, every_option()] = "5s",  # type: ignore[assignment] # typer passes the default to the parser
    count: CountOption = None,
    mail_over: Annotated[
        int, typer.Option(min=1, metavar="N", help="Messages over which PulseGuardian mails you.")
    ] = 2000,
    delete_over: Annotated[
        int, typer.Option(min=1, metavar="N", help="Messages over which it deletes the queue.")
    ] = 8000,
    guardian: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Ask this PulseGuardian for the bindings too."),
    ] = None,
    registration: RegistrationOption = None,
    rule: RuleOption = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Unbind what is not in the registrations, after showing it.")
    ] = False,
    yes: YesOption = False,
    output: OutputOption = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Show how many messages wait in a queue, who consumes it, and how near PulseGuardian's limits are.

    Messages that consumers have taken and not yet acknowledged count for PulseGuardian too, but nobody outside sees
    them. With --registration, what PulseGuardian says is bound is compared with what they expand to.

    Exit status 5 when there is no such queue, or no more.
    """
    from pulsekit.consumer.depth import Limits

    limits = Limits(mail_over, delete_over, every)
    if watching and (guardian or prune):
        raise ConfigurationError("--watch looks at the depth alone: leave --guardian and --prune out")
    if (prune or registration) and not guardian:
        raise ConfigurationError("only PulseGuardian knows what is bound: give its address with --guardian URL")
    if prune:
        check_can_ask(f"prune {name}", yes=yes)
    pulse = connect_to(name, check_queue, url, insecure=insecure)
    shown = Output(output, live=watching)
    if watching:
        return run(_watch(pulse, name, limits, shown, count))
    bound, change = _bound(name, guardian, registration, rule, prune=prune)
    return run(_show(pulse, name, limits, shown, bound, change, prune=prune, yes=yes))


@command.command(cls=Command)
def peek(
    name: _Name,
    *,
    count: Annotated[int, count_option(most=10_000)] = 10,
    full: FullOption = False,
    output: OutputOption = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Show the first messages of a queue and leave them in it.

    They are taken and put back where they were; what stays is that they are marked as redelivered. While that happens
    its consumers do not get them, and a quorum queue counts a delivery.
    """
    return run(_peek(connect_to(name, check_queue, url, insecure=insecure), name, count, Output(output), full=full))


@command.command(cls=Command)
def purge(name: _Name, *, yes: YesOption = False, url: UrlOption = None, insecure: InsecureOption = False) -> int:
    """Drop all messages that wait in a queue; those that consumers have taken stay."""
    check_can_ask(f"purge {name}", yes=yes)
    return run(_purge(connect_to(name, check_queue, url, insecure=insecure), name, yes=yes))


@command.command(cls=Command)
def delete(
    name: _Name,
    *,
    yes: YesOption = False,
    force: ForceOption = False,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Delete a queue with all that is in it; without --force, not while it has consumers."""
    check_can_ask(f"delete {name}", yes=yes)
    return run(_delete(connect_to(name, check_queue, url, insecure=insecure), name, yes=yes, force=force))


async def _show(
    pulse: Pulse,
    name: str,
    limits: Limits,
    shown: Output,
    bound: tuple[Bound, ...] | None,
    change: Comparison | None,
    *,
    prune: bool,
    yes: bool,
) -> int:
    from pulsekit.queues.operations import queue_depth, unbind

    async with pulse:
        _show_depth(shown, await queue_depth(pulse, name, limits), bound, change)
        shown.flush()
        if change is not None:
            note(f"{len(change.stale)} stale (-), {len(change.missing)} missing (+), {len(change.kept)} kept")
        if not prune or change is None:
            return ExitCode.DONE
        if not change.stale:
            note("nothing is stale")
            return ExitCode.DONE
        if not change.kept:
            warn("nothing of the registrations is bound: everything would be unbound; are they those of this queue?")
            note("nothing was done; to be rid of the queue, delete it")
            return ExitCode.NEGATIVE
        if not await agreed(f"unbind {counted(len(change.stale), 'binding', ',')} of {name}?", yes=yes):
            return _nothing_done()
        await unbind(pulse, name, change.stale)
    note(f"{counted(len(change.stale), 'binding', ',')} unbound, {len(change.kept)} kept")
    return ExitCode.DONE


async def _watch(pulse: Pulse, name: str, limits: Limits, shown: Output, count: int | None) -> int:
    import time

    from pulsekit.consumer.depth import Trend
    from pulsekit.queues.operations import watch

    trend = Trend()
    if shown.pretty:
        shown.line((f"{'':8}  {'ready':>8}  {'a second':>8}  {'consumers':>9}  until deletion", "head"))
    async with pulse, aclosing(watch(pulse, name, limits)) as looks:
        number = 0
        async for depth in looks:
            trend.add(time.monotonic(), depth)
            now = datetime.now().astimezone()
            left = trend.seconds_left
            if shown.pretty:
                rate = "" if trend.rate is None else f"{trend.rate:+,.1f}"
                head = f"{now:%H:%M:%S}  {depth.ready:>8,}  {rate:>8}  {depth.consumers:>9}  "
                shown.line(head, (_time_left(depth, left, trend.rate), _STYLES[depth.level]))
            else:
                rounded = {"rate": trend.rate, "seconds_left": left}
                shown.record(
                    {"at": now.isoformat(timespec="milliseconds")}
                    | _record(depth)
                    | {key: None if value is None else round(value, 3) for key, value in rounded.items()}
                )
            number += 1
            if number == count:
                break
    return ExitCode.DONE


async def _peek(pulse: Pulse, name: str, count: int, shown: Output, *, full: bool) -> int:
    from pulsekit.queues.operations import peek, queue_depth
    from pulsekit.records.record import message_record

    async with pulse:
        messages = await peek(pulse, name, count)
        ready = (await queue_depth(pulse, name)).ready
    for number, message in enumerate(messages, 1):
        if shown.pretty:
            _show_message(shown, number, message, full=full)
        else:
            shown.record(message_record(message, exact=True))
    shown.flush()
    if messages:
        waiting = counted(max(ready, len(messages)), "message", ",")
        note(f"{len(messages)} of {waiting}; they stay in the queue, marked as redelivered")
    else:
        note(f"no message waits in {name}")
    return ExitCode.DONE


async def _purge(pulse: Pulse, name: str, *, yes: bool) -> int:
    from pulsekit.queues.operations import purge_queue, queue_depth

    async with pulse:
        waiting = (await queue_depth(pulse, name)).ready
        if not await agreed(f"drop {counted(waiting, 'message', ',')} from {name}?", yes=yes):
            return _nothing_done()
        gone = await purge_queue(pulse, name)
    note(f"{counted(gone, 'message', ',')} dropped from {name}")
    return ExitCode.DONE


async def _delete(pulse: Pulse, name: str, *, yes: bool, force: bool) -> int:
    from pulsekit.queues.operations import check_unused, delete_queue, queue_depth

    async with pulse:
        depth = await queue_depth(pulse, name)
        if not force:
            check_unused(depth)  # before the question
        users = f", and take it from {counted(depth.consumers, 'consumer', ',')}" if depth.consumers else ""
        if not await agreed(f"delete {name} with {counted(depth.ready, 'message', ',')}{users}?", yes=yes):
            return _nothing_done()
        gone = await delete_queue(pulse, name, if_unused=not force)
    note(f"{name} is deleted, and {counted(gone, 'message', ',')} with it")
    return ExitCode.DONE


def _bound(
    name: str, guardian: str | None, registration: list[str] | None, rule: Rule | None, *, prune: bool
) -> tuple[tuple[Bound, ...] | None, Comparison | None]:
    """Return the bindings that PulseGuardian shows, and their comparison with the registrations, if requested."""
    from pulsekit.bindings.registration import expand
    from pulsekit.queues.guardian import compare, fetch_bindings

    if guardian is None:
        return None, None
    if not prune and registration is None:
        return fetch_bindings(guardian, name), None
    registrations = registrations_from(*registration) if registration else configured_registrations()[0]
    if not registrations:
        raise ConfigurationError("no registrations to compare with: give --registration FILE, or configure them")
    wanted = expand(under_rule(registrations, rule))
    bound = fetch_bindings(guardian, name)
    return bound, compare(bound, wanted)


def _show_depth(shown: Output, depth: QueueDepth, bound: tuple[Bound, ...] | None, change: Comparison | None) -> None:
    if change is not None:
        kinds: dict[str, Sequence[Bound | Binding]] = {
            "stale": change.stale,
            "missing": change.missing,
            "kept": change.kept,
        }
        listed: list[tuple[str, Bound | Binding]] = [(kind, one) for kind, some in kinds.items() for one in some]
    else:
        listed = [("", one) for one in bound or ()]
    if not shown.pretty:
        bindings = [
            {"exchange": one.exchange, "pattern": one.pattern} | ({"change": kind} if kind else {})
            for kind, one in listed
        ]
        shown.record(_record(depth) | ({} if bound is None else {"bindings": bindings}))
        return
    limits = depth.limits
    distances = (
        f"{limits.warn - depth.total:,} to go until {limits.warn:,}, where PulseGuardian mails you; "
        f"{depth.room:,} until {limits.delete:,}, where it deletes the queue"
        if depth.level == 0
        else f"over {limits.warn:,}: PulseGuardian mails you; {depth.room:,} to go until {limits.delete:,}, "
        "where it deletes the queue"
        if depth.level == 1
        else f"over {limits.delete:,}: PulseGuardian deletes the queue and all that is in it"
    )
    shown.table(
        [
            ("queue", (depth.queue, "head")),
            ("ready", f"{depth.ready:,}"),
            ("consumers", f"{depth.consumers}"),
            ("limits", (distances, _STYLES[depth.level])),
            *([] if bound is None else [("bindings", f"{len(bound)}")]),
        ]
    )
    for kind, one in listed:
        shown.line("  ", _MARKS.get(kind, ""), f"{one.exchange}:{one.pattern}")


def _show_message(shown: Output, number: int, message: Message, *, full: bool) -> None:
    marks = " redelivered" if message.redelivered else ""
    try:
        cc = f" cc {', '.join(message.cc)}" if message.cc else ""
    except InvalidMessage:
        cc = " unreadable headers"
    size = f" {len(message.body):,} bytes"
    shown.line(f"{number}  ", message.exchange, " ", (message.routing_key, "key"), (f"{cc}{size}{marks}", "dim"))
    text = message.body.decode(errors="backslashreplace")
    if not full:
        shown.fitted("   ", text[:_GLANCE])
        return
    for line in _indented(text).split("\n"):
        shown.line("   ", line)


def _indented(text: str) -> str:
    from pulsekit._documents.nesting import is_deeper
    from pulsekit.cli.output.rows import DEEPEST, MOST_LAID_OUT

    try:
        value = json.loads(text) if len(text) <= MOST_LAID_OUT else None
        return text if value is None or is_deeper(value, DEEPEST) else json.dumps(value, ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text


def _record(depth: QueueDepth) -> dict[str, Any]:
    return {
        "queue": depth.queue,
        "ready": depth.ready,
        "consumers": depth.consumers,
        "level": _LEVELS[depth.level],
        "mail_over": depth.limits.warn,
        "delete_over": depth.limits.delete,
        "room": depth.room,
    }


def _time_left(depth: QueueDepth, left: float | None, rate: float | None) -> str:
    if depth.level > 1:
        return "due now"
    if left is not None:
        return f"{_span(left)} at this rate"
    return "" if rate is None else "does not grow"


def _span(length: float) -> str:
    """Return a duration in its two largest units."""
    for size, unit, below, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if length >= size:
            return f"{int(length // size)} {unit} {int(length % size // below)} {small}"
    return f"{length:.0f} s"


def _nothing_done() -> int:
    note("nothing was done")
    return ExitCode.NEGATIVE
