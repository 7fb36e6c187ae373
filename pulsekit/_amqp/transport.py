"""The seam below aiormq: its connection, with the frames of our own channels taken out of the stream.

aiormq opens, logs in, declares, beats and closes; a publish or a delivery never reaches it. It is fed everything else
through its public `TransportFactory`, and our frames go whole to the same transport, so the two never mix.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Protocol, cast

from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError

from pulsekit._amqp.frames import CLOSE_CONNECTION, FRAME, HEARTBEAT, METHOD
from pulsekit._amqp.types import short_string

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from yarl import URL

__all__ = ["FrameHandler", "FrameRouter", "Transport"]

_KINDS = frozenset({1, 2, 3, 8})  # method, header, body, heartbeat (AMQP 0-9-1 §2.3.5)
_LARGEST = 1 << 24  # bytes; a frame above is none of this protocol
_BEAT = 1.0  # seconds after which aiormq has to hear that the peer is alive


class FrameHandler(Protocol):
    """Take the frames of one channel that are not aiormq's."""

    def take(self, kind: int, data: bytes, start: int, end: int) -> int:
        """Handle the payload `data[start:end]` of a frame, or return 0 to leave it to aiormq.

        Complete frames that follow it in the data may be handled as well; the place behind the last is returned.
        """

    def resumed(self) -> None:
        """Learn that the transport takes more, after it did not."""


class FrameRouter(asyncio.StreamReaderProtocol):
    """Cut what comes from the broker into frames, and hand each to whom it belongs.

    Attributes:
        heard: set with everything that comes; whoever listens for a sign of life takes it away.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._takers: dict[int, FrameHandler] = {}
        self._rest = b""
        self._cutting = True
        self.heard = True
        self._beaten = 0.0
        self._full = self._held = False
        self._out: asyncio.Transport | None = None
        self._time = asyncio.get_running_loop().time

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for our own frames."""
        self._out = cast("asyncio.Transport", transport)  # in other loops, such as uvloop, it is none by its class
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Cut frames out of the stream; what is no frame goes to aiormq as it is, which knows what to say."""
        self.heard = True
        if not self._cutting:
            super().data_received(data)
            return
        if self._rest:
            data = self._rest + data
        at, size, taken = 0, len(data), False
        others: list[bytes] = []
        while size - at >= 7:
            kind, channel, length = FRAME.unpack_from(data, at)
            if kind not in _KINDS or length > _LARGEST:
                self._cutting = False
                others.append(data[at:])
                at = size
                break
            end = at + 8 + length
            if end > size:
                break
            taker = self._takers.get(channel)
            try:
                behind = taker.take(kind, data, at + 7, end - 1) if taker is not None else 0
            except (LookupError, ValueError, struct.error):  # it says less than its kind has to
                self._cutting = False
                others.append(data[at:])
                at = size
                break
            if behind:
                taken, at = True, behind
            else:
                others.append(data[at:end])
                at = end
        self._rest = data[at:]
        if others:
            self._beaten = self._time()
            super().data_received(b"".join(others))
        elif taken and self._time() - self._beaten > _BEAT:
            # aiormq counts the frames it sees: without this it would declare a busy connection dead.
            self._beaten = self._time()
            super().data_received(HEARTBEAT)

    @property
    def writable(self) -> bool:
        """Whether messages can be sent: the transport takes more, and the broker takes messages."""
        return not (self._full or self._held)

    def pause_writing(self) -> None:
        """Hear from the transport that its buffer is full: the peer does not read, or not fast enough."""
        super().pause_writing()
        self._full = True

    def resume_writing(self) -> None:
        """Hear from the transport that its buffer is empty enough."""
        super().resume_writing()
        self._full = False
        self._resume()

    def hold(self) -> None:
        """Say that the broker takes no messages (connection.blocked)."""
        self._held = True

    def release(self) -> None:
        """Say that it takes them again (connection.unblocked)."""
        self._held = False
        self._resume()

    def _resume(self) -> None:
        for taker in list(self._takers.values()) if self.writable else ():
            taker.resumed()

    def connect(self, channel: int, taker: FrameHandler) -> None:
        """Let a channel's frames go to its taker first."""
        self._takers[channel] = taker

    def disconnect(self, channel: int) -> None:
        """Leave a channel to aiormq."""
        self._takers.pop(channel, None)

    def write(self, data: bytes) -> None:
        """Send whole frames; on a connection that is gone they go nowhere, as its end will tell."""
        if self._out is not None and not self._out.is_closing():
            self._out.write(data)

    def abort(self) -> None:
        """Drop the connection, and what was not sent."""
        if self._out is not None:
            self._out.abort()


class Transport(TransportFactory):
    """Open the transport of one connection, with a tap in it.

    Attributes:
        tap: of the connection, once it was opened.
        refusal: code and words of the broker, when it closed the connection while it was opened (connection.close).
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.tap: FrameRouter | None = None
        self.refusal: tuple[int, str] | None = None
        self._context = context

    def take(self, kind: int, data: bytes, start: int, end: int) -> int:
        """Look for connection.close, of which aiormq only says that it was not what it expected."""
        payload = data[start:end]
        if kind == METHOD and payload[:4] == CLOSE_CONNECTION:
            self.refusal = int.from_bytes(payload[4:6], "big"), short_string(payload, 6)[0]
        return 0

    def resumed(self) -> None:
        """Do nothing: what goes out on channel 0 is aiormq's."""

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; called by aiormq."""
        kwargs.pop("ssl_context_provider", None)  # the context is ours
        host, port = url.host, url.port
        assert host is not None
        assert port is not None
        del url  # it has the password, and reports of errors show the variables of a frame
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        name = host if self._context is not None else None
        try:
            sock = await _connect(await _resolve(host, port))
            transport, tap = await loop.create_connection(
                lambda: FrameRouter(reader), sock=sock, ssl=self._context, server_hostname=name, **kwargs
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        self.tap = tap
        tap.connect(0, self)
        return reader, asyncio.StreamWriter(transport, tap, reader, loop)


async def _resolve(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    """Ask the resolver, in a thread of its own that nobody has to wait for.

    In those of the loop, one that says nothing for half a minute would keep the whole program from ending.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[tuple[Any, ...]]] = loop.create_future()

    def tell(found: Sequence[tuple[Any, ...]], error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(found)
        else:
            answer.set_exception(error)

    def ask() -> None:
        found: Sequence[tuple[Any, ...]] = ()
        failure: Exception | None = None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended by now
            loop.call_soon_threadsafe(tell, found, failure)

    threading.Thread(target=ask, name=f"resolve {host}", daemon=True).start()
    return await answer


async def _connect(addresses: Sequence[tuple[Any, ...]]) -> socket.socket:
    """Connect to the first address that answers.

    Raises:
        OSError: none did; what the first one said.
    """
    failure = OSError("the name has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # the resolver tells of IPv6 also where there is none
            failure = failure if number else error
            continue
        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = failure if number else error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure
