"""A connection that reconnected a hundred times uses no more memory than a new one."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import aio_pika
import aiormq
import pytest
from support.proxy import Proxy

import pulsekit
from faults.account import Account
from faults.stage import consume, open_files, publish, resident
from pulsekit import State
from pulsekit._amqp.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faults.stage import Stage, Watch

pytestmark = pytest.mark.usefixtures("nothing_left")

LONG = (pytest.mark.faults, pytest.mark.timeout(300))
WARM = 10  # reconnects after which no object is created for the first time
# pamqp is not counted: it looks up attributes by names that it creates, and Python keeps some thousands of them.
CLIENT = [
    tracemalloc.Filter(True, f"{Path(module.__file__).parent}/*") for module in (pulsekit, aio_pika, aiormq, asyncio)
]


@pytest.fixture
def _traced(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    for name in ("aiormq", "pulsekit"):
        caplog.set_level(logging.CRITICAL, name)  # pytest keeps what is logged, with all that a traceback holds on to
    tracemalloc.start()
    yield
    tracemalloc.stop()


def held() -> int:
    """Count the bytes that the client has allocated, without those of the tests."""
    gc.collect()
    statistics = tracemalloc.take_snapshot().filter_traces(CLIENT).statistics("filename")
    return sum(one.size for one in statistics)


@pytest.mark.usefixtures("_traced")
async def test_requests_leak_nothing(stage: Stage) -> None:
    asyncio.get_running_loop().set_debug(False)
    async with pulsekit.connect(stage.user.url) as pulse:
        for number in range(WARM + 100):
            if number == WARM:
                before = held()
            assert await pulse.exchange_exists(stage.exchange)  # on a channel of its own, which aio-pika remembers
            assert not await pulse.exchange_exists(f"{stage.exchange}/not")
        assert (held() - before) / 200 < 200


@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("times", [25, pytest.param(500, marks=LONG)])
async def test_reconnects_leak_nothing(
    stage: Stage, watch: Watch, figures: Callable[..., None], monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    asyncio.get_running_loop().set_debug(False)  # in debug mode, asyncio keeps stacks, which would be counted
    monkeypatch.setattr("pulsekit._amqp.connection.Backoff", partial(Backoff, first=0.01, most=0.01))
    account, gaps, depths = Account(routed=True), asyncio.Queue[pulsekit.Gap](), asyncio.Queue[pulsekit.QueueDepth]()

    once = pulsekit.Limits(interval=3600)  # one request for the depth after each reconnect

    def on_gap(gap: pulsekit.Gap) -> None:
        account.gap(gap)
        gaps.put_nowait(gap)

    def measure() -> tuple[int, int, int, int]:
        return open_files(), len(asyncio.all_tasks()), held(), resident()

    async with (
        Proxy(stage.user.url) as proxy,
        pulsekit.connect(proxy.url, on_state=watch) as pulse,
        pulse.subscribe(queue=stage.queue, limits=once, on_gap=on_gap, on_depth=depths.put_nowait) as messages,
        pulse.subscribe(stage.exchange, on_gap=gaps.put_nowait) as others,
    ):
        publisher = pulse.publisher(stage.exchange)
        await publish(publisher, account, 1)
        await depths.get()
        for number in range(WARM + times):
            if number == WARM:
                before = measure()
            proxy.cut()
            await watch.until("publisher", State.READY, number + 2)
            for _ in range(2):
                await gaps.get()
            await depths.get()  # the request for the depth has its own channel and tasks, until it is answered
            await consume(messages, account, lambda: not account.awaited)
            await publish(publisher, account, 3)  # acks reach the broker before these are confirmed, most of them
            while others.take():
                pass
        await consume(messages, account, lambda: not account.awaited)
        after = measure()
    assert after[:2] == before[:2]
    # A task or a future alone would be more than 200 bytes. asyncio keeps up to a hundred cancelled timers.
    assert after[2] - before[2] < 200 * times + 30_000
    assert after[3] - before[3] < 10_000_000
    stage.drain(account)
    totals = account.close()
    assert totals.confirmed == totals.distinct == 3 * (WARM + times) + 1
    figures(totals, watch.longest("publisher"))
