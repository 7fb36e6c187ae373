"""How a message looks to a person: one line at a glance, or its payload whole below."""

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
from pulsekit.errors import InvalidMessage
from pulsekit.messages import CC
from pulsekit.records.selection import NOT_JSON
from pulsekit.treeherder import summarize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pulsekit.cli.output.output import Cell, Output
    from pulsekit.messages import Gap, Message
    from pulsekit.records.selection import SelectedMessage

__all__ = ["DEEPEST", "MOST_LAID_OUT", "Notation", "Rows", "gap_words"]

_STYLES = ("key", "head", "dim")  # the words of a routing key, in turn
_RESULTS = {"success": "good", "fail": "bad", "exception": "bad"}
_KEY_MOST = 50  # columns up to which keys are aligned
_SYMBOL_WIDTHS = (8, 14)  # columns in which symbols are aligned: those there always are, and the most
MOST_LAID_OUT = 256 * 1024  # bytes of a body that is shown over several lines
DEEPEST = 40  # levels of it
_WIDE = 80  # columns from which there is room for sizes, and for what all exchanges begin with
_NAME_WIDTH = 16  # the longest is content_encoding
# A text is not folded, for the terminal does that, and members stay in their order.
_YAML_STYLE = {"default_flow_style": False, "sort_base_mapping_type_on_output": False, "width": 100_000}


class Notation(StrEnum):
    """Name how a payload is written over several lines."""

    JSON = "json"
    YAML = "yaml"


class Rows:
    """Write messages one below the other, in columns that only ever get wider.

    Args:
        output: where to.
        exchanges: those that messages can come from, as far as they are known; of one alone, its name is left out.
        marked: whether each message is said to be valid or not.
        explained: whether it is told below which binding took it, and why.
        full: whether properties, headers and payload are shown below.
        notation: how that payload is written.
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
        self._wide = get_terminal_size().columns >= _WIDE
        self._named = len(exchanges) != 1
        self._exchange_width = max((len(self._exchange(name)) for name in exchanges), default=0)
        self._key_width = 0
        self._symbol_width = _SYMBOL_WIDTHS[0]
        self._marked = marked
        self._explained = explained
        self._full = full
        self._notation = notation

    def write(self, seen: SelectedMessage) -> None:
        """Write one message."""
        message = seen.message
        cells: list[Cell] = [(f"{message.received.astimezone():%H:%M:%S}", "dim"), "  "]
        if self._named:
            exchange = self._exchange(message.exchange)
            self._exchange_width = max(self._exchange_width, len(exchange))
            cells += [(exchange.ljust(self._exchange_width), "dim"), "  "]
        key = _key_cells(message)
        used = sum(columns(text) for text, _ in key)
        self._key_width = max(self._key_width, min(used, _KEY_MOST))
        cells += [*key, " " * (self._key_width - used), "  "]
        if self._wide:
            cells += [(f"{_size(len(message.body)):>7}", "dim"), "  "]
        if self._marked:
            cells += [(f"invalid: {seen.problem}", "bad") if seen.problem else ("valid", "good"), "  "]
        cells += self._summary(seen)
        self._output.fitted(*cells)
        if self._full or self._explained:
            self._below(seen)

    def _summary(self, seen: SelectedMessage) -> list[Cell]:
        job = None if seen.answer is not None or seen.payload is NOT_JSON else summarize(seen.payload)
        if job is None:
            return [_flat(seen)]
        used = columns(clean(job.symbol))
        self._symbol_width = max(self._symbol_width, min(used, _SYMBOL_WIDTHS[1]))
        symbol: list[Cell] = [(job.symbol, "head"), " " * (self._symbol_width - used + 1)]
        result = (f"{job.result:10} ", _RESULTS.get(job.result, "warn"))
        if self._wide:
            return [*symbol, f"{job.state:9} ", result, job.name]
        # Only what is completed has a result.
        return [*symbol, result if job.result else f"{job.state:10} ", job.name]

    def gap(self, gap: Gap) -> None:
        """Write that nobody listened for a while."""
        self._output.fitted((f"{gap.end.astimezone():%H:%M:%S}", "dim"), "  ", (f"-- {gap_words(gap)} --", "warn"))

    def _exchange(self, name: str) -> str:
        return name if self._wide else name.removeprefix("exchange/")

    def _below(self, seen: SelectedMessage) -> None:
        width = _NAME_WIDTH if self._full else 0
        for name, text, style in _facts(seen) if self._full else _origin(seen):
            self._output.line("    ", (f"{name:{width}} ", "dim"), (text, style) if style else text)
        if not self._full:
            return
        payload = seen.payload if seen.answer is None else json.loads(seen.answer)
        # Nobody reads megabytes over several lines, nor what is nested so deeply that most of it would be space.
        if payload is NOT_JSON or len(seen.message.body) > MOST_LAID_OUT or is_deeper(payload, DEEPEST):
            self._output.line(_flat(seen))
            return
        for line in _json_lines(payload) if self._notation is Notation.JSON else _yaml_lines(payload):
            self._output.line(*line)


def gap_words(gap: Gap) -> str:
    """Say how long nobody listened, and what that means for messages."""
    lasted = (gap.end - gap.start).total_seconds()
    lost = "messages of that time are not shown" if gap.lossy else "its queue kept the messages of that time"
    return f"the connection was lost for {lasted:.1f} s; {lost}"


def _origin(seen: SelectedMessage) -> Iterator[tuple[str, str, str]]:
    reasons = seen.reasons
    for reason in reasons:
        by = "" if reason.key == seen.message.routing_key else f" for its CC key {reason.key}"
        yield "binding", f"{reason.binding}  ({reason.words}{by})", ""
    if not reasons and seen.listens:
        yield "binding", "none of these: it came by a BCC key, or by a binding that the queue had before", "warn"


def _facts(seen: SelectedMessage) -> Iterator[tuple[str, str, str]]:
    """Yield everything about a message but its payload: a name, a text, and a style."""
    message = seen.message
    yield "exchange", message.exchange, ""
    yield "key", message.routing_key, "key"
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
    """Return what is shown of a message in one line."""
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
    """Write a payload over several lines, its keys apart from its values."""
    for line in json.dumps(payload, ensure_ascii=False, indent=2).split("\n"):
        match = re.match(r'(\s*)("(?:[^"\\]++|\\.)*+")(: )(.*)', line)
        yield [match[1], (match[2], "key"), (match[3], "dim"), match[4]] if match else [line]


def _yaml_lines(payload: Any) -> Iterator[list[Cell]]:
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    for name, value in _YAML_STYLE.items():
        setattr(yaml, name, value)
    text = StringIO()
    yaml.dump(payload, text)
    for line in text.getvalue().removesuffix("\n").removesuffix("\n...").split("\n"):
        match = re.match(r"([ -]*)([\w.-]+)(:)(| .*)\Z", line)
        yield [match[1], (match[2], "key"), (match[3], "dim"), match[4]] if match else [line]
