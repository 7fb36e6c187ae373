"""`pulsekit inspector`: show messages in the browser."""

from __future__ import annotations

import signal
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit.cli.connection import connect, run
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.options import (
    BindingOption,
    FieldOption,
    InsecureOption,
    RegistrationOption,
    RouteOption,
    UrlOption,
    schema_option,
)
from pulsekit.cli.output.output import note
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit.bindings.registration import Binding
    from pulsekit.inspector import Reader, Source

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit inspector task-failed --open
pulsekit inspector 'exchange/me/v1/jobs:treeherder.#' exchange/you/v1/jobs
pulsekit inspector 'https://…/pulse-messages?bindings[0][exchange]=…'
pulsekit inspector jobs.ndjson.gz
"""

_RECORDINGS = (".ndjson", ".ndjson.gz", ".json")


def command(
    listen: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EXCHANGE[:PATTERN]|LINK|RECORDING]...",
            help="Exchanges, a link of Pulse Inspector, or one recording. By default, add bindings in the page.",
        ),
    ] = None,
    patterns: BindingOption = None,
    fields: FieldOption = None,
    routes: RouteOption = None,
    schema: Annotated[str | None, schema_option("that of the catalogue, and pulse-job for jobs")] = None,
    registration: RegistrationOption = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, metavar="PORT", help="Port; 0 for a free one."),
    ] = 0,
    opens: Annotated[bool, typer.Option("--open", help="Open the page in the default browser.")] = False,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Show messages in the browser, as they arrive or from a recording.

    The page is served on 127.0.0.1 until Ctrl-C. The command prints the address of the page, with a token that can be
    used once. The command uses a private temporary queue; other consumers are not affected. It stores the last 10,000
    messages, in at most 64 MiB.

    In the page, you can change the bindings at any time, and filter, pause and download messages. For each message, the
    page shows whether the message is valid, what Treeherder does with it, and which bindings match. The page also shows
    which bindings of --registration, or else of the configuration, would match.

    The page needs the extra 'inspector' of the package.
    """
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise ConfigurationError(
            "the page needs starlette and uvicorn: install the extra, pip install 'treeherder-pulsekit[inspector]'"
        )
    from pulsekit.inspector import LiveSource, RecordedSource

    texts = listen or []
    reader = _reader(schema, registration)
    if any(map(_is_recording, texts)):
        if len(texts) > 1 or patterns or fields or routes:
            raise ConfigurationError("a recording is shown alone: remove the other arguments and options")
        return run(_show(RecordedSource(texts[0]), reader, port, opens=opens), signals=(signal.SIGTERM, signal.SIGHUP))
    from pulsekit._config.settings import load_settings
    from pulsekit.cli.commands.tail.bindings import read_arguments
    from pulsekit.cli.commands.tail.command import virtual_host
    from pulsekit.cli.input.exchanges import warn_of_mistakes

    settings = load_settings()
    pulse = connect(settings, url, insecure=insecure, virtual_host=virtual_host(texts))
    if not texts and (patterns or fields or routes):
        raise ConfigurationError("--binding, --field and --route are for an exchange: add EXCHANGE")
    bindings = read_arguments(texts, patterns, fields, routes, pulse.user)
    warn_of_mistakes(bindings)

    async def show() -> int:
        async with pulse:
            if not bindings:
                await pulse.link()  # if the broker cannot be reached, the command fails
            return await _show(LiveSource(pulse, bindings), reader, port, opens=opens)

    return run(show(), signals=(signal.SIGTERM, signal.SIGHUP))


async def _show(source: Source, reader: Reader, port: int, *, opens: bool) -> int:
    from pulsekit.inspector import serve

    def on_address(address: str) -> None:
        typer.echo(address)
        note("the page is served until Ctrl-C; the address of the page works once")
        if opens:
            _open(address, folder)

    with tempfile.TemporaryDirectory(prefix="pulsekit-inspector-") as folder:
        async with source:
            await serve(source, reader=reader, port=port, on_address=on_address)
    return ExitCode.DONE


def _open(address: str, folder: str) -> None:
    """Open an address by a private file, because all users of this machine can read the arguments of a process."""
    import html
    import webbrowser

    page = Path(folder, "open.html")
    page.write_text(f'<meta http-equiv="refresh" content="0;url={html.escape(address)}">', encoding="utf-8")
    webbrowser.open(page.as_uri())


def _is_recording(text: str) -> bool:
    if text.startswith("exchange/") or "://" in text:
        return False
    return text.endswith(_RECORDINGS) or Path(text).is_file()


def _reader(schema: str | None, registration: list[str] | None) -> Reader:
    from pulsekit.bindings.registration import expand
    from pulsekit.cli.input.registrations import configured_registrations, registrations_from
    from pulsekit.inspector import Reader
    from pulsekit.schemas.schema import load_schema
    from pulsekit.treeherder.message_check import message_check

    receivers: list[tuple[str, Sequence[Binding]]]
    receivers = [(name, expand(registrations_from(name))) for name in registration or ()]
    if not registration:
        found, source = configured_registrations()
        receivers = [(source, expand(found))] if found else []
    return Reader(None if schema is None else message_check(load_schema(schema)), receivers)
