"""Cancel every public coroutine at every point where it can be: it ends, and leaves nothing behind.

One run through the library counts its points: each piece of data that arrives from the broker, and the iterations of
the event loop after it, in which futures are resolved one after the other. Then the run is repeated for each point, and
cancelled there. A second search cancels the task at each of its own waits, before anything has arrived.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import pulsekit
from pulsekit._amqp.frame_router import FrameRouter
from pulsekit.queues import delete_queue, peek, purge_queue, queue_depth
from pulsekit.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

EXCHANGE, QUEUE = "exchange/me/v1/jobs", "queue/me/jobs"
TURNS = 8  # iterations of the event loop after data arrived: aiormq uses a reader, a queue and a future
DEADLINE = 15.0  # seconds: the shutdown waits for 3 s for an answer, a few times
STEP = 13  # the default run has every 13th point, so its points have different numbers of turns


async def journey(url: str, reached: list[str]) -> None:
    """Await every public coroutine of a connection, a publisher, a consumer and the queues."""
    async with pulsekit.connect(url) as pulse:
        await pulse.create_exchange(EXCHANGE)
        assert await pulse.exchange_exists(EXCHANGE)
        publisher = pulse.publisher(EXCHANGE)
        await publisher.open()
        async with pulse.subscribe(EXCHANGE) as own, pulse.subscribe(EXCHANGE, queue=QUEUE, prefetch=2) as messages:
            (await publisher.publish({"n": 0}, "k")).check()
            async for receipt in publisher.publish_many([({"n": 1}, "k"), ({"n": 2}, "k")]):
                receipt.check()
            await (await anext(own)).ack()
            await messages.depth()
            await (await anext(messages)).reject()
            await messages.handle(Handler(messages))
            reached.append("handled")
        await publisher.close()
        await queue_depth(pulse, QUEUE)
        await peek(pulse, QUEUE)
        await purge_queue(pulse, QUEUE)
        await delete_queue(pulse, QUEUE)
        await pulse.delete_exchange(EXCHANGE)
    reached.append("end")


class Handler:
    def __init__(self, messages: pulsekit.Consumer) -> None:
        self._messages = messages

    async def __call__(self, message: pulsekit.Message) -> None:
        await asyncio.sleep(0)
        if message.payload["n"] == 2:
            await self._messages.drain(now=True)


class Points:
    """The points of a journey: numbers of pieces of data, and turns of the event loop after them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._at, self._turns = -1, 0
        self._cancel: Callable[[], bool] = lambda: False
        self.delivered = False  # whether the task was cancelled before it had ended
        received = FrameRouter.data_received

        def data_received(router: FrameRouter, data: bytes) -> None:
            if self.count == self._at:
                self._later(self._turns)
            self.count += 1
            received(router, data)

        monkeypatch.setattr(FrameRouter, "data_received", data_received)

    def cancel(self, task: asyncio.Task[Any], at: int, turns: int) -> None:
        self.count, self._at, self._turns, self._cancel = 0, at, turns, task.cancel
        self.delivered = False

    def _later(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._later, turns - 1)
        else:
            self.delivered = self._cancel()


class Waits:
    """Await a coroutine, count its waits, and cancel its task at one of them."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], at: int) -> None:
        self.count = 0
        self._coroutine, self._at = coroutine, at

    def __await__(self) -> Generator[Any, None, None]:
        step: Callable[[], Any] = partial(self._coroutine.send, None)
        while True:
            try:
                wait = step()
            except StopIteration:
                return
            task = asyncio.current_task()
            if self.count == self._at and task is not None:
                task.cancel()
            self.count += 1
            try:
                yield wait
            except BaseException as error:  # noqa: BLE001 - the coroutine gets it
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, None)

    async def finish(self) -> None:
        await self


async def left_behind(sandbox: Sandbox, before: set[asyncio.Task[Any]]) -> list[object]:
    """Return the tasks and connections that are still there, once the broker has noticed what ended."""
    for _ in range(200):
        left: list[object] = [task for task in asyncio.all_tasks() - before if not task.done()]
        left += sandbox._server.connections  # type: ignore[union-attr]
        if not left:
            break
        await asyncio.sleep(0.005)
    return left


async def check_left(sandbox: Sandbox, before: set[asyncio.Task[Any]], where: str) -> None:
    assert not await left_behind(sandbox, before), where
    for queue in list(sandbox._virtual_host("/").queues):
        assert queue == QUEUE, f"{queue} is left {where}"
        sandbox.delete_queue(queue)


async def cancel_everywhere(points: Points, *, every: bool) -> None:
    asyncio.get_running_loop().set_debug(False)  # a run then takes a third of the time
    before = asyncio.all_tasks()
    async with Sandbox() as sandbox:
        url = sandbox.url("me")
        reached: list[str] = []
        await journey(url, reached)
        assert reached == ["handled", "end"]
        places = [(at, turns) for at in range(points.count) for turns in range(TURNS)]
        for at, turns in places[:: 1 if every else STEP]:
            reached.clear()
            task = asyncio.create_task(journey(url, reached))
            points.cancel(task, at, turns)
            done, _ = await asyncio.wait([task], timeout=DEADLINE)
            assert done, f"not ended when cancelled {turns} turns after answer {at}"
            where = f"when cancelled {turns} turns after answer {at}"
            assert task.cancelled() == points.delivered, f"the cancellation was swallowed {where}"
            await check_left(sandbox, before, where)


async def test_a_cancelled_coroutine_ends_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    await cancel_everywhere(Points(monkeypatch), every=False)


async def test_cancelling_a_wait_never_costs_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.get_running_loop().set_debug(False)  # for a third of the time
    caplog.set_level(logging.ERROR)  # aiormq logs the connection.close of the broker as an error
    before = asyncio.all_tasks()
    async with Sandbox() as sandbox:
        waits = Waits(journey(sandbox.url("me"), []), -1)
        await waits
        for at in range(waits.count):
            where = f"when cancelled at wait {at}"
            cancelled = asyncio.create_task(Waits(journey(sandbox.url("me"), []), at).finish())
            done, _ = await asyncio.wait([cancelled], timeout=DEADLINE)
            assert done, f"not ended {where}"
            assert cancelled.cancelled(), f"the cancellation was swallowed {where}"
            await check_left(sandbox, before, where)
            assert caplog.messages == [], where


@pytest.mark.slow
async def test_a_coroutine_can_be_cancelled_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    await cancel_everywhere(Points(monkeypatch), every=True)


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="Python 3.11 has no eager tasks")
async def test_eager_tasks_can_be_cancelled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    await cancel_everywhere(Points(monkeypatch), every=False)
