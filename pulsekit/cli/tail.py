"""`pulsekit tail`: show messages as they come, like Pulse Inspector, on a queue that disturbs nobody."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from io import TextIOWrapper
from math import inf
from typing import TYPE_CHECKING, Annotated

import typer

from pulsekit.cli.exits import ExitCode
from pulsekit.cli.options import InsecureOption, UrlOption, connect, run, seconds
from pulsekit.cli.output import FormatOption, Output, note, warn
from pulsekit.cli.streams import Worker
from pulsekit.cli.targets import TargetOption
from pulsekit.errors import ConfigurationError
from pulsekit.records import record_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit.bindings import Binding
    from pulsekit.cli.rows import Rows
    from pulsekit.cli.saving import Saving
    from pulsekit.consumer import Consumer
    from pulsekit.messages import Gap, Message
    from pulsekit.pulse import Pulse
    from pulsekit.schemas import Schema
    from pulsekit.settings import Settings

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit tail exchange/me/v1/jobs
pulsekit tail --target staging
pulsekit tail 'exchange/me/v1/jobs:treeherder.#' --schema pulse-job
pulsekit tail exchange/taskcluster-queue/v1/task-completed -n 10
pulsekit tail exchange/me/v1/jobs -o ndjson --idle 30s > jobs.ndjson
pulsekit tail exchange/me/v1/jobs --save jobs.ndjson.gz --for 1h
"""

_BATCH = 256  # messages written at once when they come faster than they are shown


def command(
    bindings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXCHANGE[:PATTERN]]...", help="What to listen to.", show_default=False),
    ] = None,
    target: TargetOption = None,
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
    save: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Record to a file.ndjson or file.ndjson.gz, too.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the recording that is there.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show nothing, only record.")] = False,
    output: FormatOption = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Show the messages of one or more exchanges as they come.

    The queue is tail's own and gone when it ends: nobody else gets a message less. A pattern without wildcards shows
    one key; without a pattern, everything is shown. In the shell, quote patterns: it expands '*' itself. Without
    EXCHANGE, it listens to the exchange and the destinations of pulsekit.yml.

    A recording has every body exactly, and is whole however tail ends. A message is acknowledged once the disk has it.
    """
    from pulsekit.bindings import Binding
    from pulsekit.names import check_exchange
    from pulsekit.schemas import load_schema
    from pulsekit.settings import load_settings

    if quiet and save is None:
        raise ConfigurationError("--quiet shows nothing: say with --save where to record")
    if bindings and target:
        raise ConfigurationError("--target says what to listen to: give it or EXCHANGE")
    settings = load_settings().at(target)
    bindings = bindings or _own(settings)
    pulse = connect(settings, url, insecure=insecure, exchange=bindings[0].partition(":")[0])
    for text in bindings:
        check_exchange(text.partition(":")[0], pulse.user)
    wanted = [Binding.parse(text) for text in bindings]
    saving = None
    if save is not None:
        from pulsekit.cli.saving import Saving, recorder_for

        saving = Saving(recorder_for(save, wanted, replace=force))
    tail = _Tail(
        pulse,
        wanted,
        None if quiet else _Screen(Output(output), wanted, marked=schema is not None, full=full),
        saving,
        count=count,
        idle=idle,
        duration=duration,
    )
    return run(tail.run(load_schema(schema) if schema else None, wait=wait), signals=(signal.SIGTERM, signal.SIGHUP))


def _own(settings: Settings) -> list[str]:
    """Return what a project listens to when nothing is named: its own exchange, at each of its destinations."""
    if settings.exchange is None:
        raise ConfigurationError(
            "no EXCHANGE: name one, as in 'pulsekit tail exchange/me/v1/jobs', or write it into pulsekit.yml"
        )
    return [f"{settings.exchange}:{destination}.#" for destination in settings.destinations] or [settings.exchange]


class _Tail:
    """Take messages, record and show them, and acknowledge what was recorded, or else what was shown."""

    def __init__(
        self,
        pulse: Pulse,
        bindings: Sequence[Binding],
        screen: _Screen | None,
        saving: Saving | None,
        *,
        count: int | None,
        idle: float | None,
        duration: float | None,
    ) -> None:
        self._pulse = pulse
        self._bindings = bindings
        self._screen = screen
        self._saving = saving
        self._left = count
        self._idle = idle
        self._duration = duration

    async def run(self, schema: Schema | None, *, wait: bool) -> int:
        from pulsekit.consumer import PREFETCH

        ahead = PREFETCH if self._saving is None else self._saving.ahead
        async with (
            self._pulse as pulse,
            pulse.subscribe(*self._bindings, prefetch=ahead, schema=schema, wait=wait, on_gap=self._on_gap) as messages,
        ):
            if self._saving is not None:
                await self._saving.open()
            note(f"listening on {', '.join(map(str, self._bindings))}")
            began = time.monotonic()
            try:
                async with asyncio.timeout(self._duration) as limit:
                    await self._follow(messages)
            except TimeoutError:
                if not limit.expired():
                    raise
            finally:
                try:
                    if self._saving is not None:
                        await self._saving.close()
                finally:
                    note(self._summary(time.monotonic() - began))
        return ExitCode.DONE

    async def _follow(self, messages: Consumer) -> None:
        while self._left is None or self._left > 0:
            batch = await self._next(messages)
            if not batch:
                return
            if self._saving is not None:
                await self._saving.write(batch)
            if self._screen is not None:
                await self._screen.show(batch)
            if self._left is not None:
                self._left -= len(batch)
            if self._saving is None:
                for message in batch:
                    await message.ack()

    async def _next(self, messages: Consumer) -> list[Message]:
        """Wait for messages, and meanwhile acknowledge what was recorded; none when they are too long in coming."""
        loop = asyncio.get_running_loop()
        end = inf if self._idle is None else loop.time() + self._idle
        while True:
            due = inf if self._saving is None else self._saving.due
            try:
                async with asyncio.timeout_at(None if end == due == inf else min(end, due)):
                    batch = [await anext(messages)]
            except TimeoutError:
                if loop.time() >= end:
                    return []
                assert self._saving is not None
                await self._saving.settle()
                continue
            most = _BATCH if self._left is None else min(_BATCH, self._left)
            while len(batch) < most and (more := messages.take()) is not None:
                batch.append(more)
            return batch

    def _on_gap(self, gap: Gap) -> None:
        lasted = (gap.end - gap.start).total_seconds()
        warn(f"the connection was lost for {lasted:.1f} s; messages of that time are not shown")
        if self._saving is not None:
            self._saving.gaps.append(gap)

    def _summary(self, seconds: float) -> str:
        words = []
        if self._screen is not None:
            words.append(f"{self._screen.count} message{'' if self._screen.count == 1 else 's'} in {seconds:.1f} s")
        if self._saving is not None:
            words.append(f"{self._saving.count} recorded in {self._saving.path}")
        return ", ".join(words)


class _Screen:
    """Show messages beside the event loop, however slowly they are read.

    Attributes:
        count: messages shown.
    """

    def __init__(self, output: Output, bindings: Sequence[Binding], *, marked: bool, full: bool) -> None:
        self.count = 0
        self._output = output
        self._rows: Rows | None = None
        if output.pretty:
            from pulsekit.cli.rows import Rows

            exchanges = list(dict.fromkeys(binding.exchange for binding in bindings))
            self._rows = Rows(output, exchanges, marked=marked, full=full)
            if isinstance(sys.stdout, TextIOWrapper):
                sys.stdout.reconfigure(line_buffering=False)  # many lines in one write; each batch is flushed
        self._worker = Worker("write standard output")

    async def show(self, batch: Sequence[Message]) -> None:
        self.count += len(batch)  # before they can be seen: Ctrl-C may follow the very moment they are
        try:
            if self._rows is None:
                # Not in the thread: it would compete with this one for the interpreter.
                lines = b"".join(map(record_line, batch))
                await self._worker.call(lambda: self._output.lines(lines))
            else:
                await self._worker.call(lambda: self._write_rows(batch))
        except OSError:
            self.count -= len(batch)
            raise

    def _write_rows(self, batch: Sequence[Message]) -> None:
        assert self._rows is not None
        for message in batch:
            self._rows.write(message)
        self._output.flush()
