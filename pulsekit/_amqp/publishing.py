"""Publish on one channel of one connection, with confirms.

Plan: `send` gives each message the next delivery tag, keeps it in `_outstanding` under that tag, and writes the
frames of a whole batch at once. The broker answers with basic.ack and basic.nack, each for one tag or, with
`multiple`, for every tag up to it (RabbitMQ's publisher confirms). An unroutable mandatory message comes back as
basic.return before its ack.

Invariants: tags in `_outstanding` ascend; every message that was sent gets exactly one outcome; when the channel
ends, what is still outstanding gets the outcome UNKNOWN.

Example: tags 1, 2 and 3 are sent; the broker returns the message of tag 2, then sends ack(3, multiple). The outcomes
are CONFIRMED for 1, RETURNED for 2, CONFIRMED for 3.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pulsekit._amqp.channel import FrameChannel, IncomingContent, channel_end
from pulsekit._amqp.connection import OPERATION_TIMEOUT
from pulsekit._amqp.error_mapping import FOREIGN, map_error
from pulsekit._amqp.frames import ACK, NACK, RETURN, SETTLE, encode_id
from pulsekit._amqp.properties import read_properties
from pulsekit._amqp.types import Outcome, short_string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import aiormq

    from pulsekit._amqp.connection import Link
    from pulsekit._amqp.frames import PublishHeader
    from pulsekit.errors import PulsekitError

__all__ = ["OnOutcome", "OutgoingMessage", "PublishChannel"]

log = logging.getLogger("pulsekit")

_MOST_LATE = 4096  # messages without an answer that are kept without a question


class OutgoingMessage:
    """Hold one message on its way to the broker, encoded; whoever publishes extends it by what it needs to know.

    Attributes:
        envelope: everything that it shares with others.
        message_id: as the short string it travels as.
        body: the encoded payload.
    """

    __slots__ = ("body", "envelope", "message_id")

    def __init__(self, envelope: PublishHeader, message_id: bytes, body: bytes) -> None:
        self.envelope = envelope
        self.message_id = message_id
        self.body = body


OutgoingMessageT = TypeVar("OutgoingMessageT", bound=OutgoingMessage)
_OutgoingMessageT_contra = TypeVar("_OutgoingMessageT_contra", bound=OutgoingMessage, contravariant=True)


class OnOutcome(Protocol[_OutgoingMessageT_contra]):
    """Take the verdict on one message: the outcome, and the broker's words or nothing."""

    def __call__(self, parcel: _OutgoingMessageT_contra, outcome: Outcome, detail: str = "", /) -> None: ...


class PublishChannel(FrameChannel, Generic[OutgoingMessageT]):
    """Publish on one channel of one link, with confirms.

    Delivery tags of confirms count what was published on the channel, from 1; one answer may settle many.
    """

    def __init__(
        self,
        link: Link,
        channel: aiormq.Channel,
        on_outcome: OnOutcome[OutgoingMessageT],
        on_writable: Callable[[], None],
    ) -> None:
        super().__init__(link, channel)
        self._on_verdict = on_outcome
        self._on_writable = on_writable
        self._oldest = 1  # the first delivery tag that may be outstanding
        self._next = 1
        self._outstanding: dict[int, OutgoingMessageT] = {}  # by delivery tag, in order
        self._returned: dict[int, str] = {}  # those that came back, and will be acknowledged, too

    @classmethod
    async def open(
        cls, link: Link, on_outcome: OnOutcome[OutgoingMessageT], on_writable: Callable[[], None]
    ) -> PublishChannel[OutgoingMessageT]:
        """Open a channel in confirm mode.

        Args:
            link: the epoch to work on.
            on_outcome: called once for each message, in the order of the broker's answers.
            on_writable: called when `writable` is true again.

        Raises:
            ConnectionLost: the link went, or the broker did not answer in time.
        """
        wire = cls(link, await link.channel(confirms=True), on_outcome, on_writable)
        link.tap.connect(wire._channel.number, wire)
        return wire

    async def declare_exchange(self, name: str, *, passive: bool) -> None:
        """Declare a durable topic exchange, or with `passive` only ask whether it exists (exchange.declare).

        Raises:
            BrokerRefused: it is missing, somebody else's, or of another kind; the wire is closed by that.
            ConnectionLost: the link went, or the broker did not answer in time.
        """
        doing = f"find the exchange {name}" if passive else f"declare the exchange {name}"
        try:
            await self._channel.exchange_declare(
                exchange=name, exchange_type="topic", durable=True, passive=passive, timeout=OPERATION_TIMEOUT
            )
        except FOREIGN as error:
            raise map_error(error, doing) from error

    @property
    def writable(self) -> bool:
        """Whether the broker takes what is sent; while it does not, what is sent would pile up here."""
        return self.link.tap.writable

    def resumed(self) -> None:
        """Pass on that the transport takes more."""
        self._on_writable()

    def send(self, batch: Iterable[OutgoingMessageT]) -> None:
        """Put messages on their way, in order and in one write. Each gets exactly one verdict."""
        number, frame_max, outstanding, tag = self._channel.number, self.link.frame_max, self._outstanding, self._next
        parts: list[bytes] = []
        for parcel in batch:
            outstanding[tag] = parcel
            tag += 1
            parcel.envelope.frames(number, parcel.message_id, parcel.body, frame_max, parts)
        self._next = tag
        if not self._dead:
            self.link.tap.write(b"".join(parts))

    def forget(self, late: Callable[[OutgoingMessageT], bool]) -> None:
        """Let go of messages that nobody waits for any more, when there are many; answers to them then say nothing.

        As long as they are few they stay, so that a return that comes late is not taken for that of another.
        """
        if len(self._outstanding) <= _MOST_LATE:
            return
        self._outstanding = {tag: parcel for tag, parcel in self._outstanding.items() if not late(parcel)}
        self._returned = {tag: text for tag, text in self._returned.items() if tag in self._outstanding}

    async def closed(self) -> PulsekitError:
        """Wait for the end of the wire and return its reason; by then every message sent has its verdict."""
        reason = await channel_end(self._channel, "publish")
        self._end()
        return reason

    async def close(self) -> None:
        """Close the channel. What is in flight gets the verdict unknown."""
        self._end()
        await self.link.close_quietly(lambda seconds: self._channel.close(timeout=seconds))

    def _end(self) -> None:
        self._dead = True
        self.link.tap.disconnect(self._channel.number)
        outstanding, self._outstanding = self._outstanding, {}
        for parcel in outstanding.values():
            self._on_verdict(parcel, Outcome.UNKNOWN)

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
        """Pop the one that is meant, or with `multiple` the slice from the oldest on; 0 means all."""
        tags: Iterable[int] = (tag,)
        if multiple:
            last = min(tag or self._next, self._next - 1)
            tags = range(self._oldest, last + 1)
            self._oldest = max(self._oldest, last + 1)
        for settled in tags:
            parcel = self._outstanding.pop(settled, None)
            if parcel is None:
                continue  # it was answered alone, before
            if self._returned and (text := self._returned.pop(settled, None)) is not None:
                self._on_verdict(parcel, *((outcome, "") if outcome is Outcome.REFUSED else (Outcome.RETURNED, text)))
            else:
                self._on_verdict(parcel, outcome)

    def _on_content(self, method: bytes, header: bytes, body: bytes) -> None:  # noqa: ARG002 - the broker sends it
        """Find out which message came back: a return carries no tag, but the oldest that fits is the one."""
        text, at = short_string(method, 6)
        exchange, at = short_string(method, at)
        routing_key, _ = short_string(method, at)
        message_id = encode_id(read_properties(header)[0].message_id or "")
        for tag, parcel in self._outstanding.items():
            envelope = parcel.envelope
            if (
                parcel.message_id == message_id
                and envelope.mandatory
                and envelope.routing_key == routing_key
                and envelope.exchange == exchange
                and tag not in self._returned
            ):
                self._returned[tag] = text
                return
        log.debug("a message was returned too late, or was not sent here: %s %r", exchange, routing_key)
