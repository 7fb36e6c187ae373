"""The limit of unsettled bytes: large messages wait in the broker instead of this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import pulsekit
from pulsekit._amqp.connection import Connection

if TYPE_CHECKING:
    from support.rabbitmq.broker import PulseUser

LIMIT, SIZE = 1 << 20, 100_000
READ = 256 * 1024  # bytes that asyncio and uvloop read from a socket at a time


async def send(pulse: pulsekit.Pulse, exchange: str, count: int, size: int = SIZE) -> None:
    bodies = ((b"%04d" % number + bytes(size - 4), "k") for number in range(count))
    async for receipt in pulse.publisher(exchange).publish_many(bodies):
        receipt.check()


def number(message: pulsekit.Message) -> int:
    return int(message.body[:4])


async def full(messages: pulsekit.Consumer, pulse: pulsekit.Pulse, limit: int = LIMIT, size: int = SIZE) -> None:
    """Wait until the messages in the buffer reach the limit; return some round trips on the other connection later."""
    while messages.waiting * size < limit:
        await asyncio.sleep(0.01)
    for _ in range(5):
        await pulse.exchange_exists(f"exchange/{pulse.user}/none")


@pytest.mark.parametrize("durable", [True, False])
async def test_unsettled_messages_stay_below_the_limit_in_bytes(
    pulse: pulsekit.Pulse, exchange: str, *, durable: bool
) -> None:
    queue = pulsekit.Queue(f"queue/{pulse.user}/large", durable=durable)
    async with pulse.subscribe(exchange, queue=queue, prefetch=50, prefetch_bytes=LIMIT) as messages:
        await send(pulse, exchange, 100)
        await full(messages, pulse)
        got, most = [], 0
        for _ in range(100):
            most = max(most, messages.waiting * SIZE)
            message = await anext(messages)
            got.append(number(message))
            await message.ack()
            if len(got) == 60:
                # The prefetch was adapted to the size of the messages, so the connection is read again.
                depth = await messages.depth()
                assert depth.ready >= 40 - 2 * LIMIT // SIZE
        assert got == list(range(100))
        assert most <= LIMIT + SIZE + READ


async def test_questions_at_the_limit_do_not_raise_it(pulse: pulsekit.Pulse, exchange: str) -> None:
    """Messages that arrive before an answer are read, and must not count as messages that fit."""
    queue = f"queue/{pulse.user}/large"
    async with pulse.subscribe(exchange, queue=queue):
        pass
    await send(pulse, exchange, 300)
    async with pulse.subscribe(exchange, queue=queue, prefetch=200, prefetch_bytes=LIMIT) as messages:
        most = 0
        for expected in range(300):
            for _ in range(3):
                ready = (await messages.depth()).ready
            message = await anext(messages)
            assert number(message) == expected
            if expected >= 200:  # the broker had sent the others before the prefetch was reduced
                most = max(most, messages.waiting * SIZE)
            await message.ack()
        assert ready == 0
        assert most <= 2 * LIMIT + READ


async def test_requests_at_the_limit_let_no_message_arrive(pulse: pulsekit.Pulse, exchange: str) -> None:
    queue = f"queue/{pulse.user}/large"
    depths: list[pulsekit.QueueDepth] = []
    async with pulse.subscribe(exchange, queue=queue):
        pass
    await send(pulse, exchange, 60)
    limits = pulsekit.Limits(interval=0.01)
    async with pulse.subscribe(
        exchange, queue=queue, prefetch_bytes=LIMIT, limits=limits, on_depth=depths.append
    ) as messages:
        await full(messages, pulse)
        arrived, asked = messages.waiting, len(depths)
        for _ in range(10):
            assert (await messages.depth()).consumers == 1
            await messages.bind(f"{exchange}:other")
            await messages.unbind(f"{exchange}:other")
            await pulse.check()
        while len(depths) < asked + 10:
            await asyncio.sleep(0.01)
        assert messages.paused
        assert messages.waiting == arrived
        assert [number(await anext(messages)) for _ in range(arrived)] == list(range(arrived))


async def test_a_request_that_hangs_does_not_delay_the_end(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = asyncio.Event()

    async def never_opens(_: Connection) -> Any:
        hangs.set()
        await asyncio.Event().wait()

    limits, queue = pulsekit.Limits(interval=0.01), f"queue/{pulse.user}/large"
    async with (
        asyncio.timeout(30),
        pulsekit.connect(user.url) as consuming,
        consuming.subscribe(exchange, queue=queue, prefetch_bytes=LIMIT, limits=limits),
    ):
        monkeypatch.setattr(Connection, "_open", never_opens)
        await send(pulse, exchange, 60)
        await hangs.wait()


async def test_a_request_about_a_private_queue_is_refused_when_others_have_doubled_the_bytes(
    pulse: pulsekit.Pulse, exchange: str
) -> None:
    async with pulse.subscribe(exchange, prefetch_bytes=LIMIT) as messages:
        await send(pulse, exchange, 200)
        await full(messages, pulse)
        with pytest.raises(pulsekit.NetworkError, match="exceed prefetch_bytes twice: settle messages first"):
            for _ in range(1000):
                assert (await messages.depth()).queue == messages.queue
        arrived = messages.waiting
        assert arrived * SIZE >= 2 * LIMIT
        with pytest.raises(pulsekit.NetworkError, match="settle messages first"):
            await messages.bind(f"{exchange}:other")
        assert messages.waiting == arrived
        for expected in range(200):
            message = await anext(messages)
            assert number(message) == expected
            await message.ack()
        assert (await messages.depth()).total == 0


async def test_a_message_over_the_limit_is_delivered_alone(pulse: pulsekit.Pulse, exchange: str) -> None:
    async with pulse.subscribe(exchange, prefetch_bytes=LIMIT) as messages:
        await send(pulse, exchange, 4, 3 * LIMIT)
        for expected in range(4):
            await full(messages, pulse, size=3 * LIMIT)
            assert messages.waiting == 1
            message = await anext(messages)
            assert number(message) == expected
            await message.ack()


async def test_another_subscription_can_be_opened_while_the_limit_is_reached(
    pulse: pulsekit.Pulse, exchange: str
) -> None:
    async with pulse.subscribe(exchange, prefetch_bytes=LIMIT) as messages:
        await send(pulse, exchange, 60)
        await full(messages, pulse)
        async with asyncio.timeout(30), pulse.subscribe(exchange, prefetch_bytes=LIMIT):
            pass
        assert [number(await anext(messages)) for _ in range(10)] == list(range(10))


async def test_draining_at_the_limit_requeues_what_exceeds_it(pulse: pulsekit.Pulse, exchange: str) -> None:
    queue = f"queue/{pulse.user}/large"
    got = []
    async with pulse.subscribe(exchange, queue=queue, prefetch_bytes=LIMIT) as messages:
        await send(pulse, exchange, 60)
        await full(messages, pulse)
        async with asyncio.timeout(30):
            await messages.drain()
        assert messages.waiting * SIZE <= LIMIT + SIZE + READ
        async for message in messages:
            got.append(number(message))
            await message.ack()
    async with pulse.subscribe(exchange, queue=queue) as messages:
        while len(got) < 60:
            message = await anext(messages)
            got.append(number(message))
            await message.ack()
    assert got == list(range(60))


async def test_the_prefetch_grows_again_when_messages_are_small(pulse: pulsekit.Pulse, exchange: str) -> None:
    queue = f"queue/{pulse.user}/mixed"
    async with pulse.subscribe(exchange, queue=queue, prefetch=50, prefetch_bytes=LIMIT) as messages:
        for size, count in (SIZE, 100), (4, 300):
            await send(pulse, exchange, count, size)
            for expected in range(count):
                message = await anext(messages)
                assert number(message) == expected
                await message.ack()
        await send(pulse, exchange, 100, 4)
        async with asyncio.timeout(30):
            while messages.waiting < 50:
                await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_a_connection_that_is_not_read_stays_open(user: PulseUser, pulse: pulsekit.Pulse, exchange: str) -> None:
    async with (
        pulsekit.connect(f"{user.url}?heartbeat=1") as consuming,
        consuming.subscribe(exchange, prefetch_bytes=LIMIT) as messages,
    ):
        await send(pulse, exchange, 60)
        await full(messages, pulse)
        await asyncio.sleep(10)  # the time after which this client, aiormq or the broker would close the connection
        for expected in range(60):
            message = await anext(messages)
            assert number(message) == expected
            await message.ack()
        assert messages.gaps == 0
