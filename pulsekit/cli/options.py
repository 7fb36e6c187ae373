"""The options that two or more commands share. An option has the same letter and placeholder in all commands.

An option has the same help text in all commands, unless its effect depends on the command. The difference is then a
parameter of the function.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperOption

from pulsekit._config.target import Target
from pulsekit.bindings.rules import Rule
from pulsekit.cli.output.output import Format
from pulsekit.schemas.profiles import Profile

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ALLOWED_EMPTY",
    "AlsoOption", "BindingOption", "CountOption", "DestinationOption", "DryRunOption", "ExchangeOption", "FieldOption",
    "FilterOption", "FullOption", "InsecureOption", "OutputOption", "ProfileOption",
    "QueueOption", "QueueType", "QueueTypeOption", "QuietOption", "RegistrationOption", "RequireRouteOption",
    "RouteOption", "RuleOption", "SetOption", "TargetOption", "UnsetOption", "UrlOption",
    "WindowOption", "YesOption", "count_option", "duration", "every_option", "exchange_option", "force_option",
    "login_option", "output_option", "project_option", "refuse_empty", "repeatable", "routing_key_option",
    "save_option", "schema_option", "seconds", "timeout_option", "user_option",
]  # fmt: skip


class QueueType(StrEnum):
    """The types of a durable queue."""

    CLASSIC = "classic"
    QUORUM = "quorum"


_UNITS = {"ms": 0.001, None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """Return the seconds of a duration: `500ms`, `5s`, `2m`, `1h`, `7d`. The unit of a bare number is seconds.

    Raises:
        typer.BadParameter: Raised when the text is not a duration, or the duration is zero.
    """
    match = re.match(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?\Z", text.strip())
    if match is None or not float(match[1]):
        raise typer.BadParameter(f"{text!r} is not a duration such as 500ms, 5s, 2m, 1h or 7d")
    return float(match[1]) * _UNITS[match[2]]


class Kept(StrEnum):
    """The fields of records that are sent only with --also."""

    CC = "cc"
    BCC = "bcc"
    EXPIRATION = "expiration"
    REPLY_TO = "reply_to"


def repeatable(*names: str, metavar: str, help: str) -> Any:  # noqa: A002 - the name that typer uses
    """Return a repeatable option; `help` is a sentence."""
    return typer.Option(*names, metavar=metavar, help=f"{help.removesuffix('.')} (repeatable).")


def duration(*names: str, help: str) -> Any:  # noqa: A002 - the name that typer uses
    """Return an option whose value is a duration."""
    return typer.Option(*names, parser=seconds, metavar="DURATION", help=help)


def project_option(option: Callable[..., Any] = typer.Option) -> Any:
    """Return `--project`. Pass `repeatable` if the command accepts several."""
    return option(
        "-p", "--project", metavar="PROJECT", help="Project on Treeherder: autoland. For a registration: autoland._."
    )


def routing_key_option(option: Callable[..., Any] = typer.Option) -> Any:
    """Return `--routing-key`. Pass `repeatable` if the command accepts several."""
    return option("-k", "--routing-key", metavar="KEY", help="Routing key, such as treeherder.autoland._.")


def count_option(what: str = "messages", *, most: int | None = None) -> Any:
    """Return `--count`, with an optional upper limit. `what` names what the command counts."""
    return typer.Option("-n", "--count", min=1, max=most, metavar="N", help=f"Stop after N {what}.")


def force_option(effect: str) -> Any:
    """Return `--force`; `effect` is a sentence."""
    return typer.Option("--force", help=effect)


def save_option(what: str) -> Any:
    """Return `--save`. `what` names what the command saves."""
    return typer.Option("--save", metavar="FILE", help=f"Also save {what} to FILE.")


def output_option() -> Any:
    """Return `--output`. The type of the command's parameter determines the formats."""
    return typer.Option("-o", "--output", help="Output format. [default: pretty on a terminal, else ndjson]")


# In the following functions, `default` is the text for the default in the help.


def every_option(what: str, default: str | None = None) -> Any:
    """Return `--every`. `what` names what the command repeats."""
    return duration("--every", help=_with(f"Time between two {what}.", default))


def exchange_option(default: str) -> Any:
    """Return `--exchange`."""
    return typer.Option(
        "-e", "--exchange", metavar="NAME", help=_with("Exchange, such as exchange/me/v1/jobs.", default)
    )


def schema_option(default: str | None = None) -> Any:
    """Return `--schema`."""
    return typer.Option("--schema", metavar="NAME|PATH", help=_with("Schema to validate against.", default))


def timeout_option(default: str | None = None) -> Any:
    """Return `--timeout`."""
    return duration("--timeout", help=_with("Stop waiting for an answer after DURATION.", default))


def user_option(default: str | None = None) -> Any:
    """Return `--user`."""
    return typer.Option("--user", metavar="NAME", help=_with("User on Pulse or on the sandbox.", default))


# Keys, patterns and arguments of a program may be empty. The error for an empty expression has an example.
ALLOWED_EMPTY = ("KEY", "KEY...", "PATTERN", "EXPRESSION", "-- COMMAND...", "[-- COMMAND...]")


def refuse_empty(_: Any, param: Any, value: Any) -> Any:
    """Return the value of an option or argument. Refuse an empty text, which an unset shell variable causes.

    Raises:
        typer.BadParameter: Raised when the value, or one of several values, is empty.
    """
    if value == "" or (isinstance(value, list | tuple) and "" in value):
        raise typer.BadParameter("it is empty; is a variable of the shell not set?", param=param)
    return value


def login_option() -> TyperOption:
    """Return `--login`, which every command with `--url` has. Its value is stored in `login_name`."""

    def select(ctx: Any, param: Any, name: str | None) -> None:
        refuse_empty(ctx, param, name)
        if name is not None and not ctx.resilient_parsing:
            from pulsekit._config.settings import login_name  # imported late: few calls have this option

            token = login_name.set(name)
            ctx.call_on_close(lambda: login_name.reset(token))

    about = "Use a login of config.yml instead of PULSE_URL, see 'help configuration'."
    return TyperOption(
        param_decls=["--login"], type=str, metavar="NAME", help=about, callback=select, expose_value=False
    )


def _with(text: str, default: str | None) -> str:
    return text if default is None else f"{text} [default: {default}]"


# Options that select exchanges, bindings and messages.
ExchangeOption = Annotated[str | None, exchange_option("that of pulsekit.yml")]
BindingOption = Annotated[
    list[str] | None,
    repeatable("-b", "--binding", metavar="PATTERN", help="Binding pattern, such as 'treeherder.#'."),
]
FieldOption = Annotated[
    list[str] | None,
    repeatable(
        "--field",
        metavar="NAME=VALUE",
        help="Bind by a field of the routing key, such as schedulerId=gecko-level-3, see 'exchange show'.",
    ),
]
RouteOption = Annotated[
    list[str] | None,
    repeatable("--route", metavar="ROUTE", help="Bind by Taskcluster's CC key route.ROUTE."),
]
DestinationOption = Annotated[
    list[str] | None,
    repeatable("-d", "--destination", metavar="D", help="First word of the routing key, which is D.<project>._."),
]
TargetOption = Annotated[
    Target | None,
    typer.Option(
        metavar="TARGET", help=f"Use the exchange and destinations of a target in pulsekit.yml: {' or '.join(Target)}."
    ),
]
RegistrationOption = Annotated[
    list[str] | None,
    repeatable("--registration", metavar="FILE", help="Read registrations from FILE, or from stdin for -."),
]
RuleOption = Annotated[
    Rule | None,
    typer.Option(metavar="RULE", help=f"Expand registrations by this rule instead of their own: {', '.join(Rule)}."),
]
SetOption = Annotated[
    list[str] | None,
    repeatable("--set", metavar="PATH=VALUE", help="Set a field, such as state=running or timeStarted=now."),
]
UnsetOption = Annotated[
    list[str] | None,
    repeatable("--unset", metavar="PATH", help="Remove a field, such as result, before --set."),
]
FilterOption = Annotated[
    str | None,
    typer.Option("--filter", metavar="EXPRESSION", help="Select messages for which this JMESPath is true."),
]

# Options that change what a command does.
ProfileOption = Annotated[
    Profile,
    typer.Option(help="Check the form of dates and URIs (strict), or only what Treeherder checks (treeherder)."),
]
CountOption = Annotated[int | None, count_option()]
QueueOption = Annotated[
    str | None,
    typer.Option("--queue", metavar="NAME", help="Create a durable queue, or continue with it if it exists."),
]
QueueTypeOption = Annotated[
    QueueType | None,
    typer.Option(
        "--queue-type", metavar="TYPE", help="Type of --queue, classic or quorum. [default: that of the broker]"
    ),
]
WindowOption = Annotated[int, typer.Option(min=1, metavar="N", help="Number of unconfirmed messages in flight.")]
RequireRouteOption = Annotated[
    bool, typer.Option("--require-route", help="Exit with 3 if no queue is bound to a routing key.")
]
AlsoOption = Annotated[
    list[Kept] | None,
    repeatable("--also", metavar="FIELD", help="Also send this field of records: cc, bcc, expiration or reply_to."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")]
YesOption = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]

# Options that change the output.
OutputOption = Annotated[Format | None, output_option()]
FullOption = Annotated[bool, typer.Option("--full", help="Show each message in full.")]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing on stdout.")]

# Options that select the broker.
UrlOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Broker URL. It may contain a password only if the broker is on this machine. [default: PULSE_URL]",
    ),
]
InsecureOption = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Allow an unencrypted connection to another machine, which also sends the password unencrypted.",
    ),
]
