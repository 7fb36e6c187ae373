"""`pulsekit publish`: validate everything, then publish with confirms, and say what became of each message."""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit.cli.exits import ExitCode
from pulsekit.cli.inputs import STDIN, is_piped
from pulsekit.cli.options import InsecureOption, UrlOption, connect, run, seconds
from pulsekit.cli.output import FormatOption, Output, console, fail, note, warn
from pulsekit.cli.payloads import documents_in, read_pipe
from pulsekit.errors import ConfigurationError, DocumentError, InvalidInput, InvalidPayload
from pulsekit.jobs import routing_key
from pulsekit.records import is_aside, is_record, read_record
from pulsekit.topics import check_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from pulsekit.bindings import Binding
    from pulsekit.documents import Document
    from pulsekit.messages import Receipt
    from pulsekit.publisher import Draft, Publisher
    from pulsekit.schemas import Schema

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit publish job.yml --exchange exchange/me/v1/jobs -d treeherder
pulsekit publish jobs.ndjson --routing-key treeherder.autoland._
pulsekit publish job.json -d treeherder --dry-run
make-jobs | pulsekit publish -d treeherder --keep-going -o ndjson
"""

_MANY = 50  # messages: from here on a progress bar tells more than lines do
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
    plan = _Plan(
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


@dataclass(frozen=True, slots=True)
class _Plan:
    """Say what is sent where, and turn a payload into messages."""

    exchange: str
    key: str | None
    destinations: tuple[str, ...]
    defaults: tuple[str, ...]
    schema: Schema | None

    def drafts(self, document: Document | DocumentError) -> list[Draft]:
        """Return the messages of one payload.

        Raises:
            InvalidInput: it could not be read, is invalid, or has no key.
        """
        from pulsekit.publisher import Draft

        if isinstance(document, DocumentError):
            raise document
        value: Any = document.value
        if is_aside(value):
            return []
        if not is_record(value):
            self._check(document)
            return [Draft(value, key) for key in self._keys(value, None)]
        record = read_record(value)
        if self.schema is not None:
            if isinstance(record.content, bytes):
                self.schema.check(record.payload)
            else:
                self._check(document.child("payload"))
        keys = self._keys(record.content if not isinstance(record.content, bytes) else None, record.routing_key)
        # A user id that is not the one logged in closes the channel (406), and a recording is often somebody else's.
        properties = replace(record.properties, user_id=None)
        return [Draft(record.content, key, cc=record.cc, headers=record.headers, properties=properties) for key in keys]

    def _keys(self, payload: Any, own: str | None) -> list[str]:
        if self.key is not None:
            return [check_key(self.key)]
        if own is not None and not self.destinations:
            return [check_key(own)]
        targets = self.destinations or self.defaults
        if not targets:
            raise ConfigurationError(
                "no routing key: give --routing-key KEY or --destination D, or write destinations into pulsekit.yml"
            )
        return [check_key(routing_key(payload, target)) for target in targets]

    def _check(self, document: Document) -> None:
        if self.schema is not None:
            self.schema.check(document)


class _Sending:
    """Send what files or a pipe hold, and account for every message."""

    def __init__(self, plan: _Plan, out: Output, *, keep_going: bool, require_route: bool) -> None:
        self._plan = plan
        self._out = out
        self._keep_going = keep_going
        self._require_route = require_route
        self._again: Callable[[], Iterable[Document | DocumentError]] = tuple
        self._stream: AsyncIterator[Document | DocumentError] | None = None
        self._total: int | None = None
        self._counts: Counter[str] = Counter()
        # In the order of the input: a receipt of what was not sent, None for what was.
        self._order: deque[Receipt | None] = deque()
        self._index = 0
        self._stopped = False

    async def prepare(self, files: list[str]) -> bool:
        """Validate what can be read twice; return False when nothing may be sent.

        Raises:
            ConfigurationError: there is nothing in it.
            InvalidInput: a file is not JSON, NDJSON or YAML.
            OSError: a file cannot be read.
        """
        if files:
            self._again = lambda: _all_documents(files)
        else:
            documents, self._stream = await read_pipe()
            if self._stream is not None:
                return True
            self._again = lambda: documents
        total = invalid = messages = 0
        for document in self._again():
            total += 1
            try:
                messages += len(self._plan.drafts(document))
            except InvalidInput as error:
                invalid += 1
                _tell(document, error)
        if not total:
            raise ConfigurationError(f"nothing to publish: {', '.join(files) or STDIN} is empty")
        self._total = messages
        if invalid and (not self._keep_going or invalid == total):
            note(f"nothing was sent: {invalid} of {total} invalid")
            return False
        return True

    async def send(self, publisher: Publisher, window: int) -> None:
        """Publish, and show receipts in the order of the input as they come."""
        began = time.monotonic()
        source = self._streamed(self._stream) if self._stream is not None else self._checked()
        try:
            with self._progress() as advance:
                async for receipt in publisher.publish_many(source, window=window):
                    self._show_unsent()
                    self._order.popleft()
                    if receipt.outcome == "invalid":  # AMQP cannot carry it, which only the publisher knows
                        fail(f"message {self._index + 1}: {receipt.detail}")
                    self._show(receipt)
                    advance()
                self._show_unsent()
        finally:
            self._out.flush()
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

    def _checked(self) -> Iterator[Draft]:
        """Yield the messages of what was validated before; a file may have changed since."""
        for document in self._again():
            yield from self._drafts(document)

    async def _streamed(self, documents: AsyncIterator[Document | DocumentError]) -> AsyncIterator[Draft]:
        async for document in documents:
            for draft in self._drafts(document, tell=True):
                yield draft
            if self._stopped:
                return

    def _drafts(self, document: Document | DocumentError, *, tell: bool = False) -> list[Draft]:
        from pulsekit.messages import Outcome, Receipt

        try:
            drafts = self._plan.drafts(document)
        except InvalidInput as error:
            if tell:
                _tell(document, error)
                self._stopped = not self._keep_going
            problems = error.problems if isinstance(error, InvalidPayload) else ()
            self._order.append(
                Receipt(0, "", self._plan.exchange, "", Outcome.INVALID, detail=str(error), problems=problems)
            )
            return []
        self._order.extend([None] * len(drafts))
        return drafts

    def _show_unsent(self) -> None:
        while self._order and (receipt := self._order[0]) is not None:
            self._order.popleft()
            self._show(receipt)

    def _show(self, receipt: Receipt) -> None:
        self._counts[receipt.outcome] += 1
        index, self._index = self._index, self._index + 1
        if not self._out.pretty:
            self._out.record(
                {
                    "index": index,
                    "message_id": receipt.message_id,
                    "routing_key": receipt.routing_key,
                    "outcome": receipt.outcome,
                    "resent": receipt.resent,
                }
            )
            if self._stream is not None:
                self._out.flush()
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


async def _dry_run(plan: _Plan, files: list[str], bindings: tuple[Binding, ...], out: Output) -> int:
    """Show for each message its key and which of the configured bindings would take it."""
    from pulsekit.messages import encode_payload
    from pulsekit.routing import BindingTable

    table: BindingTable[str] = BindingTable()
    for binding in bindings:
        if binding.exchange == plan.exchange:
            table.add(binding.pattern, binding.pattern)
    if not len(table):
        note(f"no registration of {plan.exchange} is configured: who would take a key is not known")
    index = invalid = 0
    async for document in _every(files):
        try:
            drafts = plan.drafts(document)
        except InvalidInput as error:
            invalid += 1
            index += 1
            _tell(document, error)
            if not out.pretty:
                out.record({"index": index - 1, "valid": False, "routing_key": None, "bindings": []})
            continue
        for draft in drafts:
            taken = table.matches(draft.routing_key)
            size = len(draft.payload if isinstance(draft.payload, bytes) else encode_payload(draft.payload))
            if out.pretty:
                who = ", ".join(taken) if taken else "nobody" if len(table) else "?"
                out.line(
                    ("valid", "good"),
                    "  ",
                    (draft.routing_key, "key"),
                    ("  →  ", "dim"),
                    who,
                    (f"  {size} bytes", "dim"),
                )
            else:
                out.record(
                    {
                        "index": index,
                        "valid": True,
                        "exchange": plan.exchange,
                        "routing_key": draft.routing_key,
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


async def _every(files: list[str]) -> AsyncIterator[Document | DocumentError]:
    if files:
        for document in _all_documents(files):
            yield document
        return
    documents, stream = await read_pipe()
    for document in documents:
        yield document
    if stream is not None:
        async for streamed in stream:
            yield streamed


def _all_documents(files: list[str]) -> Iterator[Document | DocumentError]:
    for name in files:
        yield from documents_in(name)


def _tell(document: Document | DocumentError, error: InvalidInput) -> None:
    """Say what is wrong with one payload, a line for each problem."""
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

    def __enter__(self) -> Callable[[], None]:
        self._progress.start()
        return lambda: self._progress.advance(self._task)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
