"""Classify the closing of a channel or connection by the broker: what it concerns, and whether it is final.

Channel.close and connection.close have the same fields: a reply code, a text, and the ids of the class and the method
that caused the close, or zeros if no method did (AMQP 0-9-1 §1.5.2.5 and §1.4.2.7). The first rule that matches
applies:

    frame       code           cause                     concerns     final
    ----------  -------------  ------------------------  -----------  ---------------------------------------------
    connection  530            connection.open           connection   yes, unless it is a limit: the virtual host is
                                                                      missing or not permitted
    connection  any            anything else             connection   no: open another connection
    channel     320, 5xx, …    any                       channel      no: open another channel
    channel     any            an acknowledgement that   channel      no: the broker delivers the messages again
                               timed out, or was wrong
    channel     404            a node that is down       channel      no: the queue exists
    channel     404, 403       basic.publish             channel      yes: the exchange is missing or not permitted
    channel     403 (a topic)  basic.publish             message      yes: the user may not use this routing key
    channel     311, 313, 406  basic.publish             message      yes: an invalid property, or too large
    channel     403 to 406     anything else             channel      yes: the broker refused the request

"Channel" means the publisher, the subscription or the request that uses the channel. The broker ignores everything
that it receives on a channel after the method that caused the close. The close does not identify the message. Codes 311
to 406 close a channel, and the other codes close a connection (AMQP 0-9-1 §1.2, "reply-code"). RabbitMQ also closes
channels with the other codes.

Example: channel.close 406 "PRECONDITION_FAILED - invalid expiration '1h': …" with class 60 and method 40 concerns one
message of the publisher. The publisher finds it and publishes the others again.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from pulsekit._amqp.types import short_string
from pulsekit.errors import (
    AccessRefused,
    BrokerRefused,
    ConnectionLost,
    NotFound,
    PreconditionFailed,
    PulsekitError,
    ResourceLocked,
    Unreachable,
    VirtualHostRefused,
    printable,
)

__all__ = ["Close", "Concern"]

_OPEN = (10, 40)
_PUBLISH = (60, 40)
_SETTLEMENTS = frozenset({(60, 80), (60, 90), (60, 120)})  # basic.ack, basic.reject, basic.nack

# Parts of RabbitMQ's texts, by which closes with the same code differ.
# A queue that exists, although the reply code is that of a missing one: its node is down, or stops or starts it now.
_UNAVAILABLE = re.compile("is down or inaccessible|process is stopped by supervisor|crashed and failed to restart")
_TOPIC = (
    "access to topic"  # a permission for routing keys, https://www.rabbitmq.com/docs/access-control#topic-authorisation
)
_LIMIT = re.compile(r"limit \(\d+\) is reached")  # of the connections of a user, a virtual host or a node
_ACK_TIMEOUT = re.compile(r"delivery acknowledgement on channel \d+ timed out(?:.*?(\d+) ms)?")
_DIFFERENT = "inequivalent arg"  # in the text about a declaration with other arguments
_IN_USE = "in exclusive use"  # in the text about an exclusive queue of another connection

_REFUSALS: dict[int, type[BrokerRefused]] = {
    311: BrokerRefused,  # CONTENT_TOO_LARGE
    313: BrokerRefused,  # NO_CONSUMERS
    403: AccessRefused,
    404: NotFound,
    405: ResourceLocked,
    406: PreconditionFailed,
}
_OF_MESSAGES = frozenset({311, 313, 406})


class Concern(enum.Enum):
    """What a close concerns: one message, the user of the channel, or all users of the connection."""

    MESSAGE = "message"
    CHANNEL = "channel"
    CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class Close:
    """The fields of a channel.close or connection.close that the broker sent.

    Attributes:
        code: the reply code.
        text: the reply text.
        method: class id and method id of the method that caused the close, or zeros.
        of_connection: whether it is a connection.close.
    """

    code: int
    text: str
    method: tuple[int, int] = (0, 0)
    of_connection: bool = False

    @classmethod
    def read(cls, payload: bytes, *, of_connection: bool = False) -> Close:
        """Read the payload of a channel.close or connection.close.

        Raises:
            LookupError: Raised when the payload is too short.
        """
        text, at = short_string(payload, 6)
        if len(payload) < at + 4:
            raise IndexError("the frame ends within its fields")
        code, class_id, method_id = (int.from_bytes(payload[i : i + 2], "big") for i in (4, at, at + 2))
        return cls(code, printable(text), (class_id, method_id), of_connection)

    @property
    def concern(self) -> Concern:
        """What the close concerns."""
        if self.of_connection:
            return Concern.CONNECTION
        if self.method == _PUBLISH and (self.code in _OF_MESSAGES or (self.code == 403 and _TOPIC in self.text)):
            return Concern.MESSAGE
        return Concern.CHANNEL

    @property
    def final(self) -> bool:
        """Whether the same request would be refused again."""
        if self.of_connection:
            # A limit on the user's connections or channels is not final, because some may be closed later.
            return self.code == 530 and self.method == _OPEN and not _LIMIT.search(self.text)
        if self.code not in _REFUSALS:
            return False
        if self.method in _SETTLEMENTS or self.ack_timeout is not None:
            return False
        return not (self.code == 404 and _UNAVAILABLE.search(self.text))

    @property
    def ack_timeout(self) -> float | None:
        """The acknowledgement timeout in seconds, if it caused this close. 0 if unknown, None for another cause.

        This is RabbitMQ's `consumer_timeout` (https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout).
        """
        found = _ACK_TIMEOUT.search(self.text) if self.code == 406 else None
        return None if found is None else int(found[1] or 0) / 1000

    def __str__(self) -> str:
        return f"{self.code} {self.text}"

    def error(self, doing: str) -> PulsekitError:
        """Return the exception for the user of the channel or connection.

        Args:
            doing: the operation, such as "declare exchange/me/v1/jobs".
        """
        if self.final:
            kind = VirtualHostRefused if self.of_connection else _REFUSALS[self.code]
            return kind(f"cannot {doing}: {_advice(kind, self.text)}", code=self.code, text=self.text)
        kind_of_loss = Unreachable if _UNAVAILABLE.search(self.text) else ConnectionLost
        return kind_of_loss(f"cannot {doing}: {self.text}")


def _advice(kind: type[BrokerRefused], text: str) -> str:
    """Return the broker's text, with what the user can do."""
    if _IN_USE in text:
        return f"{text}: another client consumes the queue exclusively; stop that client, or use another queue"
    if kind is AccessRefused:
        return f"{text}; on Pulse, a user may use only exchange/<user>/… and queue/<user>/…, and bind to any exchange/…"
    if kind is NotFound:
        return f"{text}; check the spelling, the virtual host, and whether the owner has created the exchange or queue"
    if kind is PreconditionFailed and _DIFFERENT in text:
        if "for exchange" in text:
            return (
                f"{text}; the exchange exists with other properties: use it as it is, or delete it and all its bindings"
            )
        return (
            f"{text}; the queue exists with other properties, which cannot be changed: declare the queue with its "
            "present properties, use it as it is with Queue(…, existing=True) or 'consume --existing', or use another "
            "name"
        )
    return text
