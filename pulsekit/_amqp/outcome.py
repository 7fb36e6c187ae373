"""What became of a published message."""

from __future__ import annotations

import enum

__all__ = ["Outcome"]


class Outcome(enum.StrEnum):
    """The outcome of publishing one message.

    Attributes:
        CONFIRMED: the broker accepted the message (basic.ack). With `mandatory`, the message was routed to at least one
            queue. Without `mandatory`, the broker also confirms a message that it discards because no queue is bound to
            the routing key.
        RETURNED: no queue is bound to the routing key, and the broker returned the message (basic.return). This needs
            `mandatory`. If the message was sent again after a lost connection (`resent`), this is the outcome of the
            last copy, and an earlier copy may have arrived: a broker that restarts can return messages for a moment.
        REFUSED: the broker closed the channel because of this message. If the publisher has `overflow_rejects`, also: a
            full queue rejected the message (basic.nack).
        TIMEOUT: the broker did not answer before the deadline.
        UNKNOWN: the message was sent, and its connection was lost before the broker answered, or the broker sent a
            negative confirm (basic.nack). The message may have arrived: when the node of a queue fails, the broker
            sends negative confirms even for messages that the queue has stored.
        INVALID: the message violates its schema, or AMQP cannot encode it. It was not sent.
    """

    CONFIRMED = "confirmed"
    RETURNED = "returned"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"
    INVALID = "invalid"
