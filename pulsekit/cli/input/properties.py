"""The options for CC keys, headers and properties of messages."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.types import Properties
from pulsekit.bindings.matching import check_key
from pulsekit.errors import ConfigurationError, InvalidMessage
from pulsekit.publisher.planning import ExtraProperties

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["read_properties"]

# user_id is not accepted: if it differs from the user of the connection, the broker closes the channel (406). See
# https://www.rabbitmq.com/docs/validated-user-id
_NAMES = tuple(item.name for item in fields(Properties) if item.name != "user_id")
_NUMBERS = {"delivery_mode": (1, 2), "priority": (0, 255)}


def read_properties(cc: Iterable[str], headers: Iterable[str], properties: Iterable[str]) -> ExtraProperties:
    """Parse the options `--cc`, `--header` and `--property`.

    Args:
        cc: further routing keys.
        headers: `NAME=VALUE`, where the value is a text.
        properties: `NAME=VALUE`, with the names of properties in a record.

    Raises:
        ConfigurationError: Raised when an option has no `=`, an unknown name, or an invalid value.
    """
    try:
        keys = tuple(map(check_key, cc))
    except InvalidMessage as error:
        raise ConfigurationError(f"--cc: {error}") from error
    table = dict(_pair("--header", text) for text in headers)
    if "CC" in table or "BCC" in table:
        raise ConfigurationError("--header: CC is a list of keys; give each with --cc")
    pairs = [_pair("--property", text) for text in properties]
    return ExtraProperties(keys, table, {name: _value(name, text) for name, text in pairs})


def _pair(option: str, text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise ConfigurationError(f"{option}: {text!r:.80} is not NAME=VALUE, as in app_id=ci")
    return name, value


def _value(name: str, text: str) -> Any:
    if name not in _NAMES:
        raise ConfigurationError(f"--property: unknown property {name!r:.40}; use one of {', '.join(_NAMES)}")
    if name in _NUMBERS:
        least, most = _NUMBERS[name]
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ConfigurationError(f"--property: {name} is a number from {least} to {most}, not {text!r:.40}")
        return int(text)
    if name == "timestamp":
        from datetime import UTC

        from pulsekit.records.record import read_when

        try:
            when = read_when(text)
        except ValueError:
            raise ConfigurationError(f"--property: {text!r:.40} is not a time such as 2026-11-23T18:00:00Z") from None
        return when if when.tzinfo else when.replace(tzinfo=UTC)
    if len(text.encode(errors="replace")) > 255:  # a short string, AMQP 0-9-1 §4.2.5.3
        raise ConfigurationError(f"--property: {name} has more than 255 bytes")
    return text
