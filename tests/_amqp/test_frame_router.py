"""The transport below aiormq, and what the installed aiormq expects of it."""

from __future__ import annotations

import asyncio
import logging
import struct
from types import SimpleNamespace
from typing import TYPE_CHECKING

import aiormq.connection
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.proxy import terminated
from yarl import URL

import pulsekit
from pulsekit._amqp.consuming import ConsumeChannel
from pulsekit._amqp.frame_router import FrameRouter
from pulsekit._amqp.frames import HEARTBEAT
from pulsekit._amqp.transport import Transport

if TYPE_CHECKING:
    from pathlib import Path

    import trustme
    from support.rabbitmq.broker import RabbitMQ


DELIVER = b"\x00\x3c\x00\x3c\x01t" + b"\0" * 8 + b"\0\x01x\x01k"  # basic.deliver of "x" with the key "k"


class Odd:
    """A handler that accepts frames whose payload is odd."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def handle_frame(self, kind: int, data: bytes, start: int, end: int) -> int:
        if not data[end - 1] % 2:
            return 0
        self.taken.append(data[start:end])
        return end + 1

    def resumed(self) -> None:
        pass


def frame(channel: int, payload: bytes, kind: int = 1) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


async def through(chunks: list[bytes], handler: Odd, now: float = 0.0) -> bytes:
    reader = asyncio.StreamReader()
    router = FrameRouter(reader)
    router._time = lambda: now
    router.connect(5, handler)
    for chunk in chunks:
        router.data_received(chunk)
    reader.feed_eof()
    return await reader.read()


@given(
    st.lists(st.tuples(st.sampled_from([0, 4, 5]), st.binary(min_size=4, max_size=20)), max_size=12),
    st.lists(st.integers(1, 40), min_size=1, max_size=20),
)
def test_frames_reach_their_handler_for_any_division_of_the_stream(
    frames: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(frame(channel, payload) for channel, payload in frames)
    chunks, at = [], 0
    while at < len(stream):
        size = cuts[len(chunks) % len(cuts)]
        chunks.append(stream[at : at + size])
        at += size
    handler = Odd()
    rest = asyncio.run(through(chunks, handler))
    ours = [payload for channel, payload in frames if channel == 5 and payload[-1] % 2]
    assert handler.taken == ours
    assert rest == b"".join(
        frame(channel, payload) for channel, payload in frames if not (channel == 5 and payload[-1] % 2)
    )


async def test_aiormq_receives_a_heartbeat_while_only_our_frames_arrive() -> None:
    handler = Odd()
    assert await through([frame(5, b"\0\0\0\x01")], handler, now=100.0) == HEARTBEAT
    assert await through([frame(5, b"\0\0\0\x01")], handler, now=0.5) == b""


async def test_a_close_of_the_broker_that_crosses_one_of_aiormq_is_answered() -> None:
    close, close_ok = b"\x00\x14\x00\x28\x01\x94\x00\x00\x00\x00\x00", b"\x00\x14\x00\x29"
    sent: list[bytes] = []
    router = FrameRouter(reader := asyncio.StreamReader())
    router._output = SimpleNamespace(is_closing=lambda: False, write=sent.append)  # type: ignore[assignment]  # a part of one
    router.aiormq_writes(frame(3, b"\x00\x14\x00\x0a\x00") + frame(3, close))
    router.data_received(frame(3, close) + frame(4, close) + frame(3, close_ok) + frame(3, close))
    reader.feed_eof()
    assert sent == [frame(3, close_ok)]
    # The last one is for a later channel of the same number, which aiormq has not closed.
    assert await reader.read() == frame(4, close) + frame(3, close_ok) + frame(3, close)


def test_the_transport_has_the_interface_that_aiormq_requires() -> None:
    assert issubclass(Transport, aiormq.connection.TransportFactory)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_no_publish_and_no_delivery_reaches_aiormq(
    broker: RabbitMQ, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, ca_file: Path, tls: bool
) -> None:
    seen: list[str] = []
    read = aiormq.connection.FrameReceiver.get_frame

    async def spy(self: aiormq.connection.FrameReceiver) -> aiormq.connection.ReceivedFrame:
        found = await read(self)
        seen.append(found[2].name)
        return found

    monkeypatch.setattr(aiormq.connection.FrameReceiver, "get_frame", spy)
    user = broker.user()
    exchange = f"exchange/{user.name}/x"
    async with terminated(user.url, authority.issue_cert("localhost"), []) as proxy:
        secure = proxy.url.replace("amqp://", "amqps://").replace("127.0.0.1", "localhost") + f"?cafile={ca_file}"
        async with pulsekit.connect(secure if tls else user.url) as pulse:
            await pulse.create_exchange(exchange)
            async with pulse.subscribe(exchange) as messages:
                # Bodies of several frames, and of several records of TLS, among small ones.
                sizes = [200_000 if number % 40 == 0 else 10 for number in range(100)]
                pairs = [({"n": number, "x": "x" * size}, "k") for number, size in enumerate(sizes)]
                receipts = [receipt async for receipt in pulse.publisher(exchange).publish_many(pairs)]
                for payload, _ in pairs:
                    message = await anext(messages)
                    assert message.payload == payload
                    await message.ack()
    assert len(receipts) == 100
    assert "Connection.Start" in seen
    assert "Exchange.DeclareOk" in seen
    assert not {"Basic.Deliver", "Basic.Ack", "Basic.Return", "ContentHeader", "ContentBody"} & set(seen)


@pytest.mark.parametrize(
    "follows",
    [
        frame(5, DELIVER) + frame(5, b"\x00\x3c", kind=2),  # one whose header is no header
        frame(5, DELIVER) + frame(5, b"body", kind=3),  # one whose body comes before it
    ],
    ids=["no header", "no body"],
)
async def test_a_frame_that_is_too_short_ends_the_connection(follows: bytes) -> None:
    reader = asyncio.StreamReader()
    link = SimpleNamespace(router=FrameRouter(reader), is_lost=False)
    deliveries: list[object] = []
    channel = ConsumeChannel(link, SimpleNamespace(number=5), "q", 10, deliveries.append)  # type: ignore[arg-type]  # played
    link.router.connect(5, channel)
    link.router.data_received(follows)
    link.router.data_received(frame(5, b"more"))
    reader.feed_eof()
    assert b"more" not in await reader.read()
    assert "that are not AMQP 0-9-1: '\\x0" in link.router.lost_by
    assert deliveries == []


async def test_frames_are_logged_in_both_directions_without_the_password(
    broker: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    user = broker.user()
    exchange = f"exchange/{user.name}/x"
    with caplog.at_level(logging.DEBUG, "pulsekit.frames"):
        async with pulsekit.connect(user.url) as pulse:
            await pulse.create_exchange(exchange)
            async with pulse.subscribe(exchange) as messages:
                await pulse.publisher(exchange).publish({"payload": "x" * 200_000}, "a.b")
                message = await anext(messages)
                await message.ack()
    logged = [record.getMessage() for record in caplog.records if record.name == "pulsekit.frames"]
    for expected in (
        "publisher sent protocol header AMQP 0-9-1",
        "publisher received channel 0 connection.start ",
        "publisher sent channel 0 connection.start-ok mechanism='PLAIN'",
        "publisher sent channel 2 basic.publish exchange=",
        "publisher received channel 2 basic.ack delivery_tag=1",
        "consumer received channel 1 basic.deliver consumer_tag=",
        "consumer sent channel 1 basic.ack delivery_tag=1",
        "consumer sent channel 0 connection.close ",
    ):
        assert any(line.startswith(expected) for line in logged), expected
    text = "\n".join(logged)
    assert str(URL(user.url).password) not in text
    assert "xxx" not in text
    assert not [line for line in logged if "no frame" in line]


async def test_frames_are_logged_only_if_their_logger_is_at_debug(
    broker: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "pulsekit"):
        async with pulsekit.connect(broker.user().url) as pulse:
            await pulse.link()
    assert "pulsekit" in {record.name for record in caplog.records}
    assert "pulsekit.frames" not in {record.name for record in caplog.records}
