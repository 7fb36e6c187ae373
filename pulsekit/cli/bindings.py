"""`pulsekit bindings`: expand registrations, and compare two expansions before a deploy does."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pulsekit.bindings import Binding, Registration, diff, expand, read_registrations
from pulsekit.cli.exits import ExitCode
from pulsekit.cli.inputs import (
    STDIN,
    VARIABLE,
    RuleOption,
    configured_registrations,
    is_piped,
    read_input,
    registrations_from,
    under_rule,
)
from pulsekit.cli.output import Cell, FormatOption, Output, note, warn
from pulsekit.errors import ConfigurationError

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """
pulsekit bindings jobs.yml
pulsekit bindings new.yml --diff old.yml
pulsekit bindings jobs.yml --rule any.project
echo "$PULSE_DATA_INGESTION_SOURCES" | pulsekit bindings
"""

_MARKS: dict[str, list[Cell]] = {"": [], "added": [("+ ", "good")], "removed": [("- ", "bad")]}


def command(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="Registrations; - is a pipe.", show_default=False)
    ] = None,
    *,
    old: Annotated[
        str | None,
        typer.Option("--diff", metavar="OLD", help="Show what changes from these registrations.", show_default=False),
    ] = None,
    rule: RuleOption = None,
    output: FormatOption = None,
) -> int:
    """Expand registrations into the bindings Treeherder makes of them, or compare two.

    FILE is YAML, JSON, the block of Treeherder's documentation, or lines of exchange.key:key. Without it, a pipe is
    read, else PULSE_DATA_INGESTION_SOURCES, else the registrations of the configuration.
    """
    if file == old == "-":
        raise ConfigurationError("FILE and OLD cannot both be stdin")
    registrations, origin = _registrations(file, free=old != "-")
    new = expand(under_rule(registrations, rule))
    shown = Output(output)
    if old is None:
        for binding in new:
            _show(shown, binding)
        note(f"{len(new)} binding{'s' * (len(new) != 1)} from {origin}")
        return ExitCode.DONE
    before = expand(under_rule(registrations_from(old), rule))
    change = diff(before, new)
    for kind, bindings in (("removed", change.removed), ("added", change.added), ("kept", change.kept)):
        for binding in bindings:
            _show(shown, binding, kind)
    note(f"{len(change.removed)} removed, {len(change.added)} added, {len(change.kept)} kept")
    if before and not change.kept:
        warn("nothing is kept: every binding there was would be unbound")
    return ExitCode.DONE


def _registrations(file: str | None, *, free: bool) -> tuple[tuple[Registration | Binding, ...], str]:
    """Return the registrations and where they are from; stdin is read when it is free."""
    if file:
        return registrations_from(file), STDIN if file == "-" else file
    if free and is_piped():
        data, source = read_input("-")
        if data.strip():  # else a script's own stdin, which nobody wrote to
            return read_registrations(data, source=source), source
    registrations, source = configured_registrations()
    if not registrations:
        raise ConfigurationError(
            f"no registrations: give a FILE or a pipe, set {VARIABLE}, or write them into pulsekit.yml"
        )
    return registrations, source


def _show(shown: Output, binding: Binding, change: str = "") -> None:
    if not shown.pretty:
        shown.record(asdict(binding) | ({"change": change} if change else {}))
    elif change != "kept":  # a person looks for what changes
        shown.line(*_MARKS[change], str(binding))
