"""Staging and production: the exchange, destinations and projects of each, from `targets` of `pulsekit.yml`.

Each Treeherder has a registration of its own: on the same exchange with other destinations or projects, or on another
exchange (`docs/submitting_data.md` of Treeherder).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulsekit._config.target import Target
from pulsekit.errors import ConfigurationError, InvalidRegistration

if TYPE_CHECKING:
    from pulsekit.bindings.registration import Binding, Registration

__all__ = ["TargetSettings", "read_targets"]

_KEYS = ("exchange", "destinations", "projects")


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """Say what a project has for one target.

    Attributes:
        exchange: the exchange to publish to.
        destinations: destinations a job is sent to.
        registrations: what Treeherder binds there: one of the projects that the target lists, or those of the whole
            project on this exchange.
    """

    exchange: str | None = None
    destinations: tuple[str, ...] = ()
    registrations: tuple[Registration | Binding, ...] = ()


def read_targets(value: Any, whole: TargetSettings, *, source: str) -> dict[Target, TargetSettings]:
    """Read the object under `targets`.

    Args:
        value: the object, or None.
        whole: what the project says for all targets, and each of them may leave out.
        source: the file, for messages.

    Raises:
        ConfigurationError: Raised when a target or a key is unknown, or a value has the wrong type.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"{source}: targets: an object with {' and '.join(Target)} is expected")
    found: dict[Target, TargetSettings] = {}
    for name, inner in value.items():
        if name not in set(Target):
            raise ConfigurationError(f"{source}: targets: unknown target {name!r:.40}; known are {', '.join(Target)}")
        try:
            found[Target(name)] = _read(inner, whole)
        except (ConfigurationError, InvalidRegistration) as error:
            raise ConfigurationError(f"{source}: targets: {name}: {error}") from error
    return found


def _read(value: Any, whole: TargetSettings) -> TargetSettings:
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise ConfigurationError("an object is expected, such as `destinations: [treeherder]`")
    for key in value:
        if key not in _KEYS:
            raise ConfigurationError(f"unknown key {key!r:.40}; known are {', '.join(_KEYS)}")
    exchange = value.get("exchange", whole.exchange)
    if exchange is not None and not isinstance(exchange, str):
        raise ConfigurationError("exchange must be text")
    destinations = whole.destinations if value.get("destinations") is None else _texts(value, "destinations")
    if value.get("projects") is None:
        shared = tuple(one for one in whole.registrations if exchange in (None, one.exchange))
        return TargetSettings(exchange, destinations, shared)
    from pulsekit.bindings.registration import Registration  # only for those who have registrations

    if exchange is None:
        raise ConfigurationError("exchange is missing, here and for the whole project")
    return TargetSettings(exchange, destinations, (Registration(exchange, destinations, _texts(value, "projects")),))


def _texts(value: dict[str, Any], key: str) -> tuple[str, ...]:
    texts = value[key]
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return tuple(texts)
    raise ConfigurationError(f"{key} must be a list of texts, such as [treeherder]")
