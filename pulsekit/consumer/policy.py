"""What becomes of a message whose handler failed, or that nobody can read."""

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

_REMEMBERED = 10_000  # messages whose failures are counted at once


class OnFailure(enum.StrEnum):
    """Name what becomes of a message.

    Attributes:
        RAISE: it goes back to the queue at once, and the reason comes out of `handle`, which ends.
        REQUEUE: it goes back to the queue after a delay, a limited number of times (basic.nack with requeue).
        REJECT: the broker takes it out of the queue: to the queue's dead-letter exchange when it has one, else to
            nowhere (basic.reject).
        KEEP: it stays unsettled, and goes back to the queue when the subscription ends. Until then it holds a place of
            the prefetch.
        ACK: it counts as done (basic.ack).
    """

    RAISE = "raise"
    REQUEUE = "requeue"
    REJECT = "reject"
    KEEP = "keep"
    ACK = "ack"


@dataclass(frozen=True, slots=True)
class Policy:
    """Decide for a handler what becomes of messages that it could not take.

    Attributes:
        failure: when the handler raised.
        delay: seconds until a requeued message goes back.
        limit: how often one message is requeued. It is counted here and by the message, for `redelivered` says neither
            how often nor why. A quorum queue of RabbitMQ 4 has a limit too, 20 by default: a message that is requeued
            more often than that is discarded, or goes to the dead letters.
        exhausted: when it failed once more than that.
        poison: when the message is not JSON, is refused by the subscription's schema, or is too large; such a one never
            reaches the handler. None leaves it to the handler, whose `message.payload` then raises.
        max_size: bytes a body may have; None for any.
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
        """Return why a message is poison, or None."""
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
    """Count how often each message failed, those that failed longest ago forgotten first."""

    def __init__(self) -> None:
        self._failures: dict[bytes, int] = {}

    def failed(self, message: Message) -> int:
        """Count one more failure of a message, and return how many there were."""
        name = self._name(message)
        count = self._failures.pop(name, 0) + 1
        self._failures[name] = count
        if len(self._failures) > _REMEMBERED:
            del self._failures[next(iter(self._failures))]
        return count

    def forget(self, message: Message) -> None:
        """Stop counting: the message is done with."""
        if self._failures:
            self._failures.pop(self._name(message), None)

    @staticmethod
    def _name(message: Message) -> bytes:
        """Tell messages apart: the delivery tag is another each time, and a message id is for the sender to give."""
        parts = (message.exchange, message.routing_key, message.properties.message_id or "")
        return hashlib.sha256("\0".join(parts).encode("utf-8", "replace") + b"\0" + message.body).digest()
