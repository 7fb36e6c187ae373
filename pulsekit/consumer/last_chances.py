"""The unsettled messages that a quorum queue removes if they are returned again.

A message returns to its queue if the consumer requeues it, or if the connection is lost. A quorum queue counts the
returns. If there are more than its delivery limit, the broker dead-letters or discards the message
(https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pulsekit._amqp.types import Settlement
from pulsekit._documents.suggestions import counted

if TYPE_CHECKING:
    from pulsekit.messages import Message

__all__ = ["LastChances", "is_last_delivery"]

log = logging.getLogger("pulsekit")

_REMOVED = "the broker dead-letters a message over this limit, or discards it without a dead-letter exchange"


class LastChances:
    """The unsettled last deliveries of one consumer, by delivery tag.

    Attributes:
        limit: how often the queue requeues a message before the broker removes it, or None without a limit.
        tags: the delivery tags.
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self.tags: set[int] = set()

    def add(self, message: Message) -> None:
        """Add a delivery if it is the last one of its message."""
        if self.limit is not None and is_last_delivery(message, self.limit):
            self.tags.add(message.delivery_tag)

    def settled(self, message: Message, settlement: Settlement) -> None:
        """Remove a settled delivery. Log a warning if it was requeued."""
        if message.delivery_tag in self.tags:
            self.tags.remove(message.delivery_tag)
            if settlement is Settlement.REQUEUE:
                log.warning("%s was returned at the delivery limit of its queue: %s", message, _REMOVED)

    def returned(self, queue: str) -> bool:
        """Remove all deliveries when the channel ends. If there were any, log a warning and return True."""
        count = len(self.tags)
        self.tags.clear()
        if count:
            log.warning("%s returned at the delivery limit of %s: %s", counted(count, "message"), queue, _REMOVED)
        return count > 0


def is_last_delivery(message: Message, limit: int) -> bool:
    """Return whether a queue with this delivery limit removes the message if it is returned again."""
    return (message.delivery_count or 0) >= limit
