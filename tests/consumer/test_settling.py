"""Settlements from other threads, in a forked process, and around the end of a consumer."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.queues import depth_after_return

import pulsekit
from pulsekit._amqp.types import Settlement
from pulsekit.instrumentation import Instrumentation
from pulsekit.queues import queue_depth

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.rabbitmq.broker import PulseUser

    from pulsekit.instrumentation import SettlementDetails


async def receive(pulse: pulsekit.Pulse, exchange: str, messages: pulsekit.Consumer, count: int) -> list[Any]:
    async for receipt in pulse.publisher(exchange).publish_many(({"n": n}, "a.b") for n in range(count)):
        receipt.check()
    return [await anext(messages) for _ in range(count)]


def in_thread(function: Callable[[], None]) -> None:
    """Run a function in another thread, during which the event loop does nothing."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def acknowledge(messages: list[Any]) -> None:
    for message in messages:
        message.settle(Settlement.ACK)


async def test_a_thread_wakes_the_event_loop_once_for_many_settlements(
    pulse: pulsekit.Pulse, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[tuple[int, Settlement, bool]] = []

    class Observer(Instrumentation):
        def on_settle(self, details: SettlementDetails) -> None:
            assert threading.current_thread() is threading.main_thread()
            settled.append((details.delivery.message.payload["n"], details.settlement, details.stale))

    loop = asyncio.get_running_loop()
    queue = f"queue/{pulse.user}/q"
    async with pulse.subscribe(exchange, queue=queue, instrumentation=Observer()) as messages:
        received = await receive(pulse, exchange, messages, 100)
        wakes = 0

        def wake(*args: Any, call: Callable[..., Any] = loop.call_soon_threadsafe) -> Any:
            nonlocal wakes
            wakes += 1
            return call(*args)

        with monkeypatch.context() as patch:
            patch.setattr(loop, "call_soon_threadsafe", wake)
            in_thread(lambda: acknowledge(received))
        assert wakes == 1
        assert (await messages.depth()).total == 0
        assert settled == [(n, Settlement.ACK, False) for n in range(100)]


async def test_closing_sends_what_other_threads_settled_before(pulse: pulsekit.Pulse, exchange: str) -> None:
    queue = f"queue/{pulse.user}/q"
    async with pulse.subscribe(exchange, queue=queue) as messages:
        received = await receive(pulse, exchange, messages, 10)
        in_thread(lambda: acknowledge(received))
        await messages.close()
        in_thread(lambda: acknowledge(received))  # too late, and settled before
        assert (await queue_depth(pulse, queue)).total == 0
        assert messages.stale == 10


async def test_a_closed_consumer_returns_no_message(pulse: pulsekit.Pulse, exchange: str) -> None:
    queue = f"queue/{pulse.user}/q"
    async with pulse.subscribe(exchange, queue=queue) as messages:
        first, *_ = await receive(pulse, exchange, messages, 1)
        await first.ack()
        await pulse.publisher(exchange).publish({}, "a.b")
        while not messages.waiting:
            await messages.depth()  # the broker answers after the delivery
        await messages.close()
        with pytest.raises(pulsekit.NotOpen, match="closed"):
            await anext(messages)
        assert (await depth_after_return(pulse, queue, 1)).ready == 1


def test_settlements_after_the_event_loop_was_closed_are_stale(user: PulseUser) -> None:
    async def consume() -> tuple[pulsekit.Consumer, list[Any]]:
        async with pulsekit.connect(user.url) as pulse:
            await pulse.create_exchange(exchange := f"exchange/{user.name}/v1/jobs")
            async with pulse.subscribe(exchange) as messages:
                return messages, await receive(pulse, exchange, messages, 10)

    messages, received = asyncio.run(consume())
    in_thread(lambda: acknowledge(received))
    assert messages.stale == 10


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # from Python 3.12 on: a fork beside a thread
@pytest.mark.parametrize("from_thread", [True, False])
async def test_a_forked_process_settles_no_message_of_its_parent(
    pulse: pulsekit.Pulse, exchange: str, *, from_thread: bool
) -> None:
    queue = f"queue/{pulse.user}/q"
    codes: list[int] = []
    async with pulse.subscribe(exchange, queue=queue, prefetch=20) as messages:
        received = await receive(pulse, exchange, messages, 20)

        def fork() -> None:
            child = os.fork()
            if child:
                codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
                return
            code = 99
            try:
                acknowledge(received)  # enough of them to be written at once
                code = 98 if any(message.live for message in received) else messages.stale
            finally:
                os._exit(code)

        if from_thread:
            in_thread(fork)
        else:
            fork()
        assert codes == [20]
    assert (await depth_after_return(pulse, queue, 20)).ready == 20
