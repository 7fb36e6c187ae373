"""Staging and production: the exchange, destinations and projects of each, from `targets` of `pulsekit.yml`.

Each Treeherder instance has a separate registration: of the same exchange with other destinations or projects, or of
another exchange (`docs/submitting_data.md` of Treeherder).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulsekit._config.target import Target
from pulsekit.errors import ConfigurationError, InvalidRegistration, place_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit.bindings.registration import Binding, Registration

__all__ = ["TargetSettings", "read_targets"]

_KEYS = ("exchange", "destinations", "projects")


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """The settings of a project for one target.

    Attributes:
        exchange: the exchange to publish to.
        destinations: the destinations of a job.
        registrations: one with the projects of the target, or those of the project for this exchange.
    """

    exchange: str | None = None
    destinations: tuple[str, ...] = ()
    registrations: tuple[Registration | Binding, ...] = ()


def read_targets(
    value: Any,
    whole: TargetSettings,
    *,
    source: str,
    locate: Callable[[str], tuple[int, int] | None] = lambda _: None,
) -> dict[Target, TargetSettings]:
    """Parse the object under `targets`.

    Args:
        value: the object, or None.
        whole: the settings of the project, which are the defaults of each target.
        source: the name of the file, for messages.
        locate: returns line and column of the value at a JSON pointer in the file, or None.

    Raises:
        ConfigurationError: Raised when a target or a key is unknown, or a value has the wrong type.
    """

    def place(*names: str) -> str:
        return place_text(source, *(locate("/".join(("/targets", *names))) or ()))

    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"{place()}: targets: write an object with {' and '.join(Target)}")
    found: dict[Target, TargetSettings] = {}
    for name, inner in value.items():
        if name not in set(Target):
            raise ConfigurationError(
                f"{place(name)}: targets: unknown target {name!r:.40}; the targets are {', '.join(Target)}"
            )
        try:
            found[Target(name)] = _read(inner, whole)
        except (ConfigurationError, InvalidRegistration) as error:
            raise ConfigurationError(f"{place(name)}: targets: {name}: {error}") from error
    return found


def _read(value: Any, whole: TargetSettings) -> TargetSettings:
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise ConfigurationError("write an object, such as `destinations: [treeherder]`")
    for key in value:
        if key not in _KEYS:
            raise ConfigurationError(f"unknown key {key!r:.40}; the keys are {', '.join(_KEYS)}")
    exchange = value.get("exchange", whole.exchange)
    if exchange is not None and not isinstance(exchange, str):
        raise ConfigurationError("exchange must be text")
    destinations = whole.destinations if value.get("destinations") is None else _texts(value, "destinations")
    if value.get("projects") is None:
        shared = tuple(one for one in whole.registrations if exchange in (None, one.exchange))
        return TargetSettings(exchange, destinations, shared)
    from pulsekit.bindings.registration import Registration  # slow to import, and only registrations need it

    if exchange is None:
        raise ConfigurationError("exchange is missing, in the target and in the project")
    return TargetSettings(exchange, destinations, (Registration(exchange, destinations, _texts(value, "projects")),))


def _texts(value: dict[str, Any], key: str) -> tuple[str, ...]:
    texts = value[key]
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return tuple(texts)
    raise ConfigurationError(f"{key} must be a list of texts, such as [treeherder]")
