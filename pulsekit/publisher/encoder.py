"""Validate and encode messages before they are sent.

Plan: the encoded properties and headers of a message depend on the routing key only, as long as the message is a
(payload, routing key) pair. `Encoder` therefore keeps one `PublishHeader` per routing key, so that encoding such a
message is: look up the header, count up the message id, validate the payload, and encode the payload.

Message ids are a random prefix of the publisher and a counter, 32 hexadecimal digits together. A message that is sent
again after a reconnect keeps its id, so that consumers can recognise duplicates.

Example: `encoder.encode(({"state": "running"}, "treeherder.autoland._"), 0, mandatory=False, timeout=60)` returns a
`PendingMessage` with the body `{"state":"running"}` and an id such as `5f0c9b1de0a94e7b31c2000000000000`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.frames import PublishHeader, encode_id
from pulsekit._amqp.types import Outcome, Properties
from pulsekit._documents.payloads import decode_body, encode_payload, exact_payload
from pulsekit.errors import InvalidInput, InvalidPayload
from pulsekit.messages import CC
from pulsekit.publisher.receipts import Receipt
from pulsekit.publisher.window import PendingMessage, UnsentMessage
from pulsekit.schemas.revisions import TODAY

if TYPE_CHECKING:
    from typing import TypeAlias

    from pulsekit.records.record import Record
    from pulsekit.schemas.schema import Schema
    from pulsekit.treeherder.check import JobCheck

    Item: TypeAlias = "tuple[Any, str] | Draft"

__all__ = ["Draft", "Encoder"]

_MAX_HEADERS = 1024  # encoded headers that are kept, by routing key
_ID_SIZE = bytes((20 + 12,))  # length of our message ids, prefix and number, as a short string begins with it
_DEFAULTS = Properties(content_type="application/json", delivery_mode=2)


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to publish that needs more than a payload and a routing key.

    Attributes:
        payload: a JSON value, or the body as bytes, which are sent unchanged.
        routing_key: at most 255 bytes.
        cc: further routing keys (the `CC` header).
        headers: further headers.
        properties: the basic properties. Content type, delivery mode and message id are set when they are None.
    """

    payload: Any
    routing_key: str
    cc: Sequence[str] = ()
    headers: Mapping[str, Any] = field(default_factory=dict)
    properties: Properties = field(default_factory=Properties)

    @classmethod
    def from_record(cls, record: Record, routing_key: str | None = None) -> Draft:
        """Return the message of a record, under another routing key if one is given.

        `user_id` is left out: the broker refuses a message with another user's (406), and closes the channel.
        """
        properties = replace(record.properties, user_id=None)
        key = record.routing_key if routing_key is None else routing_key
        return cls(exact_payload(record.content), key, record.cc, record.headers, properties)


_PLAIN = Draft(None, "")


class Encoder:
    """The encoder of the messages of one publisher; see the module."""

    def __init__(self, exchange: str, schema: Schema | None, *, lint: bool = False) -> None:
        self._exchange = exchange
        self._jobs = _job_check(schema) if lint else None
        # The verdict on a job applies the schema as well.
        self._schema = None if lint and schema is not None and schema.name == TODAY else schema
        self._id_prefix = secrets.token_hex(10)
        self._numbers = count()
        self._headers: dict[tuple[str, bool], PublishHeader] = {}  # by routing key and mandatory

    def encode(self, item: Item, index: int, mandatory: bool, timeout: float) -> PendingMessage:  # noqa: FBT001 - called for each message
        """Validate and encode one message.

        Args:
            item: a (payload, routing key) pair, or a draft.
            index: the position of the message in its `publish_many`.
            mandatory: whether the broker returns the message if it cannot route it.
            timeout: seconds until the deadline, from when the message is accepted.

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
            payload, routing_key = item
            if type(routing_key) is not str:
                _check_types(Draft(payload, routing_key))
            known = self._headers.get((routing_key, mandatory))
            header = known or self._header_for(Draft(None, routing_key), mandatory=mandatory)
        if isinstance(payload, bytes):
            body = payload
            if self._schema is not None:
                self._validate(decode_body(body))
        else:
            if type(payload) is str:
                _check_text(payload)
            if self._schema is not None and not self._schema.is_valid(payload):
                self._validate(payload)
            body = encode_payload(payload)
        if self._jobs is not None:
            described = item if isinstance(item, Draft) else _PLAIN
            self._jobs.check(payload, described.properties, described.headers)
        return PendingMessage(header, message_id, encoded_id, body, index, timeout)

    def encode_or_refuse(
        self,
        item: Item,
        index: int,
        mandatory: bool,  # noqa: FBT001 - called for each message
        timeout: float,
    ) -> PendingMessage | UnsentMessage:
        """Encode one message, or return the receipt of an invalid one in its place."""
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
        """Check a payload against the schema. The owner of a job is cut before, as Treeherder does.

        Raises:
            InvalidPayload: Raised when the payload violates the schema.
        """
        assert self._schema is not None
        if self._schema.name == TODAY:
            from pulsekit.treeherder.verdict import with_cut_owner  # only for an invalid job

            payload = with_cut_owner(payload)
        self._schema.check(payload)

    def _header_for(self, draft: Draft, *, mandatory: bool) -> PublishHeader:
        """Encode the header of a message, and keep it if other messages may have the same."""
        _check_types(draft)
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
        key = draft.routing_key
        header = PublishHeader(self._exchange, key, mandatory=mandatory, properties=properties, headers=headers)
        if properties is _DEFAULTS and not headers:
            if len(self._headers) >= _MAX_HEADERS:
                self._headers.clear()
            self._headers[key, mandatory] = header
        return header


def _job_check(schema: Schema | None) -> JobCheck:
    from pulsekit.treeherder.check import JobCheck  # few programs need it

    return JobCheck("strict" if schema is not None and schema.name == TODAY else "treeherder")


def _check_types(draft: Draft) -> None:
    """Raise a TypeError with the right form if a part of a message other than the payload has a wrong type."""
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


def _check_text(payload: str) -> None:
    """Raise a TypeError if a payload is the JSON text of an object or list, which would be encoded a second time."""
    if not payload.lstrip().startswith(("{", "[")):
        return
    try:
        json.loads(payload)
    except (ValueError, RecursionError):
        return
    raise TypeError("the payload is JSON text: pass the object itself, not its JSON text; bytes are sent as they are")


def _kind(value: object) -> str:
    return type(value).__name__
