"""`pulsekit exchange`: list and show known exchanges; create, check and delete topic exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit._documents.suggestions import counted
from pulsekit.bindings.names import check_exchange
from pulsekit.cli.app import Command, Group
from pulsekit.cli.connection import connect_to, run
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.options import InsecureOption, OutputOption, TargetOption, UrlOption, force_option
from pulsekit.cli.output.output import Output, note
from pulsekit.errors import ConfigurationError, InvalidName

if TYPE_CHECKING:
    from pulsekit._config.target import Target
    from pulsekit.catalogue import KeyField

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit exchange list task-
pulsekit exchange show task-failed
pulsekit exchange show task-failed | jq .message_schema
pulsekit exchange create exchange/me/v1/jobs
pulsekit exchange check exchange/taskcluster-queue/v1/task-completed
pulsekit exchange delete exchange/me/v1/jobs
"""

command = typer.Typer(
    cls=Group, help="List and show known exchanges; create, check or delete a topic exchange.", add_completion=False
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="exchange/<user>/<name>")]


_NameOrConfigured = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="exchange/<user>/<name>. [default: that of pulsekit.yml]"),
]


@command.command("list", cls=Command)
def list_known(
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", help="Only exchanges with this text in name, alias, title or service."),
    ] = None,
    output: OutputOption = None,
) -> int:
    """List the exchanges of the catalogue. Every command accepts their short names.

    Exit code: 1 if no exchange has the text, else 0.
    """
    from pulsekit.catalogue import known_exchanges

    within = (text or "").casefold()
    found = [one for one in known_exchanges() if within in f"{one.name} {one.alias} {one.title}".casefold()]
    shown = Output(output)
    if not shown.pretty:
        for one in found:
            shown.record(one.record())
    elif found:
        for one in found:
            shown.wrapped((one.alias, "key"), "  ", one.title)
            shown.line("    ", (one.name, "dim"))
    if found:
        note(f"{counted(len(found), 'exchange')}; for the fields of an exchange, run 'pulsekit exchange show NAME'")
    else:
        note(f"no exchange of the catalogue has {text!r} in its name, alias, title or service")
    return ExitCode.DONE if found else ExitCode.NEGATIVE


@command.command(cls=Command)
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Full name, short name or alias of a known exchange.")],
    output: OutputOption = None,
) -> int:
    """Show a known exchange: the fields of its routing keys, its messages, and example commands.

    With '-o ndjson', message_schema is the JSON schema of its messages.
    """
    from pulsekit.catalogue import find_exchange, message_schema
    from pulsekit.catalogue.exchanges import nearest

    known = find_exchange(name)
    if known is None:
        raise InvalidName(name, "is not in the catalogue, see pulsekit exchange list", nearest(name))
    schema = message_schema(known.name)
    assert schema is not None
    root = schema.checked.root
    assert isinstance(root, dict)
    shown = Output(output)
    if not shown.pretty:
        shown.record(known.record() | {"examples": known.examples(), "message_schema": root})
        return ExitCode.DONE
    shown.line((known.name, "head"), "  ", (known.alias, "key"))
    shown.line(f"{known.title}.")
    shown.line()
    shown.wrapped("Routing key: ", (known.layout, "key"), dots=True)
    shown.table([[("  " + field.name, "key"), _about(field)] for field in known.fields])
    if known.routes:
        shown.line("Further keys: ", ("route.<route>", "key"))
    shown.line()
    required = root.get("required", [])
    optional = [member for member in root.get("properties", {}) if member not in required]
    shown.line(f"Message ({known.schema}):")
    shown.wrapped(f"  required {', '.join(required)}", hang=4)
    if optional:
        shown.wrapped(f"  optional {', '.join(optional)}", hang=4)
    shown.line()
    shown.line("Commands:")
    for example in known.examples():
        shown.wrapped(f"  {example}")
    shown.line()
    shown.line((f"As of {known.as_of}, {known.source}", "dim"))
    return ExitCode.DONE


def _about(field: KeyField) -> str:
    """Return the description of a field and of the values that it can have."""
    values = field.form_words if field.constant is None else ""
    more = [text for text, applies in (("may be _", field.optional), ("one word or more", field.many)) if applies]
    example = f"such as {field.example}" if field.example else ""
    return "; ".join(filter(None, [field.about, example, values, *more]))


@command.command(cls=Command)
def create(
    name: _NameOrConfigured = None, target: TargetOption = None, url: UrlOption = None, insecure: InsecureOption = False
) -> int:
    """Create your own exchange, durable and of type topic, as Pulse requires. An existing exchange is not changed."""
    return run(_create(_named(name, target), url, insecure))


@command.command(cls=Command)
def check(
    name: _NameOrConfigured = None, target: TargetOption = None, url: UrlOption = None, insecure: InsecureOption = False
) -> int:
    """Check whether an exchange of any user exists. Exit code: 0 if it exists, else 5."""
    from pulsekit.catalogue import full_name

    return run(_check(full_name(_named(name, target)), url, insecure))


@command.command(cls=Command)
def delete(
    name: _Name,
    force: Annotated[bool, force_option("Delete the exchange even if queues are bound to it.")] = False,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Delete your own exchange. If queues are bound to the exchange, --force is required."""
    return run(_delete(name, force, url, insecure))


async def _create(name: str, url: str | None, insecure: bool) -> int:
    async with connect_to(name, check_exchange, url, insecure=insecure) as pulse:
        await pulse.create_exchange(name)
    note(f"{name} exists, durable and of type topic")
    return ExitCode.DONE


async def _check(name: str, url: str | None, insecure: bool) -> int:
    async with connect_to(name, check_exchange, url, insecure=insecure) as pulse:
        if await pulse.exchange_exists(name):
            note(f"{name} exists")
            return ExitCode.DONE
    from pulsekit.catalogue.exchanges import misspelt

    near = misspelt(name)
    meant = (
        f"did you mean {near}?"
        if near
        else "check the spelling, the virtual host, and whether the owner has created the exchange"
    )
    note(f"{name} does not exist: {meant}")
    return ExitCode.REFUSED


async def _delete(name: str, force: bool, url: str | None, insecure: bool) -> int:
    async with connect_to(name, check_exchange, url, insecure=insecure) as pulse:
        existed = await pulse.exchange_exists(name)
        await pulse.delete_exchange(name, if_unused=not force)
    note(f"{name} was deleted" if existed else f"{name} did not exist")
    return ExitCode.DONE


def _named(name: str | None, target: Target | None) -> str:
    from pulsekit._config.settings import load_settings

    if name and target:
        raise ConfigurationError("--target selects the exchange, so it cannot be combined with NAME")
    exchange = name or load_settings().at(target).exchange
    if exchange is None:
        raise ConfigurationError("no NAME: give exchange/<user>/<name>, or set exchange in pulsekit.yml")
    return exchange
