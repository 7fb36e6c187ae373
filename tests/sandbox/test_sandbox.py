from __future__ import annotations

import asyncio
import contextlib
import time

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused, ProbableAuthenticationError
from pamqp.commands import Basic, Confirm, Connection, Queue
from support.raw_client import Login, connect, content

from pulsekit.errors import ConfigurationError, NotOpen
from pulsekit.sandbox import GuardianLimits, Sandbox

EXCHANGE = "exchange/me/v1/jobs"
QUEUE = "queue/me/jobs"


@pytest.fixture
async def bound_queue(sandbox):
    """A channel of the user `me`, with an exchange and a queue bound to it."""
    connection = await aio_pika.connect(sandbox.url("me"))
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(QUEUE, durable=True)
        await queue.bind(exchange, "treeherder.#")
        yield exchange, queue


async def test_a_client_of_pulse_publishes_and_consumes_unchanged(sandbox, bound_queue) -> None:
    exchange, queue = bound_queue
    await exchange.publish(
        aio_pika.Message(b"{}", headers={"CC": ["route.x"]}), "treeherder.autoland._", mandatory=True
    )
    message = await queue.get(timeout=30)
    assert (message.body, message.routing_key, message.headers["CC"]) == (b"{}", "treeherder.autoland._", ["route.x"])
    await message.ack()
    await sandbox.wait("acked", timeout=30)
    assert sandbox.queue_depth(QUEUE) == (0, 0)


async def test_a_user_has_only_the_permissions_of_pulse(sandbox, bound_queue) -> None:
    connection = await aio_pika.connect(sandbox.url("other"))
    async with connection:
        channel = await connection.channel()
        with pytest.raises(ChannelAccessRefused):
            await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)


async def test_starting_is_quick() -> None:
    seconds = []
    for _ in range(5):
        began = time.thread_time()
        async with Sandbox():
            seconds.append(time.thread_time() - began)
    assert min(seconds) < 0.05


async def test_an_injected_message_is_routed_like_any_other(sandbox, bound_queue) -> None:
    _, queue = bound_queue
    assert sandbox.inject(EXCHANGE, "treeherder.autoland._", b"{}") == 1
    assert sandbox.inject(EXCHANGE, "nobody", b"{}") == 0
    message = await queue.get(timeout=30)
    assert message.content_type == "application/json"
    with pytest.raises(ConfigurationError, match="declare it first"):
        sandbox.inject("exchange/me/missing", "k", b"{}")


async def test_waiting_returns_published_messages_and_their_outcomes(sandbox, bound_queue) -> None:
    exchange, queue = bound_queue
    waiting = asyncio.create_task(sandbox.wait("published", count=2, where=lambda event: event.user == "me"))
    for body in (b"1", b"2"):
        await exchange.publish(aio_pika.Message(body), "treeherder.x")
    assert [event.message.body for event in await waiting] == [b"1", b"2"]
    first, second = await queue.get(timeout=30), await queue.get(timeout=30)
    await first.reject(requeue=False)
    await second.nack(requeue=True)
    assert [event.detail for event in await sandbox.wait("nacked", count=2, timeout=30)] == ["rejected", "requeued"]
    assert [event.detail for event in sandbox.seen("dropped")] == ["rejected"]


async def test_a_failed_wait_reports_what_was_missing(sandbox) -> None:
    with pytest.raises(TimeoutError, match="0 of 1 events published"):
        await sandbox.wait("published", timeout=0.01)


async def test_a_cut_connection_requeues_its_messages(sandbox, bound_queue) -> None:
    exchange, _ = bound_queue
    await exchange.publish(aio_pika.Message(b"1"), "treeherder.x")
    connection = await aio_pika.connect(sandbox.url("guest"))
    channel = await connection.channel()
    await (await channel.get_queue(QUEUE)).get(timeout=30)
    assert sandbox.cut("guest") == 1
    await sandbox.wait("disconnected", timeout=30)
    assert sandbox.queue_depth(QUEUE) == (1, 0)
    with contextlib.suppress(aio_pika.exceptions.AMQPError, ConnectionError):
        await connection.close()


async def test_a_connection_closed_by_the_operator_gets_the_reason(sandbox) -> None:
    async with connect(sandbox.host, sandbox.port, Login()) as wire:
        sandbox.close_connections(text="maintenance")
        close = await wire.next()
        assert (close.reply_code, close.reply_text) == (320, "CONNECTION_FORCED - maintenance")


async def test_blocked_publishers_wait_until_they_are_unblocked(sandbox) -> None:
    async with connect(sandbox.host, sandbox.port, Login()) as wire:
        await wire.call(Confirm.Select())
        sandbox.block("for a test")
        wire.publish("", "nowhere")
        assert (await wire.next()).reason == "for a test"
        await wire.until(Basic.Ack)
        wire.publish("", "nowhere")
        with pytest.raises(TimeoutError):
            await wire.next(0.05)
        sandbox.unblock()
        assert isinstance(await wire.next(), Connection.Unblocked)
        await wire.until(Basic.Ack)


async def test_refused_publishes_raise_in_the_client(sandbox, bound_queue) -> None:
    exchange, _ = bound_queue
    sandbox.refusing = True
    with pytest.raises(aio_pika.exceptions.DeliveryError):
        await exchange.publish(aio_pika.Message(b"1"), "treeherder.x")
    sandbox.refusing = False
    await exchange.publish(aio_pika.Message(b"1"), "treeherder.x")


async def test_latency_delays_every_answer(sandbox) -> None:
    async with connect(sandbox.host, sandbox.port, Login()) as wire:
        sandbox.latency = 0.1
        began = time.perf_counter()
        await wire.call(Queue.Declare(queue="q"))
        assert time.perf_counter() - began >= 0.09


async def test_a_deleted_queue_cancels_its_consumers(sandbox) -> None:
    async with connect(sandbox.host, sandbox.port, Login()) as wire:
        await wire.call(Queue.Declare(queue="q"))
        await wire.call(Basic.Consume(queue="q", consumer_tag="t"))
        assert sandbox.delete_queue("q")
        assert (await wire.next()).name == "Basic.Cancel"
        assert not sandbox.delete_queue("q")


async def test_the_guardian_warns_and_deletes_while_the_loop_runs() -> None:
    limits = GuardianLimits(warn=1, delete=3, interval=0.01)
    async with Sandbox(guardian=limits, history=100) as sandbox, connect(sandbox.host, sandbox.port, Login()) as wire:
        await wire.call(Queue.Declare(queue="queue/me/slow", durable=True))
        for _ in range(2):
            wire.publish("", "queue/me/slow")
        warned = (await sandbox.wait("guardian-warned", timeout=30))[0]
        assert (warned.user, warned.queue, warned.count) == ("me", "queue/me/slow", 2)
        for _ in range(2):
            wire.publish("", "queue/me/slow")
        assert (await sandbox.wait("guardian-deleted", timeout=30))[0].count == 4
        assert sandbox.queue_depth("queue/me/slow") is None


@pytest.mark.parametrize(
    ("options", "user", "password", "good"),
    [
        ({}, "guest", "guest", True),
        ({}, "guest", "other", False),
        ({}, "anybody", "anything", True),
        ({"users": {"me": "secret"}}, "me", "secret", True),
        ({"users": {"me": "secret"}}, "me", "wrong", False),
        ({"users": {"me": "secret"}}, "you", "secret", False),
        ({"password": "shared"}, "you", "shared", True),
        ({"password": "shared"}, "you", "wrong", False),
        ({"password": "shared"}, "guest", "guest", False),
    ],
)
async def test_options_decide_who_may_log_in(options, user, password, good) -> None:
    async with Sandbox(**options) as sandbox:
        if good:
            await (await aio_pika.connect(sandbox.url(user, password))).close()
        else:
            with pytest.raises(ProbableAuthenticationError):
                await aio_pika.connect(sandbox.url(user, password))


async def test_its_own_urls_log_in_with_any_options() -> None:
    async with Sandbox(users={"me": "s/e@c:r%t"}, password="shared") as sandbox:
        for user in ("me", "guest"):
            for vhost in ("/", "communitytc"):
                await (await aio_pika.connect(sandbox.url(user, vhost=vhost))).close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org"])
def test_a_public_address_requires_a_password(host) -> None:
    with pytest.raises(ConfigurationError, match="password"):
        Sandbox(host=host)


async def test_a_public_address_with_a_password_is_accepted() -> None:
    async with Sandbox(host="0.0.0.0", password="long and secret") as sandbox:
        assert sandbox.port


def test_limits_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="warn <= delete"):
        GuardianLimits(warn=2, delete=1)


def test_an_unknown_version_of_rabbitmq_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="3 and 4"):
        Sandbox(rabbitmq=5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"port": 70_000}, "port=70000: need a number from 0 to 65535"),
        ({"port": -1}, "port=-1"),
        ({"heartbeat": -5}, "heartbeat=-5: need a number from 0 to 65535"),
        ({"history": -1}, "history=-1: need a number from 0$"),
        ({"vhosts": "communitytc"}, "vhosts='communitytc': need a list of names"),
    ],
)
def test_an_option_out_of_range_is_named(options, text) -> None:
    with pytest.raises(ConfigurationError, match=text):
        Sandbox(**options)


@pytest.mark.parametrize(("kinds", "given"), [((), "none"), (("publish",), "'publish'")])
async def test_waiting_for_an_unknown_kind_of_event_is_an_error_at_once(sandbox, kinds, given) -> None:
    with pytest.raises(ConfigurationError, match=f"kinds of events: {given}. Need one or more of: .*published"):
        await sandbox.wait(*kinds)


async def test_an_unknown_type_of_exchange_is_an_error(sandbox) -> None:
    with pytest.raises(ConfigurationError, match=r"kind='tpoic': .* direct, fanout, topic, headers"):
        sandbox.declare_exchange("x", "tpoic")


async def test_use_outside_the_block_is_an_error() -> None:
    sandbox = Sandbox()
    with pytest.raises(NotOpen, match="async with"):
        sandbox.cut()
    async with sandbox:
        with pytest.raises(NotOpen, match="already"):
            await sandbox.__aenter__()
        with pytest.raises(NotOpen, match="history"):
            await sandbox.wait("published", timeout=30)
        with pytest.raises(ConfigurationError, match="no virtual host"):
            sandbox.queue_depth("q", vhost="nope")


async def test_it_closes_its_connections_as_rabbitmq_at_a_shutdown() -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with Sandbox() as sandbox:
            wires = [await stack.enter_async_context(connect(sandbox.host, sandbox.port, Login())) for _ in range(3)]
            handshake = await stack.enter_async_context(connect(sandbox.host, sandbox.port))
            began = time.perf_counter()
        assert time.perf_counter() - began < 25  # although these clients never answer
        for wire in wires:
            close = await wire.next()
            assert (close.reply_code, close.reply_text.partition(" - ")[0]) == (320, "CONNECTION_FORCED")
            assert await wire.next() is None
        assert await handshake.next() is None


async def test_a_thousand_idle_connections_work(sandbox) -> None:
    asyncio.get_running_loop().set_debug(False)  # for a part of the time
    streams = [await asyncio.open_connection(sandbox.host, sandbox.port) for _ in range(1000)]
    async with connect(sandbox.host, sandbox.port, Login()) as wire:
        assert (await wire.call(Queue.Declare(queue="q"))).queue == "q"
    for _, writer in streams:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in streams), return_exceptions=True)


async def test_a_hundred_thousand_messages_wait_in_one_queue(sandbox) -> None:
    async with connect(sandbox.host, sandbox.port, Login()) as wire:
        await wire.call(Queue.Declare(queue="q"))
        from pamqp import frame

        batch = b"".join(frame.marshal(value, 1) for value in content("", "q", b"x" * 500)) * 1000
        for _ in range(100):
            wire.raw(batch)
            await wire.writer.drain()
        assert (await wire.call(Queue.Declare(queue="q", passive=True))).message_count == 100_000
        assert (await wire.call(Queue.Purge(queue="q"))).message_count == 100_000


async def test_a_publisher_that_reads_no_returns_is_not_read_meanwhile(sandbox) -> None:
    async with connect(sandbox.host, sandbox.port, Login()) as wire:
        wire.reader._transport.pause_reading()
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 1000:
                wire.publish("", "nowhere", b"x" * 100_000, mandatory=True)
                sent += 1
                async with asyncio.timeout(0.5):
                    await wire.writer.drain()
        assert sent < 400  # of 100 MB, what sockets and the bounds of both sides hold
        wire.reader._transport.resume_reading()
        for _ in range(sent):
            method, _, body = await wire.delivery()
            assert (method.reply_code, len(body)) == (312, 100_000)


async def test_a_consumer_that_does_not_read_costs_no_memory(sandbox) -> None:
    async with (
        connect(sandbox.host, sandbox.port, Login()) as slow,
        connect(sandbox.host, sandbox.port, Login()) as fast,
    ):
        await fast.call(Queue.Declare(queue="q"))
        slow.send(Basic.Consume(queue="q", no_ack=True))
        slow.reader._transport.pause_reading()
        for _ in range(400):
            fast.publish("", "q", b"x" * 100_000)
            await fast.writer.drain()
        await fast.call(Queue.Declare(queue="other"))
        ready, unacked = sandbox.queue_depth("q")
        assert ready > 200  # of 40 MB, at most what two sockets buffer is on its way
        assert unacked == 0
