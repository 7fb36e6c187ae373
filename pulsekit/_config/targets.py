"""Staging and production: the exchange, destinations and projects of each, from `targets` of `pulsekit.yml`.

Each Treeherder instance has a separate registration (`docs/submitting_data.md` of Treeherder). The registrations may
differ in exchange, destinations and projects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulsekit._config.target import Target
from pulsekit.errors import ConfigurationError, InvalidRegistration, place_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit.bindings.registration import Binding, Registration

__all__ = ["TargetSettings", "known_name", "read_targets"]


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """The settings of a project for one target.

    Attributes:
        exchange: the exchange to publish to.
        destinations: the destinations of a job.
        registrations: the registration with the target's projects, or the project's registrations of this exchange.
    """

    exchange: str | None = None
    destinations: tuple[str, ...] = ()
    registrations: tuple[Registration | Binding, ...] = ()


def known_name(exchange: str) -> str:
    """Return the full name of a known exchange with this short name. Any other name is returned unchecked."""
    if exchange.startswith("exchange/"):
        return exchange
    from pulsekit.catalogue import find_exchange  # imported late: few configurations have a short name

    found = find_exchange(exchange)
    return exchange if found is None else found.name


def read_targets(
    value: Any,
    whole: TargetSettings,
    *,
    source: str,
    locate: Callable[[str], tuple[int, int] | None] = lambda _: None,
) -> dict[Target, TargetSettings]:
    """Read the object under `targets`, which is already validated by the schema of the file.

    Args:
        value: the object, or None.
        whole: the settings of the project, which are the defaults of each target.
        source: the name of the file, for messages.
        locate: returns line and column of the value at a JSON pointer in the file, or None.

    Raises:
        ConfigurationError: Raised when a target has projects that cannot be registered.
    """
    found: dict[Target, TargetSettings] = {}
    for name, inner in (value or {}).items():
        try:
            found[Target(name)] = _read(inner or {}, whole)
        except (ConfigurationError, InvalidRegistration) as error:
            place = place_text(source, *(locate(f"/targets/{name}") or ()))
            raise ConfigurationError(f"{place}: targets.{name}: {error}") from error
    return found


def _read(value: dict[str, Any], whole: TargetSettings) -> TargetSettings:
    exchange = value.get("exchange", whole.exchange)
    if exchange is not None:
        exchange = known_name(exchange)
    given = value.get("destinations")
    destinations = whole.destinations if given is None else tuple(given)
    if value.get("projects") is None:
        shared = tuple(one for one in whole.registrations if exchange in (None, one.exchange))
        return TargetSettings(exchange, destinations, shared)
    from pulsekit.bindings.registration import Registration  # slow to import, and only registrations need it

    if exchange is None:
        raise ConfigurationError("exchange is missing, in the target and in the project")
    registration = Registration(exchange, destinations, tuple(value["projects"]))
    return TargetSettings(exchange, destinations, (registration,))
