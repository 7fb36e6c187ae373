"""`pulsekit queue show`: the depth of a queue, its rate of growth, and its bindings."""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime
from shlex import quote
from typing import TYPE_CHECKING, Any

from pulsekit._documents.suggestions import counted
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.confirm import agreed, nothing_done
from pulsekit.cli.input.registrations import configured_registrations, registrations_from, under_rule
from pulsekit.cli.output.output import note, warn
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit.bindings.registration import Binding, Rule
    from pulsekit.cli.output.output import Cell, Output
    from pulsekit.consumer.guardian_limits import Limits, QueueDepth
    from pulsekit.pulse import Pulse
    from pulsekit.queues.guardian_site import Bound, Comparison

__all__ = ["bindings_of", "show", "watch"]

_STYLES = ("good", "warn", "bad")  # indexed by QueueDepth.level
_LEVELS = ("fine", "mailed", "deleted")
_MARKS: dict[str, Cell] = {"stale": ("- ", "bad"), "missing": ("+ ", "good"), "kept": "  "}


async def show(
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
    """Show a queue and its bindings once; with `prune`, unbind the stale bindings."""
    from pulsekit.queues.operations import queue_depth, unbind

    async with pulse:
        _show_depth(shown, await queue_depth(pulse, name, limits), bound, change)
        shown.flush()
        if change is not None:
            note(f"{len(change.stale)} stale (-), {len(change.missing)} missing (+), {len(change.kept)} kept")
        if not prune or change is None:
            return ExitCode.DONE
        if not change.stale:
            note("no binding is stale, so none was unbound")
            return ExitCode.DONE
        if not change.kept:
            warn("no binding of the registrations is bound, so --prune would unbind all bindings: check --registration")
            note(f"nothing was unbound; to delete the queue, run 'pulsekit queue delete {quote(name)}'")
            return ExitCode.NEGATIVE
        if not await agreed(f"unbind {counted(len(change.stale), 'binding')} of {name}?", yes=yes):
            return nothing_done()
        await unbind(pulse, name, change.stale)
    note(f"{counted(len(change.stale), 'binding')} unbound, {len(change.kept):,} kept")
    return ExitCode.DONE


async def watch(pulse: Pulse, name: str, limits: Limits, shown: Output, count: int | None) -> int:
    """Show the depth of a queue repeatedly, with its rate of growth."""
    import time

    from pulsekit.consumer.guardian_limits import Trend
    from pulsekit.queues.operations import watch as look

    trend = Trend()
    if shown.pretty:
        shown.line((f"{'':8}  {'ready':>8}  {'a second':>8}  {'consumers':>9}  until deletion", "head"))
    async with pulse, aclosing(look(pulse, name, limits)) as looks:
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


def bindings_of(
    name: str, guardian: str | None, registration: list[str] | None, rule: Rule | None, *, prune: bool
) -> tuple[tuple[Bound, ...] | None, Comparison | None]:
    """Return the bindings that PulseGuardian shows, and their comparison with the registrations, if requested."""
    from pulsekit.bindings.registration import expand
    from pulsekit.queues.guardian_site import compare, fetch_bindings

    if guardian is None:
        return None, None
    if not prune and registration is None:
        return fetch_bindings(guardian, name), None
    registrations = registrations_from(*registration) if registration else configured_registrations()[0]
    if not registrations:
        raise ConfigurationError(
            "no registrations to compare with: add --registration FILE, or add them to pulsekit.yml"
        )
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
        f"{limits.warn - depth.total:,} more messages until PulseGuardian mails you ({limits.warn:,}), "
        f"{depth.room:,} until it deletes the queue ({limits.delete:,})"
        if depth.level == 0
        else f"above {limits.warn:,}: PulseGuardian mails you; {depth.room:,} more messages until it deletes the queue "
        f"({limits.delete:,})"
        if depth.level == 1
        else f"above {limits.delete:,}: PulseGuardian deletes the queue and its messages"
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
