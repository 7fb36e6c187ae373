"""`pulsekit register`: check a registration, and write a bug report that requests it from Treeherder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pulsekit._config.target import Target
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.options import (
    DestinationOption,
    ExchangeOption,
    OutputOption,
    force_option,
    project_option,
    repeatable,
    user_option,
)
from pulsekit.cli.output.output import Output, fail, note, warn
from pulsekit.errors import ConfigurationError, InvalidName, InvalidRegistration, PulsekitError

if TYPE_CHECKING:
    from pulsekit._config.settings import Settings
    from pulsekit.bindings.registration import Registration
    from pulsekit.treeherder.registration_bug import Bug

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """
pulsekit register
pulsekit register -e exchange/me/v1/jobs -d treeherder -p autoland._
pulsekit register -d treeherder -p autoland._ --production --write
pulsekit register -d treeherder -p try._ --staging-project '#' -o ndjson
"""

T = TypeVar("T")

_FILE = "pulsekit.yml"
_EXAMPLE = "pulsekit register --exchange exchange/me/v1/jobs --destination treeherder --project autoland._"


def command(
    exchange: ExchangeOption = None,
    destinations: DestinationOption = None,
    projects: Annotated[list[str] | None, project_option(repeatable)] = None,
    staging: Annotated[bool, typer.Option("--staging", help="Register for staging. [default: both]")] = False,
    production: Annotated[bool, typer.Option("--production", help="Register for production. [default: both]")] = False,
    staging_exchange: Annotated[str | None, typer.Option(metavar="NAME", help="Exchange for staging.")] = None,
    staging_destinations: Annotated[
        list[str] | None, repeatable("--staging-destination", metavar="D", help="Destination for staging.")
    ] = None,
    staging_projects: Annotated[
        list[str] | None, repeatable("--staging-project", metavar="PROJECT", help="Project for staging.")
    ] = None,
    user: Annotated[str | None, user_option("the user of the login")] = None,
    write: Annotated[bool, typer.Option("--write", help=f"Store the registration in {_FILE}.")] = False,
    force: Annotated[bool, force_option("Register bindings even if they can never match.")] = False,
    output: OutputOption = None,
) -> int:
    """Check a registration, and write the bug that asks Treeherder to bind your exchange.

    On a terminal, register asks for each value that no option sets. register sends nothing. It prints a link that opens
    Bugzilla's form with the text of the bug.

    By default, the exchange and the destinations are those of pulsekit.yml. --write stores the registration in
    pulsekit.yml and keeps the comments of the file. Other commands use this registration with --target.

    Exit code: 1 if a binding can never match, unless --force is given; 2 if a name is invalid or belongs to another
    user.
    """
    from pulsekit._config.settings import load_settings
    from pulsekit.treeherder.registration_bug import Bug

    settings = load_settings()
    common = _Request(exchange, tuple(destinations or ()), tuple(projects or ()))
    for_staging = _Request(staging_exchange, tuple(staging_destinations or ()), tuple(staging_projects or ()))
    chosen = [target for target, flag in ((Target.STAGING, staging), (Target.PRODUCTION, production)) if flag]
    if for_staging != _NOTHING and Target.STAGING not in chosen:
        chosen = [*Target]
    checks = _Checks(user or settings.user, force=force)
    if sys.stdin is not None and sys.stdin.isatty():
        requests = _Questions(settings, checks).requests(common, for_staging, chosen)
    else:
        requests = _requests(common, for_staging, chosen or [*Target], settings)
    registrations = {target: checks.registration(request) for target, request in requests.items()}
    checks.print_findings(registrations.values())
    _show(Output(output), Bug({str(target): one for target, one in registrations.items()}))
    if write:
        _store(registrations, settings)
    return ExitCode.DONE


@dataclass(frozen=True, slots=True)
class _Request:
    """The requested registration. A field is None or empty if the user has not given it."""

    exchange: str | None = None
    destinations: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()

    def over(self, other: _Request) -> _Request:
        """Return this request, with missing fields filled from the other request."""
        return _Request(
            self.exchange or other.exchange, self.destinations or other.destinations, self.projects or other.projects
        )


_NOTHING = _Request()


def _requests(
    common: _Request, for_staging: _Request, targets: Sequence[Target], settings: Settings
) -> dict[Target, _Request]:
    """Return the complete request for each target. The configuration supplies a missing exchange and destinations.

    Raises:
        ConfigurationError: Raised when a field is missing.
    """
    requests = {}
    for target in targets:
        own = for_staging.over(common) if target is Target.STAGING else common
        requests[target] = request = own.over(replace(_configured(settings, target), projects=()))
        for name, value in (("exchange", request.exchange), ("destination", request.destinations)):
            if not value:
                raise ConfigurationError(f"no {name}: add --{name}, as in {_EXAMPLE!r}, or set it in {_FILE}")
        if not request.projects:
            raise ConfigurationError(f"no project: add --project, as in {_EXAMPLE!r}")
    return requests


def _configured(settings: Settings, target: Target | None) -> _Request:
    """Return the request in the configuration. At a terminal, its projects are only the default answer."""
    from pulsekit.bindings.registration import Registration

    settings = settings.at(target) if target in settings.targets else settings
    registered = (one for one in settings.registrations if isinstance(one, Registration))
    projects = next((one.projects for one in registered if one.exchange == settings.exchange), ())
    return _Request(settings.exchange, settings.destinations, tuple(projects))


class _Checks:
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

    def registration(self, request: _Request) -> Registration:
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


class _Questions:
    """The questions at a terminal for the fields that no option sets."""

    def __init__(self, settings: Settings, checks: _Checks) -> None:
        self._settings = settings
        self._checks = checks

    def requests(self, common: _Request, for_staging: _Request, chosen: list[Target]) -> dict[Target, _Request]:
        """Return the complete request for each target. Ask only for fields that no option sets."""
        is_open = common == _NOTHING
        usual = _configured(self._settings, chosen[0] if len(chosen) == 1 else None)
        common = self._whole(common if is_open else common.over(replace(usual, projects=())), usual)
        if is_open and not chosen:
            chosen = self._ask("Treeherder: staging, production or both", _targets, "both")
            if len(chosen) > 1 and not typer.confirm("The same for both", default=True, err=True):
                note("for staging:")
                for_staging = self._whole(for_staging, common)
        return _requests(common, for_staging, chosen or [*Target], self._settings)

    def _whole(self, request: _Request, usual: _Request) -> _Request:
        exchange = request.exchange or self._ask(
            "Exchange", self._checks.exchange, usual.exchange or f"exchange/{self._checks.user or 'me'}/v1/jobs"
        )
        destinations = request.destinations or self._ask(
            "Destinations (first words of the keys)", _words, " ".join(usual.destinations) or "treeherder"
        )

        def projects(answer: str) -> tuple[str, ...]:
            return tuple(self._checks.registration(_Request(exchange, destinations, _words(answer))).projects)

        return _Request(
            exchange,
            destinations,
            request.projects
            or self._ask("Projects (last words, such as autoland._)", projects, " ".join(usual.projects) or None),
        )

    def _ask(self, question: str, check: Callable[[str], T], usual: str | None) -> T:
        while True:
            answer: str = typer.prompt(question, default=usual, err=True)
            try:
                return check(answer)
            except PulsekitError as error:
                fail(str(error))


def _words(answer: str) -> tuple[str, ...]:
    words = tuple(answer.replace(",", " ").split())
    if not words:
        raise ConfigurationError("the answer is empty")
    return words


def _targets(answer: str) -> list[Target]:
    answer = answer.strip().lower()
    if answer not in {"both", *Target}:
        raise ConfigurationError(f"{answer!r} is not staging, production or both")
    return [*Target] if answer == "both" else [Target(answer)]


def _show(shown: Output, bug: Bug) -> None:
    if not shown.pretty:
        shown.record(bug.record())
    else:
        shown.line(("Summary", "head"))
        shown.line(bug.summary)
        shown.line()
        shown.line(("Description", "head"))
        for line in bug.text.splitlines():
            shown.line(line)
        shown.line()
        shown.line(("Link", "head"), (f"  to the form of {bug.product} :: {bug.component}, with this text", "dim"))
        shown.line(bug.link)
    shown.flush()
    if not bug.is_whole:
        warn("the link does not contain the description, because it would be too long: copy it into the form")
    note("nothing was sent: open the link, check the text, and submit the form")
    note(
        "Mozilla's own Treeherder has built its jobs from Taskcluster since 2019 and binds no job exchange any more: "
        "only an instance that is configured to bind your exchange receives your jobs"
    )


def _store(registrations: Mapping[Target, Registration], settings: Settings) -> None:
    from pulsekit._config.project_file import find_project_file, project_file
    from pulsekit._config.registration_writer import store
    from pulsekit.cli.output.files import write_whole

    path = project_file.get() or find_project_file(Path())
    text = ""
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
    changed = store(text, registrations, source=str(path))
    if changed == text:
        note(f"{path} already contains this registration")
        return
    write_whole(path, changed)
    note(f"stored in {path}")
    main = list(registrations.values())[-1]
    if settings.exchange not in (None, main.exchange):
        note(f"without --target, publish still uses {settings.exchange}")
