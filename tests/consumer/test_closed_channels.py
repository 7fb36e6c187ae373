"""A subscription whose channel the broker closes, and requests that use a separate channel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.proxy import Proxy

import pulsekit
from pulsekit._amqp import methods
from pulsekit._amqp.frames import ACK, encode_settlement
from pulsekit.queues import delete_queue, queue_depth

if TYPE_CHECKING:
    from collections.abc import Iterator

    import aiormq
    from support.rabbitmq.broker import PulseUser
    from support.rabbitmq.node import PrivateNode


async def send(pulse: pulsekit.Pulse, exchange: str, numbers: range) -> None:
    async for receipt in pulse.publisher(exchange).publish_many(({"n": n}, "k") for n in numbers):
        receipt.check()


async def queue_exists(pulse: pulsekit.Pulse, name: str) -> bool:
    try:
        await queue_depth(pulse, name)
    except pulsekit.NotFound:
        return False
    except pulsekit.ResourceLocked:
        return True
    return True


def close_channel(messages: pulsekit.Consumer) -> None:
    """Acknowledge a delivery that does not exist, for which the broker closes the channel (406)."""
    channel = messages._subscription._channel
    assert channel is not None
    channel.link.router.write(encode_settlement(channel._channel.number, ACK, 2**40, 0))


@pytest.fixture
def short_ack_timeout(rabbitmq_node: PrivateNode) -> Iterator[PrivateNode]:
    """A RabbitMQ whose consumer_timeout is a second, for the channels that are opened within the test."""
    rabbitmq_node.eval(
        "application:set_env(rabbit, consumer_timeout, 1000)", "application:set_env(rabbit, channel_tick_interval, 50)"
    )
    yield rabbitmq_node
    rabbitmq_node.eval(
        "application:set_env(rabbit, consumer_timeout, 1800000)",
        "application:set_env(rabbit, channel_tick_interval, 60000)",
    )


@pytest.mark.parametrize("named", [True, False], ids=["durable", "private"])
async def test_a_message_that_is_settled_too_late_is_delivered_again_and_counted(
    short_ack_timeout: PrivateNode, caplog: pytest.LogCaptureFixture, named: bool
) -> None:
    user = short_ack_timeout.user()
    exchange, gaps = f"exchange/{user.name}/x", asyncio.Queue[pulsekit.Gap]()
    queue = f"queue/{user.name}/slow" if named else None
    async with pulsekit.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        async with pulse.subscribe(exchange, queue=queue, on_gap=gaps.put_nowait) as messages:
            name = messages.queue
            assert not named or (await gaps.get()).created
            await send(pulse, exchange, range(3))
            await (await anext(messages)).ack()
            late = await anext(messages)
            gap = await gaps.get()
            assert (gap.epoch, gap.lossy, messages.ack_timeouts, messages.queue) == (1, False, 1, name)
            await late.ack()
            assert messages.stale == 1
            again = [await anext(messages) for _ in range(2)]
            assert [(message.payload["n"], message.redelivered) for message in again] == [(1, True), (2, True)]
            for message in again:
                await message.ack()
            assert (await messages.depth()).total == 0
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("pulsekit")]
    (warning,) = [message for message in logged if "consumer_timeout" in message]
    assert f"the channel of {name}: delivery 2 was not settled within 1 s" in warning
    assert not any("delete" in message for message in logged)


@pytest.mark.parametrize("named", [True, False], ids=["durable", "private"])
async def test_a_channel_that_the_broker_closes_is_opened_again_and_loses_nothing(
    pulse: pulsekit.Pulse, user: PulseUser, exchange: str, named: bool, caplog: pytest.LogCaptureFixture
) -> None:
    gaps: asyncio.Queue[pulsekit.Gap] = asyncio.Queue()
    queue = f"queue/{user.name}/q" if named else None
    async with pulse.subscribe(exchange, queue=queue, on_gap=gaps.put_nowait) as messages:
        name = messages.queue
        assert not named or (await gaps.get()).created
        await send(pulse, exchange, range(3))
        first = await anext(messages)
        close_channel(messages)
        gap = await gaps.get()
        assert (messages.queue, gap.lossy) == (name, False)
        await first.ack()
        assert messages.stale == 1
        assert [(await anext(messages)).payload["n"] for _ in range(3)] == [0, 1, 2]
    assert await queue_exists(pulse, name) is named
    assert "unknown delivery tag" in caplog.text


async def test_a_closed_channel_keeps_what_an_earlier_connection_delivered(
    pulse: pulsekit.Pulse, user: PulseUser, exchange: str
) -> None:
    gaps: asyncio.Queue[pulsekit.Gap] = asyncio.Queue()

    async def waiting(number: int) -> None:
        while messages.waiting < number:
            await asyncio.sleep(0)  # no event reports how many messages wait

    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as shaky,
        shaky.subscribe(exchange, on_gap=gaps.put_nowait) as messages,
    ):
        await send(pulse, exchange, range(2))
        await waiting(2)
        proxy.cut()
        assert (await gaps.get()).lossy  # the private queue is a new one
        await send(pulse, exchange, range(2, 4))
        await waiting(4)
        close_channel(messages)
        assert not (await gaps.get()).lossy
        assert [(await anext(messages)).payload["n"] for _ in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize("gives_up", ["the library", "the caller"])
async def test_an_unanswered_request_does_not_affect_the_subscription(
    pulse: pulsekit.Pulse, user: PulseUser, exchange: str, gives_up: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as slow,
        slow.subscribe(exchange, queue=f"queue/{user.name}/q") as messages,
    ):
        await send(pulse, exchange, range(100))
        got = [await anext(messages) for _ in range(100)]
        channel = messages._subscription._channel
        assert channel is not None
        question = await channel.link.channel(confirms=False)  # opened before the broker stops answering
        monkeypatch.setattr(channel.link, "channel", lambda **_: asyncio.sleep(0, question))
        proxy.hold_answers()
        if gives_up == "the library":
            monkeypatch.setattr(methods, "OPERATION_TIMEOUT", 0.05)
        with pytest.raises((pulsekit.ConnectionLost, TimeoutError)):
            async with asyncio.timeout(0.05 if gives_up == "the caller" else None):
                await messages.depth()
        monkeypatch.undo()
        for message in got:
            await message.ack()
        proxy.release_answers()
        assert (await messages.depth()).total == 0
        assert (messages.stale, messages.gaps) == (0, 0)


async def test_a_refusal_that_crosses_the_end_of_a_late_request_does_not_stop_later_attempts(
    pulse: pulsekit.Pulse, user: PulseUser, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ ignores everything on a channel that it has closed until the client answers channel.close."""
    attempts = 0
    declare = methods.declare_queue
    await pulse.create_exchange(exchange)
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as slow:

        async def declaring(*arguments: Any, **options: Any) -> tuple[int, int]:
            nonlocal attempts
            attempts += 1
            if attempts > 5:
                return await declare(*arguments, **options)
            proxy.hold_answers()  # the broker refuses the look-up of the queue while its time is up
            try:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(methods, "OPERATION_TIMEOUT", 0.05)
                    return await declare(*arguments, **options)
            finally:
                proxy.release_answers()

        monkeypatch.setattr(methods, "declare_queue", declaring)
        monkeypatch.setattr("pulsekit.consumer.subscription._FIRST_PAUSE", 0.01)
        async with slow.subscribe(exchange, queue=f"queue/{user.name}/q") as messages:
            await send(pulse, exchange, range(1))
            await (await anext(messages)).ack()


async def test_attempts_to_subscribe_leave_no_queue_behind(
    pulse: pulsekit.Pulse, user: PulseUser, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulsekit.consumer.subscription._FIRST_PAUSE", 0.01)
    missing, names = f"exchange/{user.name}/missing", list[str]()
    await pulse.create_exchange(exchange)
    declare = methods.declare_queue

    async def declaring(channel: object, name: str, **options: object) -> tuple[int, int]:
        if not options.get("passive"):
            names.append(name)
        return await declare(channel, name, **options)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(methods, "declare_queue", declaring)
    with pytest.raises(pulsekit.NotFound):
        await pulse.subscribe(exchange, missing).open()
    waiting = pulse.subscribe(exchange, missing, wait=True)
    opening = asyncio.ensure_future(waiting.open())
    while len(names) < 4:
        await asyncio.sleep(0.01)
    opening.cancel()
    await waiting.close()
    assert [await queue_exists(pulse, name) for name in dict.fromkeys(names)] == [False, False]


async def test_a_queue_that_is_deleted_before_the_first_delivery_is_reported(
    pulse: pulsekit.Pulse, user: PulseUser, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    consume = methods.consume

    async def deleting(channel: aiormq.Channel, name: str, *arguments: Any) -> str:
        await delete_queue(pulse, name)
        return await consume(channel, name, *arguments)

    monkeypatch.setattr(methods, "consume", deleting)
    await pulse.create_exchange(exchange)
    with pytest.raises(pulsekit.SubscriptionLost, match="was deleted"):
        await pulse.subscribe(exchange, queue=f"queue/{user.name}/q").open()


async def test_a_cancelled_request_that_is_refused_disturbs_no_other(pulse: pulsekit.Pulse, user: PulseUser) -> None:
    link, queue = await pulse.link(), f"queue/{user.name}/q"

    async def bind(channel: aiormq.Channel) -> None:
        await methods.bind_queue(channel, queue, f"exchange/{user.name}/missing", "#")

    for number in range(100):  # the answer arrives before, while and after the request is cancelled
        refused = asyncio.ensure_future(link.ask(bind, "bind"))
        for _ in range(number):
            await asyncio.sleep(0)
        refused.cancel()
        await asyncio.wait([refused])
        async with asyncio.timeout(10):
            assert not await queue_exists(pulse, queue)
        assert not link.is_lost


async def test_a_channel_that_both_sides_close_disturbs_no_later_one(pulse: pulsekit.Pulse, user: PulseUser) -> None:
    link = await pulse.link()
    for number in range(100):  # the close of the broker arrives before, while and after the channel is closed
        channel = await link.channel(confirms=False)
        link.router.write(encode_settlement(channel.number, ACK, 2**40, 0))  # the broker closes the channel (406)
        for _ in range(number):
            await asyncio.sleep(0)
        await link.close_channel(channel)
        async with asyncio.timeout(10):
            assert not await queue_exists(pulse, f"queue/{user.name}/q")
        assert not link.is_lost


async def test_acknowledgements_arrive_even_if_a_cancel_is_not_answered(
    pulse: pulsekit.Pulse, user: PulseUser, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulsekit._amqp.link.CLOSE_TIMEOUT", 0.05)
    queue = f"queue/{user.name}/q"
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as slow,
        slow.subscribe(exchange, queue=queue) as messages,
    ):
        await send(pulse, exchange, range(10))
        got = [await anext(messages) for _ in range(10)]
        proxy.hold_answers()
        await messages.drain()
        for message in got:
            await message.ack()
        proxy.release_answers()
        while (await queue_depth(pulse, queue)).consumers:
            await asyncio.sleep(0)
        assert (messages.stale, messages.gaps) == (0, 0)
    assert (await queue_depth(pulse, queue)).ready == 0
