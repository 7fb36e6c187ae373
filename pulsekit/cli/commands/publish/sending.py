"""The sending part of `publish`: read files twice or stream a pipe, publish, and count each outcome."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pulsekit._documents.suggestions import counted
from pulsekit.cli.commands.publish.files import Files
from pulsekit.cli.commands.publish.lint_summary import LintSummary, print_problems
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.files import STDIN
from pulsekit.cli.input.payloads import read_pipe
from pulsekit.cli.output.output import Output, note
from pulsekit.cli.output.receipts import Receipts
from pulsekit.errors import ConfigurationError
from pulsekit.publisher.planning import RefusedPayload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from pulsekit._documents.document import Document
    from pulsekit.errors import DocumentError
    from pulsekit.publisher.planned import PlannedPublish
    from pulsekit.publisher.planning import PlannedMessages, PublishPlan
    from pulsekit.publisher.publisher import Publisher

__all__ = ["Sending"]


class Sending:
    """A sender of the payloads of files or a pipe, which counts each outcome."""

    def __init__(self, plan: PublishPlan, out: Output, *, keep_going: bool) -> None:
        self._plan = plan
        self._receipts = Receipts(out)
        self._summary = LintSummary()
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
        self._again = files.again
        return self._judge(files.judged(), ", ".join(names))

    async def read_pipe(self) -> bool:
        """Validate a pipe of JSON or YAML, or begin to stream a pipe of NDJSON. Return False if no message may be sent.

        Raises:
            ConfigurationError: Raised when the pipe has no payload.
            InvalidInput: Raised when the text is not JSON, NDJSON or YAML.
        """
        documents, self._stream = await read_pipe()
        if self._stream is not None:
            self._summary = LintSummary(live=True)
            return True
        results = [self._plan.take(document) for document in documents]
        self._again = lambda: results
        return self._judge(results, STDIN)

    async def send(self, publisher: Publisher, window: int) -> None:
        """Publish the messages, and show each receipt when it arrives, in the order of the input."""
        from pulsekit.publisher.planned import PlannedPublish

        began = time.monotonic()
        stream = self._stream
        # Skip payloads of files that became invalid after the validation. Stop a stream at the first invalid payload.
        self._planned = PlannedPublish(publisher, keep_going=self._keep_going or stream is None)
        results = self._read_again() if stream is None else self._streamed(stream)
        try:
            await self._receipts.show_all(self._planned.send(results, window=window), "publishing")
        finally:
            if stream is not None:
                self._summary.print_all()
            if summary := self._receipts.summary():
                note(f"{summary}, to {self._plan.exchange} in {time.monotonic() - began:.1f} s")
            if publisher.in_flight:
                note(f"{counted(publisher.in_flight, 'message')} had no confirm and may have arrived")

    def status(self, *, require_route: bool) -> ExitCode:
        """Return the exit code for the outcomes of the messages."""
        stopped = self._planned is not None and self._planned.stopped
        return ExitCode.NEGATIVE if stopped else self._receipts.status(require_route=require_route)

    def _judge(self, results: Iterable[PlannedMessages | RefusedPayload], source: str) -> bool:
        total = dropped = refused = judged = messages = 0
        for result in results:
            total += 1
            if isinstance(result, RefusedPayload):
                refused += 1
                judged += result.verdict is not None
                dropped += result.verdict is not None and not result.verdict.problems
                print_problems(result)
            else:
                messages += len(result)
                self._summary.add(result)
        if not total:
            raise ConfigurationError(f"nothing to publish: {source} is empty")
        self._summary.print_all()
        self._receipts.total = messages
        if refused and (not self._keep_going or refused == total):
            reasons = [f"{refused - dropped:,} of {total:,} invalid"] if refused > dropped else []
            if dropped:
                reasons.append(f"Treeherder would drop {dropped} of {total}")
            hint = " (--force publishes them)" if judged else ""
            note(f"nothing was sent: {', '.join(reasons)}{hint}")
            return False
        return True

    def _read_again(self) -> Iterator[PlannedMessages | RefusedPayload]:
        for result in self._again():
            if isinstance(result, RefusedPayload) and not self._keep_going:
                print_problems(result)  # the file changed after the validation
            yield result

    async def _streamed(
        self, documents: AsyncIterator[Document | DocumentError]
    ) -> AsyncIterator[PlannedMessages | RefusedPayload]:
        async for document in documents:
            result = self._plan.take(document)
            if isinstance(result, RefusedPayload):
                print_problems(result)
            else:
                self._summary.add(result)
            yield result
