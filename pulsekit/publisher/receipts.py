"""The receipts of published messages, and the exceptions that contain a receipt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulsekit._amqp.outcome import Outcome
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
        index (int): the position of the message in its `publish_many`, from 0.
        message_id (str): the `message-id` property, which is the same when the message is sent again.
        exchange (str): the exchange to which the message was published.
        routing_key (str): the routing key.
        outcome (Outcome): confirmed, returned, refused, timeout, unknown or invalid.
        resent (bool): whether the message was sent again after its connection or channel had closed. A queue may then
            contain it twice.
        detail (str): the text of the broker, the reason why the message is invalid, what the message waited for until
            its deadline, or empty.
        problems (tuple[Problem, ...]): the schema violations of an invalid payload.
        sent (bool): whether the message was written to a connection. If true, the message may arrive even after the
            deadline. If false, the message never arrives.
    """

    index: int
    message_id: str
    exchange: str
    routing_key: str
    outcome: Outcome
    resent: bool = False
    detail: str = ""
    problems: tuple[Problem, ...] = ()
    sent: bool = False

    def check(self) -> Receipt:
        """Return the receipt if the message was confirmed.

        Raises:
            MessageReturned: Raised when no queue is bound to the routing key.
            MessageRefused: Raised when the broker refused the message.
            PublishTimeout: Raised when the broker did not confirm before the deadline.
            OutcomeUnknown: Raised when the message was sent, but it is unknown whether it arrived.
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
            advice = "correct the message" if detail else "a queue is full, publish it again later"
            raise MessageRefused(f"{where} was refused by the broker{detail}: {advice}", self)
        if self.outcome is Outcome.TIMEOUT:
            raise PublishTimeout(f"{where} was not confirmed in time{detail}", self)
        raise OutcomeUnknown(f"{where} may or may not have arrived{detail or ': the connection was lost'}", self)


class PublishError(PulsekitError):
    """Raised when a message was not confirmed. Inspect the outcome in `receipt`, then publish the message again.

    Attributes:
        receipt (Receipt): the receipt of the message, with its id and outcome.
    """

    def __init__(self, message: str, receipt: Receipt) -> None:
        self.receipt = receipt
        super().__init__(message)


class MessageReturned(PublishError):
    """Raised when no queue is bound to the routing key of a mandatory message (basic.return).

    Correct the routing key, or bind a queue first.
    """


class MessageRefused(PublishError):
    """Raised when the broker refused the message.

    If the receipt has a `detail`, the broker closed the channel because of this message (channel.close), for example
    because of an invalid property or the size: correct the message. Otherwise, a full queue rejected the message
    (basic.nack, with `overflow_rejects` of the publisher): publish the message again later.
    """


class PublishTimeout(PublishError):
    """Raised when the broker did not confirm before the deadline. `detail` of the receipt has the reason.

    If `sent` of the receipt is false, publish the message again. If `sent` is true, the broker may have accepted the
    message: publish it again only if consumers can receive it twice.
    """


class OutcomeUnknown(PublishError):
    """Raised when the message was sent, and the connection was lost before the confirm.

    Also raised after a negative confirm (basic.nack): a full queue rejected the message, or the node of a queue failed.
    In the second case, the queue may have stored the message. If the publisher has `overflow_rejects`, a negative
    confirm of a message that was sent once raises `MessageRefused` instead.

    The broker may have accepted the message: publish it again only if consumers can receive it twice.
    """
