"""The arguments of `tail` that select messages: their bindings, and the schema of their payloads."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from pulsekit.cli.output.output import warn
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit._config.settings import Settings
    from pulsekit.bindings.registration import Binding
    from pulsekit.messages import MessageCheck
    from pulsekit.records.selection import SchemaOf
    from pulsekit.schemas.schema import Schema

__all__ = ["configured_texts", "read_arguments", "schema_for"]

_AUTO = "auto"


def configured_texts(settings: Settings, *, by_name: bool) -> list[str]:
    """Return the default bindings: the configured exchange with a pattern for each configured destination.

    Args:
        settings: the configuration.
        by_name: return the exchange without patterns, because options set the patterns.
    """
    if settings.exchange is None:
        raise ConfigurationError(
            "no EXCHANGE: add one, as in 'pulsekit tail exchange/me/v1/jobs', or set it in pulsekit.yml"
        )
    if by_name:
        return [settings.exchange]
    return [f"{settings.exchange}:{destination}.#" for destination in settings.destinations] or [settings.exchange]


def read_arguments(
    texts: Sequence[str],
    patterns: list[str] | None,
    given: list[str] | None,
    routes: list[str] | None,
    user: str | None = None,
) -> list[Binding]:
    """Parse the bindings of the arguments.

    Args:
        texts: `EXCHANGE`, `EXCHANGE:PATTERN` or links of Pulse Inspector.
        patterns: the patterns for each `EXCHANGE` without a pattern.
        given: the fields, which make patterns for each `EXCHANGE` without a pattern.
        routes: the routes, which also make patterns for each `EXCHANGE` without a pattern.
        user: the AMQP user, for the suggestion in an error message.
    """
    from pulsekit.bindings.inspector_link import is_link, read_link
    from pulsekit.bindings.names import check_exchange
    from pulsekit.bindings.registration import Binding
    from pulsekit.catalogue import full_name, read_bindings
    from pulsekit.cli.input.exchanges import read_fields

    fields = read_fields(given or ())
    bindings: list[Binding] = []
    bare = 0
    for text in texts:
        exchange, colon, _ = text.partition(":")
        if is_link(text):
            bindings += read_link(text).bindings
            continue
        exchange = check_exchange(full_name(exchange), user)
        if colon or not patterns:
            bindings += read_bindings(text, fields, routes or ())
        else:
            bindings += [Binding(exchange, pattern) for pattern in patterns]
        bare += not colon
    if (patterns or fields or routes) and not bare:
        options = "--binding is" if patterns else "--field and --route are"
        raise ConfigurationError(f"{options} for exchanges without a pattern, but each exchange here has a pattern")
    return list(dict.fromkeys(bindings))


def schema_for(name: str | None, bindings: Sequence[Binding]) -> Schema | MessageCheck | SchemaOf | None:
    """Return the check of `--schema`, or for `auto` a function that returns the check for an exchange.

    Raises:
        ConfigurationError: Raised when there is no such schema, or the catalogue has none for these exchanges.
    """
    from pulsekit.schemas.schema import load_schema
    from pulsekit.treeherder.message_check import message_check

    if name is None:
        return None
    if name != _AUTO or Path(name).exists():
        return message_check(load_schema(name))
    from pulsekit.catalogue import message_schema

    unknown = [name for name in dict.fromkeys(one.exchange for one in bindings) if message_schema(name) is None]
    if len(unknown) == len({one.exchange for one in bindings}):
        raise ConfigurationError(
            f"the catalogue has no schema for {', '.join(unknown)}: name one, as in --schema pulse-job"
        )
    for exchange in unknown:
        warn(f"the catalogue has no schema for {exchange}: its messages are not validated")

    @functools.cache  # called for each message
    def check_of(exchange: str) -> Schema | MessageCheck | None:
        schema = message_schema(exchange)
        return None if schema is None else message_check(schema)

    return check_of
