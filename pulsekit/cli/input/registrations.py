"""Registrations that commands are given, in files or by the configuration."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

import typer

from pulsekit._config.targets import Target
from pulsekit.bindings.registration import Binding, Registration, Rule, read_registrations
from pulsekit.cli.input.files import MAX_FILE, MAX_LINE, STDIN, bounded_lines, is_piped, read_input, stdin
from pulsekit.errors import InvalidRegistration

__all__ = [
    "MAX_FILE",
    "MAX_LINE",
    "STDIN",
    "VARIABLE",
    "RuleOption",
    "bounded_lines",
    "configured_registrations",
    "is_piped",
    "read_input",
    "registrations_from",
    "stdin",
    "under_rule",
]

VARIABLE = "PULSE_DATA_INGESTION_SOURCES"  # Treeherder's own, "Registration and binding expansion" of the facts

RuleOption = Annotated[
    Rule | None,
    typer.Option(
        metavar="RULE",
        help=f"Expand registrations by {', '.join(Rule)} instead of their own rule.",
        show_default=False,
    ),
]


def registrations_from(name: str) -> tuple[Registration | Binding, ...]:
    """Read the registrations of a file, or of stdin for `-`.

    Raises:
        OSError: it cannot be read.
        InvalidInput: it holds no registrations that can be expanded.
    """
    data, source = read_input(name)
    return read_registrations(data, source=source)


def configured_registrations(target: Target | None = None) -> tuple[tuple[Registration | Binding, ...], str]:
    """Return the registrations of the environment or a configuration file, and where they are from.

    Those of a target are in the configuration alone.

    Raises:
        ConfigurationError: a configuration file cannot be read.
        InvalidInput: the registrations cannot be.
    """
    if target is None and (text := os.environ.get(VARIABLE)):
        return read_registrations(text, source=f"${VARIABLE}"), f"${VARIABLE}"
    from pulsekit._config.settings import load_settings

    settings = load_settings().at(target)
    return settings.registrations, f"{settings.source}, {target}" if target else settings.source


def under_rule(
    registrations: Iterable[Registration | Binding], rule: Rule | None
) -> tuple[Registration | Binding, ...]:
    """Return the registrations with their rule replaced, when there is one to replace it; bindings have none.

    Raises:
        InvalidRegistration: one lacks what the rule needs.
    """
    changed: list[Registration | Binding] = []
    for one in registrations:
        try:
            changed.append(one if rule is None or isinstance(one, Binding) else replace(one, rule=rule))
        except InvalidRegistration as error:
            raise InvalidRegistration(f"the registration of {one.exchange} cannot follow {rule}: {error}") from error
    return tuple(changed)
