"""`pulsekit tail`: show messages as they come, like Pulse Inspector, on a queue that disturbs nobody."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit.cli.exits import ExitCode
from pulsekit.cli.options import InsecureOption, UrlOption, connect, run, seconds
from pulsekit.cli.output import FormatOption, Output, clean, columns, note, warn
from pulsekit.cli.streams import Worker
from pulsekit.errors import DocumentError
from pulsekit.jobs import glance
from pulsekit.messages import decode_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pulsekit.bindings import Binding
    from pulsekit.cli.output import Cell
    from pulsekit.consumer import Consumer
    from pulsekit.messages import Gap, Message
    from pulsekit.pulse import Pulse
    from pulsekit.schemas import Schema

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit tail exchange/me/v1/jobs
pulsekit tail 'exchange/me/v1/jobs:treeherder.#' --schema pulse-job
pulsekit tail exchange/taskcluster-queue/v1/task-completed -n 10
pulsekit tail exchange/me/v1/jobs -o ndjson --idle 30s > jobs.ndjson
"""

_BATCH = 256  # messages written at once when they come faster than they are shown
_STYLES = ("key", "head", "dim")  # the words of a routing key, in turn
_RESULTS = {"success": "good", "fail": "bad", "exception": "bad"}
_KEY_MOST = 50  # columns up to which keys are aligned
_SYMBOL_WIDTH = 14


def command(
    bindings: Annotated[
        list[str], typer.Argument(metavar="EXCHANGE[:PATTERN]...", help="What to listen to.", show_default=False)
    ],
    count: Annotated[
        int | None, typer.Option("-n", "--count", min=1, help="End after so many messages.", show_default=False)
    ] = None,
    idle: Annotated[
        float | None,
        typer.Option(parser=seconds, metavar="DURATION", help="End when nothing came for so long."),
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--for", parser=seconds, metavar="DURATION", help="End after so long.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Show each payload whole.")] = False,
    schema: Annotated[
        str | None, typer.Option(metavar="NAME|PATH", help="Mark each message valid or not.", show_default=False)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for an exchange that does not exist yet.")] = False,
    output: FormatOption = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Show the messages of one or more exchanges as they come.

    The queue is tail's own and gone when it ends: nobody else gets a message less. A pattern without wildcards shows
    one key; without a pattern, everything is shown. In the shell, quote patterns: it expands '*' itself.
    """
    from pulsekit.bindings import Binding
    from pulsekit.names import check_exchange
    from pulsekit.schemas import load_schema
    from pulsekit.settings import load_settings

    pulse = connect(load_settings(), url, insecure=insecure, exchange=bindings[0].partition(":")[0])
    for text in bindings:
        check_exchange(text.partition(":")[0], pulse.user)
    tail = _Tail(
        pulse,
        [Binding.parse(text) for text in bindings],
        Output(output),
        count=count,
        idle=idle,
        duration=duration,
        full=full,
    )
    return run(tail.run(load_schema(schema) if schema else None, wait=wait))


class _Tail:
    """Take messages, show them, and acknowledge what was shown."""

    def __init__(
        self,
        pulse: Pulse,
        bindings: Sequence[Binding],
        output: Output,
        *,
        count: int | None,
        idle: float | None,
        duration: float | None,
        full: bool,
    ) -> None:
        self._pulse = pulse
        self._bindings = bindings
        self._output = output
        self._left = count
        self._idle = idle
        self._duration = duration
        self._full = full
        self._shown = 0
        self._marked = False
        self._key_width = 0
        exchanges = list(dict.fromkeys(binding.exchange for binding in bindings))
        self._exchange_width = max(len(name) for name in exchanges) if len(exchanges) > 1 else 0

    async def run(self, schema: Schema | None, *, wait: bool) -> int:
        self._marked = schema is not None
        async with (
            self._pulse as pulse,
            pulse.subscribe(*self._bindings, schema=schema, wait=wait, on_gap=_tell_gap) as messages,
        ):
            note(f"listening on {', '.join(map(str, self._bindings))}")
            began = time.monotonic()
            try:
                async with asyncio.timeout(self._duration):
                    await self._show(messages)
            except TimeoutError:
                pass
            finally:
                plural = "" if self._shown == 1 else "s"
                note(f"{self._shown} message{plural} in {time.monotonic() - began:.1f} s")
        return ExitCode.DONE

    async def _show(self, messages: Consumer) -> None:
        screen = Worker("write standard output")
        while self._left is None or self._left > 0:
            try:
                async with asyncio.timeout(self._idle):
                    batch = [await anext(messages)]
            except TimeoutError:
                return
            most = _BATCH if self._left is None else min(_BATCH, self._left)
            while len(batch) < most and (more := messages.take()) is not None:
                batch.append(more)
            await screen.call(lambda: self._write(batch))  # noqa: B023 - awaited before the next batch
            if self._left is not None:
                self._left -= len(batch)
            for message in batch:
                await message.ack()

    def _write(self, batch: Sequence[Message]) -> None:
        self._shown += len(batch)  # before they can be seen: Ctrl-C may follow the very moment they are
        try:
            for message in batch:
                if self._output.pretty:
                    self._line(message)
                else:
                    self._output.record(message.record())
            self._output.flush()
        except OSError:
            self._shown -= len(batch)
            raise

    def _line(self, message: Message) -> None:
        cells: list[Cell] = [(f"{message.received.astimezone():%H:%M:%S}", "dim"), "  "]
        if self._exchange_width:
            cells += [(message.exchange.ljust(self._exchange_width), "dim"), "  "]
        key = _key_cells(message)
        used = sum(columns(text) for text, _ in key)
        self._key_width = max(self._key_width, min(used, _KEY_MOST))  # only ever wider, so that nothing jumps
        cells += [*key, " " * (self._key_width - used), "  "]
        if self._marked:
            cells += [_verdict(message), "  "]
        cells += _summary(message)
        if not self._full:
            self._output.fitted(*cells)
            return
        self._output.line(*cells)
        for line in _whole(message):
            self._output.line(*line)


def _tell_gap(gap: Gap) -> None:
    lasted = (gap.end - gap.start).total_seconds()
    warn(f"the connection was lost for {lasted:.1f} s; messages of that time are not shown")


def _key_cells(message: Message) -> list[tuple[str, str]]:
    cells: list[tuple[str, str]] = []
    for number, word in enumerate(message.routing_key.split(".")):
        if number:
            cells.append((".", "dim"))
        cells.append((clean(word), _STYLES[number % len(_STYLES)]))
    if message.cc:
        cells.append((f" +{len(message.cc)} CC", "dim"))
    return cells


def _verdict(message: Message) -> tuple[str, str]:
    try:
        problems = message.problems
    except DocumentError:
        return "not JSON", "bad"
    return (f"invalid: {problems[0]}", "bad") if problems else ("valid", "good")


def _summary(message: Message) -> list[Cell]:
    try:
        payload = decode_body(message.body)
    except DocumentError:
        return [_text(message.body)]
    seen = glance(payload)
    if seen is None:
        return [message.body.decode()]
    return [
        (f"{seen.symbol:{_SYMBOL_WIDTH}} ", "head"),
        f"{seen.state:9} ",
        (f"{seen.result:10} ", _RESULTS.get(seen.result, "warn")),
        seen.name,
    ]


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"{len(body)} bytes that are not text"


def _whole(message: Message) -> Iterator[list[Cell]]:
    """Write the payload over several lines, its keys apart from its values."""
    import json
    import re

    try:
        payload = decode_body(message.body)
    except DocumentError:
        yield [_text(message.body)]
        return
    for line in json.dumps(payload, ensure_ascii=False, indent=2).split("\n"):
        match = re.match(r'(\s*)("(?:[^"\\]|\\.)*")(: )(.*)', line)
        yield [match[1], (match[2], "key"), (match[3], "dim"), match[4]] if match else [line]
