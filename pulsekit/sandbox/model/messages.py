"""Messages in the broker: one `Message`, which all queues share, and one `Entry` for each queue."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pulsekit.sandbox.codec import frames, tables
from pulsekit.sandbox.codec.properties import Properties
from pulsekit.sandbox.model.arguments import LONGEST
from pulsekit.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Entry", "Message"]

_NUMBER = re.compile(r"[+-]?[0-9]+")
_OVERHEAD = 600  # bytes of Python objects for each message, approximately


class Message:
    """A published message. Header and body are the bytes that the publisher sent.

    Attributes:
        keys: the routing key, then the keys of the headers CC and BCC.
        address: exchange and routing key as encoded short strings, which Basic.Deliver repeats.
        cost: bytes that count towards the memory limit.
    """

    __slots__ = ("address", "body", "cost", "exchange", "header", "keys", "properties", "routing_key")

    def __init__(
        self,
        exchange: str,
        routing_key: str,
        header: bytes,
        body: bytes,
        *,
        address: bytes = b"",
        properties: Properties | None = None,
        keys: Sequence[str] = (),
    ) -> None:
        self.exchange: str = exchange
        self.routing_key: str = routing_key
        self.address: bytes = address or frames.short_string(exchange) + frames.short_string(routing_key)
        self.header: bytes = header
        self.body: bytes = body
        self.properties: Properties = properties or Properties(header)
        self.keys: tuple[str, ...] = tuple(keys) or (routing_key,)
        self.cost: int = len(header) + len(body) + _OVERHEAD

    @classmethod
    def received(cls, publish: frames.Publish, header: bytes, body: bytes) -> Message:
        """Build a message from the parts that a client sent.

        The headers CC and BCC add routing keys, and BCC is removed (RabbitMQ's Sender-selected Distribution).

        Raises:
            Refusal: Raised with 406 if CC or BCC is not a list, with 502 if the content header is malformed.
        """
        properties = Properties(header)
        keys = [publish.routing_key]
        if "headers" in properties:
            headers = properties.headers
            keys += _sender_selected_keys(headers, "CC") + _sender_selected_keys(headers, "BCC")
            if "BCC" in headers:
                header = properties.edit(len(body), headers=tables.drop_field(properties.raw_headers, "BCC"))
                properties = Properties(header)
        return cls(
            publish.exchange,
            publish.routing_key,
            header,
            body,
            address=publish.address,
            properties=properties,
            keys=keys,
        )

    @property
    def time_to_live(self) -> int | None:
        """The `expiration` property in milliseconds, or None.

        Raises:
            Refusal: Raised with 406 if the value is not a number, negative or too large.
        """
        text = self.properties.text("expiration") if "expiration" in self.properties else None
        if text is None:
            return None
        number = _NUMBER.match(text)
        fault = ""
        if number is None:
            fault = "no_integer"
        elif number.end() != len(text):
            fault = f'{{leftover_string,"{text[number.end() :]}"}}'
        elif (value := int(text)) < 0:
            fault = f"{{value_negative,{value}}}"
        elif value > LONGEST:
            fault = f"{{value_too_large,{value}}}"
        else:
            return value
        raise Refusal(406, f"invalid expiration '{text}': {fault}")


def _sender_selected_keys(headers: tables.Table, name: str) -> list[str]:
    if name not in headers:
        return []
    keys = headers[name]
    if not isinstance(keys, list):
        kind = tables.TYPE_NAMES[headers.letters[name]]
        raise Refusal(406, f'invalid message: {{unacceptable_type_in_header,"{name}",{kind}}}')
    return [key for key in keys if isinstance(key, str)]


class Entry:
    """A message in one queue. Entries are ordered by position.

    Attributes:
        position: the number of the message in the queue, which a requeue does not change.
        priority: the priority in a queue with priorities, else 0.
        expires: time of the broker's clock at which the message expires, or None.
        redelivered: True after a requeue.
        requeues: the number of requeues, which quorum queues limit.
    """

    __slots__ = ("expires", "message", "position", "priority", "redelivered", "requeues")

    def __init__(self, message: Message, position: int, priority: int, expires: float | None) -> None:
        self.message: Message = message
        self.position: int = position
        self.priority: int = priority
        self.expires: float | None = expires
        self.redelivered: bool = False
        self.requeues: int = 0

    def __lt__(self, other: Entry) -> bool:
        return self.position < other.position
