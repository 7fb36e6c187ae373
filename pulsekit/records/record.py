"""The record: a message as one line of JSON, which `tail` writes and `publish`, `match` and `validate` read.

This module does no I/O.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from math import isfinite
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from pulsekit._amqp.types import Properties
from pulsekit._documents.bodies import decode_described
from pulsekit._documents.canonical import read_canonical
from pulsekit._documents.ndjson import dump_line, escape_unsafe
from pulsekit._documents.nesting import MAX_DEPTH, is_deeper, is_deeper_text
from pulsekit._documents.payloads import encode_payload
from pulsekit.errors import InvalidMessage
from pulsekit.messages import CC, Gap, Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "Record", "check_version", "dump_line", "gap_record", "header_record", "is_metadata", "is_record", "message_record",
    "read_gap", "read_record", "read_when", "record_line", "record_parts", "record_value", "trailer_record",
]  # fmt: skip

VERSION = 1

_PART = 192 * 1024  # bytes of a body that are written together; a multiple of 3, so that base64 has no padding
_MOST_EXCHANGES = 4096  # cached exchanges; on other brokers, they can have any name

_KeyReader: TypeAlias = Callable[[str], dict[str, str] | None] | None
_key_readers: dict[str, _KeyReader] = {}  # cached by exchange
_PROPERTY_NAMES = tuple(item.name for item in fields(Properties))
_PROPERTY_SET = frozenset(_PROPERTY_NAMES)
_properties = attrgetter(*_PROPERTY_NAMES)
_CONTAINERS = (dict, list)
# The hour 24 after a date of ISO 8601 and any separator, which Python reads from 3.14 on.
_HOUR_24 = re.compile(r"\d{4}-?(?:\d\d-?\d\d|W\d\d(?:-?\d)?).24", re.DOTALL)
_MAX_PAYLOAD_DEPTH = MAX_DEPTH - 1  # so that a record with this payload can be read


def message_record(message: Message, *, exact: bool = False) -> dict[str, Any]:
    """Return the record of a delivery.

    Args:
        message: the delivery.
        exact: also store the exact body, as `payload` loses white space, the spelling of numbers and repeated keys.
    """
    record, (text, payload) = _head(message), _read_payload(message.body)
    if text is not None:
        record["payload"] = payload
    return record | _exact_body(message.body, wanted=exact or text is None)


def record_line(message: Message, *, exact: bool = False, more: Mapping[str, Any] | None = None) -> bytes:
    """Return the record of a delivery as a line of NDJSON, in UTF-8 and with a line end.

    If the body is one line of JSON without repeated keys, it is copied unchanged as the payload.

    Args:
        message: the delivery.
        exact: see `message_record`.
        more: additional members, which precede the payload.
    """
    return b"".join(record_parts(message, exact=exact, more=more))


def record_parts(message: Message, *, exact: bool = False, more: Mapping[str, Any] | None = None) -> Iterable[bytes]:
    """Return the parts of `record_line`: of a large body many, so that a writer needs no copy of the whole line."""
    record, text = _head(message), _read_payload(message.body)[0]  # the value may be large: drop it
    if headers := record["headers"]:
        record["headers"] = _fragment(headers)  # orjson writes some floats differently
    if more:
        record |= more
    if len(message.body) > _PART:
        return _large_parts(record, message.body, text, exact=exact or text is None)
    if text is not None:
        record["payload"] = orjson.Fragment(text)
    record |= _exact_body(message.body, wanted=exact or text is None)
    return (_safe_line(_dump_record(record)),)


def _large_parts(record: dict[str, Any], body: bytes, text: bytes | str | None, *, exact: bool) -> Iterator[bytes]:
    yield _safe_line(_dump_record(record)).removesuffix(b"}\n")
    if text is not None:
        yield b',"payload":'
        for part in _text_parts(text):
            yield escape_unsafe(part).encode()
    if exact and _is_utf8(body):
        yield b',"body":"'
        for part in _text_parts(body):
            yield escape_unsafe(orjson.dumps(part).decode()[1:-1]).encode()
        yield b'"'
    elif exact:
        import base64

        yield b',"body_b64":"'
        for at in range(0, len(body), _PART):
            yield base64.b64encode(body[at : at + _PART])
        yield b'"'
    yield b"}\n"


def _text_parts(text: bytes | str) -> Iterator[str]:
    """Yield the characters of a text in parts: decoded, it may have four bytes for each of them."""
    places = range(0, len(text), _PART)
    if isinstance(text, str):
        return (text[at : at + _PART] for at in places)
    return codecs.iterdecode((text[at : at + _PART] for at in places), "utf-8")


def _is_utf8(body: bytes) -> bool:
    try:
        return all(_text_parts(body))
    except UnicodeDecodeError:
        return False


def _dump_record(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # half of a surrogate pair, which only JSON's escapes can represent
        record = {name: _fragment(value) for name, value in record.items()}
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def _safe_line(line: bytes) -> bytes:
    return line if line.isascii() and b"\x7f" not in line else escape_unsafe(line.decode()).encode()


def gap_record(gap: Gap) -> dict[str, Any]:
    """Return a gap as a line of a recording."""
    return {
        "v": VERSION,
        "type": "gap",
        "from": _timestamp(gap.start),
        "to": _timestamp(gap.end),
        "seconds": round((gap.end - gap.start).total_seconds(), 3),
        "lossy": gap.lossy,
        "epoch": gap.epoch,
        **({"created": True} if gap.created else {}),
    }


def read_gap(value: Mapping[str, Any]) -> Gap:
    """Parse a gap.

    Raises:
        InvalidMessage: Raised when a time or the epoch is invalid.
    """
    start, end, epoch = _when(value.get("from")), _when(value.get("to")), value.get("epoch", 0)
    if start is None or end is None or not isinstance(epoch, int):
        raise InvalidMessage("`from` and `to` of a gap must be times, `epoch` a number")
    created = value.get("created") is True
    return Gap(start, end, epoch, lossy=value.get("lossy") is not False, created=created)


def header_record(began: datetime, bindings: Sequence[str]) -> dict[str, Any]:
    """Return the first line of a recording: its start, and the bindings of the subscription."""
    return {"v": VERSION, "type": "header", "began": _timestamp(began), "bindings": list(bindings)}


def trailer_record(count: int, sha256: str) -> dict[str, Any]:
    """Return the last line of a recording: the number of messages, and the digest of all bytes before the line."""
    return {"v": VERSION, "type": "trailer", "count": count, "sha256": sha256}


def is_record(value: Any) -> bool:
    """Return whether a JSON value is a record of a message, and not a payload.

    Pulse Inspector downloads a list of records, in which the routing key is named `routingKey`.
    """
    return (
        isinstance(value, dict)
        and isinstance(key_of(value), str)
        and not value.keys().isdisjoint({"payload", "body", "body_b64"})
    )


def key_of(record: Mapping[str, Any]) -> Any:
    """Return the routing key in the JSON of a record, or None."""
    return record["routing_key"] if "routing_key" in record else record.get("routingKey")


def check_version(record: Mapping[str, Any]) -> None:
    """Check that this version of pulsekit can read the JSON of a record.

    Raises:
        InvalidMessage: Raised when the format of the record has another version.
    """
    version = record.get("v", VERSION)
    if version != VERSION:
        raise InvalidMessage(f"a record of version {version!r:.40} cannot be read; this pulsekit reads {VERSION}")


def is_metadata(value: Any) -> bool:
    """Return whether a JSON value is a header, gap or trailer of a recording."""
    return isinstance(value, dict) and value.get("v") == VERSION and isinstance(value.get("type"), str)


@dataclass(frozen=True, slots=True)
class Record:
    """A parsed record.

    Attributes:
        exchange: the exchange, or empty.
        routing_key: the routing key.
        cc: the keys of the CC header.
        content: the content to publish: the exact body as bytes, or the payload if the record has no body.
        properties: the basic properties.
        headers: the header table.
        received: the time at which the message was received, or None.
    """

    exchange: str
    routing_key: str
    cc: tuple[str, ...]
    content: Any
    properties: Properties
    headers: dict[str, Any]
    received: datetime | None = None

    @property
    def payload(self) -> Any:
        """The decoded payload.

        Raises:
            DocumentError: Raised when the body is not JSON.
        """
        if not isinstance(self.content, bytes):
            return self.content
        return decode_described(self.content, self.properties.content_encoding, self.headers.get("compression"))

    def message(self, **more: Any) -> Message:
        """Return the recorded delivery, with additional arguments of `Message`."""
        return Message(
            exchange=self.exchange,
            routing_key=self.routing_key,
            body=self.content if isinstance(self.content, bytes) else encode_payload(self.content),
            received=self.received or datetime.now(UTC),
            headers={**self.headers, **({CC: list(self.cc)} if self.cc else {})},
            properties=self.properties,
            **more,
        )


def read_record(value: Mapping[str, Any]) -> Record:
    """Parse a record. `is_record` must be true for the value.

    Raises:
        InvalidMessage: Raised when a part has the wrong type, or the version is unknown.
    """
    check_version(value)
    cc = value.get("cc", [])
    headers = value.get("headers", {})
    properties = value.get("properties", {})
    exchange = value.get("exchange", "")
    if not (isinstance(cc, list) and all(isinstance(key, str) for key in cc)):
        raise InvalidMessage("`cc` of a record must be a list of routing keys")
    if not isinstance(headers, dict) or not isinstance(properties, dict) or not isinstance(exchange, str):
        raise InvalidMessage("`headers` and `properties` of a record must be objects, `exchange` must be text")
    body = _read_body(value)
    table = dict(headers)
    known = {name: item for name, item in properties.items() if item is not None and name in _PROPERTY_SET}
    # Most messages have only texts and numbers. Copying these saves a fifth of the time of `read_recording`.
    if any(isinstance(item, _CONTAINERS) for item in (*headers.values(), *properties.values())):
        if is_deeper([headers, properties], MAX_DEPTH):
            raise InvalidMessage("`headers` or `properties` of a record are nested too deeply")
        table = {name: _from_json(item) for name, item in table.items()}
        known = {name: _from_json(item) for name, item in known.items()}
    if not cc and isinstance(also := table.get(CC), list):  # the record is of another tool
        cc = [key for key in also if isinstance(key, str)]
    return Record(
        exchange=exchange,
        routing_key=key_of(value),
        cc=tuple(cc),
        content=value.get("payload") if body is None else body,
        properties=Properties(**known),
        headers=table,
        received=_when(value.get("received")),
    )


def record_value(record: Record) -> dict[str, Any]:
    """Return the JSON of a parsed record, in the form of `tail`."""
    content = record.content
    message = Message(
        exchange=record.exchange,
        routing_key=record.routing_key,
        body=content if isinstance(content, bytes) else encode_payload(content),
        received=record.received or datetime.now(UTC),
        headers=record.headers,
        properties=record.properties,
    )
    value = message_record(message)
    value["cc"] = list(record.cc)
    value["size"] = len(message.body)
    if record.received is None:
        value["received"] = None
    return value


def _read_body(value: Mapping[str, Any]) -> bytes | None:
    text, encoded = value.get("body"), value.get("body_b64")
    if text is None and encoded is None:
        return None
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    if isinstance(encoded, str):
        import base64

        try:
            return base64.b64decode(encoded, validate=True)
        except ValueError as error:
            raise InvalidMessage("`body_b64` of a record is not base64") from error
    raise InvalidMessage("`body` and `body_b64` of a record must be text")


def _to_json(value: Any) -> Any:
    """Return an AMQP field value as JSON. A type that JSON lacks becomes `{"$type": …, "value": …}`."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else {"$type": "double", "value": repr(value)}
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, dict):
        table = {str(name): _to_json(item) for name, item in value.items()}
        return {"$type": "table", "value": table} if "$type" in table else table
    if isinstance(value, bytes | bytearray):
        import base64

        return {"$type": "bytes", "value": base64.b64encode(value).decode()}
    if hasattr(value, "isoformat"):
        return {"$type": "timestamp", "value": value.isoformat()}
    return {"$type": type(value).__name__.lower(), "value": str(value)}


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$type" not in value:
        return {name: _from_json(item) for name, item in value.items()}
    kind: Any = value["$type"]
    inner: Any = value.get("value")
    try:
        if kind == "table" and isinstance(inner, dict):
            return {name: _from_json(item) for name, item in inner.items()}
        if kind == "double":
            return float(inner)
        if kind == "bytes":
            import base64

            return base64.b64decode(inner, validate=True)
        if kind == "timestamp":
            return read_when(inner)
        if kind == "decimal":
            from decimal import Decimal

            return Decimal(inner)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InvalidMessage(f"a header of type {kind!r} cannot be read: {inner!r}") from error
    raise InvalidMessage(f"a header of type {kind!r} is unknown: use bytes, decimal, double, table or timestamp")


def read_when(text: str) -> datetime:
    """Parse a time of ISO 8601, with the same result in every version of Python.

    Raises:
        TypeError, ValueError: Raised when the value is not a time.
    """
    when = datetime.fromisoformat(text)
    if _HOUR_24.match(text):
        raise ValueError("the hour must be 0 to 23")
    return when


def _when(value: Any) -> datetime | None:
    """Parse a time, which is returned in UTC. A time without a zone is in UTC."""
    try:
        when = read_when(value)
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):  # in UTC, the year may be 0 or 10,000
        return None


def _timestamp(when: datetime) -> str:
    text = when.isoformat(timespec="milliseconds")
    if not text.endswith("+00:00"):
        text = when.astimezone(UTC).isoformat(timespec="milliseconds")
    return f"{text[:-6]}Z"


def _find_key_reader(exchange: str) -> _KeyReader:
    """Return the function that names the fields of a key, or None for an unknown exchange. The result is cached."""
    from pulsekit.catalogue.exchanges import find_exchange  # loads the catalogue, which only records of messages need

    if len(_key_readers) >= _MOST_EXCHANGES:
        _key_readers.clear()
    known = find_exchange(exchange)
    _key_readers[exchange] = reader = known.read_key if known is not None and known.name == exchange else None
    return reader


def _head(message: Message) -> dict[str, Any]:
    """Return the record of a delivery without the body."""
    unreadable = {}
    try:
        headers, found = message.headers, message.properties
    except InvalidMessage as error:  # concerns one message; other messages must not be lost
        headers, found, unreadable = {}, Properties(), {"unreadable": str(error)}
    record = {
        "v": VERSION,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "cc": list(message.cc) if headers else [],
        "redelivered": bool(message.redelivered),
        "received": _timestamp(message.received),
        "properties": {
            name: value if type(value) is str else _to_json(value)
            for name, value in zip(_PROPERTY_NAMES, _properties(found), strict=True)
            if value is not None
        },
        "headers": {name: _to_json(value) for name, value in headers.items()} if headers else {},
        **unreadable,
    }
    try:
        read_key = _key_readers[message.exchange]
    except KeyError:
        read_key = _find_key_reader(message.exchange)
    if read_key is not None and (key := read_key(message.routing_key)) is not None:
        record["key"] = key
    return record


def _exact_body(body: bytes, *, wanted: bool) -> dict[str, str]:
    if not wanted:
        return {}
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        import base64

        return {"body_b64": base64.b64encode(body).decode()}


def _fragment(value: Any) -> orjson.Fragment:
    return value if isinstance(value, orjson.Fragment) else orjson.Fragment(escape_unsafe(_encode(value)))


def _read_payload(body: bytes) -> tuple[bytes | str | None, Any]:
    """Return the JSON of a body on one line, and its value, or (None, None) if some parsers of JSON refuse it."""
    try:
        return body, read_canonical(body, _MAX_PAYLOAD_DEPTH)
    except ValueError:
        pass
    if is_deeper_text(body, _MAX_PAYLOAD_DEPTH):  # not before: a second check of each payload took 7 % of `tail`
        return None, None
    try:
        text = body.decode()
        value, end = _strict(text, 0)
    except UnicodeDecodeError:
        return None, None
    except ValueError:
        value, end = None, -1
    # JSON has no control characters in strings, and only white space outside of them.
    if end == len(text) and "\n" not in text and "\t" not in text and "\r" not in text:
        return body, value
    try:
        value = _lenient(text)
        return escape_unsafe(_encode(value)), value
    except ValueError:
        return None, None


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    """Parse a number. Refuse a number that JSON cannot represent: `1e999` would become infinity."""
    value = float(text)
    if not isfinite(value):
        raise ValueError(text)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key occurs twice")
    return members


# Created once, because `json.dumps` and `json.loads` with arguments create one for each call.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_lenient = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse_constant).decode
_strict = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant).raw_decode
