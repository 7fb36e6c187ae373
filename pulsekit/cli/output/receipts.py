"""The receipts of published messages: show each one when it arrives, count them, and compute the exit code."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import aclosing, contextmanager, nullcontext
from shlex import quote
from typing import TYPE_CHECKING

from pulsekit._documents.ndjson import dump_line
from pulsekit._documents.suggestions import counted
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.output.output import Output, console, fail, note, warn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from contextlib import AbstractContextManager

    from rich.status import Status

    from pulsekit.publisher.receipts import Receipt

__all__ = ["Counting", "Receipts"]

_MANY = 50  # messages; on a terminal, more messages are counted instead of shown
_FRAME = 0.1  # seconds between two updates of the progress bar
_PATIENCE = 0.5  # seconds without progress on the screen
_EXPLAINED = {"invalid", "returned"}  # outcomes whose reason is printed as an error or a warning
_STYLES = {"confirmed": "good", "returned": "warn"}


class Receipts:
    """A view of receipts, which shows them in order and counts them.

    A thread writes the lines of NDJSON, so that they do not block the event loop.

    Args:
        out: the output, or None to show no receipts and no progress.
        total: the expected number of messages, or None if it is unknown.
        local: whether the broker is on this machine.

    Attributes:
        counts: the number of messages by outcome.
        total: the expected number of messages, or None if it is unknown.
        local: whether the broker is on this machine. It determines the advice for returned messages.
        blocked: whether the command was stopped while it waited for the reader of stdout. If so, receipts of published
            messages may be missing in `counts`.
    """

    def __init__(self, out: Output | None, *, total: int | None = None, local: bool = False) -> None:
        from pulsekit.cli.output.streams import Outlet  # imports asyncio, which help and completion do not need

        self.counts: Counter[str] = Counter()
        self.total = total
        self.local = local
        self.blocked = False
        self._out = out
        self._outlet = Outlet(out.lines) if out is not None else None
        self._index = 0
        self._returned: Receipt | None = None  # the first returned message, until the warning is printed
        self._one_key = True  # whether all returned messages have the same key

    def _show(self, receipt: Receipt, *, reported: bool) -> None:
        self.counts[receipt.outcome] += 1
        index, self._index = self._index, self._index + 1
        if receipt.outcome == "invalid" and not reported:
            fail(f"message {self._index}: {receipt.detail}")
        if receipt.outcome == "returned" and self.counts["returned"] == 1:
            self._returned = receipt
            if self.total is None:  # a stream may have many more messages
                self.warn_returned()
        elif receipt.outcome == "returned" and self._returned is not None and self._one_key:
            self._one_key = receipt.routing_key == self._returned.routing_key
        if self._out is None or self._outlet is None:
            return
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
        elif (index if self.total is None else self.total) < _MANY or not (reported or receipt.outcome in _STYLES):
            resent = "  (sent again)" if receipt.resent else ""
            detail = f"  ({receipt.detail})" if receipt.detail and receipt.outcome not in _EXPLAINED else ""
            style = _STYLES.get(receipt.outcome, "bad")
            self._out.line(
                (f"{receipt.outcome:9}", style), "  ", (receipt.routing_key, "key"), (resent + detail, "dim")
            )
        elif self.total is None and index == _MANY:
            self._out.flush()
            note("the next messages are counted; -o ndjson shows each receipt")

    async def show_all(self, receipts: AsyncGenerator[Receipt, None], doing: str) -> None:
        """Show each receipt when it arrives, or a progress bar if there are many. Then close the source and flush.

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
                        self._show(receipt, reported=refused)
                        if refused:
                            continue
                        if self.total is not None or self._index > _MANY:  # otherwise, each receipt is a line
                            advance()
                        if self._outlet is not None and self._outlet.full:
                            self.blocked = True
                            await self._outlet.room()
                            self.blocked = False
        finally:
            if self._out is not None and self._outlet is not None:
                await self._outlet.drain()
                self._out.flush()

    def summary(self) -> str:
        """Return the counts as text, or an empty text without receipts."""
        return ", ".join(f"{number:,} {outcome}" for outcome, number in self.counts.items())

    def warn_returned(self) -> bool:
        """If the broker discarded messages because no queue is bound, print a warning with advice, once.

        Return whether a warning was printed.
        """
        first, self._returned = self._returned, None
        if first is None:
            return False
        many = self.counts["returned"]
        key = repr(first.routing_key) if self._one_key else f"keys such as {first.routing_key!r}"
        what = counted(many, "message") if many > 1 else "the message"
        advice = (
            f"to receive messages, first run 'pulsekit tail {quote(first.exchange)}' in another terminal, "
            "or start the sandbox with --registration FILE"
            if self.local
            else f"'pulsekit match {quote(first.routing_key)}' compares a key with the registered bindings"
        )
        warn(f"no queue is bound to {key} on {first.exchange}, so the broker discarded {what}; {advice}")
        return True

    def status(self, *, require_route: bool) -> ExitCode:
        """Return the exit code for the outcomes. With `require_route`, a returned message is a failure."""
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
        if self._out is None or not sys.stderr.isatty() or (self.total or _MANY) < _MANY:
            return nullcontext(lambda: None)
        if self.total is None:
            return Counting(doing) if self._out.pretty else nullcontext(lambda: None)
        return _bar(doing, self.total)


class Counting:
    """A count on stderr within a `with` block, for example of validated payloads.

    The count is drawn on a terminal, after half a second, so that few payloads do not wait for the import of rich.
    """

    def __init__(self, words: str) -> None:
        self._words = words
        self._enabled = sys.stderr is not None and sys.stderr.isatty()
        self._due = time.monotonic() + _PATIENCE
        self._done = 0
        self._status: Status | None = None

    def __enter__(self) -> Callable[[], None]:
        return self._advance

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def _advance(self) -> None:
        self._done += 1
        if not self._enabled or (now := time.monotonic()) < self._due:
            return
        self._due = now + _FRAME
        words = f"{self._words} {self._done:,}"
        if self._status is None:
            self._status = console(stderr=True).status(words, spinner="line")
            self._status.start()
        self._status.update(words)


@contextmanager
def _bar(doing: str, total: int) -> Iterator[Callable[[], None]]:
    """Draw a progress bar on stderr, and yield the function to call for each message."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    done, due = 0, 0.0

    def advance() -> None:
        nonlocal done, due
        done += 1
        now = time.monotonic()
        if now >= due:  # more frequent updates are not visible, and take time
            due = now + _FRAME
            progress.update(task, completed=done)

    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task(doing, total=total)
        yield advance
