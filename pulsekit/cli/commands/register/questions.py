"""Ask the user at a terminal for the fields of a registration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import typer

from pulsekit._config.target import Target
from pulsekit.cli.commands.register.requests import NOTHING, Request, complete_requests, configured_request
from pulsekit.cli.output.output import fail, note
from pulsekit.errors import ConfigurationError, PulsekitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit._config.settings import Settings
    from pulsekit.cli.commands.register.requests import Checks

__all__ = ["Questions"]

T = TypeVar("T")


class Questions:
    """The questions at a terminal for the fields that no option sets."""

    def __init__(self, settings: Settings, checks: Checks) -> None:
        self._settings = settings
        self._checks = checks

    def requests(self, common: Request, for_staging: Request, chosen: list[Target]) -> dict[Target, Request]:
        """Return the complete request for each target. Ask only for fields that no option sets."""
        is_open = common == NOTHING
        usual = configured_request(self._settings, chosen[0] if len(chosen) == 1 else None)
        common = self._whole(common if is_open else common.over(replace(usual, projects=())), usual)
        if is_open and not chosen:
            chosen = self._ask("Treeherder: staging, production or both", _targets, "both")
            if len(chosen) > 1 and not typer.confirm("The same for both", default=True, err=True):
                note("for staging:")
                for_staging = self._whole(for_staging, common)
        return complete_requests(common, for_staging, chosen or [*Target], self._settings)

    def _whole(self, request: Request, usual: Request) -> Request:
        exchange = request.exchange or self._ask(
            "Exchange", self._checks.exchange, usual.exchange or f"exchange/{self._checks.user or 'me'}/v1/jobs"
        )
        destinations = request.destinations or self._ask(
            "Destinations (first words of the keys)", _words, " ".join(usual.destinations) or "treeherder"
        )

        def projects(answer: str) -> tuple[str, ...]:
            return tuple(self._checks.registration(Request(exchange, destinations, _words(answer))).projects)

        return Request(
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
