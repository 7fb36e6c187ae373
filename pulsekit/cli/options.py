"""Options that several commands share, and the way from them to a broker."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit.cli.output import note
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pulsekit.pulse import Pulse
    from pulsekit.settings import Settings

__all__ = ["InsecureOption", "UrlOption", "connect", "run", "seconds"]

UrlOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The broker, without a password unless it is this machine; by default PULSE_URL decides.",
        show_default=False,
    ),
]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Allow clear text to another machine, password included.")
]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?\Z")
_UNITS = {"ms": 0.001, None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Read a duration: `500ms`, `5s`, `2m`, `1h`; a bare number is seconds.

    Raises:
        typer.BadParameter: it is none, or zero.
    """
    match = _DURATION.match(text.strip())
    if match is None or not float(match[1]):
        raise typer.BadParameter(f"{text!r} is not a duration such as 500ms, 5s, 2m or 1h")
    return float(match[1]) * _UNITS[match[2]]


def connect(settings: Settings, url: str | None, *, insecure: bool, exchange: str | None = None) -> Pulse:
    """Prepare the connection that flags, environment and configuration ask for.

    When they ask for none and this is no CI machine, a sandbox that runs here is used, and that is said.

    Args:
        settings: environment and configuration.
        url: the flag.
        insecure: the flag.
        exchange: what the command is about; its owner logs in on the sandbox.

    Raises:
        ConfigurationError: nothing is configured, or a password stands on the command line, where everybody on the
            machine can read it.
    """
    from pulsekit.names import owner
    from pulsekit.pulse import Pulse
    from pulsekit.settings import parse_url

    if url is not None and ":" in url.partition("://")[2].rpartition("@")[0] and not parse_url(url).loopback:
        raise ConfigurationError(
            "--url with a password can be read by everybody on this machine: put the password into PULSE_PASSWORD"
        )
    # The libraries below write warnings to stderr when nobody listens; what matters comes as an error of ours.
    for name in ("aiormq", "aio_pika"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    if url is None and not settings.names_a_broker and not settings.in_ci:
        from pulsekit.discovery import find_sandbox

        sandbox = find_sandbox(owner(exchange or "") or "me")
        if sandbox is not None:
            note(f"no broker is configured: using the sandbox on this machine, as {sandbox.user!r}")
            return Pulse(sandbox)
    return Pulse(settings.broker(url, insecure=insecure))


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run the asynchronous part of a command and return its exit status."""
    return asyncio.run(work)
