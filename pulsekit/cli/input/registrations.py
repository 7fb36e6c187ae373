"""The registrations in files, in the environment and in the configuration."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from pulsekit.bindings.former_forms import THREE_VARIABLES
from pulsekit.cli.input.files import read_input
from pulsekit.cli.output.output import warn
from pulsekit.errors import InvalidRegistration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pulsekit._config.target import Target
    from pulsekit.bindings.registration import Binding, Registration
    from pulsekit.bindings.rules import Rule

__all__ = ["VARIABLE", "configured_registrations", "registrations_from", "under_rule"]

VARIABLE = "PULSE_DATA_INGESTION_SOURCES"  # Treeherder's variable of 2018, treeherder/services/pulse/sources.py


def registrations_from(*names: str) -> tuple[Registration | Binding, ...]:
    """Return the registrations of files, or of stdin for `-`.

    Raises:
        OSError: Raised when a file cannot be read.
        InvalidInput: Raised when a file has no registrations, or a registration cannot be expanded.
    """
    from pulsekit.bindings.registration import read_registrations

    found: list[Registration | Binding] = []
    for name in names:
        data, source = read_input(name)
        found += read_registrations(data, source=source, on_warning=warn)
    return tuple(found)


def configured_registrations(target: Target | None = None) -> tuple[tuple[Registration | Binding, ...], str]:
    """Return the registrations of the environment or, without them, of a configuration file, and their source.

    For a target, return the registrations of the configuration.

    Raises:
        ConfigurationError: Raised when a configuration file cannot be read.
        InvalidInput: Raised when the registrations cannot be read.
    """
    if target is None and (found := _in_environment()) is not None:
        from pulsekit.bindings.registration import read_registrations

        text, source = found
        return read_registrations(text, source=source, on_warning=warn), source
    from pulsekit._config.settings import load_settings

    settings = load_settings().at(target)
    for words in settings.warnings:
        warn(words)
    return settings.registrations, f"{settings.source}, {target}" if target else settings.source


def _in_environment() -> tuple[str, str] | None:
    """Return the text of Treeherder's variables that are set, and their name, or None.

    If several forms are set, read the newest, and print a warning that names the others.
    """
    from pulsekit._config.settings import REGISTRATION_VARIABLES

    given = {name: text for name in REGISTRATION_VARIABLES if (text := os.environ.get(name))}
    if not given:
        return None
    name = next(iter(given))
    if name in THREE_VARIABLES:
        return "\n".join(f"{one}={text}" for one, text in given.items()), f"${name}"
    if unused := ", ".join(one for one in given if one != name):
        warn(f"{name} is set, so the registrations in {unused} are not read")
    return given[name], f"${name}"


def under_rule(
    registrations: Iterable[Registration | Binding], rule: Rule | None
) -> tuple[Registration | Binding, ...]:
    """Return the registrations with `rule` instead of their own rule. Without a rule, return them unchanged.

    Raises:
        InvalidRegistration: Raised when a registration lacks fields that the rule needs, or is a binding.
    """
    if rule is None:
        return tuple(registrations)
    from pulsekit.bindings.registration import Binding

    changed: list[Registration | Binding] = []
    for one in registrations:
        if isinstance(one, Binding):
            raise InvalidRegistration(
                f"--rule {rule} cannot expand {one}: it is a binding already, without destinations and projects. "
                "Remove --rule, or write it as a registration with both"
            )
        try:
            changed.append(replace(one, rule=rule))
        except InvalidRegistration as error:
            raise InvalidRegistration(f"the registration of {one.exchange} cannot follow {rule}: {error}") from error
    return tuple(changed)
