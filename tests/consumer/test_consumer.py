"""Consuming as a user does it, on every broker."""

from __future__ import annotations

import asyncio
import functools
import itertools
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pika
import pytest
from support.proxy import Proxy
from support.samples import JOBS

import pulsekit
from pulsekit._amqp.types import Settlement
from pulsekit.queues import queue_depth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import tzinfo
    from typing import Self

    from support.rabbitmq.broker import PulseUser


async def send(pulse: pulsekit.Pulse, exchange: str, numbers: range, key: str = "a.b") -> None:
    pairs = (({"n": n}, key) for n in numbers)
    async for receipt in pulse.publisher(exchange).publish_many(pairs):
        receipt.check()


async def queue_exists(pulse: pulsekit.Pulse, name: str) -> bool:
    import aiormq.exceptions

    channel = await (await pulse.link()).channel(confirms=False)
    try:
        await channel.queue_declare(name, passive=True)
    except aiormq.exceptions.ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


async def test_a_private_queue_affects_no_other_consumer_and_is_deleted(pulse: pulsekit.Pulse, exchange: str) -> None:
    async with (
        pulse.subscribe(f"{exchange}:a.*") as some,
        pulse.subscribe(f"{exchange}:#", f"{exchange}:a.#") as everything,
    ):
        await send(pulse, exchange, range(1))
        await send(pulse, exchange, range(1, 2), "b")
        assert (await anext(some)).payload == {"n": 0}
        # Two bindings match the first message, but it is delivered once.
        assert [(await anext(everything)).payload["n"] for _ in range(2)] == [0, 1]
        names = [some.queue, everything.queue]
        assert names[0] != names[1]
        assert all(name.startswith(f"queue/{pulse.user}/") for name in names)
    assert [await queue_exists(pulse, name) for name in names] == [False, False]


async def test_a_missing_exchange_is_reported(pulse: pulsekit.Pulse) -> None:
    with pytest.raises(pulsekit.NotFound, match="exchange/nobody/v1/x"):
        async with pulse.subscribe("exchange/nobody/v1/x:#"):
            pass


async def test_a_missing_exchange_can_be_awaited(pulse: pulsekit.Pulse, user: PulseUser) -> None:
    exchange = f"exchange/{user.name}/v1/later"
    messages = pulse.subscribe(exchange, wait=True)
    opening = asyncio.ensure_future(messages.open())
    await pulse.create_exchange(exchange)
    await opening
    await send(pulse, exchange, range(1))
    assert (await anext(messages)).payload == {"n": 0}


@pytest.mark.parametrize(
    ("bindings", "options"),
    [
        (["amq.topic:#"], {}),
        ([], {}),
        (["exchange/me/x:" + "a" * 256], {}),
        (["exchange/me/x"], {"queue": "exchange/me/x"}),
        (["exchange/me/x"], {"prefetch": 0}),
    ],
)
async def test_an_invalid_subscription_is_refused_before_connecting(
    bindings: list[str], options: dict[str, object]
) -> None:
    async with pulsekit.connect("amqp://u:p@127.0.0.1:1/") as nowhere:
        with pytest.raises(pulsekit.ConfigurationError):
            nowhere.subscribe(*bindings, **options)  # type: ignore[arg-type] # the values are wrong on purpose


async def test_no_more_than_the_prefetch_is_unsettled(pulse: pulsekit.Pulse, exchange: str) -> None:
    async with pulse.subscribe(exchange, prefetch=3) as messages:
        await send(pulse, exchange, range(10))
        first = [await anext(messages) for _ in range(3)]
        fourth = asyncio.ensure_future(anext(messages))
        await send(pulse, exchange, range(10, 11))  # after a round trip, there is still no message
        assert not fourth.done()
        await first[0].ack()
        assert (await fourth).payload == {"n": 3}


async def test_cancelling_one_wait_loses_no_message(pulse: pulsekit.Pulse, exchange: str) -> None:
    got: list[int] = []
    async with pulse.subscribe(exchange) as messages:
        for number in range(20):
            waiting = asyncio.ensure_future(anext(messages))
            sending = asyncio.ensure_future(send(pulse, exchange, range(number, number + 1)))
            for _ in range(number):  # cancelled one iteration later each time, before to after the arrival
                await asyncio.sleep(0)
            waiting.cancel()
            for result in await asyncio.gather(waiting, return_exceptions=True):
                if isinstance(result, pulsekit.Message):
                    got.append(result.payload["n"])
            await sending
        while len(got) < 20:
            got.append((await anext(messages)).payload["n"])
    assert got == list(range(20))


async def test_a_durable_queue_keeps_what_was_not_acknowledged(pulse: pulsekit.Pulse, exchange: str) -> None:
    queue = f"queue/{pulse.user}/kept"
    async with pulse.subscribe(exchange, queue=queue) as messages:
        await send(pulse, exchange, range(5))
        for _ in range(2):
            await (await anext(messages)).ack()
        await anext(messages)
    async with pulse.subscribe(exchange, queue=queue) as messages:
        again = [await anext(messages) for _ in range(3)]
        assert [message.payload["n"] for message in again] == [2, 3, 4]
        assert again[0].redelivered
        for message in again:
            await message.ack()


async def test_a_requeued_message_is_delivered_again_and_a_rejected_one_is_not(
    pulse: pulsekit.Pulse, exchange: str
) -> None:
    async with pulse.subscribe(exchange) as messages:
        await send(pulse, exchange, range(2))
        first, second = await anext(messages), await anext(messages)
        await second.reject()
        await first.nack()
        again = await anext(messages)
        assert again.payload == {"n": 0}
        assert again.redelivered
        await again.ack()
        await send(pulse, exchange, range(2, 3))
        assert (await anext(messages)).payload == {"n": 2}


async def test_a_handler_acknowledges_successes_and_requeues_failures(pulse: pulsekit.Pulse, exchange: str) -> None:
    queue = f"queue/{pulse.user}/handled"
    seen: list[int] = []

    async def handler(message: pulsekit.Message) -> None:
        number = message.payload["n"]
        if number == 3:
            raise ValueError(number)
        seen.append(number)

    async with pulse.subscribe(exchange, queue=queue) as messages:
        await send(pulse, exchange, range(5))
        with pytest.raises(ValueError, match="3"):
            await messages.handle(handler)
    assert seen == [0, 1, 2]
    async with pulse.subscribe(exchange, queue=queue) as messages:
        left = [await anext(messages) for _ in range(2)]
        assert sorted(message.payload["n"] for message in left) == [3, 4]
        for message in left:
            await message.ack()


async def test_after_a_lost_connection_a_private_queue_is_new_with_a_gap(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    gaps: asyncio.Queue[pulsekit.Gap] = asyncio.Queue()
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as shaky:
        async with shaky.subscribe(exchange, on_gap=gaps.put_nowait) as messages:
            await send(pulse, exchange, range(2))
            early, buffered = await anext(messages), messages.queue
            proxy.cut()
            gap = await gaps.get()
            assert gap.lossy
            assert gap.start <= gap.end
            assert messages.queue != buffered
            await early.ack()
            assert messages.stale == 1
            # Messages that arrived before the cut are kept, because they would not be delivered again.
            assert (await anext(messages)).payload == {"n": 1}
            await send(pulse, exchange, range(2, 3))
            late = await anext(messages)
            assert (late.payload, late.epoch, gap.epoch) == ({"n": 2}, 2, 2)
            await late.ack()
        assert messages.gaps == 1


async def test_after_a_lost_connection_a_durable_queue_delivers_everything_unacknowledged(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    queue = f"queue/{user.name}/safe"
    gaps: asyncio.Queue[pulsekit.Gap] = asyncio.Queue()
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as shaky,
        shaky.subscribe(exchange, queue=queue, on_gap=gaps.put_nowait) as messages,
    ):
        assert (await gaps.get()).created
        await send(pulse, exchange, range(5))
        await (await anext(messages)).ack()
        proxy.cut()
        await send(pulse, exchange, range(5, 8))
        assert not (await gaps.get()).lossy
        numbers: set[int] = set()
        while not numbers >= set(range(1, 8)):
            message = await anext(messages)
            numbers.add(message.payload["n"])
            await message.ack()
        assert numbers <= set(range(8))  # 0 is delivered again if its ack was in transit when the connection was cut


async def test_after_a_lost_connection_only_the_running_message_is_repeated(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    queue = f"queue/{user.name}/safe"
    handled: list[int] = []
    live: list[bool] = []
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as shaky,
        shaky.subscribe(exchange, queue=queue) as messages,
    ):
        await send(pulse, exchange, range(400))

        async def handler(message: pulsekit.Message) -> None:
            handled.append(message.payload["n"])
            if handled[-1] == 50 and not live:
                while (await queue_depth(pulse, queue)).ready != 100:  # until the broker has all acknowledgements
                    await asyncio.sleep(0.01)
                live.append(message.live)
                proxy.cut()
                while message.live:
                    await asyncio.sleep(0)
                live.append(message.live)
            if handled[-1] == 399:
                await messages.drain()

        async with asyncio.timeout(30):
            await messages.handle(handler)
    assert live == [True, False]
    assert sorted(handled) == sorted([*range(400), 50])
    assert messages.stale == 1


async def test_a_gap_begins_before_the_messages_that_waited_in_the_queue(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    """The queue is lost with the messages beyond the prefetch."""
    gaps: asyncio.Queue[pulsekit.Gap] = asyncio.Queue()
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as shaky,
        shaky.subscribe(exchange, on_gap=gaps.put_nowait, prefetch=10) as messages,
    ):
        sent = []
        for number in range(30):
            sent.append(datetime.now(UTC))
            await send(pulse, exchange, range(number, number + 1))
        first = [await anext(messages) for _ in range(10)]
        await asyncio.sleep(1.5)  # the gap begins a second before the backlog: without a pause, it could include all
        for message in first:
            await message.ack()
        for _ in range(10):
            await anext(messages)
        proxy.cut()
        gap = await gaps.get()
        assert gap.lossy
        assert gap.start <= sent[20]
        assert gap.start >= sent[0] - timedelta(seconds=3)


async def test_another_thread_can_settle_messages(pulse: pulsekit.Pulse, exchange: str) -> None:
    queue = f"queue/{pulse.user}/q"
    async with pulse.subscribe(exchange, queue=queue, prefetch=50) as messages:
        await send(pulse, exchange, range(200))
        got: list[int] = []
        for _ in range(20):
            batch = [await anext(messages) for _ in range(10)]
            got += [message.payload["n"] for message in batch]
            await batch[0].ack()

            def settle(batch: list[pulsekit.Message] = batch) -> None:
                for message in batch:  # the first one again, which does nothing
                    message.settle(Settlement.ACK)

            threads = [asyncio.to_thread(settle), asyncio.to_thread(settle)]
            await asyncio.gather(*threads)
        assert got == list(range(200))
        assert messages.stale == 0
        while (depth := await messages.depth()).total:
            assert depth.ready == 0
    assert (await queue_depth(pulse, queue)).total == 0


async def test_deliveries_that_arrive_with_consume_ok_follow_their_gap_and_are_acknowledged(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    gaps: list[pulsekit.Gap] = []
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as slow,
        slow.subscribe(exchange, queue=f"queue/{user.name}/safe", prefetch=2, on_gap=gaps.append) as messages,
    ):
        waiting = asyncio.ensure_future(anext(messages))
        proxy.delay_answers(0.05)
        proxy.cut()
        await send(pulse, exchange, range(6))
        for number in range(6):
            message = await waiting
            assert [gap.created for gap in gaps] == [True, False]
            await message.ack()  # if the ack were lost, the message would use one of two places of the prefetch
            assert message.payload == {"n": number}
            waiting = asyncio.ensure_future(anext(messages))
        assert messages.stale == 0
        waiting.cancel()


async def test_a_gap_during_which_the_clock_is_set_back_does_not_end_before_it_begins(
    user: PulseUser, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = itertools.count()

    class SetBack(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) - timedelta(hours=next(hours))

    monkeypatch.setattr("pulsekit.consumer.gaps.datetime", SetBack)
    gaps: asyncio.Queue[pulsekit.Gap] = asyncio.Queue()
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as pulse,
        pulse.subscribe(exchange, queue=f"queue/{user.name}/safe", on_gap=gaps.put_nowait),
    ):
        await gaps.get()  # the queue was created
        proxy.cut()
        gap = await gaps.get()
    assert gap.start == gap.end


async def test_deleting_the_queue_ends_the_consumer_with_an_error(pulse: pulsekit.Pulse, exchange: str) -> None:
    queue = f"queue/{pulse.user}/doomed"
    async with pulse.subscribe(exchange, queue=queue) as messages:
        channel = await (await pulse.link()).channel(confirms=False)
        waiting = asyncio.ensure_future(anext(messages))
        await channel.queue_delete(queue)
        with pytest.raises(pulsekit.SubscriptionLost, match=queue):
            await waiting
        for request in (messages.depth(), messages.bind(exchange), messages.unbind(exchange)):
            with pytest.raises(pulsekit.SubscriptionLost, match=queue):
                await request
        with pytest.raises(pulsekit.SubscriptionLost):
            await anext(messages)


async def test_a_durable_queue_deleted_without_a_consumer_is_not_silently_recreated(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    queue = f"queue/{user.name}/doomed"
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as shaky,
        shaky.subscribe(exchange, queue=queue) as messages,
    ):
        waiting = asyncio.ensure_future(anext(messages))
        proxy.refuse()
        proxy.cut()
        channel = await (await pulse.link()).channel(confirms=False)
        await channel.queue_delete(queue)
        proxy.accept()
        with pytest.raises(pulsekit.SubscriptionLost, match=queue):
            await waiting
    assert not await queue_exists(pulse, queue)


async def test_a_queue_that_expired_is_recreated_and_the_loss_is_reported(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    gaps: asyncio.Queue[pulsekit.Gap] = asyncio.Queue()
    queue = f"queue/{user.name}/brief"
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as shaky,
        shaky.subscribe(exchange, queue=pulsekit.Queue(queue, expires=60), on_gap=gaps.put_nowait) as messages,
    ):
        await gaps.get()
        proxy.refuse()
        proxy.cut()
        channel = await (await pulse.link()).channel(confirms=False)
        await channel.queue_delete(queue)  # as if it had expired after a minute
        proxy.accept()
        gap = await gaps.get()
        assert (gap.lossy, gap.created) == (True, True)
        await send(pulse, exchange, range(1))
        assert (await anext(messages)).payload == {"n": 0}


async def test_an_ack_never_settles_a_message_of_a_later_consumer(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    """A broker cancels a consumer if the node of its queue stops, and the queue may exist again at once."""
    gaps: asyncio.Queue[pulsekit.Gap] = asyncio.Queue()
    queue = f"queue/{user.name}/moved"
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as slow,
        slow.subscribe(exchange, queue=queue, on_gap=gaps.put_nowait) as messages,
    ):
        await gaps.get()
        await send(pulse, exchange, range(1))
        early = await anext(messages)
        proxy.hold_answers()
        channel = await (await pulse.link()).channel(confirms=False)
        await channel.queue_delete(queue)
        await channel.queue_declare(queue, durable=True)
        await channel.queue_bind(queue, exchange, "#")
        await send(pulse, exchange, range(1, 2))
        proxy.release_answers()
        gap = await gaps.get()
        assert (gap.epoch, gap.lossy) == (1, True)
        late = await anext(messages)
        assert (early.delivery_tag, early.epoch) == (late.delivery_tag, late.epoch) == (1, 1)
        await early.ack()
        assert messages.stale == 1
    async with pulse.subscribe(queue=queue) as again:
        message = await anext(again)
        assert (message.payload, message.redelivered) == ({"n": 1}, True)
        await message.ack()


async def test_a_refused_binding_is_reported_and_the_others_are_used(pulse: pulsekit.Pulse, exchange: str) -> None:
    missing = f"exchange/{pulse.user}/v1/nope"
    refused: list[tuple[pulsekit.Binding, pulsekit.BrokerRefused]] = []
    bindings = [f"{missing}:a", f"{exchange}:k", f"{missing}:a", f"{missing}:b"]
    async with pulse.subscribe(*bindings, on_refused=lambda *told: refused.append(told)) as messages:
        await send(pulse, exchange, range(1), key="k")
        assert (await anext(messages)).payload == {"n": 0}
    assert [str(binding) for binding, _ in refused] == [f"{missing}:a", f"{missing}:b"]
    assert all(isinstance(error, pulsekit.NotFound) and missing in str(error) for _, error in refused)


async def test_if_every_binding_is_refused_the_subscription_fails(pulse: pulsekit.Pulse) -> None:
    missing = f"exchange/{pulse.user}/v1/nope"
    refused: list[pulsekit.Binding] = []
    with pytest.raises(pulsekit.NotFound, match="nope"):
        async with pulse.subscribe(f"{missing}:a", f"{missing}:b", on_refused=lambda one, _: refused.append(one)):
            pass
    assert refused == [pulsekit.Binding(missing, "a")]


async def test_a_refused_binding_is_bound_after_a_reconnect_once_its_exchange_exists(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    late = f"exchange/{user.name}/v1/late"
    refused: list[pulsekit.Binding] = []
    gaps: asyncio.Queue[pulsekit.Gap] = asyncio.Queue()
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as shaky,
        shaky.subscribe(
            exchange, late, on_gap=gaps.put_nowait, on_refused=lambda one, _: refused.append(one)
        ) as messages,
    ):
        await pulse.create_exchange(late)
        proxy.cut()
        await gaps.get()
        await send(pulse, late, range(1))
        assert (await anext(messages)).exchange == late
    assert refused == [pulsekit.Binding(late)]


async def test_an_existing_queue_is_used_unchanged_and_never_created(pulse: pulsekit.Pulse, exchange: str) -> None:
    queue = f"queue/{pulse.user}/others"
    with pytest.raises(pulsekit.NotFound, match=queue):
        async with pulse.subscribe(queue=pulsekit.Queue(queue, existing=True)):
            pass
    async with pulse.subscribe(exchange, queue=pulsekit.Queue(queue, expires=600)):
        await send(pulse, exchange, range(1))
    async with pulse.subscribe(queue=pulsekit.Queue(queue, existing=True)) as messages:
        assert (await anext(messages)).payload == {"n": 0}


async def test_the_depth_of_the_queue_can_be_read(pulse: pulsekit.Pulse, exchange: str) -> None:
    async with pulse.subscribe(exchange, prefetch=2) as messages:
        await send(pulse, exchange, range(5))
        first = await anext(messages)
        while not messages.waiting:
            await asyncio.sleep(0)
        depth = await messages.depth()
        assert (depth.ready, depth.unsettled, depth.total) == (3, 2, 5)
        assert messages.waiting == 1
        await first.ack()


@pytest.mark.parametrize(
    ("suffix", "queue", "refusal", "name"),
    [
        ("", "queue/somebody/x", pulsekit.AccessRefused, "queue/somebody/x"),
        ("/not", None, pulsekit.NotFound, "v1/jobs/not"),
        ("", "queue/{user}/other", pulsekit.PreconditionFailed, "queue/{user}/other"),
    ],
    ids=["403", "404", "406"],
)
async def test_a_refused_subscription_does_not_affect_the_others(
    pulse: pulsekit.Pulse, exchange: str, suffix: str, queue: str | None, refusal: type[Exception], name: str
) -> None:
    async with pulse.subscribe(exchange) as messages, pulse.subscribe(queue=f"queue/{pulse.user}/other"):
        link = await pulse.link()
        queue = queue and queue.format(user=pulse.user)
        with pytest.raises(refusal, match=name.format(user=pulse.user)):
            async with pulse.subscribe(
                exchange + suffix, queue=queue and pulsekit.Queue(queue, arguments={"x-max-length": 9})
            ):
                pass
        await send(pulse, exchange, range(1))
        message = await anext(messages)
        assert (message.payload, message.epoch) == ({"n": 0}, 1)
        assert await pulse.link() is link
    assert messages.gaps == 0


async def test_a_queue_that_another_client_consumes_exclusively_is_named_as_such(
    pulse: pulsekit.Pulse, user: PulseUser, exchange: str
) -> None:
    name = f"queue/{user.name}/exclusive"
    async with pulse.subscribe(exchange, queue=name):
        pass
    with closing(pika.BlockingConnection(pika.URLParameters(user.url))) as other:
        other.channel().basic_consume(name, lambda *_: None, exclusive=True)
        with pytest.raises(
            pulsekit.AccessRefused, match="another client consumes the queue exclusively; stop that client"
        ):
            await pulse.subscribe(queue=name).open()


async def test_a_subscription_refused_after_a_reconnect_does_not_end_the_others(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    doomed, gaps = f"exchange/{user.name}/doomed", asyncio.Queue[pulsekit.Gap]()
    await pulse.create_exchange(doomed)
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as shaky,
        shaky.subscribe(exchange, on_gap=gaps.put_nowait) as messages,
        shaky.subscribe(doomed) as others,
    ):
        proxy.refuse()
        proxy.cut()
        await pulse.delete_exchange(doomed, if_unused=False)
        proxy.accept()
        with pytest.raises(pulsekit.NotFound, match=doomed):
            await anext(others)
        await gaps.get()
        await send(pulse, exchange, range(1))
        assert (await anext(messages)).payload == {"n": 0}


async def test_after_a_lost_connection_a_durable_queue_is_bound_again(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    queue, gaps = f"queue/{user.name}/safe", asyncio.Queue[pulsekit.Gap]()
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as shaky,
        shaky.subscribe(exchange, f"{exchange}:b.*", queue=queue, on_gap=gaps.put_nowait) as messages,
    ):
        await gaps.get()
        proxy.refuse()
        proxy.cut()
        channel = await (await pulse.link()).channel(confirms=False)
        for pattern in ("#", "b.*"):
            await channel.queue_unbind(queue, exchange=exchange, routing_key=pattern)
        proxy.accept()
        await gaps.get()
        await send(pulse, exchange, range(1))
        assert (await anext(messages)).payload == {"n": 0}


def refusals(messages: pulsekit.Consumer, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Record when the broker refuses a subscription that may succeed later."""
    refused, may_appear = asyncio.Event(), messages._subscription._may_appear

    def listen(error: pulsekit.BrokerRefused, pause: float) -> bool:
        refused.set()
        return may_appear(error, pause)

    monkeypatch.setattr(messages._subscription, "_may_appear", listen)
    return refused


async def test_a_queue_locked_by_another_connection_is_used_once_unlocked(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a process was killed and started again, the broker may not yet have noticed the end."""
    monkeypatch.setattr("pulsekit.consumer.subscription._FIRST_PAUSE", 0.01)
    queue = f"queue/{user.name}/mine"
    async with pulsekit.connect(user.url) as dead:
        async with dead.subscribe(exchange, queue=pulsekit.Queue(queue, durable=False)):
            messages = pulse.subscribe(exchange, queue=pulsekit.Queue(queue, durable=False))
            refused = refusals(messages, monkeypatch)
            opening = asyncio.ensure_future(messages.open())
            await refused.wait()
        await opening
        await send(pulse, exchange, range(1))
        assert (await anext(messages)).payload == {"n": 0}


async def test_a_queue_that_stays_locked_is_reported(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulsekit.consumer.subscription.CONNECT_TIMEOUT", 0.0)
    queue = f"queue/{user.name}/mine"
    async with (
        pulsekit.connect(user.url) as other,
        other.subscribe(exchange, queue=pulsekit.Queue(queue, durable=False)),
    ):
        with pytest.raises(pulsekit.ResourceLocked, match=queue):
            await pulse.subscribe(exchange, queue=pulsekit.Queue(queue, durable=False)).open()


async def test_a_queue_that_was_locked_during_a_reconnect_is_awaited(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulsekit.consumer.subscription._FIRST_PAUSE", 0.01)
    monkeypatch.setattr("pulsekit.consumer.subscription.CONNECT_TIMEOUT", 0.0)
    queue, gaps = f"queue/{user.name}/mine", asyncio.Queue[pulsekit.Gap]()
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as shaky,
        shaky.subscribe(exchange, queue=pulsekit.Queue(queue, durable=False), on_gap=gaps.put_nowait) as messages,
    ):
        refused = refusals(messages, monkeypatch)
        proxy.refuse()
        proxy.cut()
        async with pulse.subscribe(exchange, queue=pulsekit.Queue(queue, durable=False)):
            proxy.accept()
            await refused.wait()
        gap = await gaps.get()
        assert (gap.lossy, gap.epoch) == (True, 2)
        await send(pulse, exchange, range(1))
        assert (await anext(messages)).payload == {"n": 0}


async def test_a_handler_survives_a_reconnect(user: PulseUser, pulse: pulsekit.Pulse, exchange: str) -> None:
    queue, handled, all_handled = f"queue/{user.name}/safe", [], asyncio.Event()

    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as shaky:

        async def handler(message: pulsekit.Message) -> None:
            handled.append((message.payload["n"], message.epoch))
            if (message.payload["n"], message.epoch) in {(3, 1), (6, 2)}:
                proxy.cut()
                await (await shaky._in.link()).lost()
            if message.payload["n"] == 9:
                all_handled.set()

        async with shaky.subscribe(exchange, queue=queue, prefetch=1) as messages:
            await send(pulse, exchange, range(10))
            handling = asyncio.ensure_future(messages.handle(handler))
            await all_handled.wait()
            await messages.drain()
            await handling
            assert (messages.gaps, messages.failures) == (2, 0)
            assert messages.stale == 2, "the acks of the two whose connection went under their handler"
    first, second, third = range(4), range(3, 7), range(6, 10)
    assert handled == [(number, epoch) for epoch, some in enumerate((first, second, third), 1) for number in some]


async def test_a_quorum_queue_is_declared_by_its_type(user: PulseUser, pulse: pulsekit.Pulse, exchange: str) -> None:
    queue = f"queue/{user.name}/quorum"
    async with pulse.subscribe(exchange, queue=pulsekit.Queue(queue, type="quorum")) as messages:
        await send(pulse, exchange, range(1))
        assert (await anext(messages)).payload == {"n": 0}
    with pytest.raises(pulsekit.PreconditionFailed, match="x-queue-type"):
        await pulse.subscribe(exchange, queue=pulsekit.Queue(queue, type="classic")).open()


async def test_a_schema_marks_what_treeherder_would_drop(pulse: pulsekit.Pulse, exchange: str) -> None:
    async with pulse.subscribe(exchange, schema="pulse-job") as messages:
        publisher = pulse.publisher(exchange)
        for body in (JOBS[0], JOBS[0] | {"tier": 9}, b"not json"):
            await publisher.publish(body, "k")
        good, bad, worse = [await anext(messages) for _ in range(3)]
        assert good.payload == JOBS[0]
        assert good.problems == ()
        assert [problem.pointer for problem in bad.problems] == ["/tier"]
        with pytest.raises(pulsekit.InvalidPayload):
            _ = bad.payload
        with pytest.raises(pulsekit.DocumentError):
            _ = worse.payload


async def test_a_subscription_outside_its_block_is_an_error(pulse: pulsekit.Pulse, exchange: str) -> None:
    messages = pulse.subscribe(exchange)
    with pytest.raises(pulsekit.NotOpen):
        await anext(messages)
    async with messages:
        pass
    with pytest.raises(pulsekit.NotOpen):
        await anext(messages)
    with pytest.raises(pulsekit.NotOpen):
        await messages.open()


async def test_a_consumer_that_ended_raises_another_exception_each_time(pulse: pulsekit.Pulse, exchange: str) -> None:
    messages = pulse.subscribe(f"{exchange}/missing:#")
    errors = await asyncio.gather(messages.open(), messages.open(), return_exceptions=True)
    for wait in (messages.open, messages.__anext__):
        with pytest.raises(pulsekit.NotFound) as caught:
            await wait()
        errors.append(caught.value)
    assert [type(error) for error in errors] == [pulsekit.NotFound] * 4
    assert len(set(map(id, errors))) == 4
    assert len(set(map(str, errors))) == 1


class Waits:
    async def __call__(self, _: object) -> None:
        """Accept one argument."""

    async def method(self, _: object) -> None:
        """Accept one argument."""


@pytest.mark.parametrize(
    ("options", "right"),
    [
        ({"queue": 5}, "queue is of type Queue, not 5"),
        ({"limits": 5}, "limits is of type Limits, not 5"),
        ({"prefetch": "5"}, "prefetch is of type int, not '5'"),
        ({"prefetch_bytes": 5.5}, "prefetch_bytes is of type int, not 5.5"),
        ({"schema": 5}, "a schema is a name such as 'pulse-job', a path or a mapping, not 5"),
    ],
)
async def test_an_option_of_a_wrong_type_is_refused_at_once(
    pulse: pulsekit.Pulse, exchange: str, options: Any, right: str
) -> None:
    with pytest.raises(TypeError, match=right):
        pulse.subscribe(exchange, **options)
    with pytest.raises(TypeError, match="a binding is a str"):
        pulse.subscribe(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("callback", [Waits(), Waits().method, functools.partial(Waits().method)])
@pytest.mark.parametrize("name", ["on_gap", "on_refused", "on_depth"])
async def test_a_coroutine_function_as_callback_is_refused(
    pulse: pulsekit.Pulse, exchange: str, name: str, callback: Any
) -> None:
    with pytest.raises(TypeError, match=f"{name} is called and not awaited"):
        pulse.subscribe(exchange, **{name: callback})
    with pytest.raises(TypeError, match=f"{name} is a function, not str"):
        pulse.subscribe(exchange, **{name: "print"})


async def test_a_plain_function_can_be_a_handler(pulse: pulsekit.Pulse, exchange: str, user: PulseUser) -> None:
    handled = []

    def handler(message: pulsekit.Message) -> None:
        handled.append(message.payload)
        if message.payload == 2:
            raise ValueError("the second")

    queue = f"queue/{user.name}/jobs"
    async with pulse.subscribe(exchange, queue=queue) as messages:
        for payload in (1, 2):
            await pulse.publisher(exchange).publish(payload, "k")
        with pytest.raises(ValueError, match="the second"):
            await messages.handle(handler)
    assert handled == [1, 2]
    async with pulse.subscribe(queue=queue) as messages:
        message = await anext(messages)
        assert (message.payload, message.redelivered) == (2, True)  # the first was acknowledged


async def yields(_: object) -> AsyncIterator[None]:
    """Do nothing, like a handler that was written as a generator."""
    yield


def makes(_: object) -> Iterator[None]:
    """Do nothing, like a handler that was written as a generator."""
    yield


@pytest.mark.parametrize("handler", [yields, makes, None, {}, lambda: None, lambda _, other: other])
async def test_a_handler_that_could_never_run_is_refused_at_the_start(
    pulse: pulsekit.Pulse, exchange: str, handler: Any
) -> None:
    async with pulse.subscribe(exchange) as messages:
        await pulse.publisher(exchange).publish({}, "k")
        with pytest.raises(TypeError, match=r"a handler|<lambda> cannot be called with a message alone"):
            await messages.handle(handler)
        message = await anext(messages)
        assert (message.payload, message.redelivered) == ({}, False)


async def test_bindings_change_during_deliveries_without_loss(pulse: pulsekit.Pulse, exchange: str) -> None:
    await pulse.create_exchange(exchange)
    async with pulse.subscribe(f"{exchange}:a.#") as messages:
        with pytest.raises(pulsekit.BrokerRefused) as refused:
            await messages.bind("exchange/nobody/v1/none:x")
        assert refused.value.binding == ("exchange/nobody/v1/none", "x")
        flowing = asyncio.ensure_future(send(pulse, exchange, range(300)))
        for _ in range(5):
            await messages.bind(f"{exchange}:b.#")
            await messages.unbind(f"{exchange}:b.#")
        await messages.bind(f"{exchange}:b.#")
        await flowing
        await send(pulse, exchange, range(300, 301), "b.c")
        for number in range(301):
            message = await anext(messages)
            assert message.payload == {"n": number}
            await message.ack()
        await messages.unbind(f"{exchange}:b.#")
        await send(pulse, exchange, range(301, 302), "b.c")
        await send(pulse, exchange, range(302, 303))
        assert (await anext(messages)).payload == {"n": 302}


async def test_a_binding_added_at_run_time_is_kept_after_a_reconnect(user: PulseUser, exchange: str) -> None:
    gaps: asyncio.Queue[pulsekit.Gap] = asyncio.Queue()
    async with Proxy(user.url) as proxy, pulsekit.connect(user.url) as direct, pulsekit.connect(proxy.url) as pulse:
        await direct.create_exchange(exchange)
        async with pulse.subscribe(f"{exchange}:a", f"{exchange}:b", on_gap=gaps.put_nowait) as messages:
            await messages.bind(f"{exchange}:c")
            await messages.unbind(f"{exchange}:b")
            proxy.cut()
            await gaps.get()
            await send(direct, exchange, range(1), "b")
            await send(direct, exchange, range(1, 2), "c")
            assert (await anext(messages)).payload == {"n": 1}


async def test_a_refused_change_does_not_undo_a_change_at_the_same_time(user: PulseUser, exchange: str) -> None:
    gaps: asyncio.Queue[pulsekit.Gap] = asyncio.Queue()
    async with Proxy(user.url) as proxy, pulsekit.connect(user.url) as direct, pulsekit.connect(proxy.url) as pulse:
        await direct.create_exchange(exchange)
        async with pulse.subscribe(f"{exchange}:a", f"{exchange}:b", on_gap=gaps.put_nowait) as messages:
            changes = (
                messages.bind("exchange/nobody/v1/none:x"),
                messages.bind(f"{exchange}:c"),
                messages.unbind(f"{exchange}:b"),
            )
            refused, bound, unbound = await asyncio.gather(*changes, return_exceptions=True)
            assert isinstance(refused, pulsekit.BrokerRefused)
            assert (bound, unbound) == (None, None)
            proxy.cut()
            await gaps.get()
            await send(direct, exchange, range(1), "b")
            await send(direct, exchange, range(1, 2), "c")
            assert (await anext(messages)).payload == {"n": 1}


async def test_a_message_has_the_bindings_that_it_matched(pulse: pulsekit.Pulse, exchange: str) -> None:
    async with pulse.subscribe(f"{exchange}:a.#", f"{exchange}:*.b") as messages:
        publisher = pulse.publisher(exchange)
        await publisher.publish({}, "a.b")
        await publisher.publish({}, "a", cc=["x.b"])
        assert [binding.pattern for binding in (await anext(messages)).bindings] == ["a.#", "*.b"]
        assert [binding.pattern for binding in (await anext(messages)).bindings] == ["a.#", "*.b"]
        await messages.unbind(f"{exchange}:a.#")
        await messages.bind(f"{exchange}:c")
        await publisher.publish({}, "c")
        assert [str(binding) for binding in (await anext(messages)).bindings] == [f"{exchange}:c"]
