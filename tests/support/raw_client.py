"""A raw AMQP client, which sends frames that other clients refuse to send: pamqp over an asyncio stream."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pamqp import base, body, commands, frame, header, heartbeat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CAPABILITIES = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "publisher_confirms": True,
}
_PATIENCE = 30.0  # seconds for a frame that must arrive, on a machine that may stall


@dataclass(frozen=True)
class Login:
    """The parameters of a handshake."""

    user: str = "guest"
    password: str = "guest"
    vhost: str = "/"
    mechanism: str = "PLAIN"
    capabilities: dict[str, bool] = field(default_factory=lambda: dict(CAPABILITIES))
    channel_max: int = 2047
    frame_max: int = 131072
    heartbeat: int = 0

    @property
    def response(self) -> str:
        if self.mechanism == "AMQPLAIN":
            from pamqp import encode

            return encode.field_table({"LOGIN": self.user, "PASSWORD": self.password})[4:].decode()
        return f"\0{self.user}\0{self.password}"


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def raw(self, data: bytes) -> None:
        self.writer.write(data)

    def send(self, *values: Any, channel: int = 1) -> None:
        for value in values:
            if isinstance(value, bytes):
                self.raw(value)
                continue
            number = 0 if isinstance(value, (heartbeat.Heartbeat,)) or "Connection." in value.name else channel
            self.raw(frame.marshal(value, number))

    async def read(self) -> Any:
        """Return the next frame other than a heartbeat, or None at the end of the stream."""
        while True:
            try:
                head = await self.reader.readexactly(7)
                rest = await self.reader.readexactly(int.from_bytes(head[3:7], "big") + 1)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            value = frame.unmarshal(head + rest)[2]
            if not isinstance(value, heartbeat.Heartbeat):
                return value

    async def next(self, timeout: float = _PATIENCE) -> Any:
        async with asyncio.timeout(timeout):
            return await self.read()

    async def until(self, kind: type, timeout: float = _PATIENCE) -> Any:
        """Return the next frame of a kind; a close instead is an error."""
        while True:
            value = await self.next(timeout)
            if isinstance(value, kind):
                return value
            assert value is not None, f"the connection ended before {kind.__name__}"
            assert not isinstance(value, (commands.Connection.Close, commands.Channel.Close)), render(value)

    async def until_close(self, timeout: float = _PATIENCE) -> Any:
        """Return the next Close of the connection or a channel."""
        while True:
            value = await self.next(timeout)
            if value is None or isinstance(value, (commands.Connection.Close, commands.Channel.Close)):
                return value

    async def call(self, value: base.Frame, channel: int = 1) -> Any:
        """Send a method and return its answer."""
        self.send(value, channel=channel)
        return await self.next() if _has_answer(value) else None

    async def delivery(self) -> tuple[Any, Any, bytes]:
        """Return method, header and body of the next Deliver, GetOk or Return."""
        method = await self.next()
        assert not isinstance(method, (commands.Connection.Close, commands.Channel.Close)), render(method)
        head = await self.next()
        data = b""
        while len(data) < head.body_size:
            data += (await self.next()).value
        return method, head, data

    def publish(
        self, exchange: str, key: str, data: bytes = b"hi", *, channel: int = 1, mandatory: bool = False, **props: Any
    ) -> None:
        self.send(*content(exchange, key, data, mandatory=mandatory, **props), channel=channel)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


def content(exchange: str, key: str, data: bytes = b"hi", *, mandatory: bool = False, **props: Any) -> list[Any]:
    """Build the frames of a publish; `immediate` is a flag, the rest are properties."""
    immediate = props.pop("immediate", False)
    publish = commands.Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory, immediate=immediate)
    frames = [publish, header.ContentHeader(0, len(data), commands.Basic.Properties(**props))]
    return [*frames, body.ContentBody(data)] if data else frames


async def shake_hands(wire: RawClient, login: Login) -> Any:
    """Do the handshake; return OpenOk, or the frame that ended it, or None for the end of the stream."""
    wire.raw(b"AMQP\x00\x00\x09\x01")
    start = await wire.next()
    assert isinstance(start, commands.Connection.Start)
    properties: Any = {"product": "raw client", "capabilities": login.capabilities}
    wire.send(commands.Connection.StartOk(properties, login.mechanism, login.response, "en_US"))
    tune = await wire.next()
    if not isinstance(tune, commands.Connection.Tune):
        return tune
    wire.send(commands.Connection.TuneOk(login.channel_max, login.frame_max, login.heartbeat))
    wire.send(commands.Connection.Open(login.vhost))
    return await wire.next()


@contextlib.asynccontextmanager
async def connect(host: str, port: int, login: Login | None = None) -> AsyncIterator[RawClient]:
    """Open a socket and, unless `login` is None, a connection with channel 1."""
    wire = RawClient(*await asyncio.open_connection(host, port))
    try:
        if login is not None:
            opened = await shake_hands(wire, login)
            assert isinstance(opened, commands.Connection.OpenOk), render(opened)
            assert isinstance(await wire.call(commands.Channel.Open()), commands.Channel.OpenOk)
        yield wire
    finally:
        await wire.close()


def render(value: Any) -> str:
    """Return a frame in the form of the table of RabbitMQ's answers."""
    if value is None:
        return "(silence)"
    if isinstance(value, header.ContentHeader):
        return f"Header size={value.body_size}"
    if isinstance(value, body.ContentBody):
        return f"Body {value.value!r}"
    if isinstance(value, (commands.Connection.Close, commands.Channel.Close)):
        return f"{value.name} {value.reply_code} {value.reply_text!r} ({value.class_id},{value.method_id})"
    return f"{value.name} {dict(value)}"


def _has_answer(value: Any) -> bool:
    return getattr(value, "synchronous", False) and not getattr(value, "nowait", False)
