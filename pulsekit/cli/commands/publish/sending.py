"""What `publish` does when it sends: files read twice or a pipe as it comes, and every message accounted for."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from pulsekit.cli.commands.publish.lint_summary import LintSummary
from pulsekit.cli.commands.publish.plans import Files, Plan, Refused, print_problems
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.files import STDIN
from pulsekit.cli.input.payloads import read_pipe
from pulsekit.cli.output.output import Output, note
from pulsekit.cli.output.receipts import Receipts
from pulsekit.errors import ConfigurationError, DocumentError, InvalidPayload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from pulsekit._documents.document import Document
    from pulsekit.cli.commands.publish.plans import Message, Messages
    from pulsekit.publisher.publisher import Publisher
    from pulsekit.publisher.receipts import Receipt

__all__ = ["Sending"]


class Sending:
    """Send what files or a pipe hold, and account for every message."""

    def __init__(self, plan: Plan, out: Output, *, keep_going: bool) -> None:
        self._plan = plan
        self._receipts = Receipts(out)
        self._remarks = LintSummary()
        self._keep_going = keep_going
        self._again: Callable[[], Iterable[Messages | Refused]] = tuple
        self._stream: AsyncIterator[Document | DocumentError] | None = None
        # In the order of the input: a receipt of what was not sent, None for what was.
        self._order: deque[Receipt | None] = deque()
        self._stopped = False

    def read_files(self, names: list[str]) -> bool:
        """Validate files; return False when nothing may be sent.

        Raises:
            ConfigurationError: there is nothing in them.
            InvalidInput: one is not JSON, NDJSON or YAML.
            OSError: one cannot be read.
        """
        files = Files(names, self._plan)
        self._again = files.again
        return self._judge(files.judged(), ", ".join(names))

    async def read_pipe(self) -> bool:
        """Validate a pipe that has to be read whole; return False when nothing may be sent.

        Raises:
            ConfigurationError: there is nothing in it.
            InvalidInput: it is not JSON, NDJSON or YAML.
        """
        documents, self._stream = await read_pipe()
        if self._stream is not None:
            self._remarks = LintSummary(live=True)
            return True
        results = [self._plan.take(document) for document in documents]
        self._again = lambda: results
        return self._judge(results, STDIN)

    async def send(self, publisher: Publisher, window: int) -> None:
        """Publish, and show receipts in the order of the input as they come."""
        began = time.monotonic()
        receipts = self._receipts
        source = self._streamed(self._stream) if self._stream is not None else self._read_again()
        try:
            with receipts.progress("publishing") as advance:
                async for receipt in publisher.publish_many(source, window=window):
                    self._show_unsent()
                    self._order.popleft()
                    receipts.show(receipt)
                    advance()
                    if receipts.full:
                        await receipts.room()
                self._show_unsent()
        finally:
            try:
                await receipts.drain()
            finally:
                if self._stream is not None:
                    self._remarks.tell()
                if receipts.counts:
                    seconds = time.monotonic() - began
                    note(f"{receipts.summary()}, to {self._plan.exchange} in {seconds:.1f} s")
                if publisher.in_flight:
                    note(f"{publisher.in_flight} more were on their way, and may or may not have arrived")

    def status(self, *, require_route: bool) -> ExitCode:
        """Return the exit status for what became of the messages."""
        return ExitCode.NEGATIVE if self._stopped else self._receipts.status(require_route=require_route)

    def _judge(self, results: Iterable[Messages | Refused], source: str) -> bool:
        total = dropped = refused = messages = 0
        for result in results:
            total += 1
            if isinstance(result, Refused):
                refused += 1
                dropped += bool(result.lint)
                print_problems(result)
            else:
                messages += len(result)
                self._remarks.add(result.source, result.lint)
        if not total:
            raise ConfigurationError(f"nothing to publish: {source} is empty")
        self._remarks.tell()
        self._receipts.total = messages
        if refused and (not self._keep_going or refused == total):
            reasons = [f"{refused - dropped} of {total} invalid"] if refused > dropped else []
            if dropped:
                reasons.append(f"Treeherder would drop {dropped} of {total} (--force sends them all the same)")
            note(f"nothing was sent: {', '.join(reasons)}")
            return False
        return True

    def _read_again(self) -> Iterator[Message]:
        for result in self._again():
            if isinstance(result, Refused) and not self._keep_going:
                print_problems(result)  # it was changed since it was found to be valid
            yield from self._accept(result)

    async def _streamed(self, documents: AsyncIterator[Document | DocumentError]) -> AsyncIterator[Message]:
        async for document in documents:
            result = self._plan.take(document)
            if isinstance(result, Refused):
                print_problems(result)
                self._stopped = not self._keep_going
            else:
                self._remarks.add(result.source, result.lint)
            for message in self._accept(result):
                yield message
            if self._stopped:
                return

    def _accept(self, result: Messages | Refused) -> list[Message]:
        """Note down in which order receipts have to come."""
        if not isinstance(result, Refused):
            self._order.extend([None] * len(result))
            return result.messages
        from pulsekit._amqp.types import Outcome
        from pulsekit.publisher.receipts import Receipt

        error = result.error
        problems = error.problems if isinstance(error, InvalidPayload) else ()
        self._order.append(
            Receipt(0, "", self._plan.exchange, "", Outcome.INVALID, detail=str(error), problems=problems)
        )
        return []

    def _show_unsent(self) -> None:
        while self._order and (receipt := self._order[0]) is not None:
            self._order.popleft()
            self._receipts.show(receipt, told=True)
