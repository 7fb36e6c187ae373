"""Publish on one channel of one connection, with confirms (https://www.rabbitmq.com/docs/confirms).

Plan: `send` gives each message the next delivery tag, adds it to `_outstanding` under that tag, and writes the frames
of a whole batch at once. The broker answers with basic.ack and basic.nack, each for one tag or, with `multiple`, for
every tag up to it. It returns an unroutable mandatory message (basic.return) before its ack.

Invariants: tags in `_outstanding` ascend; every message that was sent gets exactly one outcome; when the channel
ends, each message that is still outstanding gets the outcome UNKNOWN and is in `unanswered`.

Example: tags 1, 2 and 3 are sent; the broker returns the message of tag 2, then sends ack(3, multiple). The outcomes
are CONFIRMED for 1, RETURNED for 2, CONFIRMED for 3.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pulsekit._amqp import methods
from pulsekit._amqp.channel import FrameChannel, IncomingContent
from pulsekit._amqp.error_mapping import FOREIGN, map_error
from pulsekit._amqp.frames import ACK, NACK, RETURN, SETTLE, encode_id
from pulsekit._amqp.outcome import Outcome
from pulsekit._amqp.properties import read_properties
from pulsekit._amqp.types import short_string
from pulsekit.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import aiormq

    from pulsekit._amqp.frames import PublishHeader
    from pulsekit._amqp.link import Link
    from pulsekit.errors import PulsekitError

__all__ = ["OnOutcome", "OutgoingMessage", "OutgoingMessageT", "PublishChannel"]

log = logging.getLogger("pulsekit")

_MAX_LATE = 4096  # up to this number of outstanding messages, timed-out messages are kept, see `forget`


class OutgoingMessage:
    """An encoded message. The publisher's subclass adds the publisher's state.

    Attributes:
        header: the encoded parts that the message shares with others.
        message_id: the message id, encoded as a short string.
        body: the encoded payload.
    """

    __slots__ = ("body", "header", "message_id")

    def __init__(self, header: PublishHeader, message_id: bytes, body: bytes) -> None:
        self.header = header
        self.message_id = message_id
        self.body = body


OutgoingMessageT = TypeVar("OutgoingMessageT", bound=OutgoingMessage)
_OutgoingMessageT_contra = TypeVar("_OutgoingMessageT_contra", bound=OutgoingMessage, contravariant=True)


class OnOutcome(Protocol[_OutgoingMessageT_contra]):
    """A callback for the outcome of one message, with the text of the broker, which may be empty."""

    def __call__(self, message: _OutgoingMessageT_contra, outcome: Outcome, detail: str = "", /) -> None: ...


class PublishChannel(FrameChannel, Generic[OutgoingMessageT]):
    """A channel in confirm mode, on which messages are published; see the module.

    Attributes:
        unanswered: the messages that had no answer when the channel ended, in order.
        forgot: whether unanswered messages were discarded, see `forget`.
    """

    def __init__(
        self,
        link: Link,
        channel: aiormq.Channel,
        on_outcome: OnOutcome[OutgoingMessageT],
        on_writable: Callable[[], None],
    ) -> None:
        super().__init__(link, channel)
        self._on_outcome = on_outcome
        self._on_writable = on_writable
        self.unanswered: tuple[OutgoingMessageT, ...] = ()
        self.forgot = False
        self._oldest = 1  # no tag below this one is outstanding
        self._next = 1  # the tag of the next message
        self._outstanding: dict[int, OutgoingMessageT] = {}  # by delivery tag, ascending
        self._returned: dict[int, str] = {}  # the broker's texts, by the tags of returned messages

    @classmethod
    async def open(
        cls, link: Link, on_outcome: OnOutcome[OutgoingMessageT], on_writable: Callable[[], None]
    ) -> PublishChannel[OutgoingMessageT]:
        """Open a channel in confirm mode.

        Args:
            link: the connection of the current epoch.
            on_outcome: called once for each message, in the order of the broker's answers.
            on_writable: called when `writable` becomes True again.

        Raises:
            ConnectionLost: Raised when the connection is lost, or the broker does not answer in time.
        """
        channel = cls(link, await link.channel(confirms=True), on_outcome, on_writable)
        link.router.connect(channel._channel.number, channel)
        return channel

    async def declare_exchange(self, name: str, *, passive: bool) -> None:
        """Declare a durable topic exchange, or check that it exists if `passive` (exchange.declare).

        Raises:
            BrokerRefused: Raised when the exchange does not exist, belongs to another user, or has another type. The
                broker then closes the channel.
            ConnectionLost: Raised when the connection is lost, or the broker does not answer in time.
        """
        doing = f"find the exchange {name}" if passive else f"declare the exchange {name}"
        try:
            await methods.declare_exchange(self._channel, name, passive=passive)
        except FOREIGN as error:
            raise map_error(error, doing, reconnects=True) from error

    @property
    def writable(self) -> bool:
        """Whether channel and connection accept messages. If not, `send` would only fill the write buffer."""
        return not self._closing and self.flowing and self.link.router.writable

    def resumed(self) -> None:
        """Call `on_writable`."""
        self._on_writable()

    def send(self, batch: Iterable[OutgoingMessageT]) -> None:
        """Send messages in order, with one write. Each message gets exactly one outcome."""
        number, frame_max, outstanding, tag = self._channel.number, self.link.frame_max, self._outstanding, self._next
        parts: list[bytes | memoryview] = []
        for message in batch:
            outstanding[tag] = message
            tag += 1
            message.header.frames(number, message.message_id, message.body, frame_max, parts)
        self._next = tag
        if not self._closing:
            self.link.router.write(b"".join(parts))

    def forget(self, late: Callable[[OutgoingMessageT], bool]) -> None:
        """Discard late messages if many are outstanding. Later answers to them are ignored.

        Few late messages are kept, so that a late basic.return is not attributed to a newer message.

        Args:
            late: returns whether a message has timed out.
        """
        if len(self._outstanding) <= _MAX_LATE:
            return
        self.forgot = True
        self._outstanding = {tag: message for tag, message in self._outstanding.items() if not late(message)}
        self._returned = {tag: text for tag, text in self._returned.items() if tag in self._outstanding}

    async def closed(self) -> PulsekitError:
        """Wait until the channel is closed, and return the reason. By then, each sent message has its outcome."""
        reason = await self.ended("publish")
        self.link.router.disconnect(self._channel.number, self)
        self._end()
        return reason

    async def close(self) -> None:
        """Close the channel. Outstanding messages get the outcome UNKNOWN."""
        self._end()
        await super().close()

    def _end(self) -> None:
        self._closing = True
        self.unanswered, self._outstanding = tuple(self._outstanding.values()), {}
        for message in self.unanswered:
            self._on_outcome(message, Outcome.UNKNOWN)

    def _on_method(self, method: bytes, data: bytes, start: int, end: int) -> bool:
        if method in {ACK, NACK}:
            tag, bits = SETTLE.unpack_from(data, start + 4)
            self._settle(tag, Outcome.CONFIRMED if method == ACK else Outcome.REFUSED, multiple=bool(bits & 1))
        elif method == RETURN:
            self._content = IncomingContent(data[start:end])
        else:
            return False
        return True

    def _settle(self, tag: int, outcome: Outcome, *, multiple: bool) -> None:
        """Report the outcome of one message or, with `multiple`, of all messages up to the tag. Tag 0 means all."""
        tags: Iterable[int] = (tag,)
        if multiple:
            last = min(tag or self._next, self._next - 1)
            tags = range(self._oldest, last + 1)
            self._oldest = max(self._oldest, last + 1)
        for settled in tags:
            message = self._outstanding.pop(settled, None)
            if message is None:
                continue  # an earlier answer settled the message
            if self._returned and (text := self._returned.pop(settled, None)) is not None:
                self._on_outcome(message, *((outcome, "") if outcome is Outcome.REFUSED else (Outcome.RETURNED, text)))
            else:
                self._on_outcome(message, outcome)

    def _on_content(self, method: bytes, header: bytes, body: bytes) -> None:  # noqa: ARG002 - the body is not needed
        """Find the returned message, as basic.return has no tag: the oldest one with its id, key, exchange and CC keys.

        The message id and the routing key alone are not enough: another message may have both, and CC keys with which
        the broker has routed it. The broker removes BCC keys from a returned message.
        """
        text, at = short_string(method, 6)
        exchange, at = short_string(method, at)
        routing_key, _ = short_string(method, at)
        properties, headers = read_properties(header)
        message_id, cc = encode_id(properties.message_id or ""), headers.get("CC")
        found: int | None = None
        for tag, message in self._outstanding.items():
            sent = message.header
            if (
                message.message_id == message_id
                and sent.mandatory
                and sent.routing_key == routing_key
                and sent.exchange == exchange
                and tag not in self._returned
            ):
                if sent.cc == cc:
                    found = tag
                    break
                found = found or tag  # in case the broker has changed the CC keys
        if found is None:
            log.debug("a returned message is not outstanding: %s %r", exchange, routing_key)
        else:
            self._returned[found] = printable(text)
