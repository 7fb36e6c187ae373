"""`pulsekit register`: check a registration, and write a bug report that requests it from Treeherder."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit._config.target import Target
from pulsekit.cli.commands.register.questions import Questions
from pulsekit.cli.commands.register.requests import NOTHING, Checks, Request, complete_requests
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
from pulsekit.cli.output.output import Output, note, warn

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
    write: Annotated[bool, typer.Option("--write", help="Store the registration in pulsekit.yml.")] = False,
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
    common = Request(exchange, tuple(destinations or ()), tuple(projects or ()))
    for_staging = Request(staging_exchange, tuple(staging_destinations or ()), tuple(staging_projects or ()))
    chosen = [target for target, flag in ((Target.STAGING, staging), (Target.PRODUCTION, production)) if flag]
    if for_staging != NOTHING and Target.STAGING not in chosen:
        chosen = [*Target]
    checks = Checks(user or settings.user, force=force)
    if sys.stdin is not None and sys.stdin.isatty():
        requests = Questions(settings, checks).requests(common, for_staging, chosen)
    else:
        requests = complete_requests(common, for_staging, chosen or [*Target], settings)
    registrations = {target: checks.registration(request) for target, request in requests.items()}
    checks.print_findings(registrations.values())
    _show(Output(output), Bug({str(target): one for target, one in registrations.items()}))
    if write:
        _store(registrations, settings)
    return ExitCode.DONE


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
