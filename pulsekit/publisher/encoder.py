"""Validate and encode messages before they are sent.

Plan: if a message is a (payload, routing key) pair, its encoded properties and headers depend only on the routing key.
`Encoder` therefore keeps one `PublishHeader` per routing key. To encode such a message, it looks up the header,
increments the message id, validates the payload, and encodes the payload.

A message id has 32 hexadecimal digits: a random prefix of the publisher, and a counter. If a message is sent again
after a reconnect, its id is the same, so that consumers can recognise duplicates. With `content_ids`, the id is a
digest of exchange, routing key and body, so another run of the program uses the same ids.

Example: `encoder.encode(({"state": "running"}, "treeherder.autoland._"), 0, mandatory=False, timeout=60)` returns a
`PendingMessage` with the body `{"state":"running"}` and an id such as `5f0c9b1de0a94e7b31c2000000000000`.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.frames import PublishHeader, encode_id
from pulsekit._amqp.outcome import Outcome
from pulsekit._amqp.types import Properties
from pulsekit._documents.payloads import decode_body, encode_payload, exact_payload
from pulsekit.errors import ConfigurationError, InvalidInput, InvalidPayload
from pulsekit.messages import CC
from pulsekit.publisher.receipts import Receipt
from pulsekit.publisher.window import PendingMessage, UnsentMessage
from pulsekit.schemas.names import TODAY

if TYPE_CHECKING:
    from typing import TypeAlias

    from pulsekit.records.record import Record
    from pulsekit.schemas.schema import Schema
    from pulsekit.treeherder.message_check import JobCheck

    Item: TypeAlias = "tuple[Any, str] | Draft"

__all__ = ["DELIVERY_OPTIONS", "Draft", "Encoder", "as_pair", "check_encodable", "check_types", "delivery_options"]

DELIVERY_OPTIONS = ("cc", "bcc", "expiration", "reply_to")  # fields of a record that are only sent if requested

_MAX_HEADERS = 1024  # encoded headers that are kept, by routing key
_ID_SIZE = bytes((20 + 12,))  # the length byte of a message id as a short string: prefix and number
_USUAL_NUMBERS = [(mode, None, None) for mode in (2, 1, None)]  # delivery mode, priority and timestamp of records
_texts = attrgetter(*(each.name for each in fields(Properties) if each.type == "str | None"))
_DEFAULTS = Properties(content_type="application/json", delivery_mode=2)


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to publish that needs more than a payload and a routing key.

    Attributes:
        payload: a JSON value, or the body as bytes, which is sent unchanged.
        routing_key: the routing key, of at most 255 bytes.
        cc: additional routing keys (the `CC` header).
        headers: additional headers.
        properties: the basic properties. If content type, delivery mode or message id is None, a default is set.
    """

    payload: Any
    routing_key: str
    cc: Sequence[str] = ()
    headers: Mapping[str, Any] = field(default_factory=dict)
    properties: Properties = field(default_factory=Properties)

    @classmethod
    def from_record(cls, record: Record, routing_key: str | None = None, *, keep: Collection[str] = ()) -> Draft:
        """Return the message of a record, with another routing key if one is given.

        A record may be from another publisher. So the fields that route the message to other queues or let it expire
        (`DELIVERY_OPTIONS`) are omitted. `user_id` is also omitted, because the broker closes the channel (406) if it
        is not the user of the connection.

        Args:
            record: the record.
            routing_key: the routing key, or None for the routing key of the record.
            keep: the fields of `DELIVERY_OPTIONS` that are not omitted.

        Raises:
            ConfigurationError: Raised when `keep` has a name that is not in `DELIVERY_OPTIONS`.
        """
        if unknown := [name for name in keep if name not in DELIVERY_OPTIONS]:
            raise ConfigurationError(f"keep: {unknown[0]!r:.40} is not one of {', '.join(DELIVERY_OPTIONS)}")
        left = {name: None for name in ("expiration", "reply_to") if name not in keep}
        removed = {name.upper() for name in ("cc", "bcc") if name not in keep}
        return cls(
            exact_payload(record.content),
            record.routing_key if routing_key is None else routing_key,
            record.cc if "cc" in keep else (),
            {name: value for name, value in record.headers.items() if name not in removed},
            replace(record.properties, user_id=None, **left),
        )


_PLAIN = Draft(None, "")
_MISTAKABLE = frozenset({str, bytearray, memoryview})  # types of payloads that may be meant as a body


def delivery_options(message: Draft | Record) -> dict[str, Any]:
    """Return the fields of a message that add routing keys, limit its lifetime, or name a queue for replies."""
    of = message.properties
    keys = [list(message.cc) or _listed(message.headers.get(CC)), _listed(message.headers.get("BCC"))]
    texts = [None if value is None else str(value) for value in (of.expiration, of.reply_to)]
    return {name: value for name, value in zip(DELIVERY_OPTIONS, [*keys, *texts], strict=True) if value}


def _listed(keys: Any) -> list[str]:
    """Return the keys of a header CC or BCC as text. Records of other tools can have any value there."""
    return [] if keys is None else [str(key) for key in (keys if isinstance(keys, list) else [keys])]


class Encoder:
    """The encoder of the messages of one publisher, see the module.

    Attributes:
        content_ids: whether message ids are derived from the content.
    """

    def __init__(self, exchange: str, schema: Schema | None, *, lint: bool = False) -> None:
        self.content_ids: bool = False
        self._exchange = exchange
        self._jobs = _job_check(schema) if lint else None
        # No schema is needed, because the verdict on a job includes it.
        self._schema = None if lint and schema is not None and schema.name == TODAY else schema
        self._message_type = PendingMessage
        self._id_prefix = secrets.token_hex(10)
        self._numbers = count()
        self._headers: dict[tuple[str, bool], PublishHeader] = {}  # by routing key and mandatory

    def encode(self, item: Item, index: int, mandatory: bool, timeout: float) -> PendingMessage:  # noqa: FBT001 - called for each message
        """Validate and encode one message.

        Args:
            item: a (payload, routing key) pair, or a draft.
            index: the position of the message in its `publish_many`.
            mandatory: whether the broker returns the message if it cannot route it.
            timeout: the seconds from the acceptance of the message to its deadline.

        Raises:
            InvalidInput: Raised when the payload violates the schema, or AMQP cannot encode the message.
            TypeError: Raised when a part of the message has a wrong type.
        """
        message_id = f"{self._id_prefix}{next(self._numbers):012x}"
        encoded_id = _ID_SIZE + message_id.encode()
        if isinstance(item, Draft):
            header, payload = self._header_for(item, mandatory=mandatory), item.payload
            if item.properties.message_id:
                message_id = item.properties.message_id
                encoded_id = encode_id(message_id)
        else:
            payload, routing_key = item if type(item) is tuple and len(item) == 2 else as_pair(item)
            if type(routing_key) is not str:
                check_types(Draft(payload, routing_key))
            known = self._headers.get((routing_key, mandatory))
            header = known or self._header_for(Draft(None, routing_key), mandatory=mandatory)
        if isinstance(payload, bytes):
            body = payload
            if self._schema is not None:
                self._validate(decode_body(body))
        else:
            if type(payload) in _MISTAKABLE:
                _check_payload(payload)
            if self._schema is not None and not self._schema.is_valid(payload):
                self._validate(payload)
            body = encode_payload(payload)
        if self._jobs is not None:
            described = item if isinstance(item, Draft) else _PLAIN
            self._jobs.check(payload, described.properties, described.headers)
        if self.content_ids and not (isinstance(item, Draft) and item.properties.message_id):
            content = b"\0".join((header.exchange.encode(), header.routing_key.encode(), body))
            message_id = hashlib.sha256(content).hexdigest()[:32]
            encoded_id = encode_id(message_id)
        return self._message_type(header, message_id, encoded_id, body, index, timeout)

    def encode_or_refuse(
        self,
        item: Item,
        index: int,
        mandatory: bool,  # noqa: FBT001 - called for each message
        timeout: float,
    ) -> PendingMessage | UnsentMessage:
        """Encode one message, or return its receipt if it is invalid."""
        try:
            return self.encode(item, index, mandatory, timeout)
        except InvalidInput as error:
            draft = item if isinstance(item, Draft) else Draft(*item)
            message_id = draft.properties.message_id or ""
            problems = error.problems if isinstance(error, InvalidPayload) else ()
            key, detail = draft.routing_key, str(error)
            return UnsentMessage(
                Receipt(index, message_id, self._exchange, key, Outcome.INVALID, False, detail, problems)
            )

    def _validate(self, payload: Any) -> None:
        """Check a payload against the schema. As in Treeherder, the owner of a job is truncated before.

        Raises:
            InvalidPayload: Raised when the payload violates the schema.
        """
        assert self._schema is not None
        if self._schema.name == TODAY:
            from pulsekit.treeherder.verdict import with_cut_owner  # imported late: only for an invalid job

            payload = with_cut_owner(payload)
        self._schema.check(payload)

    def _header_for(self, draft: Draft, *, mandatory: bool) -> PublishHeader:
        """Encode the header of a message, and cache it if other messages can have the same header."""
        check_types(draft)
        header = encode_header(self._exchange, draft, mandatory=mandatory)
        if not (draft.cc or draft.headers) and draft.properties == Properties():
            if len(self._headers) >= _MAX_HEADERS:
                self._headers.clear()
            self._headers[draft.routing_key, mandatory] = header
        return header


def check_encodable(exchange: str, draft: Draft) -> None:
    """Check that AMQP can represent a message with a valid routing key. Most records are not encoded for it.

    Raises:
        InvalidMessage: Raised when AMQP cannot represent a part.
    """
    of = draft.properties
    numbers = (of.delivery_mode, of.priority, of.timestamp)
    if (
        draft.headers
        or numbers not in _USUAL_NUMBERS
        or not all(text is None or (type(text) is str and len(text) < 256 and text.isascii()) for text in _texts(of))
    ):
        encode_header(exchange, draft)


def encode_header(exchange: str, draft: Draft, *, mandatory: bool = False) -> PublishHeader:
    """Encode all parts of a message except its id and its payload.

    Raises:
        InvalidMessage: Raised when AMQP cannot represent a part.
    """
    headers, own = draft.headers, draft.properties
    if draft.cc:
        headers = {**headers, CC: list(draft.cc)}
    properties = _DEFAULTS
    if own != Properties():
        properties = replace(
            own,
            content_type=own.content_type or _DEFAULTS.content_type,
            delivery_mode=own.delivery_mode or _DEFAULTS.delivery_mode,
        )
    return PublishHeader(exchange, draft.routing_key, mandatory=mandatory, properties=properties, headers=headers)


def _job_check(schema: Schema | None) -> JobCheck:
    from pulsekit.treeherder.message_check import JobCheck  # imported late: few programs need it

    return JobCheck("strict" if schema is not None and schema.name == TODAY else "treeherder")


def check_types(draft: Draft) -> None:
    """Raise a TypeError with an example if a part of a message other than the payload has a wrong type."""
    payload = draft.payload
    key: Any = draft.routing_key
    cc: Any = draft.cc
    headers: Any = draft.headers
    properties: Any = draft.properties
    if not isinstance(key, str):
        text = payload if isinstance(payload, str) else "a.b"
        raise TypeError(
            f"the routing key is a str, not {_kind(key)}; the payload comes first: publish(payload, {text!r:.80})"
        )
    if isinstance(cc, str):
        raise TypeError(f"cc is a list of routing keys, not a str: cc=[{cc!r:.80}]")
    if cc and not (isinstance(cc, Sequence) and all(isinstance(one, str) for one in cc)):
        raise TypeError(f"cc is a list of routing keys, each a str, such as cc=['a.b'], not {cc!r:.80}")
    if type(headers) is not dict and not isinstance(headers, Mapping):
        raise TypeError(f"headers is a mapping of names to values, such as headers={{'n': 1}}, not {_kind(headers)}")
    if not isinstance(properties, Properties):
        raise TypeError(
            f"properties is a Properties, not {_kind(properties)}: "
            "from pulsekit import Properties; properties=Properties(app_id='ci')"
        )
    if properties.message_id is not None and not isinstance(properties.message_id, str):
        raise TypeError(f"a message id is a str, not {properties.message_id!r:.40}")


def as_pair(item: object) -> tuple[Any, Any]:
    """Return a pair that is not a tuple. Raise a TypeError for a dict or str of length two, which could be unpacked."""
    if isinstance(item, list | tuple) and len(item) == 2:
        return item[0], item[1]
    raise TypeError(f"a message is a pair (payload, routing key) or a Draft, not {item!r:.80}")


def _check_payload(payload: str | bytearray | memoryview) -> None:
    """Raise a TypeError for a buffer, or for the JSON text of an object or list, which would be encoded twice."""
    if not isinstance(payload, str):
        raise TypeError(f"the payload is a {_kind(payload)}: pass bytes(payload) to send it unchanged")
    if not payload.lstrip().startswith(("{", "[")):
        return
    try:
        json.loads(payload)
    except (ValueError, RecursionError):
        return
    raise TypeError("the payload is JSON text: pass the object instead, or the text as bytes to send it unchanged")


def _kind(value: object) -> str:
    return type(value).__name__
