"""How a message is settled when its handler failed, or when its payload cannot be read."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulsekit.errors import ConfigurationError, DocumentError, InvalidMessage, InvalidPayload

if TYPE_CHECKING:
    from pulsekit.errors import PulsekitError
    from pulsekit.messages import Message

__all__ = ["OnFailure", "Policy", "Retries"]

_MAX_COUNTED = 10_000  # messages whose failures are counted


class OnFailure(enum.StrEnum):
    """How a message is settled after a failure.

    Attributes:
        RAISE: requeue the message at once, and raise the reason from `handle`, which ends.
        REQUEUE: requeue the message after a delay, a limited number of times (basic.nack with requeue).
        REJECT: reject the message (basic.reject). The broker routes it to the dead-letter exchange of the queue, or
            discards it if there is none.
        KEEP: leave the message unsettled. It counts towards the prefetch, and is requeued when the consumer closes.
        ACK: acknowledge the message (basic.ack).
    """

    RAISE = "raise"
    REQUEUE = "requeue"
    REJECT = "reject"
    KEEP = "keep"
    ACK = "ack"


@dataclass(frozen=True, slots=True)
class Policy:
    """The failure policy of a handler.

    Attributes:
        failure: what happens to a message whose handler raised.
        delay: seconds until a message is requeued.
        limit: how often one message is requeued. The process counts this by exchange, routing key, message id and body,
            since `redelivered` tells neither the number nor the reason. Quorum queues of RabbitMQ 4 have a limit of
            their own, 20 by default, above which the broker dead-letters or discards the message.
        exhausted: what happens to a message whose handler raised more often than `limit`.
        poison: what happens to a message that is not JSON, violates the schema of the subscription, or is larger than
            `max_size`. Such a message does not reach the handler. If this is None, it does, and `message.payload`
            raises.
        max_size: the largest allowed body in bytes; None for any size.
    """

    failure: OnFailure = OnFailure.RAISE
    delay: float = 1.0
    limit: int = 3
    exhausted: OnFailure = OnFailure.REJECT
    poison: OnFailure | None = None
    max_size: int | None = None

    def __post_init__(self) -> None:
        if OnFailure.REQUEUE in {self.poison, self.exhausted}:
            raise ConfigurationError(
                "a message that cannot be read, or failed too often, would come back for ever: reject or keep it"
            )
        if self.delay < 0 or self.limit < 1:
            raise ConfigurationError("a policy has a delay of 0 seconds or more, and a limit of 1 or more")
        if self.max_size is not None and self.poison is None:
            raise ConfigurationError("max_size is for a policy that says what becomes of poison")

    def reason_against(self, message: Message) -> PulsekitError | None:
        """Return the reason why a message is poison, or None."""
        if self.poison is None:
            return None
        if self.max_size is not None and len(message.body) > self.max_size:
            return InvalidMessage(f"the body has {len(message.body)} bytes; {self.max_size} are allowed")
        try:
            _ = message.payload
        except (DocumentError, InvalidPayload) as error:
            return error
        return None


class Retries:
    """The number of failures of each message; the oldest entries are dropped first."""

    def __init__(self) -> None:
        self._failures: dict[bytes, int] = {}

    def failed(self, message: Message) -> int:
        """Count a failure of a message, and return the number of its failures."""
        name = self._name(message)
        count = self._failures.pop(name, 0) + 1
        self._failures[name] = count
        if len(self._failures) > _MAX_COUNTED:
            del self._failures[next(iter(self._failures))]
        return count

    def forget(self, message: Message) -> None:
        """Drop the count of a message."""
        if self._failures:
            self._failures.pop(self._name(message), None)

    @staticmethod
    def _name(message: Message) -> bytes:
        """Identify a message across deliveries: the delivery tag changes, and the message id is optional."""
        parts = (message.exchange, message.routing_key, message.properties.message_id or "")
        return hashlib.sha256("\0".join(parts).encode("utf-8", "replace") + b"\0" + message.body).digest()
