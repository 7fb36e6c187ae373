"""The receipts of published messages: show each one when it arrives, count them, and compute the exit code."""

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

_MANY = 50  # messages; from this number on, show a progress bar instead of lines
_FRAME = 0.1  # seconds between two updates of the bar
_EXPLAINED = {"invalid", "returned"}  # outcomes whose reason is printed as an error or a warning
_STYLES = {"confirmed": "good", "returned": "warn"}


class Receipts:
    """A view of receipts, which shows them in order and counts them.

    A thread writes the lines of NDJSON, so that they do not block the event loop.

    Attributes:
        counts: the number of messages by outcome.
        total: the expected number of messages, or None if it is unknown.
    """

    def __init__(self, out: Output, *, total: int | None = None) -> None:
        from pulsekit.cli.output.streams import Outlet  # imports asyncio, which help and completion do not need

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
                "sent": receipt.sent,
                "detail": receipt.detail,
            }
            self._outlet.put(f"{dump_line(line)}\n".encode())
        elif self.total is None or self.total < _MANY or receipt.outcome not in _STYLES:
            resent = "  (sent again)" if receipt.resent else ""
            detail = f"  ({receipt.detail})" if receipt.detail and receipt.outcome not in _EXPLAINED else ""
            style = _STYLES.get(receipt.outcome, "bad")
            self._out.line(
                (f"{receipt.outcome:9}", style), "  ", (receipt.routing_key, "key"), (resent + detail, "dim")
            )
        if receipt.outcome == "returned" and self.counts["returned"] == 1:
            target = f"{receipt.routing_key!r} on {receipt.exchange}"
            warn(f"no queue is bound to {target}, so the broker discarded the message")

    async def show_all(self, receipts: AsyncGenerator[Receipt, None], doing: str) -> None:
        """Show each receipt when it arrives, or a progress bar for many. In the end, close the source and flush.

        Args:
            receipts: the receipts. An index below 0 marks a payload that was refused and is already reported.
            doing: the label of the progress bar.

        Raises:
            OSError: Raised when the output could not be written.
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
        """Return the counts as text, or an empty text if there are none."""
        return ", ".join(f"{number:,} {outcome}" for outcome, number in self.counts.items())

    def status(self, *, require_route: bool) -> ExitCode:
        """Return the exit code for the outcomes.

        Args:
            require_route: whether a returned message is a failure.
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
        """Return a context with a function to call for each message. On a terminal, draw a bar for many messages."""
        if self.total is None or self.total < _MANY or not sys.stderr.isatty():
            return nullcontext(lambda: None)
        return _Bar(doing, self.total)


class _Bar:
    """A progress bar on stderr within a `with` block."""

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
        if now >= self._due:  # more updates are not visible, and cost time
            self._due = now + _FRAME
            self._progress.update(self._task, completed=self._done)
