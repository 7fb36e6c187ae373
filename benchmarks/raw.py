"""A minimal asyncio client: one protocol, frames of pamqp, no types, no reconnect."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pamqp import body, commands, frame, header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from benchmarks.tasks import Task

__all__ = ["raw_client"]

_FRAME = 8  # bytes of a frame around its payload


@asynccontextmanager
async def raw_client(task: Task, *, consuming: bool) -> AsyncIterator[Callable[[bytes], Awaitable[object]]]:
    """Yield a function that publishes a body and returns when it is confirmed, or when the consumer has it."""
    url = urlsplit(task.url)
    transport, client = await asyncio.get_running_loop().create_connection(_RawClient, url.hostname, url.port)
    login = f"\0{unquote(url.username or '')}\0{unquote(url.password or '')}"
    client.write(b"AMQP\0\0\x09\x01")
    await client.answer("Connection.Start")
    client.send(commands.Connection.StartOk(client_properties={}, response=login), channel=0)
    tune = await client.answer("Connection.Tune")
    client.send(commands.Connection.TuneOk(tune.channel_max, tune.frame_max, 0), channel=0)
    client.send(commands.Connection.Open(unquote(url.path[1:]) or "/"), channel=0)
    await client.answer("Connection.OpenOk")
    for request, answer in (
        (commands.Channel.Open(), "Channel.OpenOk"),
        (commands.Confirm.Select(), "Confirm.SelectOk"),
        *(((commands.Basic.Consume(queue=task.queue), "Basic.ConsumeOk"),) if consuming else ()),
    ):
        client.send(request)
        await client.answer(answer)
    publish = commands.Basic.Publish(exchange=task.exchange, routing_key=task.routing_key)
    properties = commands.Basic.Properties(content_type="application/json", delivery_mode=2)
    awaited = {"Basic.Ack", "ContentBody"} if consuming else {"Basic.Ack"}

    async def exchange(payload: bytes) -> None:
        client.send(
            publish, header.ContentHeader(body_size=len(payload), properties=properties), body.ContentBody(payload)
        )
        for _ in awaited:
            answer = await client.answer()
            if isinstance(answer, commands.Basic.Deliver):
                await client.answer("ContentHeader")
                await client.answer("ContentBody")
                client.send(commands.Basic.Ack(answer.delivery_tag))

    try:
        yield exchange
    finally:
        client.send(commands.Channel.Close(200, "", 0, 0))  # the broker has all acks when it answers
        await client.answer("Channel.CloseOk")
        transport.close()


class _RawClient(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""
        self._answers: asyncio.Queue[Any] = asyncio.Queue()

    def connection_made(self, transport: Any) -> None:
        self.write = transport.write

    def send(self, *frames: Any, channel: int = 1) -> None:
        self.write(b"".join(frame.marshal(one, channel) for one in frames))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _FRAME and len(self._buffer) >= _FRAME + int.from_bytes(self._buffer[3:7]):
            size, _, value = frame.unmarshal(self._buffer)
            self._buffer = self._buffer[size:]
            self._answers.put_nowait(value)

    async def answer(self, name: str = "") -> Any:
        """Return the next answer, whose name must be the given one."""
        value = await self._answers.get()
        if name and value.name != name:
            raise ConnectionError(f"the broker sent {value.name}, not {name}: {value}")
        return value
