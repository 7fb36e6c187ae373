"""The outcome of messages whose handler failed, on every broker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from math import inf
from typing import TYPE_CHECKING, Any

import aiormq
import pytest
from support.children import Child
from support.proxy import Proxy
from support.samples import JOBS

import pulsekit
from pulsekit import OnFailure, Policy, Queue
from pulsekit.queues import queue_depth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.rabbitmq.broker import PulseUser


@pytest.fixture
async def dead(pulse: pulsekit.Pulse, user: PulseUser) -> AsyncIterator[pulsekit.Consumer]:
    """Consume the rejected messages."""
    exchange = f"exchange/{user.name}/dead"
    await pulse.create_exchange(exchange)
    async with pulse.subscribe(exchange) as messages:
        yield messages


class Handler:
    """Record messages, and fail for some of them."""

    def __init__(self, stop_after: int, failing: set[int] = frozenset()) -> None:  # type: ignore[assignment]  # an empty set
        self.got: list[Any] = []
        self._failing = failing
        self._left = stop_after
        self.done = asyncio.Event()

    async def __call__(self, message: pulsekit.Message) -> None:
        self.got.append(message.payload)
        self._left -= 1
        if not self._left:
            self.done.set()
        if message.payload.get("n") in self._failing:
            raise ZeroDivisionError


async def run(messages: pulsekit.Consumer, handler: Handler, policy: Policy) -> None:
    """Handle messages until the handler has reached its number, then drain."""
    handling = asyncio.ensure_future(messages.handle(handler, policy))
    await asyncio.wait([handling, asyncio.ensure_future(handler.done.wait())], return_when=asyncio.FIRST_COMPLETED)
    await messages.drain()
    await handling


async def send(pulse: pulsekit.Pulse, exchange: str, *payloads: Any) -> None:
    async for receipt in pulse.publisher(exchange).publish_many((payload, "k") for payload in payloads):
        receipt.check()


async def test_a_failed_message_is_requeued_up_to_the_limit_then_dead_lettered(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser, dead: pulsekit.Consumer
) -> None:
    queue, letters = f"queue/{user.name}/q", f"exchange/{user.name}/dead"
    async with pulse.subscribe(exchange, queue=pulsekit.Queue(queue, dead_letters=letters)) as messages:
        await send(pulse, exchange, {"n": 1}, {"n": 2})
        handler = Handler(stop_after=4, failing={1})
        await run(messages, handler, Policy(failure=OnFailure.REQUEUE, delay=0, limit=2))
        assert sorted(payload["n"] for payload in handler.got) == [1, 1, 1, 2]
        assert messages.failures == 3
        letter = await anext(dead)
        assert letter.payload == {"n": 1}
        assert letter.headers["x-death"][0]["queue"] == queue
    async with pulse.subscribe(queue=pulsekit.Queue(queue, dead_letters=letters)) as messages:
        await send(pulse, exchange, {"n": 3})
        assert (await anext(messages)).payload == {"n": 3}, "nothing else is left in the queue"


@pytest.mark.parametrize(
    "options", [{"failure": "requeue"}, {"poison": True}, {"delay": "5"}, {"delay": float("nan")}, {"limit": 2.5}]
)
def test_a_field_of_a_wrong_type_is_refused(options: Any) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(options))} is "):
        Policy(**options)


@pytest.fixture
async def quorum(pulse: pulsekit.Pulse, exchange: str, user: PulseUser) -> pulsekit.Queue:
    """A quorum queue that is bound to the exchange, with a delivery limit of three."""
    letters = f"exchange/{user.name}/dead"
    await pulse.create_exchange(letters)
    arguments = {"x-delivery-limit": 3}
    queue = pulsekit.Queue(f"queue/{user.name}/q", type="quorum", dead_letters=letters, arguments=arguments)
    async with pulse.subscribe(letters, queue=f"queue/{user.name}/dead"), pulse.subscribe(exchange, queue=queue):
        return queue


@pytest.mark.parametrize("existing", [False, True])
async def test_a_message_is_exhausted_before_a_quorum_queue_removes_it(
    pulse: pulsekit.Pulse, exchange: str, quorum: pulsekit.Queue, existing: bool
) -> None:
    await send(pulse, exchange, {"n": 1})
    used = pulsekit.Queue(quorum.name, existing=True) if existing else quorum
    async with pulse.subscribe(queue=used) as messages:
        handler = Handler(stop_after=4, failing={1})
        await run(messages, handler, Policy(failure=OnFailure.REQUEUE, delay=0, limit=None, exhausted=OnFailure.ACK))
    assert (await queue_depth(pulse, quorum.name)).ready == 0
    assert (await queue_depth(pulse, f"{quorum.name.rpartition('/')[0]}/dead")).ready == 0, "the policy came first"


async def test_failures_are_counted_across_processes_on_a_quorum_queue(
    pulse: pulsekit.Pulse, exchange: str, quorum: pulsekit.Queue
) -> None:
    policy = Policy(failure=OnFailure.REQUEUE, delay=0, limit=2, exhausted=OnFailure.RAISE)
    await send(pulse, exchange, {"n": 1})
    async with pulse.subscribe(queue=quorum, prefetch=1) as messages:
        await anext(messages)
    for _ in range(2):  # a process that dies while its handler runs
        async with pulse.subscribe(queue=quorum, prefetch=1) as messages:
            calling = asyncio.Event()

            async def endless(_: pulsekit.Message, calling: asyncio.Event = calling) -> None:
                calling.set()
                await asyncio.Event().wait()

            handling = asyncio.ensure_future(messages.handle(endless, policy))
            await calling.wait()
            handling.cancel()
            await asyncio.wait([handling])
    async with pulse.subscribe(queue=quorum, prefetch=1) as messages:
        handler = Handler(stop_after=1)
        with pytest.raises(pulsekit.HandlerFailed, match="3 deliveries"):
            await messages.handle(handler, policy)
        assert handler.got == []


async def test_a_publishers_header_does_not_count_in_a_classic_queue(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    async with pulse.subscribe(exchange, queue=f"queue/{user.name}/q") as messages:
        await pulse.publisher(exchange).publish({"n": 1}, "k", headers={"x-delivery-count": 1000})
        handler = Handler(stop_after=4, failing={1})
        await run(messages, handler, Policy(failure=OnFailure.REQUEUE, delay=0, limit=3, exhausted=OnFailure.ACK))
    assert len(handler.got) == 4


async def test_a_loss_by_the_delivery_limit_is_in_gap_and_log(
    pulse: pulsekit.Pulse,
    exchange: str,
    quorum: pulsekit.Queue,
    user: PulseUser,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gaps: asyncio.Queue[pulsekit.Gap] = asyncio.Queue()
    await send(pulse, exchange, {"n": 1})
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as shaky,
        shaky.subscribe(queue=quorum, on_gap=gaps.put_nowait) as messages,
    ):
        lossy = []
        for _ in range(4):
            await anext(messages)
            proxy.cut()
            lossy.append((await gaps.get()).lossy)
    assert lossy == [False, False, False, True]
    assert f"1 message returned at the delivery limit of {quorum.name}" in caplog.text


async def test_an_exception_of_the_handler_decides_about_its_message(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser, dead: pulsekit.Consumer
) -> None:
    queue = pulsekit.Queue(f"queue/{user.name}/q", dead_letters=f"exchange/{user.name}/dead")
    decisions: dict[int, list[Exception]] = {
        1: [pulsekit.Reject("not mine")],
        2: [pulsekit.Retry(after=0), pulsekit.Retry("again", after=0)],
        3: [pulsekit.Stop(7)],
    }
    async with pulse.subscribe(exchange, queue=queue) as messages:
        await send(pulse, exchange, {"n": 1}, {"n": 2}, {"n": 2, "last": True})

        async def handler(message: pulsekit.Message) -> None:
            left = decisions[message.payload["n"]]
            if left:
                raise left.pop(0)
            if "last" in message.payload:
                await send(pulse, exchange, {"n": 3})

        with pytest.raises(pulsekit.Stop) as stopped:
            await messages.handle(handler)
        assert stopped.value.code == 7
        assert (await anext(dead)).payload == {"n": 1}
    async with pulse.subscribe(queue=queue) as messages:
        assert (await anext(messages)).payload == {"n": 3}


async def test_a_handler_that_exceeds_its_timeout_has_failed(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    async def handler(_: pulsekit.Message) -> None:
        await asyncio.Event().wait()

    async with pulse.subscribe(exchange, queue=f"queue/{user.name}/q") as messages:
        await send(pulse, exchange, {"n": 1})
        with pytest.raises(pulsekit.HandlerFailed, match=r"within 0\.01 s"):
            await messages.handle(handler, Policy(timeout=0.01))


def test_a_delay_grows_up_to_its_limit() -> None:
    policy = Policy(delay=2, growth=3, max_delay=20)
    assert [policy.delay_after(count) for count in (1, 2, 3, 4, 10_000)] == [2, 6, 18, 20, 20]
    assert Policy(delay=3600).delay_after(5) == 3600
    assert Policy(delay=0.0, growth=2).delay_after(2000) == Policy(delay=0, growth=inf).delay_after(2) == 0


@pytest.mark.parametrize("timeout", [None, 30.0])
async def test_a_handler_that_awaits_something_cancelled_has_failed(
    pulse: pulsekit.Pulse, exchange: str, timeout: float | None
) -> None:
    got: list[Any] = []
    done = asyncio.Event()

    async def handler(message: pulsekit.Message) -> None:
        got.append(message.payload["n"])
        if message.payload["n"] == 2:
            done.set()
        elif len(got) == 1:
            download = asyncio.get_running_loop().create_future()
            download.cancel()
            await download

    policy = Policy(failure=OnFailure.REQUEUE, delay=0, timeout=timeout)
    async with pulse.subscribe(exchange, prefetch=1) as messages:
        handling = asyncio.ensure_future(messages.handle(handler, policy))
        await send(pulse, exchange, {"n": 1}, {"n": 2})
        await asyncio.wait([handling, asyncio.ensure_future(done.wait())], return_when=asyncio.FIRST_COMPLETED)
        handling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handling
    assert got == [1, 1, 2]
    assert messages.failures == 1


async def test_messages_behind_a_failed_one_do_not_wait_for_its_delay(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    async with pulse.subscribe(exchange, queue=f"queue/{user.name}/q") as messages:
        await send(pulse, exchange, {"n": 1}, {"n": 2}, {"n": 3})
        handler = Handler(stop_after=3, failing={1})
        await run(messages, handler, Policy(failure=OnFailure.REQUEUE, delay=3600))
        assert [payload["n"] for payload in handler.got] == [1, 2, 3]


async def test_poison_never_reaches_the_handler(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser, dead: pulsekit.Consumer
) -> None:
    policy = Policy(poison=OnFailure.REJECT, max_size=10_000)
    letters = f"exchange/{user.name}/dead"
    async with pulse.subscribe(
        exchange, queue=pulsekit.Queue(f"queue/{user.name}/q", dead_letters=letters), schema="pulse-job"
    ) as messages:
        large = JOBS[0] | {"extra": {"x": "x" * 10_000}}
        deep = b"[" * 100_000
        await send(pulse, exchange, b"\xff not json", JOBS[0] | {"state": "odd"}, large, deep, b"NaN", JOBS[0])
        handler = Handler(stop_after=1)
        await run(messages, handler, policy)
        assert handler.got == [JOBS[0]]
        assert messages.poison == 5
        assert (await anext(dead)).body == b"\xff not json"


async def test_without_a_poison_policy_the_handler_decides(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    bodies: list[bytes] = []

    async def handler(message: pulsekit.Message) -> None:
        bodies.append(message.body)

    async with pulse.subscribe(exchange, queue=f"queue/{user.name}/q") as messages:
        await send(pulse, exchange, b"not json")
        handling = asyncio.ensure_future(messages.handle(handler, Policy(failure=OnFailure.ACK)))
        while not bodies:
            await asyncio.sleep(0)
        await messages.drain()
        await handling
    assert bodies == [b"not json"]


@pytest.mark.parametrize(("fate", "left"), [(OnFailure.KEEP, [1]), (OnFailure.ACK, []), (OnFailure.REJECT, [])])
async def test_kept_messages_are_requeued_when_the_subscription_ends(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser, fate: OnFailure, left: list[int]
) -> None:
    queue = f"queue/{user.name}/q"
    async with pulse.subscribe(exchange, queue=queue) as messages:
        await send(pulse, exchange, {"n": 1}, {"n": 2})
        await run(messages, Handler(stop_after=2, failing={1}), Policy(failure=fate))
    await send(pulse, exchange, {"n": 9})
    async with pulse.subscribe(queue=queue) as messages:
        assert [(await anext(messages)).payload["n"] for _ in range(len(left) + 1)] == [*left, 9]


async def test_a_signal_drains_and_the_second_has_its_former_effect(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    queue = f"queue/{user.name}/q"
    async with pulse.subscribe(exchange, queue=queue) as messages:
        messages.drain_on(signal.SIGTERM)
        await send(pulse, exchange, *({"n": number} for number in range(5)))
        handled: list[int] = []

        async def handler(message: pulsekit.Message) -> None:
            handled.append(message.payload["n"])
            if len(handled) == 1:
                os.kill(os.getpid(), signal.SIGTERM)

        await messages.handle(handler)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    # Messages that had arrived were handled; the others are still in the queue.
    async with pulse.subscribe(queue=queue) as messages:
        await send(pulse, exchange, {"n": 5})
        rest = []
        while 5 not in rest:
            rest.append((await anext(messages)).payload["n"])
    assert handled + rest == list(range(6))


async def test_a_handler_that_blocks_the_event_loop_is_reported(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str, caplog: pytest.LogCaptureFixture
) -> None:
    block = 0.4  # seconds, more than a quarter of the heartbeat interval: blocking is what the test is about

    async def blocking(_: pulsekit.Message) -> None:
        await asyncio.sleep(0)
        time.sleep(block)  # the fault under test: a blocked event loop
        await messages.drain()

    async def blocking_first(_: pulsekit.Message) -> None:
        time.sleep(block)  # the fault under test: a blocked event loop
        await messages.drain()

    def plain(_: pulsekit.Message) -> None:
        time.sleep(block)  # the fault under test: a blocked event loop
        asyncio.get_running_loop().create_task(messages.drain())

    async with pulsekit.connect(f"{user.url}?heartbeat=1") as own:
        for handler in (blocking, blocking_first, plain):
            async with own.subscribe(exchange) as messages:
                await send(pulse, exchange, {"n": 0})
                await messages.handle(handler)
    named = [record.getMessage() for record in caplog.records if "blocked the event loop" in record.getMessage()]
    for handler in (blocking, blocking_first, plain):
        assert any(one.startswith(f"the handler {handler.__qualname__} blocked the event loop for ") for one in named)


async def test_a_policy_applies_to_a_message_with_a_malformed_header(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str, dead: pulsekit.Consumer
) -> None:
    calls = []

    async def handler(message: pulsekit.Message) -> None:
        calls.append(message.body)
        if len(calls) == 3:
            await messages.drain()
        if message.body == b"{}":
            raise LookupError

    headers: dict[str, Any] = {}
    for _ in range(64):  # one level more than pulsekit reads
        headers = {"a": headers}
    queue = Queue(f"queue/{user.name}/jobs", dead_letters=f"exchange/{user.name}/dead")
    async with pulse.subscribe(exchange, queue=queue) as messages:
        connection = await aiormq.connect(user.url)
        channel = await connection.channel()
        properties = aiormq.spec.Basic.Properties(headers=headers)
        for body in (b"{}", b"[]"):
            await channel.basic_publish(body, exchange=exchange, routing_key="a", properties=properties)
        await connection.close()
        await messages.handle(handler, Policy(failure=OnFailure.REQUEUE, limit=1, delay=0))
    assert sorted(calls) == [b"[]", b"{}", b"{}"]
    assert (await anext(dead)).body == b"{}"


async def test_one_signal_drains_every_consumer(pulse: pulsekit.Pulse, exchange: str) -> None:
    async with AsyncExitStack() as stack:
        consumers = [await stack.enter_async_context(pulse.subscribe(exchange)) for _ in range(3)]
        for consumer in consumers:
            consumer.drain_on(signal.SIGTERM, now=True)
        await send(pulse, exchange, *({"n": number} for number in range(5)))
        handled: list[int] = []

        async def handler(message: pulsekit.Message) -> None:
            handled.append(message.payload["n"])
            if len(handled) == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(10):  # iterations of the event loop, during which the signal arrives
                await asyncio.sleep(0)

        async with asyncio.timeout(30):
            await asyncio.gather(*(consumer.handle(handler) for consumer in consumers))
        assert len(handled) <= 3
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_draining_now_finishes_one_message_and_requeues_the_others(pulse: pulsekit.Pulse, exchange: str) -> None:
    queue = f"queue/{pulse.user}/q"
    handled: list[int] = []
    async with pulse.subscribe(exchange, queue=queue, prefetch=50) as messages:
        await send(pulse, exchange, *({"n": number} for number in range(100)))

        async def handler(message: pulsekit.Message) -> None:
            handled.append(message.payload["n"])
            if len(handled) == 3:
                await messages.drain(now=True)
                while (await queue_depth(pulse, queue)).ready < 97:  # while this message is not settled
                    await asyncio.sleep(0.01)

        async with asyncio.timeout(30):
            await messages.handle(handler)
    assert handled == [0, 1, 2]
    async with pulse.subscribe(queue=queue) as messages:
        assert [(await anext(messages)).payload["n"] for _ in range(97)] == list(range(3, 100))


_SERVICE = """
import asyncio, logging, sys, pulsekit

async def main(url, queue):
    async with pulsekit.connect(url) as pulse, pulse.subscribe(queue=queue) as messages:
        messages.drain_on()
        async def handler(message):
            logging.warning("handling %s", message.payload)
            await asyncio.sleep(message.payload["seconds"])
        await messages.handle(handler)

logging.basicConfig()
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_drains_and_the_second_stops_at_once(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser, number: signal.Signals
) -> None:
    queue = f"queue/{user.name}/q"

    def start() -> Child:
        return Child([sys.executable, "-c", _SERVICE, user.url, queue], stderr=subprocess.PIPE)

    async def line(process: Child, words: bytes) -> None:
        while words not in (found := await asyncio.to_thread(process.stderr.readline)):
            assert found, f"it ended before it said {words!r}"

    async with pulse.subscribe(exchange, queue=queue):
        await send(pulse, exchange, {"seconds": 0.1})
    with start() as process:
        await line(process, b"handling")
        process.send_signal(number)
        await asyncio.to_thread(process.communicate)
        assert process.returncode == 0
    await send(pulse, exchange, {"seconds": 3600})
    with start() as process:
        await line(process, b"handling")
        process.send_signal(number)
        await line(process, b"repeat the signal to stop at once")
        process.send_signal(number)
        await asyncio.to_thread(process.communicate)
        assert process.returncode == -number
    async with pulse.subscribe(queue=queue) as messages:
        message = await anext(messages)
        assert message.payload == {"seconds": 3600}, "the first was acknowledged, the second was not"
        await message.ack()


async def test_a_drained_subscription_returns_arrived_messages_and_ends(pulse: pulsekit.Pulse, exchange: str) -> None:
    async with pulse.subscribe(exchange) as messages:
        await send(pulse, exchange, {"n": 1})
        first = await anext(messages)
        await messages.drain()
        await send(pulse, exchange, {"n": 2})
        assert [message async for message in messages] == []
        await first.ack()


@pytest.mark.parametrize(
    "wrong",
    [
        {"poison": OnFailure.REQUEUE},
        {"exhausted": OnFailure.REQUEUE},
        {"delay": -1.0},
        {"limit": 0},
        {"growth": 0.5},
        {"timeout": 0},
        {"max_size": 1},
    ],
)
def test_an_invalid_policy_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(pulsekit.ConfigurationError):
        Policy(**wrong)
