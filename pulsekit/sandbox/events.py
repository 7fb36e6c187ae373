"""Events: what happens in the sandbox, for whoever watches it (a screen, a test)."""

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
    "guardian-warned", "guardian-deleted", "note",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """Report one thing that happened.

    Attributes:
        kind: what happened.
        vhost: where.
        user: who caused it, empty for the broker itself.
        exchange: name of the exchange, when there is one.
        queue: name of the queue, when there is one.
        routing_key: key of the message or the binding.
        message: the message itself, for what happens to messages.
        detail: the rest in words: a reply text, the reason of a dead letter, a depth.
        count: how many: queues a message reached, messages in a queue.
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
