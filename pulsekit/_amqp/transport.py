"""Open the socket of a connection for aiormq, with a frame router as its protocol."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError

from pulsekit._amqp.addresses import connect, resolve
from pulsekit._amqp.frame_router import FrameRouter, LoggingFrameRouter, frames_log
from pulsekit._amqp.frames import BLOCKED, CLOSE_CONNECTION, METHOD, UNBLOCKED
from pulsekit._amqp.reply_codes import Close
from pulsekit._amqp.types import short_string
from pulsekit.errors import printable

if TYPE_CHECKING:
    import ssl

    from yarl import URL

__all__ = ["Transport"]


class Transport(TransportFactory):
    """The factory that opens the transport of one connection, with a frame router as its protocol.

    Attributes:
        router: the frame router, once the connection was opened.
        refusal: connection.close, if the broker sent it while the connection was opened.
        blocked: why the broker blocks publishers, if it reported this while the connection was opened.
    """

    def __init__(self, context: ssl.SSLContext | None, name: str) -> None:
        self.router: FrameRouter | None = None
        self.refusal: Close | None = None
        self.blocked: str | None = None
        self._context = context
        self._name = name  # the name of the connection in the log

    def handle_frame(self, kind: int, data: bytes, start: int, end: int) -> int:
        """Read connection.close, whose code and text aiormq does not report while it opens a connection.

        Do not pass connection.blocked to aiormq, because aiormq would then not finish opening the connection.
        """
        payload = data[start:end]
        method = payload[:4] if kind == METHOD else b""
        if method == CLOSE_CONNECTION:
            self.refusal = Close.read(payload, of_connection=True)
        elif method in {BLOCKED, UNBLOCKED}:
            self.blocked = printable(short_string(payload, 4)[0]) if method == BLOCKED else None
            return end + 1
        return 0

    def resumed(self) -> None:
        """Do nothing: aiormq writes to channel 0."""

    def connection_lost(self) -> None:
        """Do nothing: aiormq reports the loss."""

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; called by aiormq."""
        kwargs.pop("ssl_context_provider", None)  # pulsekit has its own context
        host, port = url.host, url.port
        assert host is not None
        assert port is not None
        del url  # it contains the password, and error reports show the variables of a frame
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        name = host.removesuffix(".") if self._context is not None else None  # as in certificates (RFC 6066 §3)
        logs = frames_log.isEnabledFor(logging.DEBUG)
        try:
            sock = await connect(await resolve(host, port))
            transport, router = await loop.create_connection(
                lambda: LoggingFrameRouter(reader, self._name) if logs else FrameRouter(reader),
                sock=sock,
                ssl=self._context,
                server_hostname=name,
                **kwargs,
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        self.router = router
        router.connect(0, self)
        writer = _Writer(transport, router, reader, loop)
        writer.router = router
        return reader, writer


class _Writer(asyncio.StreamWriter):
    """The stream writer of aiormq, which writes whole frames too."""

    router: FrameRouter

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.router.aiormq_writes(bytes(data))
        super().write(data)
