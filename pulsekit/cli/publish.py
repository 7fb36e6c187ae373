"""`pulsekit publish`: validate everything, then publish with confirms, and say what became of each message."""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit.cli.exits import ExitCode
from pulsekit.cli.inputs import STDIN, is_piped
from pulsekit.cli.options import InsecureOption, UrlOption, connect, run, seconds
from pulsekit.cli.output import FormatOption, Output, console, fail, note, warn
from pulsekit.cli.payloads import read_pipe
from pulsekit.cli.plans import Files, Plan, Refused
from pulsekit.cli.streams import Outlet
from pulsekit.errors import ConfigurationError, DocumentError, InvalidPayload
from pulsekit.lines import dump_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from pulsekit.bindings import Binding
    from pulsekit.cli.plans import Messages
    from pulsekit.documents import Document
    from pulsekit.messages import Receipt
    from pulsekit.publisher import Draft, Publisher

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit publish job.yml --exchange exchange/me/v1/jobs -d treeherder
pulsekit publish jobs.ndjson --routing-key treeherder.autoland._
pulsekit publish job.json -d treeherder --dry-run
make-jobs | pulsekit publish -d treeherder --keep-going -o ndjson
"""

_MANY = 50  # messages: from here on a progress bar tells more than lines do
_FRAME = 0.1  # seconds between two pictures of it
_STYLES = {"confirmed": "good", "returned": "warn"}


def command(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="JSON, NDJSON or YAML; without one, a pipe.", show_default=False),
    ] = None,
    exchange: Annotated[
        str | None, typer.Option(metavar="NAME", help="Your exchange; it is declared.", show_default=False)
    ] = None,
    key: Annotated[
        str | None, typer.Option("-k", "--routing-key", metavar="KEY", help="One key for all.", show_default=False)
    ] = None,
    destinations: Annotated[
        list[str] | None,
        typer.Option(
            "-d", "--destination", metavar="D", help="Key D.<origin.project>._ (repeatable).", show_default=False
        ),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="What to validate against. [default: pulse-job]", show_default=False),
    ] = None,
    unchecked: Annotated[bool, typer.Option("--no-schema", help="Send without validating.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show keys and who takes them; send nothing.")] = False,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Leave out what is invalid, send the rest.")] = False,
    require_route: Annotated[
        bool, typer.Option("--require-route", help="Exit 3 when nobody is bound to a key.")
    ] = False,
    window: Annotated[int, typer.Option(min=1, metavar="N", help="How many may be unconfirmed at once.")] = 256,
    timeout: Annotated[
        float | None,
        typer.Option(
            parser=seconds, metavar="DURATION", help="For each message, reconnecting included. [default: 60s]"
        ),
    ] = None,
    output: FormatOption = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Validate jobs, then publish them with confirms.

    Files are validated whole before anything is sent; a pipe of NDJSON is sent as it comes, up to the first invalid
    line. A record of tail keeps its routing key unless one is given.
    """
    from pulsekit.schemas import load_schema
    from pulsekit.settings import load_settings

    if files == ["-"]:
        files = None
    if key is not None and destinations:
        raise ConfigurationError("give --routing-key or --destination, not both")
    if not files and not is_piped():
        raise ConfigurationError(
            "nothing to publish: name a file or pipe jobs in, as in "
            "'pulsekit publish job.yml --exchange exchange/me/v1/jobs --destination treeherder'"
        )
    settings = load_settings()
    pulse = None if dry_run else connect(settings, url, insecure=insecure, exchange=exchange or settings.exchange)
    plan = Plan(
        exchange=_checked(exchange or settings.exchange, pulse.user if pulse else None),
        key=key,
        destinations=tuple(destinations or ()),
        defaults=settings.destinations,
        schema=None if unchecked else load_schema(schema or settings.schema),
    )
    out = Output(output)
    if pulse is None:
        from pulsekit.bindings import expand

        return run(_dry_run(plan, files or [], expand(settings.registrations), out))
    from pulsekit.publisher import PUBLISH_TIMEOUT

    async def work() -> int:
        sending = _Sending(plan, out, keep_going=keep_going, require_route=require_route)
        if not await sending.prepare(files or []):
            return ExitCode.NEGATIVE
        async with pulse:
            publisher = pulse.publisher(plan.exchange, mandatory=True, timeout=timeout or PUBLISH_TIMEOUT)
            await sending.send(publisher, window)
        return sending.status()

    return run(work())


class _Sending:
    """Send what files or a pipe hold, and account for every message."""

    def __init__(self, plan: Plan, out: Output, *, keep_going: bool, require_route: bool) -> None:
        self._plan = plan
        self._out = out
        self._outlet = Outlet(out.lines)
        self._keep_going = keep_going
        self._require_route = require_route
        self._again: Callable[[], Iterable[Messages | Refused]] = tuple
        self._stream: AsyncIterator[Document | DocumentError] | None = None
        self._total: int | None = None
        self._counts: Counter[str] = Counter()
        # In the order of the input: a receipt of what was not sent, None for what was.
        self._order: deque[Receipt | None] = deque()
        self._index = 0
        self._stopped = False

    async def prepare(self, names: list[str]) -> bool:
        """Validate what can be read twice; return False when nothing may be sent.

        Raises:
            ConfigurationError: there is nothing in it.
            InvalidInput: a file is not JSON, NDJSON or YAML.
            OSError: a file cannot be read.
        """
        results: Iterable[Messages | Refused]
        if names:
            files = Files(names, self._plan)
            results, self._again = files.judged(), files.again
        else:
            documents, self._stream = await read_pipe()
            if self._stream is not None:
                return True
            results = kept = [self._plan.take(document) for document in documents]
            self._again = lambda: kept
        total = invalid = messages = 0
        for result in results:
            total += 1
            if isinstance(result, Refused):
                invalid += 1
                _tell(result)
            else:
                messages += len(result)
        if not total:
            raise ConfigurationError(f"nothing to publish: {', '.join(names) or STDIN} is empty")
        self._total = messages
        if invalid and (not self._keep_going or invalid == total):
            note(f"nothing was sent: {invalid} of {total} invalid")
            return False
        return True

    async def send(self, publisher: Publisher, window: int) -> None:
        """Publish, and show receipts in the order of the input as they come."""
        began = time.monotonic()
        source = self._streamed(self._stream) if self._stream is not None else self._read_again()
        try:
            with self._progress() as advance:
                async for receipt in publisher.publish_many(source, window=window):
                    self._show_unsent()
                    self._order.popleft()
                    if receipt.outcome == "invalid":  # AMQP cannot carry it, which only the publisher knows
                        fail(f"message {self._index + 1}: {receipt.detail}")
                    self._show(receipt)
                    advance()
                    if self._outlet.full:
                        await self._outlet.room()
                self._show_unsent()
        finally:
            try:
                await self._outlet.drain()
                self._out.flush()
            finally:
                if self._counts:
                    counted = ", ".join(f"{number} {outcome}" for outcome, number in self._counts.items())
                    note(f"{counted}, to {self._plan.exchange} in {time.monotonic() - began:.1f} s")

    def status(self) -> ExitCode:
        """Return the exit status for what became of the messages."""
        counts = self._counts
        sent = sum(counts.values()) - counts["invalid"]
        if self._stopped or (counts["invalid"] and not sent):
            return ExitCode.NEGATIVE
        if counts["timeout"] and counts["timeout"] == sent:
            return ExitCode.NETWORK
        failed = counts["invalid"] + counts["refused"] + counts["unknown"] + counts["timeout"]
        if failed or (self._require_route and counts["returned"]):
            return ExitCode.PARTLY
        return ExitCode.DONE

    def _read_again(self) -> Iterator[tuple[Any, str] | Draft]:
        for result in self._again():
            yield from self._accept(result)

    async def _streamed(
        self, documents: AsyncIterator[Document | DocumentError]
    ) -> AsyncIterator[tuple[Any, str] | Draft]:
        async for document in documents:
            result = self._plan.take(document)
            if isinstance(result, Refused):
                _tell(result)
                self._stopped = not self._keep_going
            for message in self._accept(result):
                yield message
            if self._stopped:
                return

    def _accept(self, result: Messages | Refused) -> Messages:
        """Note down in which order receipts have to come."""
        if not isinstance(result, Refused):
            self._order.extend([None] * len(result))
            return result
        from pulsekit.messages import Outcome, Receipt

        error = result.error
        problems = error.problems if isinstance(error, InvalidPayload) else ()
        self._order.append(
            Receipt(0, "", self._plan.exchange, "", Outcome.INVALID, detail=str(error), problems=problems)
        )
        return []

    def _show_unsent(self) -> None:
        while self._order and (receipt := self._order[0]) is not None:
            self._order.popleft()
            self._show(receipt)

    def _show(self, receipt: Receipt) -> None:
        self._counts[receipt.outcome] += 1
        index, self._index = self._index, self._index + 1
        if not self._out.pretty:
            line = {
                "index": index,
                "message_id": receipt.message_id,
                "routing_key": receipt.routing_key,
                "outcome": receipt.outcome,
                "resent": receipt.resent,
            }
            self._outlet.put(f"{dump_line(line)}\n".encode())
        elif self._total is None or self._total < _MANY or receipt.outcome not in _STYLES:
            resent = "  (sent again after a reconnect)" if receipt.resent else ""
            style = _STYLES.get(receipt.outcome, "bad")
            self._out.line((f"{receipt.outcome:9}", style), "  ", (receipt.routing_key, "key"), (resent, "dim"))
        if receipt.outcome == "returned" and self._counts["returned"] == 1:
            warn(f"nobody is bound to {receipt.routing_key!r} on {receipt.exchange}: the message is gone")

    def _progress(self) -> Any:
        """Return a context that gives a function to call for each message."""
        if self._total is None or self._total < _MANY or not sys.stderr.isatty():
            return nullcontext(lambda: None)
        return _bar(self._total)


async def _dry_run(plan: Plan, files: list[str], bindings: tuple[Binding, ...], out: Output) -> int:
    """Show for each message its key and which of the configured bindings would take it."""
    from pulsekit.payloads import encode_payload
    from pulsekit.routing import BindingTable

    table: BindingTable[str] = BindingTable()
    for binding in bindings:
        if binding.exchange == plan.exchange:
            table.add(binding.pattern, binding.pattern)
    if not len(table):
        note(f"no registration of {plan.exchange} is configured: who would take a key is not known")
    index = invalid = 0
    async for result in _every(plan, files):
        if isinstance(result, Refused):
            invalid += 1
            index += 1
            _tell(result)
            if not out.pretty:
                out.record({"index": index - 1, "valid": False, "routing_key": None, "bindings": []})
            continue
        for message in result:
            payload, key = message if isinstance(message, tuple) else (message.payload, message.routing_key)
            taken = table.matches(key)
            size = len(payload if isinstance(payload, bytes) else encode_payload(payload))
            if out.pretty:
                who = ", ".join(taken) if taken else "nobody" if len(table) else "?"
                out.line(("valid", "good"), "  ", (key, "key"), ("  →  ", "dim"), who, (f"  {size} bytes", "dim"))
            else:
                out.record(
                    {
                        "index": index,
                        "valid": True,
                        "exchange": plan.exchange,
                        "routing_key": key,
                        "size": size,
                        "bindings": taken,
                    }
                )
            index += 1
    out.flush()
    if not index:
        raise ConfigurationError(f"nothing to publish: {', '.join(files) or STDIN} is empty")
    note(f"{index - invalid} valid, {invalid} invalid, nothing sent (--dry-run)")
    return ExitCode.NEGATIVE if invalid else ExitCode.DONE


async def _every(plan: Plan, names: list[str]) -> AsyncIterator[Messages | Refused]:
    if names:
        for result in Files(names, plan).judged():
            yield result
        return
    documents, stream = await read_pipe()
    for document in documents:
        yield plan.take(document)
    if stream is not None:
        async for streamed in stream:
            yield plan.take(streamed)


def _tell(refused: Refused) -> None:
    """Say what is wrong with one payload, a line for each problem."""
    document, error = refused.document, refused.error
    if not isinstance(error, InvalidPayload) or isinstance(document, DocumentError):
        place = "" if isinstance(document, DocumentError) else f"{document.source}, payload {document.index + 1}: "
        fail(f"{place}{error}")
        return
    for problem in error.problems:
        place = ":".join(str(part) for part in (document.source, problem.line, problem.column) if part is not None)
        fail(f"{place}: {problem}")


def _checked(exchange: str | None, user: str | None) -> str:
    from pulsekit.names import check_exchange

    if exchange is None:
        raise ConfigurationError("no exchange: give --exchange exchange/<user>/<name>, or write it into pulsekit.yml")
    return check_exchange(exchange, user)


class _bar:  # noqa: N801 - used like the function it stands for
    """Draw a progress bar on stderr while the block lasts."""

    def __init__(self, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("publishing"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("publishing", total=total)
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
