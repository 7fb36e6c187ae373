"""A TCP proxy on loopback that can misbehave on request: what a network does to a connection, when a test says so."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Self

    import trustme


class Proxy:
    """Stand between a client and a broker.

    Attributes:
        accepted: how many connections were made through it.
        carried: bytes it took from clients.

    Args:
        url: the broker.
        tls: what to present to clients, who are then served over TLS.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None) -> None:
        self._target = urlsplit(url)
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers = asyncio.Event()
        self._answers.set()
        self._open = True
        self.accepted = 0
        self.carried = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Lead a client through the proxy."""
        port = self._server.sockets[0].getsockname()[1]
        login = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{login}@127.0.0.1:{port}"))

    def cut(self) -> None:
        """Reset every connection, as a router that forgot them would."""
        for writer in self._writers:
            writer.transport.abort()

    def refuse(self) -> None:
        """Close each new connection at once."""
        self._open = False

    def accept(self) -> None:
        """Undo `refuse`."""
        self._open = True

    def hold_answers(self) -> None:
        """Keep what the broker says until `release_answers`, while the client is still heard."""
        self._answers.clear()

    def release_answers(self) -> None:
        """Let through what was held."""
        self._answers.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if not self._open:
            writer.transport.abort()
            return
        to, out = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, out}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, out, None))
                group.create_task(self._pump(to, writer, self._answers))
        finally:
            self._writers -= {writer, out}
            for end in (writer, out):
                end.transport.abort()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event | None
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if gate is None:
                    self.carried += len(data)
                else:
                    await gate.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def terminated(url: str, certificate: trustme.LeafCert, asked: list[str | None]) -> AsyncIterator[Proxy]:
    """Put TLS in front of a broker, as Pulse's load balancer does, and note the names that were asked for."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with Proxy(url, tls=context) as proxy:
        yield proxy
