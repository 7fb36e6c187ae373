"""How a message looks to a person: one line at a glance, or its payload whole below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulsekit.cli.output import clean, columns
from pulsekit.errors import DocumentError, InvalidMessage
from pulsekit.jobs import glance
from pulsekit.messages import decode_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pulsekit.cli.output import Cell, Output
    from pulsekit.messages import Message

__all__ = ["DEEPEST", "MOST_LAID_OUT", "Rows", "is_deeper"]

_STYLES = ("key", "head", "dim")  # the words of a routing key, in turn
_RESULTS = {"success": "good", "fail": "bad", "exception": "bad"}
_KEY_MOST = 50  # columns up to which keys are aligned
_SYMBOL_WIDTH = 14
MOST_LAID_OUT = 256 * 1024  # bytes of a body that is shown over several lines
DEEPEST = 40  # levels of it


class Rows:
    """Write messages one below the other, in columns that only ever get wider.

    Args:
        output: where to.
        exchanges: those that messages can come from; of one alone, its name is left out.
        marked: whether each message is said to be valid or not.
        full: whether payloads are shown whole.
    """

    def __init__(self, output: Output, exchanges: Sequence[str], *, marked: bool, full: bool) -> None:
        self._output = output
        self._exchange_width = max(map(len, exchanges)) if len(exchanges) > 1 else 0
        self._key_width = 0
        self._marked = marked
        self._full = full

    def write(self, message: Message) -> None:
        """Write one message."""
        cells: list[Cell] = [(f"{message.received.astimezone():%H:%M:%S}", "dim"), "  "]
        if self._exchange_width:
            cells += [(message.exchange.ljust(self._exchange_width), "dim"), "  "]
        key = _key_cells(message)
        used = sum(columns(text) for text, _ in key)
        self._key_width = max(self._key_width, min(used, _KEY_MOST))
        cells += [*key, " " * (self._key_width - used), "  "]
        if self._marked:
            cells += [_verdict(message), "  "]
        cells += _summary(message)
        self._output.fitted(*cells)
        if self._full:
            for line in _whole(message):
                self._output.line(*line)


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
    return cells


def _verdict(message: Message) -> tuple[str, str]:
    try:
        problems = message.problems
    except DocumentError:
        return "not JSON", "bad"
    return (f"invalid: {problems[0]}", "bad") if problems else ("valid", "good")


def _summary(message: Message) -> list[Cell]:
    try:
        payload = decode_body(message.body)
    except DocumentError:
        return [_text(message.body)]
    seen = glance(payload)
    if seen is None:
        return [message.body.decode()]
    return [
        (f"{seen.symbol:{_SYMBOL_WIDTH}} ", "head"),
        f"{seen.state:9} ",
        (f"{seen.result:10} ", _RESULTS.get(seen.result, "warn")),
        seen.name,
    ]


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"{len(body)} bytes that are not text"


def _whole(message: Message) -> Iterator[list[Cell]]:
    """Write the payload over several lines, its keys apart from its values.

    What nobody reads like that stays as it came: a body of megabytes, or one nested so deeply that most would be space.
    """
    import json
    import re

    try:
        payload = decode_body(message.body)
    except DocumentError:
        yield [_text(message.body)]
        return
    if len(message.body) > MOST_LAID_OUT or is_deeper(payload, DEEPEST):
        yield [message.body.decode()]
        return
    for line in json.dumps(payload, ensure_ascii=False, indent=2).split("\n"):
        match = re.match(r'(\s*)("(?:[^"\\]++|\\.)*+")(: )(.*)', line)
        yield [match[1], (match[2], "key"), (match[3], "dim"), match[4]] if match else [line]


def is_deeper(value: Any, levels: int) -> bool:
    """Tell whether a value has more levels."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(is_deeper(one, levels - 1) for one in inner)
