"""The views of received messages: rows, records, or a table of rates."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from datetime import UTC, datetime
from io import TextIOWrapper
from math import inf
from typing import TYPE_CHECKING, Protocol

from pulsekit.cli.output.output import clean, columns, console
from pulsekit.messages import Gap
from pulsekit.recordings.follow import Viewer
from pulsekit.recordings.worker import Worker
from pulsekit.records.record import dump_line, gap_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.live import Live
    from rich.table import Table

    from pulsekit.cli.output.output import Output
    from pulsekit.cli.output.rows import Rows
    from pulsekit.records.rates import Look, Rate
    from pulsekit.records.selection import SelectedMessage

__all__ = ["Meter", "Screen", "Sheet"]

_LEAST_ROWS = 3
_WIDE = 77  # columns; a narrower table does not show the prefix `exchange/`
_LEAST_TEXTS = 20  # minimum number of columns for exchange and key; if there are fewer, the last numbers are omitted
_GAP = 2  # columns between two columns of the table


class Screen(Viewer, Protocol):
    """A viewer that counts messages.

    Attributes:
        count: the number of messages shown.
        shows_gaps: whether the viewer shows gaps on a terminal, so that no warning on stderr is needed.
    """

    count: int
    shows_gaps: bool


class Sheet:
    """A `Screen` that shows one message per row or, if `rows` is None, writes one record per message."""

    due = inf  # nothing is due, because each message is shown when it arrives

    def __init__(self, output: Output, rows: Rows | None) -> None:
        self.count = 0
        self._output = output
        self.shows_gaps = rows is not None and sys.stdout.isatty()
        self._rows = rows
        self._gaps: deque[Gap] = deque()
        if rows is not None and isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=False)  # write many lines at once; each batch is flushed
        self._worker = Worker("write standard output")

    async def show(self, seen: Sequence[SelectedMessage]) -> None:
        """Show messages."""
        self.count += len(seen)  # before the output, because the user may press Ctrl-C when it appears
        gaps = self._take_gaps(seen)
        try:
            if self._rows is None:
                # Encode in this thread, because a worker thread would compete for the interpreter lock.
                parts = [_gap_line(one) if isinstance(one, Gap) else one.line() for one in _with_gaps(seen, gaps)]
                lines = b"".join(parts)
                await self._worker.call(lambda: self._output.lines(lines))
            else:
                await self._worker.call(lambda: self._write_rows(seen, gaps))
        except OSError:
            self.count -= len(seen)
            raise

    def gap(self, gap: Gap, *, at_once: bool) -> None:
        """Show a gap."""
        if not at_once:
            self._gaps.append(gap)
            return
        # Ignore a write error, because the next message raises the same error.
        self._worker.submit(lambda: self._write_gaps([gap])).add_done_callback(_forget)

    async def settle(self) -> None:
        """Do nothing, because nothing is due."""

    async def close(self) -> None:
        """Show the gaps after the last message."""
        gaps, self._gaps = list(self._gaps), deque()
        if gaps:
            await self._worker.call(lambda: self._write_gaps(gaps))

    def _take_gaps(self, seen: Sequence[SelectedMessage]) -> list[Gap]:
        gaps = []
        while self._gaps and seen and self._gaps[0].epoch <= seen[-1].message.epoch:
            gaps.append(self._gaps.popleft())
        return gaps

    def _write_rows(self, seen: Sequence[SelectedMessage], gaps: Sequence[Gap]) -> None:
        assert self._rows is not None
        for one in _with_gaps(seen, gaps):
            if isinstance(one, Gap):
                self._rows.gap(one)
            else:
                self._rows.write(one)
        self._output.flush()

    def _write_gaps(self, gaps: Sequence[Gap]) -> None:
        if self._rows is None:
            self._output.lines(b"".join(map(_gap_line, gaps)))
            return
        for gap in gaps:
            self._rows.gap(gap)
        self._output.flush()


class Meter:
    """A `Screen` that shows the rates of messages every few seconds, by the first words of their routing keys."""

    shows_gaps = False  # the table shows no gaps

    def __init__(self, output: Output, *, words: int, every: float) -> None:
        from pulsekit.records.rates import Rates

        self.count = 0
        # On a terminal, draw the table at once. A record describes an interval, so the first one is due after `every`.
        self.due = asyncio.get_running_loop().time() + (0 if output.pretty else every)
        self._output = output
        self._every = every
        self._rates = Rates(time.monotonic(), words=words)
        self._worker = Worker("write standard output")
        self._live: Live | None = None

    async def show(self, seen: Sequence[SelectedMessage]) -> None:
        """Count messages."""
        self.count += len(seen)
        for one in seen:
            message = one.message
            self._rates.add(message.exchange, message.routing_key, len(message.body))

    def gap(self, gap: Gap, *, at_once: bool) -> None:
        """Write a gap as a record. The table shows no gaps."""
        del at_once
        if not self._output.pretty:
            self._worker.submit(lambda: self._output.lines(_gap_line(gap))).add_done_callback(_forget)

    async def settle(self) -> None:
        """Show the rates if an update is due."""
        now = asyncio.get_running_loop().time()
        if now < self.due:
            return
        self.due = max(self.due + self._every, now)
        await self._show()

    async def close(self) -> None:
        """Show the rates for the last time, and restore the terminal."""
        try:
            await self._show()
        finally:
            if self._live is not None:
                await self._worker.call(self._live.stop)

    async def _show(self) -> None:
        look = self._rates.look(time.monotonic())
        if self._output.pretty:
            await self._worker.call(lambda: self._draw(look))
        else:
            line = f"{dump_line(_look_record(look))}\n".encode()
            await self._worker.call(lambda: self._output.lines(line))

    def _draw(self, look: Look) -> None:
        from rich.constrain import Constrain

        if self._live is None:
            from rich.live import Live

            # If stderr is the terminal, print messages above the table.
            talk = sys.stderr is not None and sys.stderr.isatty()
            self._live = Live(console=console(), auto_refresh=False, redirect_stdout=False, redirect_stderr=talk)
            self._live.start()
        terminal = self._live.console
        room = max(_LEAST_ROWS, terminal.size.height - 5) if terminal.is_terminal else len(look.rows)
        # The terminal echoes ^C after the table. Leave columns for it, or it would shift the next table.
        width = terminal.size.width - 3
        self._live.update(Constrain(_table(look, room, width), width), refresh=True)


def _table(look: Look, room: int, width: int) -> Table:
    """Return a table of at most `room` rows and `width` columns."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="head", footer_style="head", show_footer=True)
    shown = look.rows if len(look.rows) <= room else look.rows[: room - 1]
    exchanges = [clean(row.exchange).removeprefix("" if width >= _WIDE else "exchange/") for row in shown]
    keys = ["(others)" if row.prefix is None else clean(row.prefix) for row in shown]
    numbers = [(name, max(len(name), len(value(look))), value) for name, value in _NUMBERS]
    while (texts := width - sum(used + _GAP for _, used, _ in numbers) - _GAP) < _LEAST_TEXTS and len(numbers) > 1:
        numbers.pop()
    # Computed here, because rich would shrink the columns of numbers, and drop the last ones.
    widest = max(map(columns, ["exchange", *exchanges]))
    key_width = min(max(map(columns, ["key", *keys])), max(texts // 2, texts - widest))
    table.add_column("exchange", footer="all", no_wrap=True, max_width=texts - key_width)
    table.add_column("key", overflow="ellipsis", no_wrap=True, max_width=key_width)
    for name, used, value in numbers:
        table.add_column(name, footer=value(look), justify="right", no_wrap=True, min_width=used)
    for row, exchange, key in zip(shown, exchanges, keys, strict=True):
        prefix = Text(key, style="dim" if row.prefix is None else "key")
        table.add_row(_ending(exchange, texts - key_width), prefix, *(value(row) for _, _, value in numbers))
    if len(shown) < len(look.rows):
        table.add_row(Text(f"… and {len(look.rows) - len(shown):,} more", style="dim"))
    return table


def _ending(text: str, room: int) -> str:
    """Return as much of the end of a text as fits into `room` columns. Exchanges differ most in the last word."""
    if columns(text) <= room:
        return text
    while columns(text) >= room and text:
        text = text[1:]
    return f"…{text}"


def _megabytes(one: Look | Rate) -> str:
    return f"{one.size / 1e6:,.1f}"


# The heading of each number, and its text.
_NUMBERS: tuple[tuple[str, Callable[[Look | Rate], str]], ...] = (
    ("a second", lambda one: f"{one.rate:,.1f}"),
    ("messages", lambda one: f"{one.messages:,}"),
    ("MB", _megabytes),
)


def _look_record(look: Look) -> dict[str, object]:
    return {
        "v": 1,
        "type": "rate",
        "at": datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z",
        "seconds": round(look.seconds, 3),
        **_counts(look),
        "exchanges": [{"exchange": one.exchange, **_counts(one)} for one in look.exchanges],
        "prefixes": [{"exchange": one.exchange, "prefix": one.prefix, **_counts(one)} for one in look.rows],
    }


def _counts(one: Look | Rate) -> dict[str, object]:
    return {"messages": one.messages, "bytes": one.size, "rate": round(one.rate, 3)}


def _with_gaps(seen: Sequence[SelectedMessage], gaps: Sequence[Gap]) -> Iterator[SelectedMessage | Gap]:
    """Yield messages and gaps, each gap before the first message of its epoch."""
    left = deque(gaps)
    for one in seen:
        while left and left[0].epoch <= one.message.epoch:
            yield left.popleft()
        yield one


def _gap_line(gap: Gap) -> bytes:
    return f"{dump_line(gap_record(gap))}\n".encode()


def _forget(done: asyncio.Future[object]) -> None:
    if not done.cancelled():
        done.exception()
