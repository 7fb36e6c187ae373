"""Events in the sandbox, for its output and for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit.sandbox.model.messages import Message

__all__ = ["Event", "Kind", "Observer"]

Kind: TypeAlias = Literal[
    "connected", "disconnected", "refused", "blocked", "unblocked",
    "exchange-declared", "exchange-deleted", "queue-declared", "queue-deleted", "bound", "unbound",
    "published", "returned", "delivered", "acked", "nacked", "dead-lettered", "dropped",
    "guardian-warned", "guardian-deleted",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        kind: the kind of the event.
        vhost: the virtual host.
        user: the user who caused the event. Empty if the broker caused it.
        exchange: name of the exchange, if the event concerns one.
        queue: name of the queue, if the event concerns one.
        routing_key: routing key of the message or the binding.
        message: the message, if the event concerns one.
        detail: a text with details: a reply text, the reason of a dead letter, or a depth.
        count: the number of queues that received a message, or of messages in a queue.
    """

    kind: Kind
    vhost: str = ""
    user: str = ""
    exchange: str = ""
    queue: str = ""
    routing_key: str = ""
    message: Message | None = None
    detail: str = ""
    count: int = 0


Observer: TypeAlias = "Callable[[Event], None]"
