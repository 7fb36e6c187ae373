"""Dead letters: the messages that a queue sends to its dead-letter exchange.

Source: RabbitMQ's guide "Dead Letter Exchanges". The header `x-death` is a list of tables, newest first, one for each
pair of queue and reason. If a message is dead-lettered again by the same queue for the same reason, the count of that
table grows and the table moves to the front. All other headers keep their bytes.

Example: a message expires in `retry`, is routed to `work`, and is rejected there. Its `x-death` is
`[{queue: work, reason: rejected, count: 1}, {queue: retry, reason: expired, count: 1}]`.

If a message returns to a queue without a rejection, it would circulate forever. So RabbitMQ and the sandbox drop it.
`is_cycle` searches `x-death` for the queue, from the newest table up to the first rejection.

RabbitMQ 4 also describes the last death in `x-last-death-*`, and does not remove the header `CC`, although the dead
letter is not routed by it. RabbitMQ 3 removes `CC` from a dead letter that gets a new routing key.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pulsekit.sandbox.codec import frames, tables
from pulsekit.sandbox.model.messages import Message

if TYPE_CHECKING:
    from pulsekit.sandbox.model.queues import DeadLetterReason, Queue

__all__ = ["dead_letter", "is_cycle"]


def dead_letter(queue: Queue, message: Message, reason: DeadLetterReason, exchange: str) -> Message:
    """Return the message that a queue sends to its dead-letter exchange, from the message that it removes."""
    key = queue.options.dead_letter_key
    modern = queue.vhost.release.last_death
    fields = message.properties.raw_headers
    deaths = _x_death(message)
    expiration = message.properties.text("expiration")
    known = next((d for d in deaths if d.get("queue") == queue.name and d.get("reason") == reason), None)
    if known is not None:
        deaths.remove(known)
        known["count"] = known.get("count", 0) + 1
    else:
        headers = message.properties.headers if fields else {}
        further = headers.get("CC")
        keys = [key for key in further if key in message.keys] if isinstance(further, list) else []
        known = {
            "count": 1,
            "reason": reason,
            "queue": queue.name,
            "time": tables.Timestamp(time.time()),
            "exchange": message.exchange,
            "routing-keys": [message.routing_key, *keys],
        }
        if expiration is not None:
            known["original-expiration"] = expiration
        if "x-first-death-queue" not in headers:
            fields = _describe(fields, "x-first-death", queue, message, reason)
    if modern:
        fields = _describe(fields, "x-last-death", queue, message, reason)
    fields = tables.set_field(fields, "x-death", tables.encode_field([known, *deaths]))
    if key is not None and not modern:
        fields = tables.drop_field(fields, "CC")
    header = message.properties.edit(len(message.body), headers=fields, expiration=None)
    return Message(
        exchange,
        message.routing_key if key is None else key,
        header,
        message.body,
        address=frames.short_string(exchange) + frames.short_string(message.routing_key if key is None else key),
        keys=message.keys if key is None else (key,),
    )


def _describe(fields: bytes, prefix: str, queue: Queue, message: Message, reason: DeadLetterReason) -> bytes:
    """Return encoded fields with reason, queue and exchange of a death."""
    for name, value in (("reason", reason), ("queue", queue.name), ("exchange", message.exchange)):
        fields = tables.set_field(fields, f"{prefix}-{name}", tables.long_string(value))
    return fields


def is_cycle(message: Message, reason: DeadLetterReason, queue: str) -> bool:
    """Return whether a dead letter was in that queue before, and was not rejected since."""
    if reason == "rejected":
        return False
    for death in _x_death(message):
        if death.get("reason") == "rejected":
            return False
        if death.get("queue") == queue:
            return True
    return False


def _x_death(message: Message) -> list[dict[str, Any]]:
    """Return the tables of `x-death`. A publisher can set this header. Values of another form are ignored."""
    if "headers" not in message.properties:
        return []
    deaths = message.properties.headers.get("x-death")
    return [dict(death) for death in deaths if isinstance(death, dict)] if isinstance(deaths, list) else []
