"""The sending part of `publish`: read files twice or stream a pipe, publish, and count each outcome."""

from __future__ import annotations

import time
from contextlib import nullcontext
from itertools import islice
from typing import TYPE_CHECKING

from pulsekit._documents.suggestions import counted
from pulsekit.cli.commands.publish.files import Files
from pulsekit.cli.commands.publish.lint_summary import LintSummary, Refusals
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.files import STDIN
from pulsekit.cli.input.payloads import read_pipe
from pulsekit.cli.output.output import Output, note
from pulsekit.cli.output.receipts import Counting, Receipts
from pulsekit.cli.output.recordings import DroppedFields
from pulsekit.errors import ConfigurationError
from pulsekit.publisher.planning import RefusedPayload
from pulsekit.schemas.limits import watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from pulsekit._documents.document import Document
    from pulsekit.errors import DocumentError
    from pulsekit.publisher.planned import PlannedPublish
    from pulsekit.publisher.planning import PlannedMessages, PublishPlan
    from pulsekit.publisher.publisher import Publisher

__all__ = ["Sending"]

_GOOD = {"confirmed", "returned"}  # outcomes that --quiet does not show; a warning names returned messages


class Sending:
    """A sender of the payloads of files or a pipe, which counts each outcome.

    Args:
        plan: the plan.
        out: the output of receipts, or None to print only failures.
        keep_going: send the other payloads if some are refused.
        skip: the number of payloads at the beginning that are not sent.
    """

    def __init__(self, plan: PublishPlan, out: Output | None, *, keep_going: bool, skip: int = 0) -> None:
        self._plan = plan
        self._receipts = Receipts(out)
        self._quiet = out is None
        self._skip = skip
        self._summary = LintSummary(quiet=self._quiet)
        self._refusals = Refusals()
        self._dropped = DroppedFields()
        self._keep_going = keep_going
        self._again: Callable[[], Iterable[PlannedMessages | RefusedPayload]] = tuple
        self._stream: AsyncIterator[Document | DocumentError] | None = None
        self._planned: PlannedPublish | None = None

    def read_files(self, names: list[str]) -> bool:
        """Validate files. Return False if no message may be sent.

        Raises:
            ConfigurationError: Raised when the files have no payload.
            InvalidInput: Raised when a file is not JSON, NDJSON or YAML.
            OSError: Raised when a file cannot be read.
        """
        files = Files(names, self._plan)
        self._again = lambda: islice(files.again(), self._skip, None)
        try:
            with watched():
                return self._judge(files.judged(), ", ".join(names))
        except KeyboardInterrupt:
            note("nothing was sent")
            raise

    async def read_pipe(self) -> bool:
        """Validate a pipe of JSON or YAML, or begin to stream a pipe of NDJSON. Return False if no message may be sent.

        Raises:
            ConfigurationError: Raised when the pipe has no payload.
            InvalidInput: Raised when the text is not JSON, NDJSON or YAML.
        """
        documents, self._stream = await read_pipe()
        if self._stream is not None:
            self._summary = LintSummary(live=True, quiet=self._quiet)
            return True
        results = [result for document in documents if (result := self._plan.take(document))]
        self._again = lambda: results[self._skip :]
        return self._judge(results, STDIN)

    async def send(self, publisher: Publisher, window: int, *, local: bool) -> None:
        """Publish the messages, and show each receipt when it arrives, in the order of the input.

        If the command is stopped, print how many messages have no confirm, how many were not sent, and how to continue.

        Args:
            publisher: publishes the messages.
            window: the number of messages in flight.
            local: whether the broker is on this machine.

        Raises:
            ConfigurationError: Raised when the pipe has no payload.
        """
        from pulsekit.publisher.planned import PlannedPublish

        self._receipts.local = local
        began = time.monotonic()
        stream = self._stream
        # Skip payloads of files that became invalid after the validation. Stop a stream at the first invalid payload.
        self._planned = PlannedPublish(publisher, keep_going=self._keep_going or stream is None)
        results = self._read_again() if stream is None else self._streamed(stream)
        complete = False
        try:
            await self._receipts.show_all(self._planned.send(results, window=window), "publishing")
            complete = not self._planned.stopped
        finally:
            if stream is not None:
                self._refusals.end()
                self._summary.print_all()
                self._dropped.print_all()
            counts = self._receipts.counts
            # If a warning says that no queue received a message, no summary follows. --quiet prints no success.
            warned = self._receipts.warn_returned() and counts.keys() == {"returned"}
            if not complete or not (warned or (self._quiet and counts.keys() <= _GOOD)):
                note(f"{self._receipts.summary() or 'nothing was sent'}, to {self._plan.exchange} {_lasted(began)}")
            if not complete:
                self._print_rest(publisher, self._planned)

    def _print_rest(self, publisher: Publisher, planned: PlannedPublish) -> None:
        """Print how many messages have no confirm or were not sent, and how to continue."""
        pending = publisher.in_flight
        if pending:
            note(f"{counted(pending, 'message')} had no confirm and may have arrived")
        counts = self._receipts.counts
        if self._receipts.total is not None:
            rest = self._receipts.total - (counts.total() - counts["invalid"]) - pending
            if rest > 0:
                shown = ", or have no receipt in this output" if self._receipts.blocked else ""
                note(f"{counted(rest, 'message')} {'was' if rest == 1 else 'were'} not sent{shown}")
        if planned.finished:
            first = "has no receipt" if planned.resume == planned.finished else "was not confirmed"
            note(f"to continue with the first job that {first}, add --skip {self._skip + planned.resume}")

    def status(self, *, require_route: bool) -> ExitCode:
        """Return the exit code for the outcomes of the messages."""
        stopped = self._planned is not None and self._planned.stopped
        return ExitCode.NEGATIVE if stopped else self._receipts.status(require_route=require_route)

    def _judge(self, results: Iterable[PlannedMessages | RefusedPayload], source: str) -> bool:
        total = dropped = refused = judged = messages = 0
        with nullcontext(_nothing) if self._quiet else Counting("validated") as advance:
            for number, result in enumerate(results):
                advance()
                if number < self._skip:
                    continue
                total += 1
                if isinstance(result, RefusedPayload):
                    refused += 1
                    judged += result.verdict is not None
                    dropped += result.verdict is not None and not result.verdict.problems
                    self._refusals.add(result)
                else:
                    messages += len(result)
                    self._summary.add(result)
                    self._dropped.add(result.dropped)
        if not total:
            behind = f" after the first {counted(self._skip, 'job')}" if self._skip else ""
            raise ConfigurationError(f"nothing to publish: {source} is empty{behind}")
        self._refusals.end()
        self._summary.print_all()
        self._dropped.print_all()
        self._receipts.total = messages
        if refused and (not self._keep_going or refused == total):
            reasons = [f"{refused - dropped:,} of {total:,} invalid"] if refused > dropped else []
            if dropped:
                reasons.append(f"Treeherder would drop {dropped} of {total}")
            hint = " (--force publishes such jobs)" if judged else ""
            note(f"nothing was sent: {', '.join(reasons)}{hint}")
            return False
        return True

    def _read_again(self) -> Iterator[PlannedMessages | RefusedPayload]:
        for result in self._again():
            if isinstance(result, RefusedPayload) and not self._keep_going:
                self._refusals.add(result)  # the file changed after the validation
            yield result

    async def _streamed(
        self, documents: AsyncIterator[Document | DocumentError]
    ) -> AsyncIterator[PlannedMessages | RefusedPayload]:
        number = 0
        async for document in documents:
            result = self._plan.take(document)
            if not result:  # the header, a gap or the trailer of a recording
                continue
            number += 1
            if number <= self._skip:
                continue
            if isinstance(result, RefusedPayload):
                self._refusals.add(result)
            else:
                self._summary.add(result)
                self._dropped.add(result.dropped)
            yield result
        if not number:
            raise ConfigurationError(f"nothing to publish: {STDIN} is empty")


def _nothing() -> None: ...


def _lasted(began: float) -> str:
    return f"in {time.monotonic() - began:.1f} s"
