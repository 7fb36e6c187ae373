"""An AMQP channel whose frames pulsekit handles instead of aiormq.

aiormq opens and closes the channel. `FrameRouter` (see `frame_router`) offers every frame of the channel to
`FrameChannel.handle_frame`, which either handles the frame and returns the offset after it, or returns 0, and then
aiormq gets the frame. channel.close also goes to aiormq, after its fields were stored in `FrameChannel.ended_by`. A
method with content arrives as a method frame, one content header and as many body frames as its size needs (AMQP 0-9-1
§4.2.6); `IncomingContent` collects them. A channel is bound to one connection: `FrameChannel.ended` returns why it
ended, and the owner opens another channel on the next connection.

Answers may arrive after the owner has closed the channel, or was cancelled while it waited for them. `discard` drops
them until the channel is closed. aiormq must not get them: it does not expect them, or cannot read them, and would end
the channel without channel.close-ok, or the connection.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pulsekit._amqp.error_mapping import map_error
from pulsekit._amqp.frames import (
    BODY,
    CLOSE_CHANNEL,
    CLOSE_CHANNEL_OK,
    FLOW,
    HEADER,
    LEAST_HEADER,
    METHOD,
    OPEN_CHANNEL_OK,
    encode_flow_ok,
)
from pulsekit._amqp.reply_codes import Close
from pulsekit.errors import ConnectionLost, PulsekitError

if TYPE_CHECKING:
    import aiormq

    from pulsekit._amqp.link import Link

__all__ = ["FrameChannel", "IncomingContent", "channel_end"]

_ENDS = frozenset({CLOSE_CHANNEL, CLOSE_CHANNEL_OK, OPEN_CHANNEL_OK})  # the last one: of a new channel with this number


class FrameChannel(ABC):
    """The frame handler of one channel, which collects methods with content and dispatches them to its subclass.

    Attributes:
        link: the connection of the channel.
        ended_by: the channel.close of the broker, once it has arrived.
        flowing: whether the broker accepts messages on this channel (channel.flow).
    """

    def __init__(self, link: Link, channel: aiormq.Channel) -> None:
        self.link = link
        self._channel = channel
        self._content: IncomingContent | None = None  # whose frames have not all arrived
        self.ended_by: Close | None = None
        self.flowing = True
        self._closing = False  # if a frame followed channel.close, the broker would close the connection (504)
        self._discarding = False

    def handle_frame(self, kind: int, data: bytes, start: int, end: int) -> int:
        """Handle a frame and return the offset after it, or return 0 to pass the frame to aiormq."""
        if self._discarding:
            if kind != METHOD or data[start : start + 4] not in _ENDS:
                return end + 1
            self.link.router.disconnect(self._channel.number, self)
            return 0
        if kind == METHOD:
            method = data[start : start + 4]
            if self._on_method(method, data, start, end):
                return end + 1
            if method == CLOSE_CHANNEL:
                self.ended_by = Close.read(data[start:end])
                self.connection_lost()
            elif method == FLOW:
                self._on_flow(active=bool(data[start:end][4] & 1))
                return end + 1
            return 0
        if self._content is None:
            return 0
        if self._content.add(kind, data, start, end):
            content, self._content = self._content, None
            self._on_content(content.method, content.header, content.body)
        return end + 1

    def discard(self) -> None:
        """Send nothing more, and drop everything that arrives until the channel is closed."""
        self._closing = self._discarding = True
        self.link.router.resume_reading(self)

    async def close(self) -> None:
        """Close the channel (channel.close)."""
        self.discard()
        await self.link.close_channel(self._channel)

    def _on_flow(self, *, active: bool) -> None:
        """Stop or continue sending messages, and answer the broker (AMQP 0-9-1, channel.flow)."""
        self.flowing = active
        if not self._closing:
            self.link.router.write(encode_flow_ok(self._channel.number, active=active))
            if active:
                self.resumed()

    def connection_lost(self) -> None:
        """Send nothing more: the connection or the channel is gone."""
        self._closing = True

    async def ended(self, doing: str) -> PulsekitError:
        """Wait until the channel is closed, and return the reason. A lost connection is not final, see `map_error`."""
        reason = await channel_end(self._channel, doing, reconnects=True)
        return reason if self.ended_by is None else self.ended_by.error(doing)

    @abstractmethod
    def resumed(self) -> None:
        """Continue writing: the transport accepts data again."""

    @abstractmethod
    def _on_method(self, method: bytes, data: bytes, start: int, end: int) -> bool:
        """Handle a method, or return False to pass it to aiormq."""

    @abstractmethod
    def _on_content(self, method: bytes, header: bytes, body: bytes) -> None:
        """Handle a method with its complete content."""


class IncomingContent:
    """A method whose content is collected from a header frame and body frames."""

    __slots__ = ("_missing", "_parts", "header", "method")

    def __init__(self, method: bytes) -> None:
        self.method = method
        self.header = b""
        self._parts: list[bytes] = []
        self._missing = -1

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)

    def add(self, kind: int, data: bytes, start: int, end: int) -> bool:
        """Add the payload of a header or body frame; return True when the content is complete.

        Raises:
            ValueError: Raised when the frame is neither the header frame nor a body frame after the header frame.
        """
        if kind == HEADER and end - start >= LEAST_HEADER:
            self.header = data[start:end]
            self._missing = int.from_bytes(data[start + 4 : start + 12], "big")
        elif kind != BODY or not self.header:
            raise ValueError("content header or body expected")
        else:
            self._parts.append(data[start:end])
            self._missing -= end - start
        return self._missing <= 0


async def channel_end(channel: aiormq.Channel, doing: str, *, reconnects: bool = False) -> PulsekitError:
    """Wait until the channel is closed, and return the reason."""
    closing = channel.closing
    await asyncio.wait([closing])
    error = None if closing.cancelled() else closing.exception()
    if error is None or isinstance(error, asyncio.CancelledError):
        return ConnectionLost("the channel was closed")
    return map_error(error, doing, reconnects=reconnects)
