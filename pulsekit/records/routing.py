"""The keys of messages, parsed from lines of routing keys or records, for `match` and `bindings`."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pulsekit._documents.lines import check_line
from pulsekit.bindings.matching import RoutedMessage, check_key
from pulsekit.errors import DocumentError, InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["read_routed"]

_LIST = re.compile(rb"\s*\[\s*(?:\{|\]?\s*\Z)")  # the first line of a JSON list of objects, or of an empty list


def read_routed(lines: Iterable[bytes], *, source: str) -> Iterator[RoutedMessage]:
    """Parse routing keys, one per line, or a recording. Its header, gaps and trailer are skipped, and blank lines.

    A download of Pulse Inspector, which is a JSON list of records, can also be read.

    Raises:
        DocumentError: Raised when a line is neither a key that AMQP can encode nor a record, or has more than 16 MiB.
    """
    begun = False  # after the first line that is not blank
    lines = iter(lines)
    for number, line in enumerate(lines, 1):
        text = line.rstrip(b"\r\n")
        if number == 1:
            text = text.removeprefix(BOM_UTF8)
        if not text.strip():
            continue
        if not begun and _LIST.match(text):
            yield from _from_list(b"\n" * (number - 1) + b"".join((text, b"\n", *lines)), source)
            return
        begun = True
        check_line(line, source, number)
        try:
            if text.lstrip().startswith(b"{"):
                message = _from_record(text, source, number)
            else:
                message = RoutedMessage((check_key(text.decode()),))
        except UnicodeDecodeError:
            from pulsekit._documents.document import decode_text  # only decode_text finds the position of the error

            decode_text(line, source, number)
            raise
        except InvalidMessage as error:
            raise DocumentError(str(error), source=source, line=number) from error
        if message is not None:
            yield message


def _from_record(text: bytes, source: str, number: int) -> RoutedMessage | None:
    from pulsekit._documents.payloads import load_json  # imported late: not needed for keys

    value: Any = None
    try:
        value = load_json(text)
    except RecursionError:
        pass
    except UnicodeDecodeError:
        raise
    except ValueError:
        # The payload is ignored. It may have integers that Python refuses to convert.
        with suppress(ValueError):
            value = json.loads(text.decode(), parse_int=float)
    if value is None:
        from pulsekit._documents.document import parse_json  # only parse_json finds the position of the error

        value = parse_json(text, source=source, first_line=number).value
    return _routed(value)


def _from_list(data: bytes, source: str) -> Iterator[RoutedMessage]:
    from pulsekit._documents.document import parse_documents

    for document in parse_documents(data, source=source):
        try:
            message = _routed(document.value) if isinstance(document.value, dict) else None
        except InvalidMessage as error:
            raise DocumentError(str(error), source=source, line=document.place("")[0]) from error
        if message is not None:
            yield message


def _routed(value: dict[str, Any]) -> RoutedMessage | None:
    from pulsekit.records.record import check_version, key_of  # imported late: not needed for keys

    check_version(value)
    key = key_of(value)
    if key is None and isinstance(value.get("type"), str):
        return None
    cc, exchange = value.get("cc", []), value.get("exchange", "")
    if not isinstance(key, str):
        raise InvalidMessage("the record has no text `routing_key`")
    if not isinstance(exchange, str) or not isinstance(cc, list):
        raise InvalidMessage("`exchange` of a record must be text, and `cc` a list of keys")
    if not all(isinstance(further, str) for further in cc):
        raise InvalidMessage("`cc` of a record must be a list of keys")
    return RoutedMessage(tuple(map(check_key, (key, *cc))), exchange)
