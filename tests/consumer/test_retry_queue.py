"""Messages that wait on the broker after their handler failed, instead of unsettled in the consumer."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Literal

import pytest

import pulsekit
from pulsekit import OnFailure, Policy, Queue, Retry
from pulsekit.consumer.retry_queue import _rounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.rabbitmq.broker import PulseUser

WAIT = Policy(failure=OnFailure.REQUEUE, delay=0.2, max_local_delay=0.1)


@pytest.fixture
async def exchange(pulse: pulsekit.Pulse, exchange: str) -> str:
    await pulse.create_exchange(exchange)
    return exchange


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_a_delayed_message_returns_unchanged_and_delays_no_other(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser, kind: Literal["classic", "quorum"]
) -> None:
    seen: list[pulsekit.Message] = []

    async def handler(message: pulsekit.Message) -> None:
        seen.append(message)
        if message.payload == 1 and not message.retries:
            raise LookupError
        if len(seen) == 4:
            await messages.drain()

    queue = Queue(f"queue/{user.name}/jobs", type=kind)
    async with pulse.subscribe(f"{exchange}:#", queue=queue, prefetch=1) as messages:
        publisher = pulse.publisher(exchange)
        properties = pulsekit.Properties(message_id="m1", user_id=user.name, expiration="60000")
        headers = {"h": [1, {"n": None}], "x-death": "not ours"}
        await publisher.publish(1, "a.b", cc=["x.y", "wait.1"], headers=headers, properties=properties)
        for number in (2, 3):
            await publisher.publish(number, "c")
        await messages.handle(handler, WAIT)
    assert [message.payload for message in seen] == [1, 2, 3, 1]
    first, last = seen[0], seen[-1]
    assert (last.exchange, last.routing_key, last.cc, last.body) == (exchange, "a.b", ("x.y", "wait.1"), first.body)
    assert (last.headers, last.properties.message_id) == (first.headers, "m1")
    assert (first.retries, last.retries) == (0, 1)
    assert last.key == first.key
    assert [binding.pattern for binding in last.bindings] == ["#"]
    assert last.received >= first.received
    assert (await pulsekit.queues.queue_depth(pulse, queue.name)).ready == 0


async def test_a_transient_message_waits_as_a_persistent_one(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    async def handler(message: pulsekit.Message) -> None:
        await messages.drain()
        raise Retry(after=60)

    queue = Queue(f"queue/{user.name}/jobs", type="quorum")  # which keeps transient messages, too
    async with pulse.subscribe(f"{exchange}:#", queue=queue) as messages:
        transient = pulsekit.Properties(delivery_mode=1)
        await pulse.publisher(exchange).publish({}, "a", properties=transient)
        await messages.handle(handler, Policy(max_local_delay=0))
    (waiting,) = await pulsekit.queues.peek(pulse, f"{queue.name}/retry-{_rounded(60)}", count=1)
    assert waiting.properties.delivery_mode == 2


async def test_a_closed_consumer_leaves_no_channel_for_its_retries(
    exchange: str, user: PulseUser, limit_channels: Callable[[int], object], caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(message: pulsekit.Message) -> None:
        await messages.drain()
        raise Retry(after=60)

    limit_channels(3)
    async with pulsekit.connect(user.url) as pulse:
        publisher = pulse.publisher(exchange)
        for _ in range(4):
            async with pulse.subscribe(f"{exchange}:#", queue=f"queue/{user.name}/jobs") as messages:
                await publisher.publish({}, "a")
                await messages.handle(handler, Policy(max_local_delay=0))
    assert "cannot wait on the broker" not in caplog.text


async def test_failures_are_counted_across_processes(pulse: pulsekit.Pulse, exchange: str, user: PulseUser) -> None:
    calls: list[int] = []
    stop = asyncio.Event()

    async def handler(message: pulsekit.Message) -> None:
        calls.append(message.retries)
        if len(calls) % 2 == 0:
            stop.set()
        raise Retry(after=0.15)

    policy = Policy(max_local_delay=0, limit=3, exhausted=OnFailure.ACK)
    queue = f"queue/{user.name}/jobs"
    async with pulse.subscribe(f"{exchange}:#", queue=queue):
        await pulse.publisher(exchange).publish({}, "a")
    for _ in range(2):  # as in two processes: each consumer counts for itself
        async with pulse.subscribe(queue=Queue(queue, existing=True)) as messages:
            handling = asyncio.ensure_future(messages.handle(handler, policy))
            await stop.wait()
            stop.clear()
            await messages.drain()
            await handling
    assert calls == [0, 1, 2, 3]


async def test_a_message_that_cannot_wait_on_the_broker_waits_in_the_process(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[bool] = []

    async def handler(message: pulsekit.Message) -> None:
        seen.append(message.redelivered)
        if message.redelivered:
            await messages.drain()
            return
        raise LookupError

    queue = f"queue/{user.name}/jobs"
    async with pulse.subscribe(f"{exchange}:nothing", queue=f"{queue}/retry-{_rounded(WAIT.delay)}"):
        pass  # the name is in use, with other arguments
    async with pulse.subscribe(f"{exchange}:#", queue=queue) as messages:
        await pulse.publisher(exchange).publish({}, "a")
        await messages.handle(handler, WAIT)
    assert seen == [False, True]
    assert "cannot wait on the broker" in caplog.text


async def test_a_private_queue_has_no_place_for_messages_to_wait(pulse: pulsekit.Pulse, exchange: str) -> None:
    async with pulse.subscribe(f"{exchange}:#") as messages:
        with pytest.raises(pulsekit.ConfigurationError, match="needs a durable queue of yours"):
            await messages.handle(lambda message: None, WAIT)
    with pytest.raises(pulsekit.ConfigurationError, match="max_local_delay is 0 seconds or more"):
        Policy(max_local_delay=-1)
    with pytest.raises(TypeError, match="after is a number, not '60'"):
        Retry(after="60")  # type: ignore[arg-type]


def test_delays_are_rounded_up_by_an_eighth_at_most_to_few_values() -> None:
    rounded = {_rounded(seconds) for seconds in range(1, 86_400)}
    assert len(rounded) < 150
    assert all(seconds * 1000 <= _rounded(seconds) <= seconds * 1125 for seconds in range(1, 86_400))
    assert {_rounded(seconds) for seconds in (1e12, 1e306, math.inf)} == {2**31}
