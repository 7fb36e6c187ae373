"""Receipts: what is known about one published message, and the exceptions that carry a receipt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulsekit._amqp.types import Outcome
from pulsekit.errors import InvalidMessage, InvalidPayload, PulsekitError

if TYPE_CHECKING:
    from pulsekit.errors import Problem

__all__ = [
    "MessageRefused",
    "MessageReturned",
    "OutcomeUnknown",
    "PublishError",
    "PublishTimeout",
    "Receipt",
]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result of publishing one message.

    Attributes:
        index: the position of the message in its `publish_many`, from 0.
        message_id: the `message-id` property, which is the same when the message is sent again.
        exchange: the exchange.
        routing_key: the routing key.
        outcome: the outcome.
        resent: whether the message was sent more than once, after a reconnect. A queue may then contain it twice.
        detail: the text of the broker, or empty.
        problems: the schema violations of an invalid payload.
    """

    index: int
    message_id: str
    exchange: str
    routing_key: str
    outcome: Outcome
    resent: bool = False
    detail: str = ""
    problems: tuple[Problem, ...] = ()

    def check(self) -> Receipt:
        """Return the receipt if the message was confirmed.

        Raises:
            MessageReturned: Raised when no queue is bound to the routing key.
            MessageRefused: Raised when the broker sent a negative confirm.
            PublishTimeout: Raised when the broker did not confirm before the deadline.
            OutcomeUnknown: Raised when the connection was lost before the confirm.
            InvalidPayload: Raised when the payload violates the schema.
            InvalidMessage: Raised when AMQP cannot encode the message.
        """
        where = f"message {self.message_id} to {self.exchange} with key {self.routing_key!r}"
        detail = f" ({self.detail})" if self.detail else ""
        if self.outcome is Outcome.CONFIRMED:
            return self
        if self.outcome is Outcome.INVALID:
            raise InvalidPayload(self.problems) if self.problems else InvalidMessage(self.detail)
        if self.outcome is Outcome.RETURNED:
            raise MessageReturned(f"{where} was returned: no queue is bound to this key{detail}", self)
        if self.outcome is Outcome.REFUSED:
            raise MessageRefused(f"{where} was refused by the broker{detail}", self)
        if self.outcome is Outcome.TIMEOUT:
            raise PublishTimeout(f"{where} was not confirmed in time{detail}", self)
        raise OutcomeUnknown(f"{where} may or may not have arrived: the connection was lost{detail}", self)


class PublishError(PulsekitError):
    """Raised when a message was not confirmed.

    Attributes:
        receipt: the receipt of the message, with its id and outcome.
    """

    def __init__(self, message: str, receipt: Receipt) -> None:
        self.receipt = receipt
        super().__init__(message)


class MessageReturned(PublishError):
    """Raised when no queue is bound to the routing key of a mandatory message (basic.return)."""


class MessageRefused(PublishError):
    """Raised after a negative confirm (basic.nack): a queue is full, or the broker had an internal error."""


class PublishTimeout(PublishError):
    """Raised when the broker did not confirm before the deadline."""


class OutcomeUnknown(PublishError):
    """Raised when the connection was lost after the message was sent and before its confirm."""
