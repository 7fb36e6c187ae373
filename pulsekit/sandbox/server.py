"""The server: a socket for each session, and an alarm in the event loop for the timers.

A session calls `_wake` when it has output. `_wake` schedules `_write`, so that all answers and deliveries of an
iteration of the event loop are one write.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from pulsekit.sandbox.protocol.sessions import Session

if TYPE_CHECKING:
    from pulsekit.sandbox.model.broker import Broker

__all__ = ["Connection", "Server"]

_WRITE_BUFFER = 1 << 18
_CLOSE_SECONDS = 0.5  # for clients to answer the last Connection.Close, which takes milliseconds on loopback


class Connection(asyncio.Protocol):
    """A socket and its session."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._flush: asyncio.Handle | None = None
        self._transport: asyncio.Transport | None = None
        self.session: Session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Create the session."""
        self._transport = transport = cast("asyncio.Transport", transport)
        if self._server.stopping:  # accepted just before the server stopped listening
            transport.abort()
        transport.set_write_buffer_limits(_WRITE_BUFFER)
        self.session = Session(self._server.broker, self._wake, heartbeat=self._server.heartbeat)
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Pass bytes to the session, write its answer, and stop reading while the session is paused."""
        self.session.receive(data)
        if self._flush is not None and not self._server.latency:
            self._flush.cancel()  # the client waits: write now, not in the next iteration of the loop
            self._write()
        if self.session.paused and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Stop deliveries, because the client reads too slowly."""
        self.session.congested = True

    def resume_writing(self) -> None:
        """Continue deliveries."""
        self.session.congested = False
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the session."""
        del exc
        self.session.lost()
        if self._flush is not None:
            self._flush.cancel()
        self._server.closed(self)

    def cut(self) -> None:
        """Abort the connection, as a network failure does."""
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        if self._flush is None:
            self._flush = (
                self._loop.call_later(self._server.latency, self._write)
                if self._server.latency
                else self._loop.call_soon(self._write)
            )

    def _write(self) -> None:
        self._flush = None
        transport, session = self._transport, self.session
        if transport is None or transport.is_closing():
            return
        # While the client does not read, output stays in the session, which limits it.
        if (session.finished or not session.congested) and (data := session.data_to_send()):
            transport.write(data)
        if session.finished:
            transport.close()
            return
        session.drained()
        if not session.paused:
            transport.resume_reading()


class Server:
    """A listening socket, and the alarm of the broker's timers.

    Args:
        broker: the broker. Its clock must be that of the event loop.
        heartbeat: seconds that are proposed to clients.

    Attributes:
        connections: the open connections.
        latency: seconds by which all output is delayed.
        stopping: whether `stop` was called, so that new connections are aborted.
    """

    def __init__(self, broker: Broker, *, heartbeat: int = 60) -> None:
        self.broker = broker
        self.heartbeat = heartbeat
        self.latency = 0.0
        self.stopping = False
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._all_closed: asyncio.Event | None = None

    def closed(self, connection: Connection) -> None:
        """Remove a connection whose socket is closed."""
        self.connections.discard(connection)
        if self._all_closed is not None and not self.connections:
            self._all_closed.set()

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port."""
        loop = asyncio.get_running_loop()
        self.broker.timers.on_earlier = self._set_alarm
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening, and close all connections as a RabbitMQ that shuts down does.

        Clients get Connection.Close with code 320. Connections that are still open after half a second are aborted.
        """
        self.stopping = True
        if self._server is not None:
            self._server.close()
        self.latency = 0.0
        for connection in list(self.connections):
            connection.session.close(320, "broker forced connection closure with reason 'shutdown'")
        if self.connections:
            self._all_closed = asyncio.Event()
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._all_closed.wait()
        for connection in list(self.connections):
            connection.cut()
        if self._server is not None:
            await self._server.wait_closed()
        await asyncio.sleep(0)  # the loop calls connection_lost in its next iteration
        self.broker.timers.on_earlier = lambda _: None
        if self._alarm is not None:
            self._alarm.cancel()

    def _set_alarm(self, when: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_at(when, self.broker.timers.run)
