"""Publishing on a channel: content frames, confirms, returns and transactions.

Confirms (RabbitMQ's guide "Consumer Acknowledgements and Publisher Confirms"): the publishes of a channel are numbered
from 1. `publish` appends number and outcome to `_unsent_confirms`. After each batch of bytes from the client, the
session calls `confirm`, which sends one Basic.Ack or Basic.Nack with `multiple` for each run of equal outcomes. This
confirms only the run, because all earlier publishes are already confirmed.

Example: 1 and 2 are accepted, 3 is refused. `confirm` sends Ack(2, multiple) and Nack(3).

Invariants: numbers in `_unsent_confirms` ascend without a gap, and each number is confirmed once. A Basic.Return is
sent while its message is routed, so it precedes the confirm.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Protocol

from pamqp import commands

from pulsekit.sandbox.codec import frames
from pulsekit.sandbox.events import Event
from pulsekit.sandbox.model.messages import Message
from pulsekit.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from pulsekit.sandbox.model.broker import Broker
    from pulsekit.sandbox.model.users import User
    from pulsekit.sandbox.model.virtual_hosts import VirtualHost

__all__ = ["REPLY_TO", "ContentAssembler", "PublishConnection", "Publisher"]

REPLY_TO: Final = "amq.rabbitmq.reply-to"


class ContentAssembler:
    """A message between its Basic.Publish and the end of its content (AMQP 0-9-1 §4.2.6).

    The frames of a publish are consecutive on a channel: the method, one header frame with the size of the body, and
    body frames up to this size. A message without a body has no body frames. So there are three states: the header is
    missing, the body is incomplete, the message is complete. Most bodies are one frame, which is kept without a copy.

    Invariant: until the message is complete, `_missing` is the announced size minus the bytes received.

    Example: after a header with size 10, body frames of 4 and 6 bytes complete the message. Those of 4 and 7 bytes
    never do.
    """

    def __init__(self, publish: frames.Publish, max_message: int) -> None:
        self.publish = publish
        self._max_message = max_message  # bytes of the largest body, RabbitMQ's `max_message_size`
        self.header = b""
        self.body = b""
        self._missing = 0
        self._parts: list[bytes] = []

    def add(self, kind: int, payload: bytes) -> bool:
        """Add the next frame. Return True if the message is complete.

        As in RabbitMQ, a body that is longer than announced is never complete, and the next method frame is refused.

        Raises:
            Refusal: Raised with 505 if the frame has the wrong type, with 406 if the message is too large.
        """
        if not self.header:
            if kind != frames.HEADER:
                raise Refusal(505, "expected content header for class 60, got non content header frame instead")
            if len(payload) < 14:
                raise Refusal(502, "malformed content header")
            if payload[:2] != b"\x00\x3c":
                wrong = int.from_bytes(payload[:2], "big")
                raise Refusal(505, f"expected content header for class 60, got one for class {wrong} instead")
            self.header = payload
            self._missing = int.from_bytes(payload[4:12], "big")
            if self._missing > self._max_message:
                raise Refusal(
                    406, f"message size {self._missing} is larger than configured max size {self._max_message}"
                )
            return self._missing == 0
        if kind != frames.BODY:
            raise Refusal(505, "expected content body, got non content body frame instead")
        if len(payload) == self._missing and not self._parts:
            self.body = payload
            return True
        self._missing -= len(payload)
        if self._missing < 0:
            self._parts.clear()
            return False
        self._parts.append(payload)
        if self._missing == 0:
            self.body = b"".join(self._parts)
        return self._missing == 0


class PublishConnection(Protocol):
    """The part of the connection that publishing uses."""

    broker: Broker
    vhost: VirtualHost
    user: User
    frame_max: int

    def send(self, data: bytes) -> None:
        """Append frames to the output for the client."""


class Publisher:
    """The publishing side of one channel.

    Attributes:
        confirming: True after Confirm.Select.
        transaction: the messages of the open transaction, or None without a transaction.
    """

    def __init__(self, connection: PublishConnection, channel: int) -> None:
        self._broker = connection.broker
        self._vhost = connection.vhost
        self._user = connection.user
        self._send = connection.send
        self._frame_max = connection.frame_max
        self._channel = channel
        self._tag = 0
        self._unsent_confirms: list[tuple[int, bool]] = []
        self.confirming = False
        self.transaction: list[tuple[frames.Publish, Message]] | None = None

    def publish(self, assembly: ContentAssembler, reply_to: str | None = None) -> bool:
        """Publish a complete message. Return True if `confirm` must be called.

        `reply_to` is the queue behind `amq.rabbitmq.reply-to` on this channel.

        Raises:
            Refusal: Raised with 403 if the user has no permission or the exchange is internal, with 404 if the exchange
                does not exist, with 406 if a property is invalid.
        """
        publish, vhost = assembly.publish, self._vhost
        self._user.check("write", "exchange", publish.exchange, vhost)
        if vhost.exchange(publish.exchange).internal:
            raise Refusal(403, f"cannot publish to internal exchange '{publish.exchange}' in vhost '{vhost.name}'")
        message = Message.received(publish, assembly.header, assembly.body)
        self._check(message)
        if message.properties.text("reply_to") == REPLY_TO:
            message = _with_reply_to(publish, message, reply_to)
        if self.transaction is not None:
            self.transaction.append((publish, message))
            return False
        accepted = self._route(publish, message)
        if self.confirming:
            self._tag += 1
            self._unsent_confirms.append((self._tag, accepted))
        return self.confirming

    def commit(self) -> None:
        """Route the messages of the transaction, and begin the next transaction."""
        transaction, self.transaction = self.transaction or [], []
        for publish, message in transaction:
            self._route(publish, message)

    def confirm(self) -> None:
        """Send the outstanding confirms in as few frames as possible."""
        settled, self._unsent_confirms = self._unsent_confirms, []
        for accepted, run in groupby(settled, itemgetter(1)):
            tags = [tag for tag, _ in run]
            if accepted:
                self._send(frames.encode(self._channel, commands.Basic.Ack, tags[-1], len(tags) > 1))
            else:
                self._send(frames.encode(self._channel, commands.Basic.Nack, tags[-1], len(tags) > 1, False))

    def _check(self, message: Message) -> None:
        claimed = message.properties.text("user_id")
        if claimed is not None and claimed != self._user.name:
            raise Refusal(406, f"user_id property set to '{claimed}' but authenticated user was '{self._user.name}'")
        _ = message.time_to_live  # raises a refusal if the expiration is invalid

    def _route(self, publish: frames.Publish, message: Message) -> bool:
        broker, vhost = self._broker, self._vhost
        if broker.refusing:
            count, accepted = 1, False
        else:
            exchange = vhost.exchanges.get(publish.exchange)  # the exchange may be deleted before a commit
            count, accepted = vhost.publish(exchange, message) if exchange is not None else (0, True)
        if broker.observers:
            self._emit(message, count, accepted)
        if not count and publish.mandatory:
            payload = b"\x00\x3c\x00\x32\x01\x38" + frames.short_string("NO_ROUTE") + message.address
            self._send(
                frames.frame(frames.METHOD, self._channel, payload)
                + frames.content(self._channel, message.header, message.body, self._frame_max)
            )
        return accepted

    def _emit(self, message: Message, count: int, accepted: bool) -> None:  # noqa: FBT001 - the outcome
        self._broker.emit(
            Event(
                "published" if count else "returned",
                self._vhost.name,
                self._user.name,
                exchange=message.exchange,
                routing_key=message.routing_key,
                message=message,
                count=count,
                detail="" if accepted else "refused",
            )
        )


def _with_reply_to(publish: frames.Publish, message: Message, reply_to: str | None) -> Message:
    """Replace the property `reply_to` by the queue of this channel's reply consumer (RabbitMQ's Direct Reply-to)."""
    if reply_to is None:
        raise Refusal(406, "fast reply consumer does not exist")
    header = message.properties.edit(len(message.body), reply_to=frames.short_string(reply_to))
    return Message(
        publish.exchange, publish.routing_key, header, message.body, address=publish.address, keys=message.keys
    )
