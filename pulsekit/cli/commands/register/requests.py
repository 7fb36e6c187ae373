"""The registrations that a user requests: fields from options and the configuration, and their checks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pulsekit._config.target import Target
from pulsekit.cli.output.output import note, warn
from pulsekit.errors import ConfigurationError, InvalidName, InvalidRegistration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pulsekit._config.settings import Settings
    from pulsekit.bindings.registration import Registration

__all__ = ["NOTHING", "Checks", "Request", "complete_requests", "configured_request"]

_FILE = "pulsekit.yml"
_EXAMPLE = "pulsekit register --exchange exchange/me/v1/jobs --destination treeherder --project autoland._"


@dataclass(frozen=True, slots=True)
class Request:
    """The requested registration. A field is None or empty if the user has not given it."""

    exchange: str | None = None
    destinations: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()

    def over(self, other: Request) -> Request:
        """Return this request, with missing fields filled from the other request."""
        return Request(
            self.exchange or other.exchange, self.destinations or other.destinations, self.projects or other.projects
        )


NOTHING = Request()


def complete_requests(
    common: Request, for_staging: Request, targets: Sequence[Target], settings: Settings
) -> dict[Target, Request]:
    """Return the complete request for each target. The configuration supplies a missing exchange and destinations.

    Raises:
        ConfigurationError: Raised when a field is missing.
    """
    requests = {}
    for target in targets:
        own = for_staging.over(common) if target is Target.STAGING else common
        requests[target] = request = own.over(replace(configured_request(settings, target), projects=()))
        for name, value in (("exchange", request.exchange), ("destination", request.destinations)):
            if not value:
                raise ConfigurationError(f"no {name}: add --{name}, as in {_EXAMPLE!r}, or set it in {_FILE}")
        if not request.projects:
            raise ConfigurationError(f"no project: add --project, as in {_EXAMPLE!r}")
    return requests


def configured_request(settings: Settings, target: Target | None) -> Request:
    """Return the request in the configuration. At a terminal, its projects are only the default answer."""
    from pulsekit.bindings.registration import Registration

    settings = settings.at(target) if target in settings.targets else settings
    registered = (one for one in settings.registrations if isinstance(one, Registration))
    projects = next((one.projects for one in registered if one.exchange == settings.exchange), ())
    return Request(settings.exchange, settings.destinations, tuple(projects))


class Checks:
    """The checks of a registration against the rules of names, permissions and routing."""

    def __init__(self, user: str | None, *, force: bool) -> None:
        self.user = user
        self._force = force

    def exchange(self, name: str) -> str:
        """Return the name of an exchange to which the user may publish.

        Raises:
            ConfigurationError: Raised when the name breaks a rule of Pulse, or the exchange belongs to another user.
        """
        from pulsekit.bindings.names import check_exchange, check_own_exchange, check_user

        check_exchange(name, self.user)
        if self.user is not None:
            try:
                check_own_exchange(name, check_user(self.user))
            except InvalidName as error:
                raise ConfigurationError(f"{error} (if another user publishes, add --user NAME)") from error
        return name

    def registration(self, request: Request) -> Registration:
        """Return the registration of a request, after all checks.

        Raises:
            ConfigurationError: Raised when the name breaks a rule of Pulse, or the exchange belongs to another user.
            InvalidRegistration: Raised when the registration cannot be expanded, or a binding can never match.
        """
        from pulsekit.bindings.lint import Severity, lint
        from pulsekit.bindings.registration import Registration

        registration = Registration(self.exchange(request.exchange or ""), request.destinations, request.projects)
        for name in (registration.exchange, *registration.destinations, *registration.projects):
            if not name.isprintable():
                raise InvalidName(name, "has a control character")
        for binding, findings in lint([registration]).items():
            for finding in findings:
                if finding.severity is Severity.WRONG and not self._force:
                    raise InvalidRegistration(f"{binding.pattern!r}: {finding}; add --force to register it anyway")
        return registration

    def print_findings(self, registrations: Iterable[Registration]) -> None:
        """Print the findings of the linter that are not errors, or that `--force` allows."""
        from pulsekit.bindings.lint import Severity, lint

        for registration in dict.fromkeys(registrations):
            for binding, findings in lint([registration]).items():
                for finding in findings:
                    say = note if finding.severity is Severity.NOTE else warn
                    say(f"{binding.pattern!r}: {finding}")
