"""What became of messages: shown as it is known, counted, and told by the exit status."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING

from pulsekit._documents.ndjson import dump_line
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.output.output import Output, console, fail, warn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractContextManager

    from pulsekit.publisher.receipts import Receipt

__all__ = ["Receipts"]

_MANY = 50  # messages: from here on a progress bar tells more than lines do
_FRAME = 0.1  # seconds between two pictures of it
_STYLES = {"confirmed": "good", "returned": "warn"}


class Receipts:
    """Show receipts in the order in which they are given, and count them.

    Lines of NDJSON are written beside the event loop.

    Attributes:
        counts: how many messages had which outcome.
        total: how many messages are expected, if that is known.
    """

    def __init__(self, out: Output, *, total: int | None = None) -> None:
        from pulsekit.cli.output.streams import Outlet  # loads asyncio, which help and completion do without

        self.counts: Counter[str] = Counter()
        self.total = total
        self._out = out
        self._outlet = Outlet(out.lines)
        self._index = 0

    def _show(self, receipt: Receipt, *, told: bool) -> None:
        self.counts[receipt.outcome] += 1
        index, self._index = self._index, self._index + 1
        if receipt.outcome == "invalid" and not told:
            fail(f"message {self._index}: {receipt.detail}")
        if not self._out.pretty:
            line = {
                "index": index,
                "message_id": receipt.message_id,
                "routing_key": receipt.routing_key,
                "outcome": receipt.outcome,
                "resent": receipt.resent,
            }
            self._outlet.put(f"{dump_line(line)}\n".encode())
        elif self.total is None or self.total < _MANY or receipt.outcome not in _STYLES:
            resent = "  (sent again after a reconnect)" if receipt.resent else ""
            style = _STYLES.get(receipt.outcome, "bad")
            self._out.line((f"{receipt.outcome:9}", style), "  ", (receipt.routing_key, "key"), (resent, "dim"))
        if receipt.outcome == "returned" and self.counts["returned"] == 1:
            warn(f"nobody is bound to {receipt.routing_key!r} on {receipt.exchange}: the message is gone")

    async def show_all(self, receipts: AsyncGenerator[Receipt, None], doing: str) -> None:
        """Show receipts as they come, and a bar of many; however it ends, close their source and wait for the output.

        Args:
            receipts: those of payloads that were refused, which is said already, have an index below 0.
            doing: what the bar is of.

        Raises:
            OSError: something could not be written.
        """
        try:
            with self._progress(doing) as advance:
                async with aclosing(receipts):
                    async for receipt in receipts:
                        refused = receipt.index < 0
                        self._show(receipt, told=refused)
                        if refused:
                            continue
                        advance()
                        if self._outlet.full:
                            await self._outlet.room()
        finally:
            await self._outlet.drain()
            self._out.flush()

    def summary(self) -> str:
        """Return the counts in words, or nothing."""
        return ", ".join(f"{number} {outcome}" for outcome, number in self.counts.items())

    def status(self, *, require_route: bool) -> ExitCode:
        """Return the exit status for what became of the messages.

        Args:
            require_route: whether a key that nobody is bound to is a failure.
        """
        counts = self.counts
        sent = sum(counts.values()) - counts["invalid"]
        if counts["invalid"] and not sent:
            return ExitCode.NEGATIVE
        if counts["timeout"] and counts["timeout"] == sent:
            return ExitCode.NETWORK
        failed = counts["invalid"] + counts["refused"] + counts["unknown"] + counts["timeout"]
        if failed or (require_route and counts["returned"]):
            return ExitCode.PARTLY
        return ExitCode.DONE

    def _progress(self, doing: str) -> AbstractContextManager[Callable[[], None]]:
        """Return a context that gives a function to call for each message; on a terminal it draws a bar of many."""
        if self.total is None or self.total < _MANY or not sys.stderr.isatty():
            return nullcontext(lambda: None)
        return _Bar(doing, self.total)


class _Bar:
    """Draw a progress bar on stderr while the block lasts."""

    def __init__(self, doing: str, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn(doing),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task(doing, total=total)
        self._done = 0
        self._due = 0.0

    def __enter__(self) -> Callable[[], None]:
        self._progress.start()
        return self._advance

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _advance(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now >= self._due:  # nobody sees more than that
            self._due = now + _FRAME
            self._progress.update(self._task, completed=self._done)
