"""`pulsekit exchange`: create, check and delete topic exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit.bindings.names import check_exchange
from pulsekit.cli.app import Command, Group
from pulsekit.cli.connection import connect_to, run
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.options import ForceOption, InsecureOption, TargetOption, UrlOption
from pulsekit.cli.output.output import note
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from pulsekit._config.target import Target

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit exchange create exchange/me/v1/jobs
pulsekit exchange check exchange/taskcluster-queue/v1/task-completed
pulsekit exchange delete exchange/me/v1/jobs
"""

command = typer.Typer(cls=Group, help="Create, check or delete a topic exchange.", add_completion=False)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="exchange/<user>/<name>")]


_NameOrConfigured = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="exchange/<user>/<name>; else that of pulsekit.yml"),
]


@command.command(cls=Command)
def create(
    name: _NameOrConfigured = None, target: TargetOption = None, url: UrlOption = None, insecure: InsecureOption = False
) -> int:
    """Create your own exchange, durable and of type topic, as Pulse wants it. Again is fine."""
    return run(_create(_named(name, target), url, insecure))


@command.command(cls=Command)
def check(
    name: _NameOrConfigured = None, target: TargetOption = None, url: UrlOption = None, insecure: InsecureOption = False
) -> int:
    """Ask whether an exchange exists, whoever owns it. Exit status 0 or 5."""
    return run(_check(_named(name, target), url, insecure))


@command.command(cls=Command)
def delete(
    name: _Name,
    force: ForceOption = False,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Delete your own exchange; without --force, not while queues are bound to it."""
    return run(_delete(name, force, url, insecure))


async def _create(name: str, url: str | None, insecure: bool) -> int:
    async with connect_to(name, check_exchange, url, insecure=insecure) as pulse:
        await pulse.create_exchange(name)
    note(f"{name} is there")
    return ExitCode.DONE


async def _check(name: str, url: str | None, insecure: bool) -> int:
    async with connect_to(name, check_exchange, url, insecure=insecure) as pulse:
        if await pulse.exchange_exists(name):
            note(f"{name} exists")
            return ExitCode.DONE
    note(f"{name} does not exist: check the spelling, the virtual host, and whether its owner has created it")
    return ExitCode.REFUSED


async def _delete(name: str, force: bool, url: str | None, insecure: bool) -> int:
    async with connect_to(name, check_exchange, url, insecure=insecure) as pulse:
        existed = await pulse.exchange_exists(name)
        await pulse.delete_exchange(name, if_unused=not force)
    note(f"{name} is deleted" if existed else f"{name} did not exist")
    return ExitCode.DONE


def _named(name: str | None, target: Target | None) -> str:
    from pulsekit._config.settings import load_settings

    if name and target:
        raise ConfigurationError("--target says which exchange: give it or NAME")
    exchange = name or load_settings().at(target).exchange
    if exchange is None:
        raise ConfigurationError("no NAME: give exchange/<user>/<name>, or write the exchange into pulsekit.yml")
    return exchange
