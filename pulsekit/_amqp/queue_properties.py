"""Read the properties of a queue by declarations, because AMQP has no method that returns them.

Plan: declare the queue with guessed properties. If one differs, RabbitMQ closes the channel (406) and names the
property and its current value. Correct that guess, and declare again on a new channel, until the declaration is
equivalent.

Invariants: a passive declaration precedes each attempt, so that a missing queue is not created. An equivalent
declaration changes nothing, except that the time of `x-expires` starts again.

Example: the queue is durable, and a quorum queue with a delivery limit. The guess is a durable queue without arguments.
The answers name `x-queue-type`, then `x-delivery-limit`. The third declaration is equivalent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pulsekit._amqp import methods
from pulsekit.errors import PreconditionFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiormq

    from pulsekit._amqp.link import Link

__all__ = ["QueueProperties", "delivery_limit", "read_queue_properties"]

_ATTEMPTS = 30  # more than the number of properties that a queue can have
_DIFFERENCE = re.compile(
    r"inequivalent arg '(?P<name>[^']+)' for queue .*: "
    r"received .* but current is (?:the value )?'(?P<value>.*?)'(?: of type '(?P<type>\w+)')?\Z",
    re.DOTALL,
)
_DEFAULT_DELIVERY_LIMIT = 20  # in RabbitMQ 4, https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling


@dataclass(frozen=True, slots=True)
class QueueProperties:
    """The properties with which a queue was declared.

    Attributes:
        durable: whether the queue survives a restart of the broker.
        auto_delete: whether the broker deletes the queue when its last consumer stops.
        arguments: the arguments, such as `x-queue-type`.
    """

    durable: bool
    auto_delete: bool
    arguments: Mapping[str, Any] = field(default_factory=dict)


def delivery_limit(arguments: Mapping[str, Any], server: Mapping[str, Any]) -> int | None:
    """Return how often a message is requeued before the broker removes it, or None if the queue has no limit.

    Args:
        arguments: the arguments of the queue.
        server: the properties of the broker (connection.start).
    """
    if arguments.get("x-queue-type") != "quorum":
        return None
    limit = arguments.get("x-delivery-limit")
    if limit is None:
        return _DEFAULT_DELIVERY_LIMIT if not str(server.get("version", "")).startswith("3.") else None
    return int(limit) if isinstance(limit, int) and limit >= 0 else None


async def read_queue_properties(link: Link, name: str) -> QueueProperties:
    """Return the properties of a queue.

    Raises:
        NotFound: Raised when the queue does not exist.
        AccessRefused: Raised when the user may not declare a queue of this name.
        ResourceLocked: Raised when the queue is exclusive to another connection.
        PreconditionFailed: Raised when an answer of the broker names no property, or `_ATTEMPTS` declarations failed.
        NetworkError: Raised when the connection is lost, or the queue is on a node that is down.
    """
    flags: dict[str, bool] = {"durable": True, "auto_delete": False}
    arguments: dict[str, Any] = {}

    async def declare_again(channel: aiormq.Channel) -> None:
        await methods.declare_queue(channel, name, passive=True)
        await methods.declare_queue(channel, name, **flags, arguments=arguments)

    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            await link.ask(declare_again, f"read the properties of {name}")
        except PreconditionFailed as refusal:
            difference = _DIFFERENCE.search(refusal.text)
            if difference is None or not attempts_left:
                raise
            property_, value = difference["name"], difference["value"]
            if property_ in flags:
                flags[property_] = value == "true"
            else:
                arguments[property_] = _argument(value, difference["type"])
        else:
            break
    return QueueProperties(**flags, arguments=arguments)


def _argument(value: str, type_: str | None) -> Any:
    if type_ == "bool":
        return value == "true"
    if type_ == "longstr":
        return value
    return int(value) if re.fullmatch(r"-?\d+", value) else value
