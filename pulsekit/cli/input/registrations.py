"""Registrations that commands are given, in files or by the configuration."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from pulsekit.cli.input.files import read_input
from pulsekit.errors import InvalidRegistration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pulsekit._config.target import Target
    from pulsekit.bindings.registration import Binding, Registration
    from pulsekit.bindings.rules import Rule

__all__ = ["VARIABLE", "configured_registrations", "registrations_from", "under_rule"]

VARIABLE = "PULSE_DATA_INGESTION_SOURCES"  # Treeherder's own, "Registration and binding expansion" of the facts


def registrations_from(*names: str) -> tuple[Registration | Binding, ...]:
    """Read the registrations of files, or of stdin for `-`.

    Raises:
        OSError: one cannot be read.
        InvalidInput: one holds no registrations that can be expanded.
    """
    from pulsekit.bindings.registration import read_registrations

    found: list[Registration | Binding] = []
    for name in names:
        data, source = read_input(name)
        found += read_registrations(data, source=source)
    return tuple(found)


def configured_registrations(target: Target | None = None) -> tuple[tuple[Registration | Binding, ...], str]:
    """Return the registrations of the environment or a configuration file, and where they are from.

    Those of a target are in the configuration alone.

    Raises:
        ConfigurationError: a configuration file cannot be read.
        InvalidInput: the registrations cannot be.
    """
    if target is None and (text := os.environ.get(VARIABLE)):
        from pulsekit.bindings.registration import read_registrations

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
    if rule is None:
        return tuple(registrations)
    from pulsekit.bindings.registration import Binding

    changed: list[Registration | Binding] = []
    for one in registrations:
        try:
            changed.append(one if isinstance(one, Binding) else replace(one, rule=rule))
        except InvalidRegistration as error:
            raise InvalidRegistration(f"the registration of {one.exchange} cannot follow {rule}: {error}") from error
    return tuple(changed)
