"""Operations on a user's queues."""

from __future__ import annotations

import asyncio
import math
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

import pytest
from support.proxy import Proxy
from support.queues import depth_after_return

import pulsekit
from pulsekit._amqp.frame_router import FrameRouter
from pulsekit._amqp.getting import GetChannel
from pulsekit.queues.guardian_site import Bound
from pulsekit.queues.operations import delete_queue, peek, purge_queue, queue_depth, take, unbind, watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser, RabbitMQ

    from pulsekit import Pulse
    from pulsekit._amqp.types import Delivery


@asynccontextmanager
async def filled(user: PulseUser, count: int) -> AsyncIterator[tuple[Pulse, str]]:
    """Open a connection, with a durable queue that has a number of messages."""
    exchange, queue = f"exchange/{user.name}/x", f"queue/{user.name}/q"
    async with pulsekit.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        async with pulse.subscribe(exchange, queue=queue):
            pass
        publisher = pulse.publisher(exchange)
        for number in range(count):
            await publisher.publish({"number": number}, f"k.{number}", cc=["also"])
        yield pulse, queue
        await delete_queue(pulse, queue, if_unused=False)
        await pulse.delete_exchange(exchange, if_unused=False)


async def test_a_depth_has_messages_consumers_and_room(user: PulseUser) -> None:
    async with filled(user, 3) as (pulse, queue):
        depth = await queue_depth(pulse, queue, pulsekit.Limits(warn=2, delete=10))
        assert (depth.queue, depth.ready, depth.consumers, depth.level, depth.room) == (queue, 3, 0, 1, 7)
        async with pulse.subscribe(f"exchange/{user.name}/x", queue=queue):
            assert (await queue_depth(pulse, queue)).consumers == 1


async def test_peeked_messages_keep_their_order_and_are_marked_redelivered(user: PulseUser) -> None:
    async with filled(user, 4) as (pulse, queue):
        first = await peek(pulse, queue, 2)
        assert [(message.payload["number"], message.redelivered) for message in first] == [(0, False), (1, False)]
        again = await peek(pulse, queue)
        assert [message.payload["number"] for message in again] == [0, 1, 2, 3]
        assert [message.redelivered for message in again] == [True, True, False, False]
        assert (await depth_after_return(pulse, queue, 4)).ready == 4


async def test_a_peeked_message_has_all_its_properties(user: PulseUser) -> None:
    async with filled(user, 1) as (pulse, queue):
        (message,) = await peek(pulse, queue)
    assert (message.exchange, message.routing_key) == (f"exchange/{user.name}/x", "k.0")
    assert message.cc == ("also",)
    assert message.properties.content_type == "application/json"
    assert message.properties.message_id
    assert message.body == b'{"number":0}'


async def test_a_peek_keeps_a_limited_number_of_bytes(user: PulseUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pulsekit.queues.operations.PEEK_BYTES", 20)
    async with filled(user, 4) as (pulse, queue):
        assert len(await peek(pulse, queue)) == 2
        assert (await depth_after_return(pulse, queue, 4)).ready == 4


@pytest.mark.parametrize(("limit", "peeks"), [(0, 0), (1, 1), (3, 2), (20, 10)])
async def test_peeking_never_removes_a_message_from_a_quorum_queue(
    user: PulseUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, peeks: int
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    exchange = f"exchange/{user.name}/x"
    queue = pulsekit.Queue(f"queue/{user.name}/quorum", type="quorum", arguments={"x-delivery-limit": limit})
    async with pulsekit.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        async with pulse.subscribe(exchange, queue=queue):
            with pytest.raises(pulsekit.PreconditionFailed, match="consumers"):
                await delete_queue(pulse, queue.name)
        await pulse.publisher(exchange).publish({}, "k")
        for _ in range(peeks):
            assert len(await peek(pulse, queue.name)) == 1
        for _ in range(2):
            with pytest.raises(pulsekit.ConfigurationError, match=f"delivery limit {limit}.*pulsekit queue take"):
                await peek(pulse, queue.name)
        assert (await depth_after_return(pulse, queue.name, 1)).ready == 1
        assert await delete_queue(pulse, queue.name) == 1


async def test_cancelling_a_peek_never_costs_the_connection(user: PulseUser, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, get = asyncio.Event(), GetChannel.get

    async def get_later(channel: GetChannel, count: int = 1, *, max_bytes: float = math.inf) -> list[Delivery]:
        asked.set()
        return await get(channel, count, max_bytes=max_bytes)

    monkeypatch.setattr(GetChannel, "get", get_later)
    async with filled(user, 2) as (pulse, queue):
        epoch = (await pulse.link()).epoch
        peeking = asyncio.create_task(peek(pulse, queue))
        await asked.wait()  # the request is sent, and the answer is on its way
        peeking.cancel()
        await asyncio.wait([peeking])
        assert [message.payload["number"] for message in await peek(pulse, queue)] == [0, 1]
        assert (await pulse.link()).epoch == epoch


async def test_messages_that_were_taken_can_be_settled_in_any_thread(
    user: PulseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, write = set(), FrameRouter.write

    def write_here(router: FrameRouter, data: bytes) -> None:
        threads.add(threading.get_ident())
        write(router, data)

    monkeypatch.setattr(FrameRouter, "write", write_here)
    async with filled(user, 2) as (pulse, queue):
        async for messages in take(pulse, queue):
            await asyncio.to_thread(lambda messages: [message.ack() for message in messages], messages)
        assert (await queue_depth(pulse, queue)).ready == 0
    assert threads == {threading.get_ident()}  # a transport of asyncio belongs to the thread of its event loop


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_messages_are_taken_with_a_limited_number_of_bytes(
    user: PulseUser, monkeypatch: pytest.MonkeyPatch, kind: Literal["classic", "quorum"]
) -> None:
    """Messages that become larger while many are requested, in a queue that removes what is returned."""
    monkeypatch.setattr("pulsekit.queues.operations.TAKE_BYTES", 100)
    monkeypatch.setattr("pulsekit.queues.operations.SMALL_BATCH", 3)
    arguments = {"x-delivery-limit": 0} if kind == "quorum" else {}
    exchange = f"exchange/{user.name}/x"
    sizes = [10] * 40 + [101, 60, 60, 0, 10] + [90] * 20
    async with pulsekit.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        queue = pulsekit.Queue(f"queue/{user.name}/q", type=kind, arguments=arguments)
        async with pulse.subscribe(exchange, queue=queue):
            pass
        publisher = pulse.publisher(exchange)
        await asyncio.gather(*(publisher.publish(bytes(size), f"k.{n}") for n, size in enumerate(sizes)))
        lists = []
        async for messages in take(pulse, queue.name):
            for message in messages:
                message.ack()
            lists.append(messages)
        assert [message.routing_key for messages in lists for message in messages] == [
            f"k.{number}" for number in range(len(sizes))
        ]
        assert max(map(len, lists)) > 1
        if kind == "quorum":
            assert max(map(len, lists)) <= 3
            assert not any(message.redelivered for messages in lists for message in messages)
        else:
            assert all(len(messages) == 1 or sum(len(one.body) for one in messages) <= 100 for messages in lists)
        assert (await queue_depth(pulse, queue.name)).ready == 0


async def test_peeking_an_empty_queue_returns_nothing(user: PulseUser) -> None:
    async with filled(user, 0) as (pulse, queue):
        assert await peek(pulse, queue) == []


async def test_a_message_taken_without_an_ack_stays_in_the_queue(user: PulseUser) -> None:
    async with filled(user, 3) as (pulse, queue):
        async for messages in take(pulse, queue):
            await messages[1].ack()
            await messages[2].reject()
        await depth_after_return(pulse, queue, 1)
        assert [message.payload["number"] for message in await peek(pulse, queue)] == [0]


async def test_a_connection_lost_before_the_acknowledgement_is_an_error(user: PulseUser) -> None:
    async with filled(user, 1) as (pulse, queue), Proxy(user.url) as proxy:
        async with pulsekit.connect(proxy.url) as other:
            with pytest.raises(pulsekit.ConnectionLost):
                async for (message,) in take(other, queue, 1):
                    proxy.cut()
                    await message.ack()
        await depth_after_return(pulse, queue, 1)
        assert [message.redelivered for message in await peek(pulse, queue)] == [True]


async def test_a_purge_removes_ready_messages_and_returns_their_number(user: PulseUser) -> None:
    async with filled(user, 3) as (pulse, queue):
        assert await purge_queue(pulse, queue) == 3
        assert (await queue_depth(pulse, queue)).ready == 0
        assert await purge_queue(pulse, queue) == 0


async def test_a_queue_with_consumers_is_deleted_only_on_request(user: PulseUser) -> None:
    async with filled(user, 2) as (pulse, queue):
        async with pulse.subscribe(f"exchange/{user.name}/x", queue=queue):
            with pytest.raises(pulsekit.PreconditionFailed, match=r"has consumers.*if_unused=False"):
                await delete_queue(pulse, queue)
        assert (await depth_after_return(pulse, queue, 2)).ready == 2
        assert await delete_queue(pulse, queue) == 2
        with pytest.raises(pulsekit.NotFound):
            await queue_depth(pulse, queue)
        assert await delete_queue(pulse, queue) == 0


async def test_a_quorum_queue_with_a_long_name_is_deleted_if_unused(pulse: Pulse, user: PulseUser) -> None:
    queue = pulsekit.Queue(f"queue/{user.name}/{'long' * 40}", type="quorum")
    exchange = f"exchange/{user.name}/x"
    await pulse.create_exchange(exchange)
    async with pulse.subscribe(exchange, queue=queue):
        with pytest.raises(pulsekit.PreconditionFailed, match="it has consumers"):
            await delete_queue(pulse, queue.name)
    assert await delete_queue(pulse, queue.name) == 0
    with pytest.raises(pulsekit.NotFound):
        await queue_depth(pulse, queue.name)


async def test_an_unbound_binding_delivers_no_more_messages(user: PulseUser) -> None:
    exchange = f"exchange/{user.name}/x"
    async with filled(user, 0) as (pulse, queue):
        await unbind(pulse, queue, [Bound(exchange, "#"), Bound(exchange, "never.bound")])
        with pytest.raises(pulsekit.MessageReturned):
            await pulse.publisher(exchange, mandatory=True).publish({}, "k")


async def test_a_queue_of_another_user_can_be_seen_but_not_changed(user: PulseUser, broker: RabbitMQ) -> None:
    async with filled(user, 1) as (_, queue), pulsekit.connect(broker.user().url) as other:
        assert (await queue_depth(other, queue)).ready == 1
        for attempt in (peek, purge_queue, delete_queue):
            with pytest.raises(pulsekit.AccessRefused, match=queue):
                await attempt(other, queue)
        with pytest.raises(pulsekit.AccessRefused, match=queue):
            await unbind(other, queue, [Bound(f"exchange/{user.name}/x", "#")])
        assert (await queue_depth(other, queue)).ready == 1


async def test_a_missing_queue_is_not_found(user: PulseUser) -> None:
    async with pulsekit.connect(user.url) as pulse:
        for attempt in (queue_depth, peek, purge_queue):
            with pytest.raises(pulsekit.NotFound, match="none"):
                await attempt(pulse, f"queue/{user.name}/none")


async def test_an_invalid_name_is_refused_before_connecting() -> None:
    async with pulsekit.connect("amqp://me:p@127.0.0.1:1/") as pulse:
        for attempt in (queue_depth, peek, purge_queue, delete_queue):
            with pytest.raises(pulsekit.InvalidName, match="did you mean 'queue/me/q'"):
                await attempt(pulse, "q")


async def test_watching_continues_after_a_reconnect_until_the_queue_is_deleted(user: PulseUser) -> None:
    async with filled(user, 1) as (pulse, queue), Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as watcher:
        looks = watch(watcher, queue, pulsekit.Limits(interval=0.01))
        assert (await anext(looks)).ready == 1
        proxy.cut()
        assert (await anext(looks)).ready == 1
        assert proxy.accepted == 2
        await delete_queue(pulse, queue)
        with pytest.raises(pulsekit.NotFound):
            await anext(looks)
