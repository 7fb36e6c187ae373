"""Divide the byte stream of a connection into frames, and dispatch the frames of pulsekit's channels.

Plan: aiormq opens the connection, logs in, opens channels, declares, sends heartbeats and closes. It obtains its
streams from `transport`. The protocol of these streams is a `FrameRouter`. For each complete frame (AMQP 0-9-1 §4.2.3:
type, channel, payload size, payload, end mark) the router looks up the handler of the frame's channel. The handler
consumes the frame, or declines it. A declined frame goes to aiormq unchanged. All frames of a channel without a handler
go to aiormq. Basic.publish, basic.deliver, basic.return and the confirms therefore never reach aiormq, which would
create a task and a future for each.

Invariants:

- Every byte is either consumed by one handler, or passed to aiormq once and in order.
- `_incomplete` is the beginning of one frame. It never contains a complete frame.
- If data are not an AMQP frame, or a handler cannot read them, the connection is aborted at once, and `lost_by` quotes
  them. aiormq would wait for the bytes that such a frame seems to announce.
- While only frames of pulsekit's channels arrive, aiormq receives a heartbeat every second. It counts the frames it
  sees, and would close a busy connection as dead.
- Our own writes consist of whole frames, so that they cannot mix with the frames that aiormq writes.
- If the channel.close of the broker crosses that of aiormq, the router answers it. aiormq would ignore it, and use the
  number of the channel again at once, while RabbitMQ ignores everything on that number until the answer arrives.
- While a handler is in `_full`, the socket is not read, so that TCP slows down the broker. The exception is a request:
  its answer arrives after the deliveries, so the socket is read until the answer has arrived (`awaiting_answer`).

Example: channel 5 has a handler. The data are `deliver(5) header(5) body(5) declare-ok(1) deli`. The handler consumes
the first three frames, aiormq gets declare-ok, and `deli` waits in `_incomplete` for its remaining bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from typing import TYPE_CHECKING, Protocol, cast

from pulsekit._amqp.frames import (
    CLOSE_CHANNEL,
    CLOSE_CHANNEL_OK,
    FRAME,
    HEARTBEAT,
    METHOD,
    describe_frame,
    encode_close_ok,
)
from pulsekit.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["FrameHandler", "FrameRouter", "LoggingFrameRouter", "frames_log"]

frames_log = logging.getLogger("pulsekit.frames")
if frames_log.level == logging.NOTSET:
    frames_log.setLevel(logging.INFO)  # DEBUG on "pulsekit" or the root logger does not log frames

_FRAME_TYPES = frozenset({1, 2, 3, 8})  # method, header, body, heartbeat (AMQP 0-9-1 §2.3.5)
_MAX_PAYLOAD = 1 << 24  # bytes; a larger size means that the data are not AMQP
_LEAST_METHOD = 4  # bytes of a method: its class and its number; pamqp raises a ValueError for less
_QUOTED = 30  # how many bytes of foreign data are quoted
_HEARTBEAT_INTERVAL = 1.0  # seconds between two heartbeats to aiormq while no frames for aiormq arrive


class FrameHandler(Protocol):
    """A consumer of the frames of one channel."""

    def handle_frame(self, kind: int, data: bytes, start: int, end: int) -> int:
        """Handle the frame with the payload `data[start:end]`, or return 0 to pass it to aiormq.

        The handler may also handle complete frames of its channel that follow in the data.

        Returns:
            The offset after the last frame that was handled, or 0.

        Raises:
            LookupError, ValueError, struct.error: Raised when the payload is shorter than its method requires.
        """

    def resumed(self) -> None:
        """Continue writing: the transport accepts data again."""

    def connection_lost(self) -> None:
        """Stop using the channel: its connection was lost."""


class FrameRouter(asyncio.StreamReaderProtocol):
    """The protocol of one connection, which dispatches each frame to the handler of its channel, or to aiormq.

    Attributes:
        received_data: set to True whenever data arrive. The heartbeat check resets it.
        lost_by: why the connection was lost, apart from a connection.close of the broker, once that is known.
        foreign: the beginning of the data that are not AMQP, once they have arrived.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._handlers: dict[int, FrameHandler] = {}
        self._incomplete = b""
        self.lost_by = self.foreign = ""
        self.received_data = True
        self._heartbeat_at = 0.0
        self._buffer_full = self._blocked = False
        self._closing: set[int] = set()  # channels for which aiormq sent channel.close, until close-ok arrives
        self._full: set[FrameHandler] = set()  # handlers that accept no more data
        self._requests: list[FrameHandler | None] = []  # requests that await an answer, see `awaiting_answer`
        self._output: asyncio.Transport | None = None
        self._time = asyncio.get_running_loop().time

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport for pulsekit's frames."""
        self._output = cast("asyncio.Transport", transport)  # uvloop's transport is no subclass of asyncio.Transport
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Dispatch the complete frames, see the module."""
        self.received_data = True
        if self.foreign:
            return
        if self._incomplete:
            data = self._incomplete + data
        at, size, handled = 0, len(data), False
        for_aiormq: list[bytes] = []
        while at < size:
            if size - at < 7:
                if data[at] not in _FRAME_TYPES:
                    self._refuse(data[at:])
                break
            kind, channel, length = FRAME.unpack_from(data, at)
            if kind not in _FRAME_TYPES or length > _MAX_PAYLOAD or (kind == METHOD and length < _LEAST_METHOD):
                self._refuse(data[at:])
                break
            end = at + 8 + length
            if end > size:
                break
            handler = self._handlers.get(channel)
            try:
                handled_to = handler.handle_frame(kind, data, at + 7, end - 1) if handler is not None else 0
            except (LookupError, ValueError, struct.error):  # the payload is shorter than its method requires
                self._refuse(data[at:end])
                break
            if handled_to:
                handled, at = True, handled_to
            elif channel in self._closing and self._answer_close(channel, data[at + 7 : at + 11]):
                at = end
            else:
                for_aiormq.append(data[at:end])
                at = end
        self._incomplete = data[at:]
        if for_aiormq:
            self._heartbeat_at = self._time()
            super().data_received(b"".join(for_aiormq))
        elif handled and self._time() - self._heartbeat_at > _HEARTBEAT_INTERVAL:
            self._heartbeat_at = self._time()
            super().data_received(HEARTBEAT)
        if self._full:
            self._set_reading()  # the stream reader of aiormq may have resumed reading

    def aiormq_writes(self, data: bytes) -> None:
        """Note which channels aiormq closes. The data are whole frames."""
        at = 0
        while at < len(data):
            kind, channel, length = FRAME.unpack_from(data, at)
            if kind == METHOD and data[at + 7 : at + 11] == CLOSE_CHANNEL:
                self._closing.add(channel)
            at += 8 + length

    def _answer_close(self, channel: int, method: bytes) -> bool:
        """Answer the broker's channel.close for a channel that aiormq is closing, and return whether it was one."""
        if method == CLOSE_CHANNEL_OK:
            self._closing.remove(channel)
        elif method == CLOSE_CHANNEL:
            self.write(encode_close_ok(channel))
            return True
        return False

    def _refuse(self, data: bytes) -> None:
        """End the connection because of data that are not AMQP."""
        self.foreign = printable(data[:_QUOTED].decode("latin-1")) + "…" * (len(data) > _QUOTED)
        self.lost_by = f"it sent data that are not AMQP 0-9-1: '{self.foreign}'"
        self.abort()

    def eof_received(self) -> bool | None:
        """Note that the broker closed the connection as the reason for the loss."""
        self.lost_by = self.lost_by or "the other side closed it, and gave no reason"
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Call the handlers at once, so that no message of the lost connection is used afterwards."""
        if exc is not None:
            self.lost_by = self.lost_by or printable((isinstance(exc, OSError) and exc.strerror) or str(exc))
        for handler in list(self._handlers.values()):
            handler.connection_lost()
        super().connection_lost(exc)

    @property
    def reading(self) -> bool:
        """Whether the socket is read."""
        return not self._full or any(request not in self._full for request in self._requests)

    @property
    def is_full(self) -> bool:
        """Whether a handler accepts no more data, so that the socket is read only while an answer is awaited."""
        return bool(self._full)

    def pause_reading(self, handler: FrameHandler) -> None:
        """Stop reading the socket until the handler accepts more data."""
        self._full.add(handler)
        self._set_reading()

    def resume_reading(self, handler: FrameHandler) -> None:
        """Read the socket again, unless another handler accepts no more data."""
        if handler in self._full:
            self._full.remove(handler)
            self._set_reading()

    @contextlib.contextmanager
    def awaiting_answer(self, handler: FrameHandler | None = None) -> Iterator[None]:
        """Read the socket inside the block, even if handlers accept no more data, because an answer is awaited.

        Args:
            handler: the handler whose deliveries arrive after the answer. Once it is full, the answer has arrived.
        """
        self._requests.append(handler)
        self._set_reading()
        try:
            yield
        finally:
            self._requests.remove(handler)
            self._set_reading()

    def keep_alive(self) -> None:
        """Pass a heartbeat to aiormq, so that it does not close the connection while the socket is not read."""
        super().data_received(HEARTBEAT)

    def _set_reading(self) -> None:
        if self._output is None or self._output.is_closing():
            return
        if self.reading:
            self._output.resume_reading()
        else:
            self._output.pause_reading()

    @property
    def writable(self) -> bool:
        """Whether messages can be sent: the write buffer has space, and the broker has not blocked the connection."""
        return not (self._buffer_full or self._blocked)

    def pause_writing(self) -> None:
        """Stop sending messages: the write buffer of the transport is full."""
        super().pause_writing()
        self._buffer_full = True

    def resume_writing(self) -> None:
        """Continue sending messages: the write buffer of the transport has space again."""
        super().resume_writing()
        self._buffer_full = False
        self._resume()

    def block(self) -> None:
        """Stop sending messages: the broker accepts no messages (connection.blocked)."""
        self._blocked = True

    def unblock(self) -> None:
        """Continue sending messages: the broker accepts them again (connection.unblocked)."""
        self._blocked = False
        self._resume()

    def _resume(self) -> None:
        for handler in list(self._handlers.values()) if self.writable else ():
            handler.resumed()

    def connect(self, channel: int, handler: FrameHandler) -> None:
        """Offer the frames of a channel to its handler first."""
        self._handlers[channel] = handler

    def disconnect(self, channel: int, handler: FrameHandler) -> None:
        """Pass further frames of a channel to aiormq, unless another handler uses its number."""
        if self._handlers.get(channel) is handler:
            del self._handlers[channel]
        self.resume_reading(handler)

    def write(self, data: bytes) -> None:
        """Send whole frames. On a closed connection this does nothing."""
        if self._output is not None and not self._output.is_closing():
            self._output.write(data)

    def abort(self) -> None:
        """Close the connection at once and discard what was not sent."""
        if self._output is not None:
            self._output.abort()


class LoggingFrameRouter(FrameRouter):
    """A frame router that logs a line for each frame to `pulsekit.frames`, in both directions.

    `Transport` uses it for connections that are opened while that logger has the level DEBUG.
    """

    def __init__(self, reader: asyncio.StreamReader, name: str) -> None:
        super().__init__(reader)
        self._name = name
        self._unlogged = b""

    def data_received(self, data: bytes) -> None:
        """Log the frames that are complete, then dispatch them."""
        self._unlogged = _log_frames(f"{self._name} received", self._unlogged + data)
        super().data_received(data)

    def write(self, data: bytes) -> None:
        """Log the frames, then send them."""
        _log_frames(f"{self._name} sent", data)
        super().write(data)

    def aiormq_writes(self, data: bytes) -> None:
        """Log the frames."""
        _log_frames(f"{self._name} sent", data)
        super().aiormq_writes(data)


def _log_frames(direction: str, data: bytes) -> bytes:
    """Log the complete frames at the beginning of the data, and return the rest."""
    at = 0
    while len(data) - at >= 8:
        kind, _, length = FRAME.unpack_from(data, at)
        end = at + 8 + (length if kind in _FRAME_TYPES and length <= _MAX_PAYLOAD else 0)
        if end > len(data):
            break
        frames_log.debug("%s %s", direction, describe_frame(data[at:end]))
        at = end
    return data[at:]
