"""The text view of a message: one line, and on request the complete payload below."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from enum import StrEnum
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.types import Properties
from pulsekit._documents.nesting import is_deeper
from pulsekit.cli.output.output import clean, columns
from pulsekit.cli.output.theme import STATUSES, status_style
from pulsekit.errors import InvalidMessage
from pulsekit.messages import CC
from pulsekit.records.selection import NOT_JSON
from pulsekit.treeherder import summarize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pulsekit.cli.output.output import Cell, Output
    from pulsekit.messages import Gap, Message
    from pulsekit.records.selection import SelectedMessage
    from pulsekit.treeherder import JobSummary

__all__ = ["DEEPEST", "MOST_LAID_OUT", "Notation", "Rows", "gap_words"]

_STYLES = ("key", "head", "dim")  # styles of the words of a routing key, in rotation
_KEY_MOST = 50  # columns; longer keys are not aligned
_STATUS_WIDTH = max(map(len, STATUSES))
_SYMBOL_WIDTHS = (8, 14)  # minimum and maximum of the columns in which symbols are aligned
MOST_LAID_OUT = 256 * 1024  # bytes of the largest body that is shown over several lines
DEEPEST = 40  # levels of the deepest payload that is shown over several lines
_WIDE = 80  # columns; a narrower terminal does not show sizes and the prefix `exchange/`
_MARK_WIDTH = len("no schema")
_BESIDE_NAME = 60  # columns that the row of a job needs besides its name
_NAME_WIDTHS = (16, 64)  # minimum and maximum of the columns in which names of jobs are aligned
_FACT_WIDTH = 16  # characters of the longest name, content_encoding


class Notation(StrEnum):
    """The notation of a payload that is shown over several lines."""

    JSON = "json"
    YAML = "yaml"


class Rows:
    """A writer of messages, one per row. A column widens for a longer value, and never narrows.

    The row of a job begins with its result, symbol and name, so that a narrow terminal does not truncate these. The
    routing key, exchange and size follow. The row of any other message begins with exchange and key, and ends with the
    payload.

    Args:
        output: the output.
        exchanges: the exchanges of the subscription. If there is exactly one, rows do not show the exchange.
        marked: show whether each message is valid.
        explained: show on the next lines which binding matched the message, and why.
        full: show properties, headers and payload on the next lines.
        notation: the notation of the payload.
    """

    def __init__(
        self,
        output: Output,
        exchanges: Sequence[str],
        *,
        marked: bool = False,
        explained: bool = False,
        full: bool = False,
        notation: Notation = Notation.JSON,
    ) -> None:
        self._output = output
        terminal = get_terminal_size().columns
        self._wide = terminal >= _WIDE
        self._name_most = min(max(_NAME_WIDTHS[0], terminal - _BESIDE_NAME), _NAME_WIDTHS[1])
        self._named = len(exchanges) != 1
        self._exchange_width = max((len(self._exchange(name)) for name in exchanges), default=0)
        self._key_width = 0
        self._symbol_width = _SYMBOL_WIDTHS[0]
        self._name_width = 0
        self._marked = marked
        self._explained = explained
        self._full = full
        self._notation = notation

    def write(self, seen: SelectedMessage) -> None:
        """Write one message."""
        job = None if seen.answer is not None or seen.payload is NOT_JSON else summarize(seen.payload)
        cells: list[Cell] = [(f"{seen.message.received.astimezone():%H:%M:%S}", "dim"), "  "]
        cells += self._other(seen) if job is None else self._job(seen, job)
        self._output.fitted(*cells)
        if self._full or self._explained:
            self._below(seen)

    def _job(self, seen: SelectedMessage, job: JobSummary) -> list[Cell]:
        status = (f"{job.status:{_STATUS_WIDTH}} ", status_style(job.status))
        used = columns(clean(job.symbol))
        self._symbol_width = max(self._symbol_width, min(used, _SYMBOL_WIDTHS[1]))
        cells: list[Cell] = [status, (job.symbol, "head"), " " * max(1, self._symbol_width - used + 1)]
        if self._marked:
            cells += [_mark(seen), " ", *self._problem(seen)]
        used = columns(clean(job.name))
        self._name_width = max(self._name_width, min(used, self._name_most))
        key, padding = self._key(seen.message)
        cells += [job.name, " " * (self._name_width - used), "  ", *key, padding]
        if self._named:
            cells += ["  ", self._exchange_cell(seen.message)]
        return [*cells, "  ", self._size_cell(seen.message)] if self._wide else cells

    def _other(self, seen: SelectedMessage) -> list[Cell]:
        cells: list[Cell] = [self._exchange_cell(seen.message), "  "] if self._named else []
        key, padding = self._key(seen.message)
        cells += [*key, padding, "  "]
        if self._wide:
            cells += [self._size_cell(seen.message), "  "]
        if self._marked:
            cells += [_mark(seen), " ", *self._problem(seen)]
        return [*cells, _flat(seen)]

    @staticmethod
    def _problem(seen: SelectedMessage) -> list[Cell]:
        return [(seen.problem, "bad"), "  "] if seen.problem else []

    def _key(self, message: Message) -> tuple[list[tuple[str, str]], str]:
        """Return the cells of the routing key, and the padding after it."""
        key = _key_cells(message)
        used = sum(columns(text) for text, _ in key)
        self._key_width = max(self._key_width, min(used, _KEY_MOST))
        return key, " " * (self._key_width - used)

    def _exchange_cell(self, message: Message) -> Cell:
        exchange = self._exchange(message.exchange)
        self._exchange_width = max(self._exchange_width, len(exchange))
        return exchange.ljust(self._exchange_width), "dim"

    def _size_cell(self, message: Message) -> Cell:
        return f"{_size(len(message.body)):>7}", "dim"

    def gap(self, gap: Gap) -> None:
        """Write a gap of the subscription."""
        self._output.fitted((f"{gap.end.astimezone():%H:%M:%S}", "dim"), "  ", (f"-- {gap_words(gap)} --", "warn"))

    def _exchange(self, name: str) -> str:
        return name if self._wide else name.removeprefix("exchange/")

    def _below(self, seen: SelectedMessage) -> None:
        width = _FACT_WIDTH if self._full else 0
        for name, text, style in _facts(seen) if self._full else _origin(seen):
            self._output.line("    ", (f"{name:{width}} ", "dim"), (text, style) if style else text)
        if not self._full:
            return
        payload = seen.payload if seen.answer is None else json.loads(seen.answer)
        # On several lines, large payloads are unreadable, and so are deeply nested payloads.
        if payload is NOT_JSON or len(seen.message.body) > MOST_LAID_OUT or is_deeper(payload, DEEPEST):
            self._output.line(_flat(seen))
            return
        for line in _json_lines(payload) if self._notation is Notation.JSON else _yaml_lines(payload):
            self._output.line(*line)


def _mark(seen: SelectedMessage) -> Cell:
    if seen.valid is None:
        return f"{'no schema':{_MARK_WIDTH}}", "dim"
    return (f"{'invalid:':{_MARK_WIDTH}}", "bad") if seen.problem else (f"{'valid':{_MARK_WIDTH}}", "good")


def gap_words(gap: Gap) -> str:
    """Return the duration of a gap and its consequence for messages, as text."""
    lasted = (gap.end - gap.start).total_seconds()
    if gap.created:
        outage = f"the connection was lost for {lasted:.1f} s; " if lasted else ""
        return f"{outage}the queue did not exist and was created: if it existed before, its messages are lost"
    lost = "messages of that time are not shown" if gap.lossy else "its queue kept the messages of that time"
    return f"the connection was lost for {lasted:.1f} s; {lost}"


def _origin(seen: SelectedMessage) -> Iterator[tuple[str, str, str]]:
    reasons = seen.reasons
    for reason in reasons:
        by = "" if reason.key == seen.message.routing_key else f" for its CC key {reason.key}"
        yield "binding", f"{reason.binding}  ({reason.words}{by})", ""
    if not reasons and seen.listens:
        yield "binding", "none of these: a BCC key matched, or a binding that the queue had before", "warn"


def _facts(seen: SelectedMessage) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the text and the style of each property of a message, except its payload."""
    message = seen.message
    yield "exchange", message.exchange, ""
    yield "key", message.routing_key, "key"
    yield from ((f"  {name}", value, "") for name, value in message.key.items())
    yield from _origin(seen)
    yield "received", message.received.astimezone().isoformat(sep=" ", timespec="milliseconds"), ""
    yield "size", f"{len(message.body):,} bytes", ""
    yield "redelivered", "yes" if message.redelivered else "no", "warn" if message.redelivered else ""
    try:
        cc, headers, properties = message.cc, message.headers, message.properties
    except InvalidMessage as error:
        yield "headers", str(error), "bad"
    else:
        for key in cc:
            yield "cc", key, "key"
        for item in fields(Properties):
            value = getattr(properties, item.name)
            if value is not None:
                yield item.name, str(value), ""
        for name, value in headers.items():
            if name == CC:
                continue
            yield "header", f"{name}: {value if isinstance(value, str) else repr(value)}", ""
    if seen.envelope is not None:
        yield "_meta", json.dumps(seen.envelope, ensure_ascii=False), ""


def _key_cells(message: Message) -> list[tuple[str, str]]:
    cells: list[tuple[str, str]] = []
    for number, word in enumerate(message.routing_key.split(".")):
        if number:
            cells.append((".", "dim"))
        cells.append((clean(word), _STYLES[number % len(_STYLES)]))
    try:
        further = len(message.cc)
    except InvalidMessage:
        cells.append((" unreadable headers", "bad"))
    else:
        if further:
            cells.append((f" +{further} CC", "dim"))
    if message.redelivered:
        cells.append((" again", "warn"))
    return cells


def _size(size: float) -> str:
    if size < 1000:
        return f"{size} B"
    number, unit = (size / 1000, "kB") if size < 1_000_000 else (size / 1_000_000, "MB")
    return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"


def _flat(seen: SelectedMessage) -> str:
    """Return the text of a message for one line."""
    if seen.answer is not None:
        return seen.answer
    if seen.envelope is not None:
        return json.dumps(seen.payload, ensure_ascii=False)
    body = seen.message.body
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"{len(body)} bytes that are not text"


def _json_lines(payload: Any) -> Iterator[list[Cell]]:
    """Yield the lines of a payload as JSON, with its keys in colour."""
    for line in json.dumps(payload, ensure_ascii=False, indent=2).split("\n"):
        match = re.match(r'(\s*)("(?:[^"\\]++|\\.)*+")(: )(.*)', line)
        yield [match[1], (match[2], "key"), (match[3], "dim"), match[4]] if match else [line]


def _yaml_lines(payload: Any) -> Iterator[list[Cell]]:
    from pulsekit._documents.yaml_writer import yaml_text

    for line in yaml_text(payload).split("\n"):
        match = re.match(r"([ -]*)([\w.-]+)(:)(| .*)\Z", line)
        yield [match[1], (match[2], "key"), (match[3], "dim"), match[4]] if match else [line]
