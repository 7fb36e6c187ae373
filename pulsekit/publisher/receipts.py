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
    """Say what became of one published message.

    Attributes:
        index: its place among the messages of one `publish_many`, from 0.
        message_id: the `message-id` property it carries, also when it was sent again.
        exchange: where it was published.
        routing_key: its routing key.
        outcome: what is known.
        resent: whether it was sent more than once, after a reconnect; a queue may then hold it twice.
        detail: the broker's words, or empty.
        problems: why an invalid payload was not sent.
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
        """Return itself when confirmed.

        Raises:
            MessageReturned: no queue is bound to the key.
            MessageRefused: the broker sent a negative confirm.
            PublishTimeout: no confirm before the deadline.
            OutcomeUnknown: the connection went before the confirm.
            InvalidPayload: the schema refused it.
            InvalidMessage: AMQP cannot carry it.
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
    """Report one message that was not confirmed.

    Attributes:
        receipt: what is known about it, with its message id and outcome.
    """

    def __init__(self, message: str, receipt: Receipt) -> None:
        self.receipt = receipt
        super().__init__(message)


class MessageReturned(PublishError):
    """Report a message that no queue took: nobody is bound to its key (basic.return)."""


class MessageRefused(PublishError):
    """Report a negative confirm (basic.nack): a queue limit or an error inside the broker."""


class PublishTimeout(PublishError):
    """Report that no confirm came before the deadline."""


class OutcomeUnknown(PublishError):
    """Report that the connection went after the message was sent, before its confirm."""
