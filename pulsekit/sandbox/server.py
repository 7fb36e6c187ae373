"""The server: sockets around sessions, and nothing else. One write a connection for each turn of the loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from pulsekit.sandbox.protocol.sessions import Session

if TYPE_CHECKING:
    from pulsekit.sandbox.model.broker import Broker

__all__ = ["Connection", "Server"]

_WRITE_BUFFER = 1 << 18


class Connection(asyncio.Protocol):
    """Carry bytes between a socket and a session."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._flush: asyncio.Handle | None = None
        self._transport: asyncio.Transport | None = None
        self.session: Session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a session."""
        self._transport = transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(_WRITE_BUFFER)
        self.session = Session(self._server.broker, self._wake, heartbeat=self._server.heartbeat)
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the session, answer at once, and read no more while it has enough."""
        self.session.receive(data)
        if self._flush is not None and not self._server.latency:
            self._flush.cancel()  # whoever asked waits for the answer: not a turn of the loop longer than needed
            self._write()
        if self.session.paused and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Hold deliveries back: the client reads too slowly."""
        self.session.congested = True

    def resume_writing(self) -> None:
        """Deliver again."""
        self.session.congested = False
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the session with its connection."""
        del exc
        self._server.connections.discard(self)
        self.session.lost()
        if self._flush is not None:
            self._flush.cancel()

    def cut(self) -> None:
        """Break the connection without a word, as a network would."""
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
        # What a client does not read stays with the session, which knows when it is too much.
        if (session.finished or not session.congested) and (data := session.data_to_send()):
            transport.write(data)
        if session.finished:
            transport.close()
            return
        session.drained()
        if not session.paused:
            transport.resume_reading()


class Server:
    """Listen, and drive the broker's timers by the loop.

    Args:
        broker: what clients talk to; its clock has to be that of the loop.
        heartbeat: seconds, as proposed to clients.

    Attributes:
        connections: those that are open.
        latency: seconds by which everything sent is delayed.
    """

    def __init__(self, broker: Broker, *, heartbeat: int = 60) -> None:
        self.broker = broker
        self.heartbeat = heartbeat
        self.latency = 0.0
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._alarm: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port."""
        loop = asyncio.get_running_loop()
        self.broker.timers.on_earlier = self._set_alarm
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Break all connections and stop listening."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.cut()
        if self._server is not None:
            await self._server.wait_closed()
        await asyncio.sleep(0)  # the loop tells an aborted connection of its loss at its next turn
        self.broker.timers.on_earlier = lambda _: None
        if self._alarm is not None:
            self._alarm.cancel()

    def _set_alarm(self, when: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_at(when, self.broker.timers.run)
