"""`pulsekit replay`: publish a recording to an exchange, with the recorded intervals or faster."""

from __future__ import annotations

import signal
import time
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from math import inf
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit._documents.suggestions import counted
from pulsekit.cli.connection import locate, run
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.input.files import check_seekable
from pulsekit.cli.options import (
    AlsoOption,
    CountOption,
    DryRunOption,
    ExchangeOption,
    FilterOption,
    InsecureOption,
    OutputOption,
    RequireRouteOption,
    UrlOption,
    WindowOption,
    duration,
    every_option,
    repeatable,
    timeout_option,
)
from pulsekit.cli.output.output import Output, note, warn
from pulsekit.errors import ConfigurationError, DamagedRecording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulsekit.cli.output.receipts import Receipts
    from pulsekit.publisher.encoder import Draft
    from pulsekit.publisher.publisher import Publisher
    from pulsekit.recordings.replay import KeyMap
    from pulsekit.records.expressions import Filter
    from pulsekit.records.record import Record

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit replay jobs.ndjson.gz --exchange exchange/me/v1/jobs
pulsekit replay jobs.ndjson --speed 10 --max-gap 5s
pulsekit replay jobs.ndjson --speed max --key-map treeherder=staging
pulsekit replay jobs.ndjson --filter 'payload.tier == `1`' --dry-run
"""


def _speed(text: str) -> float:
    try:
        value = inf if text == "max" else float(text.removesuffix("x"))
    except ValueError:
        value = 0.0
    if not value > 0:
        raise typer.BadParameter(f"{text!r} is not a speed such as 2, 0.5 or max")
    return value


def command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A recording of tail --save.")],
    exchange: ExchangeOption = None,
    speed: Annotated[
        float | None,
        typer.Option(parser=_speed, metavar="N|max", help="Divide the intervals by N, or remove them. [default: 1]"),
    ] = None,
    max_gap: Annotated[float | None, duration("--max-gap", help="Limit the interval between two messages.")] = None,
    every: Annotated[float | None, every_option("messages")] = None,
    changes: Annotated[
        list[str] | None,
        repeatable("--key-map", metavar="OLD=NEW", help="Replace the first words OLD of routing keys with NEW."),
    ] = None,
    keep: AlsoOption = None,
    chosen: FilterOption = None,
    count: CountOption = None,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Send the messages before the damage in a damaged recording.")
    ] = False,
    dry_run: DryRunOption = False,
    require_route: RequireRouteOption = False,
    window: WindowOption = 256,
    timeout: Annotated[float | None, timeout_option("60s, for each message")] = None,
    output: OutputOption = None,
    url: UrlOption = None,
    insecure: InsecureOption = False,
) -> int:
    """Publish a recording with confirms and with its original intervals.

    Bodies, keys, headers and properties are those of the recording. CC and BCC keys, expiration and reply_to are sent
    only with --also, because these fields could lead to queues of other users. --key-map also changes CC and BCC keys.

    replay checks the complete file before it sends anything. It refuses a truncated, damaged or changed recording; with
    --salvage, it sends the messages before the damage. It also accepts NDJSON of tail, which has no digest to check.

    --every sends the messages at a constant interval. --dry-run shows when each message would be sent. replay declares
    the exchange.
    """
    from pulsekit._config.settings import load_settings
    from pulsekit.bindings.names import check_exchange
    from pulsekit.cli.output.receipts import Receipts
    from pulsekit.publisher.publisher import PUBLISH_TIMEOUT
    from pulsekit.pulse import Pulse
    from pulsekit.recordings.replay import KeyMap

    wanted = None
    if chosen is not None:
        from pulsekit.records.expressions import Filter

        wanted = Filter(chosen, name="--filter")
    if every is not None and (speed is not None or max_gap is not None):
        raise ConfigurationError("--every sets all intervals: remove --speed and --max-gap")
    if dry_run and require_route:
        raise ConfigurationError(
            "--dry-run cannot check --require-route: remove it; to compare the keys with registered bindings, run "
            f"'pulsekit bindings --keys {quote(file)}'"
        )
    settings = load_settings()
    name = exchange or settings.exchange
    if name is None:
        raise ConfigurationError("no exchange: add --exchange exchange/<user>/<name>, or set it in pulsekit.yml")
    broker = None if dry_run else locate(settings, url, insecure=insecure)
    check_exchange(name, broker.user if broker else None)
    recording = _Recording(
        file=file,
        rekey=KeyMap(changes or ()),
        keep=tuple(keep or ()),
        speed=speed or 1.0,
        max_gap=inf if max_gap is None else max_gap,
        pace=every,
        wanted=wanted,
        count=count,
        salvage=salvage,
    )
    out = Output(output)
    try:
        recording.check(out if dry_run else None)
    except KeyboardInterrupt:
        note("nothing was sent")
        raise
    if broker is None:
        out.flush()
        note(f"dry run: {recording.words()}; nothing was sent")
        return ExitCode.DONE

    async def work() -> int:
        async with Pulse(broker) as pulse:
            publisher = pulse.publisher(name, mandatory=True, timeout=timeout or PUBLISH_TIMEOUT)
            receipts = Receipts(out, total=recording.messages, local=broker.loopback)
            return await _send(recording, publisher, receipts, window=window, require_route=require_route)

    note(f"sending {recording.words()} to {name}")
    return run(work(), signals=(signal.SIGTERM, signal.SIGHUP))


@dataclass(kw_only=True, slots=True)
class _Recording:
    """A recording that is read twice: to check it, and to send it.

    Attributes:
        messages: the number of messages to send.
        recorded: seconds between the first and the last of these messages in the recording.
        planned: seconds between the first and the last of these messages in the replay.
    """

    file: str
    rekey: KeyMap
    keep: tuple[str, ...]
    speed: float
    max_gap: float
    pace: float | None
    wanted: Filter | None
    count: int | None
    salvage: bool
    messages: int = 0
    recorded: float = 0.0
    planned: float = 0.0

    def records(self) -> Iterator[Record]:
        """Yield the messages to send.

        Raises:
            DamagedRecording: Raised when the recording is damaged, unless `salvage` is set.
            OSError: Raised when the file cannot be read.
        """
        return islice(self._chosen(self._records()), self.count)

    def check(self, out: Output | None) -> None:
        """Read the complete recording. With an output, show each message with its time in the replay.

        Raises:
            ConfigurationError: Raised when there is no message to send, or the file is a pipe.
            DamagedRecording: Raised when the recording is damaged, unless `salvage` is set.
            OSError: Raised when the file cannot be read.
        """
        from pulsekit.cli.output.receipts import Counting
        from pulsekit.cli.output.recordings import DroppedFields
        from pulsekit.publisher.encoder import Draft, delivery_options
        from pulsekit.recordings.replay import mapped, schedule

        dropped = DroppedFields()
        check_seekable(self.file, reads_stdin=False)
        first = last = None
        records = self._records(report=True)
        chosen = islice(self._chosen(records), self.count)
        with Counting("read") if out is None else nullcontext(lambda: None) as advance:
            for due, record in schedule(chosen, speed=self.speed, max_gap=self.max_gap, pace=self.pace):
                advance()
                first = first or record.received
                last = record.received or last
                self.planned = due
                draft = mapped(Draft.from_record(record, keep=self.keep), self.rekey)
                left = {name: value for name, value in delivery_options(record).items() if name not in self.keep}
                dropped.add(left)
                if out is not None:
                    _show(out, self.messages, due, draft, left)
                self.messages += 1
            for _ in records:  # also check the messages after --count
                pass
        if self.wanted is not None and self.wanted.failures:
            failures = counted(self.wanted.failures, "message")
            warn(f"--filter failed for {failures}, which were skipped; the first error: {self.wanted.failure}")
        if not self.messages:
            for field in self.wanted.missing_fields if self.wanted is not None else ():
                warn(f"--filter: no message had the field {field}")
            which = " that matches --filter" if self.wanted is not None else ""
            raise ConfigurationError(f"nothing to replay: {self.file} has no message{which}")
        dropped.print_all()
        for old in self.rekey.unused:
            warn(f"--key-map: no key begins with {old!r}")
        if first is not None and last is not None:
            self.recorded = (last - first).total_seconds()

    def words(self) -> str:
        """Return the number of messages and the durations, as text."""
        planned = "as fast as possible" if self.speed == inf else f"in {self.planned:.1f} s"
        return f"{counted(self.messages, 'message')}, recorded in {self.recorded:.1f} s, {planned}"

    def _chosen(self, records: Iterator[Record]) -> Iterator[Record]:
        if self.wanted is None:
            return records
        from pulsekit.records.record import record_value

        matches = self.wanted.matches
        return (record for record in records if matches(record_value(record)))

    def _records(self, *, report: bool = False) -> Iterator[Record]:
        from pulsekit.recordings.reader import read_recording
        from pulsekit.records.record import Record

        try:
            for entry in read_recording(self.file):
                if isinstance(entry, Record):
                    yield entry
        except DamagedRecording as error:
            if not self.salvage:
                if report and error.count:
                    note("nothing was sent; add --salvage to send the messages before the damage")
                raise
            if report:
                warn(str(error))


async def _send(
    recording: _Recording, publisher: Publisher, receipts: Receipts, *, window: int, require_route: bool
) -> int:
    from pulsekit.recordings.replay import Replay

    replay = Replay(
        recording.records(),
        speed=recording.speed,
        max_gap=recording.max_gap,
        pace=recording.pace,
        rekey=recording.rekey,
        keep=recording.keep,
    )
    began = time.monotonic()
    try:
        await receipts.show_all(replay.send(publisher, window=window), "replaying")
    finally:
        outcomes = receipts.summary() or "nothing was sent"
        words = f"{outcomes}, to {publisher.exchange} in {time.monotonic() - began:.1f} s"
        if recording.speed != inf:
            words += f"; at most {replay.latest:.3f} s late, at the end {replay.late:.3f} s"
        note(words)
        if rest := recording.messages - receipts.counts.total():
            note(f"{counted(rest, 'message')} {'was' if rest == 1 else 'were'} not sent, or had no confirm")
        receipts.warn_returned()
    return receipts.status(require_route=require_route)


def _show(out: Output, index: int, due: float, draft: Draft, dropped: dict[str, Any]) -> None:
    from pulsekit._documents.payloads import encode_payload
    from pulsekit.cli.output.recordings import show_options
    from pulsekit.publisher.encoder import delivery_options

    size = len(draft.payload if isinstance(draft.payload, bytes) else encode_payload(draft.payload))
    key, options = draft.routing_key, delivery_options(draft)
    if out.pretty:
        out.line((f"{due:10.3f} s", "dim"), "  ", (key, "key"), (f"  {size:,} bytes", "dim"))
        show_options(out, 14, options, dropped)
    else:
        line = {"index": index, "due": round(due, 3), "routing_key": key, "size": size}
        out.record(line | {"options": options, "dropped": dropped})
