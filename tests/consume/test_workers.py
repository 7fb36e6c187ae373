"""Workers on every broker: how handlers are called, what stops them, and which messages are requeued."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

import pytest
from support.queues import depth_after_return

import pulsekit
from pulsekit import HandlerFailed, OnFailure, Policy, Queue, Reject, Retry, Stop, SubscriptionLost, Worker
from pulsekit.consume import Workers, running
from pulsekit.queues import delete_queue, queue_depth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from support.rabbitmq.broker import PulseUser


@pytest.fixture
def queue(user: PulseUser) -> str:
    return f"queue/{user.name}/work"


@pytest.fixture
async def fill(pulse: pulsekit.Pulse, exchange: str, queue: str) -> Callable[..., Awaitable[None]]:
    """Fill the queue with numbers; it is bound to the exchange."""
    async with pulse.subscribe(exchange, queue=queue):
        pass

    async def fill(count: int) -> None:
        async for receipt in pulse.publisher(exchange).publish_many(({"n": number}, "k") for number in range(count)):
            receipt.check()

    return fill


async def left(pulse: pulsekit.Pulse, queue: str, at_least: int = 0) -> list[int]:
    """Return the messages that are in the queue, in order, once it has a number of them."""
    depth = await depth_after_return(pulse, queue, at_least)
    async with pulse.subscribe(queue=queue) as messages:
        return [(await anext(messages)).payload["n"] for _ in range(depth.ready)]


Fill = Any  # the fixture above


async def test_every_kind_of_handler_is_made_and_closed_once(pulse: pulsekit.Pulse, queue: str, fill: Fill) -> None:
    events: list[Any] = []

    class Listener:
        def __init__(self) -> None:
            events.append("made")

        async def __call__(self, message: pulsekit.Message) -> None:
            events.append(message.payload["n"])

    @contextmanager
    def database() -> Iterator[Any]:
        connection = sqlite3.connect(":memory:")  # whose methods may be called in one thread only
        connection.execute("CREATE TABLE numbers (n)")

        def store(message: pulsekit.Message) -> None:
            connection.execute("INSERT INTO numbers VALUES (?)", [message.payload["n"]])

        yield store
        events.extend(n for (n,) in connection.execute("SELECT n FROM numbers"))
        connection.close()
        events.append("left")

    @asynccontextmanager
    async def session() -> AsyncIterator[Any]:
        events.append("entered")
        yield lambda message: asyncio.sleep(0, events.append(message.payload["n"]))
        events.append("left")

    for handler, expected in (
        (Listener, ["made", 0, 1]),
        (database, [0, 1, "left"]),
        (session, ["entered", 0, 1, "left"]),
    ):
        events.clear()
        await fill(2)
        await Workers([Worker(handler, queue=queue)], drain=True, signals=()).run(pulse)
        assert events == expected


async def test_a_function_runs_beside_the_event_loop_in_order(pulse: pulsekit.Pulse, queue: str, fill: Fill) -> None:
    loop, seen = asyncio.get_running_loop(), list[int]()

    def handler(message: pulsekit.Message) -> None:
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()  # a blocked loop could not run this
        seen.append(message.payload["n"])

    await fill(20)
    await Workers([Worker(handler, queue=queue)], count=20, signals=()).run(pulse)
    assert seen == list(range(20))
    assert await left(pulse, queue) == []
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("test_a_function")]


@pytest.mark.parametrize("kind", ["function", "coroutine"])
async def test_as_many_messages_as_the_concurrency_are_handled_at_once(
    pulse: pulsekit.Pulse, queue: str, fill: Fill, kind: str
) -> None:
    barrier, running, most = threading.Barrier(3, timeout=30), [0], [0]
    meeting = asyncio.Barrier(3)

    def begin() -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])

    def function(_: pulsekit.Message) -> None:
        begin()
        barrier.wait()  # waits for the other calls, which must run at the same time
        running[0] -= 1

    async def coroutine(_: pulsekit.Message) -> None:
        begin()
        await meeting.wait()
        running[0] -= 1

    await fill(9)
    handler = function if kind == "function" else coroutine
    await Workers([Worker(handler, queue=queue, concurrency=3)], count=9, signals=()).run(pulse)
    assert most == [3]
    assert await left(pulse, queue) == []


async def test_a_limit_handles_that_many_messages_and_requeues_the_others(
    pulse: pulsekit.Pulse, queue: str, fill: Fill
) -> None:
    seen = []

    async def handler(message: pulsekit.Message) -> None:
        seen.append(message.payload["n"])
        await asyncio.sleep(0)

    await fill(10)
    workers = Workers([Worker(handler, queue=queue, concurrency=4, prefetch=8)], count=3, signals=())
    await workers.run(pulse)
    assert len(seen) == workers.workers[0].succeeded == 3
    assert sorted([*seen, *await left(pulse, queue, 10 - len(seen))]) == list(range(10))


async def test_a_failure_stops_all_workers_after_their_messages(
    pulse: pulsekit.Pulse, exchange: str, queue: str, fill: Fill
) -> None:
    begun, failed, finished = asyncio.Event(), asyncio.Event(), []

    async def slow(message: pulsekit.Message) -> None:
        begun.set()
        await failed.wait()
        await asyncio.sleep(0)
        finished.append(message.payload)

    async def fails(_: pulsekit.Message) -> None:
        await begun.wait()
        failed.set()
        raise KeyError("boom")

    other = f"{queue}-2"
    async with pulse.subscribe(exchange, queue=other):
        pass
    await fill(1)
    workers = Workers([Worker(slow, queue=queue), Worker(fails, queue=other)], signals=())
    with pytest.raises(
        HandlerFailed, match=f"fails raised KeyError: 'boom'; the message is in {other} again"
    ) as caught:
        await workers.run(pulse)
    assert isinstance(caught.value.__cause__, KeyError)
    assert finished == [{"n": 0}]
    assert await left(pulse, queue) == []
    assert await left(pulse, other, 1) == [0]


class Ends(BaseException): ...


@pytest.mark.parametrize(
    "error", [OSError("no disk"), pulsekit.NotFound("no exchange"), asyncio.CancelledError(), Ends()]
)
@pytest.mark.parametrize("in_thread", [True, False])
async def test_any_exception_of_a_handler_is_its_failure(
    pulse: pulsekit.Pulse, queue: str, fill: Fill, error: BaseException, *, in_thread: bool
) -> None:
    def function(_: pulsekit.Message) -> None:
        raise error

    async def coroutine(_: pulsekit.Message) -> None:
        raise error

    await fill(1)
    workers = Workers([Worker(function if in_thread else coroutine, queue=queue)], signals=())
    with pytest.raises(HandlerFailed, match=f"raised .*{type(error).__name__}"):
        await workers.run(pulse)
    assert workers.workers[0].failed == 1
    assert await left(pulse, queue, 1) == [0]


@pytest.mark.parametrize("error", [OSError("no disk"), TimeoutError("no disk")])
async def test_a_context_manager_cannot_hide_a_failure_and_may_fail_itself(
    pulse: pulsekit.Pulse, queue: str, fill: Fill, error: Exception
) -> None:
    def fails(_: pulsekit.Message) -> None:
        raise KeyError

    @contextmanager
    def hides() -> Iterator[Any]:
        with suppress(Exception):
            yield fails

    @contextmanager
    def breaks() -> Iterator[Any]:
        yield print
        raise error

    await fill(1)
    with pytest.raises(HandlerFailed, match="raised KeyError"):
        await Workers([Worker(hides, queue=queue)], signals=()).run(pulse)
    with pytest.raises(HandlerFailed, match=f"breaks could not be closed: {type(error).__name__}: no disk"):
        await Workers([Worker(breaks, queue=queue)], count=1, signals=()).run(pulse)


async def test_cancelling_the_run_requeues_the_messages(pulse: pulsekit.Pulse, queue: str, fill: Fill) -> None:
    begun = asyncio.Event()

    async def handler(_: pulsekit.Message) -> None:
        begun.set()
        await asyncio.Event().wait()

    await fill(3)
    running = asyncio.ensure_future(Workers([Worker(handler, queue=queue, concurrency=2)], signals=()).run(pulse))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(await left(pulse, queue, 3)) == [0, 1, 2]


async def test_a_failure_stops_the_other_calls_of_its_worker_after_their_messages(
    pulse: pulsekit.Pulse, queue: str, fill: Fill
) -> None:
    both, finished = asyncio.Barrier(2), []

    async def handler(message: pulsekit.Message) -> None:
        await both.wait()
        if message.payload["n"] == 0:
            raise KeyError
        await asyncio.sleep(0.01)  # meanwhile, the other call has failed
        finished.append(message.payload["n"])

    await fill(4)
    with pytest.raises(HandlerFailed):
        await Workers([Worker(handler, queue=queue, concurrency=2)], signals=()).run(pulse)
    assert finished == [1]
    assert sorted(await left(pulse, queue, 3)) == [0, 2, 3]


async def test_a_deleted_queue_does_not_stop_the_other_workers(
    pulse: pulsekit.Pulse, exchange: str, queue: str, fill: Fill
) -> None:
    ready, seen = asyncio.Queue[str](), asyncio.Queue[Any]()

    async def handler(message: pulsekit.Message) -> None:
        seen.put_nowait(message.payload["n"])

    doomed = f"{queue}-2"
    workers = Workers(
        [Worker(handler, queue=queue), Worker(handler, exchange, doomed, concurrency=2)],
        on_ready=lambda _, name: ready.put_nowait(name),
        signals=(),
    )
    assert [worker.name for worker in workers.workers] == [f"{handler.__qualname__}-1", f"{handler.__qualname__}-2"]
    running = asyncio.ensure_future(workers.run(pulse))
    assert {await ready.get(), await ready.get()} == {queue, doomed}
    assert workers.ready
    await delete_queue(pulse, doomed, if_unused=False)
    while workers.workers[1].source is not None:
        await asyncio.sleep(0.01)
    assert not workers.ready
    await fill(1)
    assert await seen.get() == 0
    workers.stop()
    with pytest.raises(SubscriptionLost, match=doomed):
        await running


@pytest.mark.parametrize("exits", [True, False])
async def test_a_handler_can_stop_with_an_exit_code(
    pulse: pulsekit.Pulse, queue: str, fill: Fill, *, exits: bool
) -> None:
    def handler(_: pulsekit.Message) -> None:
        if exits:
            sys.exit(7)
        raise Stop(7)

    await fill(2)
    with pytest.raises(Stop) as caught:
        await Workers([Worker(handler, queue=queue)], signals=()).run(pulse)
    assert caught.value.code == 7
    assert sorted(await left(pulse, queue, 2)) == [0, 1]


async def test_an_acknowledgement_before_the_handler_loses_failed_messages(
    pulse: pulsekit.Pulse, queue: str, fill: Fill
) -> None:
    async def handler(message: pulsekit.Message) -> None:
        if message.payload["n"] == 1:
            raise KeyError

    await fill(3)
    policy = Policy(failure=OnFailure.ACK)
    workers = Workers([Worker(handler, queue=queue, policy=policy, ack="before")], drain=True, signals=())
    await workers.run(pulse)
    assert (workers.workers[0].succeeded, workers.workers[0].failed) == (2, 1)
    await fill(3)
    worker = Worker(handler, queue=queue, ack="before")
    with pytest.raises(HandlerFailed, match="the message was acknowledged before"):
        await Workers([worker], signals=()).run(pulse)
    assert await left(pulse, queue, 1) == [2]


@pytest.mark.parametrize("decision", [Reject("no"), Retry("later")])
async def test_an_acknowledged_message_cannot_be_settled_by_a_handler(
    pulse: pulsekit.Pulse, queue: str, fill: Fill, decision: Exception
) -> None:
    async def handler(_: pulsekit.Message) -> None:
        raise decision

    await fill(1)
    with pytest.raises(HandlerFailed, match="acknowledged before"):
        await Workers([Worker(handler, queue=queue, ack="before")], signals=()).run(pulse)


@pytest.mark.parametrize("ack", ["after", "before"])
async def test_a_handler_over_the_shutdown_timeout_is_cancelled_and_its_message_requeued(
    pulse: pulsekit.Pulse, queue: str, fill: Fill, ack: Literal["after", "before"]
) -> None:
    begun, cancelled = asyncio.Event(), []

    async def handler(message: pulsekit.Message) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(message.payload["n"])

    await fill(2)
    workers = Workers([Worker(handler, queue=queue, ack=ack)], shutdown_timeout=0.05, signals=())
    running = asyncio.ensure_future(workers.run(pulse))
    await begun.wait()
    workers.stop()
    words = f"is in {queue} again" if ack == "after" else "was acknowledged before"
    with pytest.raises(HandlerFailed, match=rf"did not finish <Message .*> within 0\.05 s; the message {words}$"):
        await running
    assert cancelled == [0]
    assert sorted(await left(pulse, queue, 1 + (ack == "after"))) == ([0, 1] if ack == "after" else [1])


async def test_draining_does_not_ask_for_the_depth_while_a_handler_runs(
    pulse: pulsekit.Pulse, queue: str, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, asked, depth = False, list[bool](), pulsekit.Consumer.depth

    async def watched(consumer: pulsekit.Consumer) -> pulsekit.QueueDepth:
        asked.append(busy)
        return await depth(consumer)

    async def handler(_: pulsekit.Message) -> None:
        nonlocal busy
        busy = True
        await asyncio.sleep(0.1)
        busy = False

    monkeypatch.setattr(pulsekit.Consumer, "depth", watched)
    monkeypatch.setattr(running, "_LOOK", 0.001)
    await fill(2)
    await Workers([Worker(handler, queue=queue)], drain=True, signals=()).run(pulse)
    assert asked
    assert not any(asked)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_draining_waits_for_requeued_messages(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser, kind: Any
) -> None:
    seen, queue = [], Queue(f"queue/{user.name}/{kind}", type=kind)
    async with pulse.subscribe(exchange, queue=queue):
        pass
    for n in range(2):
        await pulse.publisher(exchange).publish({"n": n}, "k")

    def handler(message: pulsekit.Message) -> None:
        seen.append(message.payload["n"])
        if len(seen) == 1:
            next(iter(()))  # a StopIteration, which must not end the worker

    policy = Policy(failure=OnFailure.REQUEUE, delay=0.3)
    await Workers([Worker(handler, queue=queue, policy=policy)], drain=True, signals=()).run(pulse)
    assert seen == [0, 0, 1]  # strict order, although the first message was handled twice


async def test_draining_ends_when_kept_messages_fill_the_prefetch(
    pulse: pulsekit.Pulse, queue: str, fill: Fill, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    async def handler(message: pulsekit.Message) -> None:
        seen.append(message.payload["n"])
        raise LookupError

    await fill(3)
    async with asyncio.timeout(20):
        worker = Worker(handler, queue=queue, policy=Policy(failure=OnFailure.KEEP), prefetch=2, order="any")
        await Workers([worker], drain=True, signals=()).run(pulse)
    assert seen == [0, 1]
    assert f"1 message left in {queue}" in caplog.text
    assert await left(pulse, queue, 3) == [0, 1, 2]


async def test_draining_waits_for_a_retry_although_the_policy_keeps_messages(
    pulse: pulsekit.Pulse, queue: str, fill: Fill
) -> None:
    seen: list[int] = []

    async def handler(message: pulsekit.Message) -> None:
        seen.append(message.payload["n"])
        raise LookupError

    await fill(2)
    policy = Policy(failure=OnFailure.REQUEUE, delay=0.5, limit=1, exhausted=OnFailure.KEEP)
    async with asyncio.timeout(20):
        worker = Worker(handler, queue=queue, policy=policy, prefetch=2, order="any")
        await Workers([worker], drain=True, signals=()).run(pulse)
    assert sorted(seen) == [0, 0, 1, 1]


async def test_a_handler_that_cannot_be_made_stops_before_the_first_message(
    pulse: pulsekit.Pulse, queue: str, fill: Fill
) -> None:
    @contextmanager
    def no_database() -> Iterator[Any]:
        raise OSError("no database")
        yield

    @contextmanager
    def wrong() -> Iterator[Any]:
        yield 7

    await fill(1)
    for handler, words in ((no_database, "no database"), (wrong, "not int")):
        with pytest.raises(HandlerFailed, match=f"{handler.__name__} could not be made: .*{words}"):
            await Workers([Worker(handler, queue=queue)], signals=()).run(pulse)
    assert await left(pulse, queue, 1) == [0]


async def test_a_cancelled_wait_of_a_context_manager_is_a_failure_of_the_handler(
    pulse: pulsekit.Pulse, queue: str, fill: Fill
) -> None:
    async def cancelled() -> None:
        task = asyncio.ensure_future(asyncio.sleep(0))
        task.cancel()
        await task

    @asynccontextmanager
    async def not_made() -> AsyncIterator[Any]:
        await cancelled()
        yield print

    @asynccontextmanager
    async def not_closed() -> AsyncIterator[Any]:
        yield print
        await cancelled()

    await fill(1)
    for handler, words in ((not_made, "made"), (not_closed, "closed")):
        with pytest.raises(HandlerFailed, match=f"{handler.__name__} could not be {words}: CancelledError"):
            await Workers([Worker(handler, queue=queue)], count=1, signals=()).run(pulse)


async def test_only_a_handler_that_can_be_interrupted_may_have_a_timeout(pulse: pulsekit.Pulse, queue: str) -> None:
    worker = Worker(lambda message: None, queue=Queue(queue, existing=True), policy=Policy(timeout=1))
    with pytest.raises(pulsekit.ConfigurationError, match="async def"):
        await Workers([worker], signals=()).run(pulse)


async def test_four_calls_handle_every_message_despite_failures_and_a_cancellation(
    pulse: pulsekit.Pulse, queue: str, fill: Fill
) -> None:
    handled: list[int] = []
    failed: set[int] = set()
    running, most = 0, 0
    half = asyncio.Event()

    async def handler(message: pulsekit.Message) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(0)
            number = message.payload["n"]
            if number % 7 == 0 and number not in failed:
                failed.add(number)
                raise ValueError(number)
            handled.append(number)
            if len(handled) == 500:
                half.set()
        finally:
            running -= 1

    policy = Policy(failure=OnFailure.REQUEUE, delay=0)
    worker = Worker(handler, queue=Queue(queue, existing=True), policy=policy, concurrency=4, prefetch=20)
    await fill(1_000)
    cancelled = asyncio.ensure_future(Workers([worker], signals=()).run(pulse))
    await half.wait()
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert running == 0
    await Workers([worker], signals=(), drain=True).run(pulse)
    assert sorted(set(handled)) == list(range(1_000))
    assert len(handled) <= 1_000 + 4  # the calls that the cancellation interrupted
    assert most == 4
    assert (await queue_depth(pulse, queue)).ready == 0
