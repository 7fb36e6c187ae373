"""A TCP proxy on loopback, which causes network faults on request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Self

    import trustme

_HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"
_FRAME = struct.Struct(">BHI")
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets the connection and discards data that was not sent
_CHUNK = 65536


class Proxy:
    """A proxy between a client and a broker.

    Attributes:
        accepted: the number of accepted connections.
        carried: the bytes received from clients.

    Args:
        url: the URL of the broker. With `amqps`, the traffic is encrypted, and the proxy sees no frames.
        tls: the context with the certificate for clients, which then connect over TLS.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None) -> None:
        self._target = urlsplit(url)
        self._tls = tls
        self._lines: set[_Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = True
        self._allowances: deque[int] = deque()
        self.accepted = 0
        self.carried = 0
        self.answers, self.requests = asyncio.Event(), asyncio.Event()  # set: data is passed on
        self.answers.set()
        self.requests.set()
        self.delay = 0.0
        self.beats = True

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.refuse()  # a connection that was accepted already, but whose task has not begun
        self.cut()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Return the URL of the proxy for a client."""
        login = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{login}@127.0.0.1:{self.port}"))

    @property
    def port(self) -> int:
        """The address of the proxy."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def target(self) -> tuple[str, int]:
        """The address of the broker."""
        assert self._target.hostname is not None
        assert self._target.port is not None
        return self._target.hostname, self._target.port

    @property
    def opaque(self) -> bool:
        """Whether the traffic is encrypted."""
        return self._target.scheme == "amqps"

    def cut(self) -> None:
        """Reset every connection, as a router without their state would."""
        for line in self._lines:
            line.reset()

    def cut_after(self, *, answers: int | None = None, requests: int | None = None) -> None:
        """Reset every connection after a number of further bytes, at any place in a frame."""
        for line in self._lines:
            line.allow(answers, requests)

    def cut_next(self, *answers: int) -> None:
        """Reset the next connections, each after its number of bytes of answers."""
        self._allowances.extend(answers)

    def refuse(self) -> None:
        """Close each new connection at once."""
        self._open = False

    def accept(self) -> None:
        """Undo `refuse`."""
        self._open = True

    def hold_answers(self) -> None:
        """Delay the data of the broker until `release_answers`, while the client is still read."""
        self.answers.clear()

    def release_answers(self) -> None:
        """Send the delayed data."""
        self.answers.set()

    def hold_requests(self) -> None:
        """Stop reading from clients until `release_requests`, as a broker without memory does."""
        self.requests.clear()

    def release_requests(self) -> None:
        """Read again."""
        self.requests.set()

    def delay_answers(self, seconds: float) -> None:
        """Delay the data of the broker by a time, in order."""
        self.delay = seconds

    def drop_heartbeats(self) -> None:
        """Drop the broker's heartbeats, and pass everything else."""
        self.beats = False

    def black_hole(self, *, keep_broker: bool = False) -> None:
        """Drop all data of the current connections from now on, without closing them; new connections work.

        Args:
            keep_broker: send heartbeats to the broker, so that it does not notice.
        """
        for line in self._lines:
            line.swallow(keep_broker=keep_broker)

    def half_a_frame(self) -> None:
        """Pass half of the next frame of the broker on each connection, then nothing."""
        for line in self._lines:
            line.halve()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if not self._open:
            writer.transport.abort()
            return
        try:
            to, out = await asyncio.open_connection(*self.target)
        except (OSError, asyncio.CancelledError):  # the broker is down, so the proxy refuses too; or the proxy stops
            writer.transport.abort()  # otherwise the server would wait for this connection
            return
        line = _Line(self, writer, out)
        if self._allowances:
            line.allow(self._allowances.popleft(), None)
        self._lines.add(line)
        try:
            await line.carry(reader, to)
        except asyncio.CancelledError:
            pass  # the proxy stops; asyncio's server would log an error for a cancelled task
        finally:
            self._lines.discard(line)


class _Line:
    """One connection, and the faults that were applied to it."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._broker = broker
        self._allowed: dict[asyncio.StreamWriter, int] = {}
        self._frames = None if proxy.opaque else _Frames()
        self._halving = False
        self._swallowing = False
        self._beating: asyncio.Task[None] | None = None

    async def carry(self, client: asyncio.StreamReader, broker: asyncio.StreamReader) -> None:
        """Pass data in both directions until one end closes; if neither may notice, until both have."""
        ways = [
            asyncio.ensure_future(self._ask(client)),
            asyncio.ensure_future(self._answer(broker)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if self._swallowing:
                await asyncio.wait(ways)
        finally:
            if self._beating is not None:
                ways.append(self._beating)
            for way in ways:
                way.cancel()
            for end in (self._client, self._broker):
                end.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (self._client, self._broker):
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    def reset(self) -> None:
        for end in (self._client, self._broker):
            if not end.transport.is_closing():
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                end.transport.abort()

    def allow(self, answers: int | None, requests: int | None) -> None:
        for end, count in ((self._client, answers), (self._broker, requests)):
            if count is not None:
                self._allowed[end] = count

    def swallow(self, *, keep_broker: bool) -> None:
        self._swallowing = True
        if keep_broker and self._beating is None:
            self._beating = asyncio.ensure_future(self._beat())

    def halve(self) -> None:
        self._halving = True

    async def _ask(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while True:
                await self._proxy.requests.wait()
                data = await reader.read(_CHUNK)
                if not data:
                    return
                await self._proxy.requests.wait()  # answers to requests from before they were held
                self._proxy.carried += len(data)
                await self._pass(data, self._broker)

    async def _answer(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._proxy.answers.wait()
                if self._proxy.delay:
                    await asyncio.sleep(self._proxy.delay)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0):
                            data += await reader.read(_CHUNK)
                if self._frames is not None:
                    data = self._tampered(self._frames.cut(data))
                await self._pass(data, self._client)
                if self._halving and data:
                    self._swallowing = True

    def _tampered(self, frames: list[bytes]) -> bytes:
        if not self._proxy.beats:
            frames = [frame for frame in frames if frame != _HEARTBEAT]
        if self._halving and frames:
            return frames[0][: len(frames[0]) // 2]
        return b"".join(frames)

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if self._swallowing or writer.transport.is_closing():
            return
        left = self._allowed.get(writer)
        if left is not None:
            data = data[:left]
            self._allowed[writer] = left - len(data)
        writer.write(data)
        await writer.drain()
        if left is not None and len(data) == left:
            self.reset()

    async def _beat(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._broker.write(_HEARTBEAT)
                await self._broker.drain()
                await asyncio.sleep(0.3)


class _Frames:
    """Divide a stream into frames (AMQP 0-9-1 §2.3.5)."""

    def __init__(self) -> None:
        self._rest = b""

    def cut(self, data: bytes) -> list[bytes]:
        """Add data, and return the complete frames."""
        data = self._rest + data
        frames, at = [], 0
        while len(data) - at >= _FRAME.size:
            end = at + _FRAME.size + _FRAME.unpack_from(data, at)[2] + 1
            if end > len(data):
                break
            frames.append(data[at:end])
            at = end
        self._rest = data[at:]
        return frames


@asynccontextmanager
async def terminated(url: str, certificate: trustme.LeafCert, asked: list[str | None]) -> AsyncIterator[Proxy]:
    """Put TLS in front of a broker, as Pulse's load balancer does, and record the requested names."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with Proxy(url, tls=context) as proxy:
        yield proxy
