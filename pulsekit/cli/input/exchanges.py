"""Exchanges and fields of routing keys in the arguments of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit.cli.output.output import warn
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pulsekit.bindings.registration import Binding

__all__ = ["read_fields", "warn_of_mistakes"]

_MISTAKES = ("position", "half-wildcard", "separator")  # rules that need no keys of other exchanges


def read_fields(texts: Sequence[str]) -> dict[str, list[str]]:
    """Return the values of each field, from texts of the form `NAME=VALUE`.

    Raises:
        ConfigurationError: Raised when a text has no `=`.
    """
    fields: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigurationError(
                f"--field {text} has no value: write {text}=VALUE, such as schedulerId=gecko-level-3"
            )
        fields.setdefault(name, []).append(value)
    return fields


def warn_of_mistakes(bindings: Iterable[Binding]) -> None:
    """Warn about bindings that can never match, and about names of exchanges that look misspelt."""
    from pulsekit.bindings.lint import lint
    from pulsekit.catalogue.exchanges import misspelt
    from pulsekit.catalogue.key_patterns import KnownLayouts

    found = lint(bindings, layouts=KnownLayouts())
    for exchange in dict.fromkeys(binding.exchange for binding in found):
        if near := misspelt(exchange):
            warn(f"{exchange} is not in the catalogue of exchanges; did you mean {near}?")
    for binding, findings in found.items():
        for finding in findings:
            if finding.rule in _MISTAKES:
                warn(f"{binding}: {finding}")
