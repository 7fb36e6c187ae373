"""The depth of a queue, and warnings before PulseGuardian deletes it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
from support.proxy import Proxy

import pulsekit
from pulsekit import Limits, QueueDepth
from pulsekit.consumer.guardian_limits import Trend

if TYPE_CHECKING:
    from support.rabbitmq.broker import PulseUser, RabbitMQ


async def test_the_depth_has_the_number_of_consumers(pulse: pulsekit.Pulse, exchange: str, user: PulseUser) -> None:
    depths: asyncio.Queue[QueueDepth] = asyncio.Queue()
    queue, limits = f"queue/{user.name}/q", Limits(interval=0.01)
    async with pulse.subscribe(exchange, queue=queue, limits=limits, on_depth=depths.put_nowait):
        assert (await depths.get()).consumers == 1
        async with pulse.subscribe(exchange, queue=queue) as other:
            assert (await other.depth()).consumers == 2
            while (await depths.get()).consumers != 2:
                pass


async def test_a_durable_queue_that_grows_causes_one_warning_per_limit(
    broker: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    user = broker.user()
    exchange, queue = f"exchange/{user.name}/x", f"queue/{user.name}/q"
    looks: list[QueueDepth] = []
    looked = asyncio.Event()

    def on_depth(depth: QueueDepth) -> None:
        looks.append(depth)
        looked.set()

    async def until(total: int) -> QueueDepth:
        while not looks or looks[-1].total != total:
            looked.clear()
            await looked.wait()
        return looks[-1]

    async with pulsekit.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        limits = Limits(warn=3, delete=6, interval=0.01)
        async with pulse.subscribe(exchange, queue=queue, prefetch=2, limits=limits, on_depth=on_depth) as messages:
            publisher = pulse.publisher(exchange)
            assert (await until(0)).level == 0
            sent = 0
            for count, level in ((3, 0), (4, 1), (7, 2)):
                while sent < count:
                    await publisher.publish({}, "k")
                    sent += 1
                assert (await until(count)).level == level
            assert [(depth.ready, depth.unsettled) for depth in looks if depth.total == 7][-1] == (5, 2)
            for _ in range(7):
                await (await anext(messages)).ack()
            assert (await until(0)).level == 0
    warnings = [record.getMessage() for record in caplog.records if "PulseGuardian" in record.getMessage()]
    assert warnings == [
        f"the queue {queue} has 4 messages: over 3, PulseGuardian mails its owner",
        f"the queue {queue} has 7 messages: over 6, PulseGuardian deletes it with its messages",
    ]


async def test_draining_during_a_depth_request_does_not_close_the_channel(broker: RabbitMQ) -> None:
    """Cancelling a request of aiormq closes its channel, and acknowledgements would be lost."""
    user = broker.user()
    exchange, queue, looked = f"exchange/{user.name}/x", f"queue/{user.name}/q", asyncio.Event()
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as shaky, pulsekit.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)

        def on_depth(_: QueueDepth) -> None:
            if not looked.is_set() and messages.waiting:
                proxy.hold_answers()  # the next request is not answered
                carried.append(proxy.carried)
                looked.set()

        carried: list[int] = []
        limits = Limits(interval=0.01)
        async with shaky.subscribe(exchange, queue=queue, limits=limits, on_depth=on_depth) as messages:
            await pulse.publisher(exchange).publish({"n": 1}, "k")
            await looked.wait()
            while proxy.carried == carried[0]:
                await asyncio.sleep(0)
            draining = asyncio.ensure_future(messages.drain())
            await asyncio.sleep(0)
            proxy.release_answers()
            await draining
            async for message in messages:
                await message.ack()
            assert messages.stale == 0
        await pulse.publisher(exchange).publish({"n": 2}, "k")
        async with pulse.subscribe(queue=queue) as again:
            message = await anext(again)
            assert (message.payload, message.redelivered) == ({"n": 2}, False)
            await message.ack()


@pytest.mark.parametrize("wrong", [{"warn": 0}, {"warn": 9, "delete": 8}, {"interval": 0}])
def test_invalid_limits_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(pulsekit.ConfigurationError):
        Limits(**wrong)
    with pytest.raises(TypeError, match="warn is a number, not '2000'"):
        Limits(warn="2000")  # type: ignore[arg-type]


def depth(ready: int) -> QueueDepth:
    return QueueDepth("queue/me/q", ready, 0, Limits(warn=50, delete=100))


def test_a_trend_is_a_rate_and_the_time_left() -> None:
    trend = Trend()
    assert (trend.rate, trend.seconds_left) == (None, None)
    trend.add(10.0, depth(0))
    assert (trend.rate, trend.seconds_left) == (None, None)
    trend.add(15.0, depth(10))
    trend.add(20.0, depth(41))
    assert trend.rate == 4.1
    assert trend.seconds_left == pytest.approx(60 / 4.1)  # deleted over 100, not at 100


@pytest.mark.parametrize(("last", "left"), [(5, None), (0, None), (101, 0.0)])
def test_the_time_left_is_none_without_growth_and_zero_over_the_limit(last: int, left: float | None) -> None:
    trend = Trend()
    trend.add(0.0, depth(5))
    trend.add(1.0, depth(last))
    assert trend.seconds_left == left


def test_a_trend_drops_old_samples() -> None:
    trend = Trend()
    for second in range(20):
        trend.add(float(second), depth(max(0, second - 8) * 3))
    assert trend.rate == 3.0


async def test_a_prefetch_of_unsettled_messages_is_reported_once(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser, caplog: pytest.LogCaptureFixture
) -> None:
    def warnings() -> list[str]:
        return [record.getMessage() for record in caplog.records if "as many as its prefetch" in record.getMessage()]

    async def look(times: int) -> None:
        for _ in range(times):
            looked.clear()
            await looked.wait()

    looked = asyncio.Event()
    queue, limits = f"queue/{user.name}/q", Limits(interval=0.01)
    await pulse.create_exchange(exchange)
    async with pulse.subscribe(
        exchange, queue=queue, prefetch=2, limits=limits, on_depth=lambda _: looked.set()
    ) as messages:
        for number in range(4):
            await pulse.publisher(exchange).publish(number, "k")
        held = [await anext(messages) for _ in range(2)]
        await look(4)
        assert not warnings()  # while the program does not wait for a message
        waiting = asyncio.ensure_future(anext(messages))
        while not warnings():
            await look(1)
        await look(4)
        (warning,) = warnings()
        assert f"the consumer of {queue} has 2 unsettled messages, as many as its prefetch" in warning
        assert "does not deliver the 2 that are ready" in warning
        held[0].ack()
        assert (await waiting).payload == 2


async def test_unsettled_messages_that_fill_the_prefetch_in_bytes_are_reported(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    class Warnings(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "2 unsettled messages, as many as its prefetch_bytes allows" in record.getMessage():
                warned.set()

    warned, log = asyncio.Event(), logging.getLogger("pulsekit")
    await pulse.create_exchange(exchange)
    async with pulse.subscribe(
        exchange, queue=f"queue/{user.name}/q", prefetch_bytes=1000, limits=Limits(interval=0.01)
    ) as messages:
        held = []
        for _ in range(2):
            await pulse.publisher(exchange).publish("x" * 600, "k")
            held.append(await anext(messages))
        await pulse.publisher(exchange).publish("x", "k")
        waiting = asyncio.ensure_future(anext(messages))
        log.addHandler(handler := Warnings())
        try:
            async with asyncio.timeout(20):
                await warned.wait()
        finally:
            log.removeHandler(handler)
        held[0].ack()
        await waiting
