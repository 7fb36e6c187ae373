"""The network loses, delays, cuts and drops data."""

from __future__ import annotations

import asyncio
import gc
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.proxy import Proxy

import pulsekit
from faults.account import Account
from faults.stage import Fault, consume, publish, publish_and_consume, resident
from pulsekit import Outcome, State
from pulsekit._amqp.backoff import Backoff
from pulsekit._amqp.publishing import OutgoingMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.stage import Stage, Watch

pytestmark = pytest.mark.usefixtures("nothing_left")

HEARTBEAT = 2  # seconds; on a busy machine, broker or client may wait for one second
NOTICED = 15.0  # seconds; 2.5 heartbeats, and time for a busy machine


@pytest.fixture
def _restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect almost at once."""
    monkeypatch.setattr("pulsekit._amqp.connection.Backoff", partial(Backoff, first=0.01, most=0.05))


@pytest.mark.usefixtures("_restless")
async def test_the_connection_is_reset_before_the_confirm_at_any_byte(
    stage: Stage, watch: Watch, figures: Callable[..., None]
) -> None:
    account = Account()
    async with Proxy(stage.user.url) as proxy, pulsekit.connect(proxy.url, on_state=watch) as pulse:
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        await publisher.open()
        for epoch, size in enumerate((0, 1, 7, 8, 20, 21, 22, 300), 1):
            await watch.until("publisher", State.READY, epoch)
            await publish(publisher, account, 300, at={account.sent: partial(proxy.cut_after, answers=size)})
    stage.drain(account)
    totals = account.close()
    assert watch.count("publisher", State.READY) > 8
    assert (totals.confirmed, totals.returned) == (2160, 240)
    assert account.resent
    figures(totals, watch.longest("publisher"))


@pytest.mark.usefixtures("_restless")
async def test_the_connection_is_reset_before_the_ack_at_any_byte(
    stage: Stage, watch: Watch, figures: Callable[..., None]
) -> None:
    account = Account(routed=True)
    async with pulsekit.connect(stage.user.url) as pulse:
        await publish(pulse.publisher(stage.exchange), account, 2_000)
    cuts = {200 * place: size for place, size in enumerate((0, 1, 7, 8, 20, 21, 22, 100), 1)}
    async with (
        Proxy(stage.user.url) as proxy,
        pulsekit.connect(proxy.url, on_state=watch) as pulse,
        pulse.subscribe(queue=stage.queue, on_gap=account.gap, prefetch=100) as messages,
    ):
        at = {taken: partial(proxy.cut_after, requests=size) for taken, size in cuts.items()}
        await consume(messages, account, lambda: not account.awaited, at=at)
        assert messages.gaps == len(cuts)
    stage.drain(account)
    totals = account.close()
    assert totals.confirmed == totals.distinct == 2_000
    assert totals.duplicates
    figures(totals, watch.longest("consumer"))


@pytest.mark.usefixtures("_restless")
async def test_a_connection_lost_during_the_login_is_retried(
    stage: Stage, watch: Watch, figures: Callable[..., None]
) -> None:
    account = Account()
    async with Proxy(stage.user.url) as proxy, pulsekit.connect(proxy.url, on_state=watch) as pulse:
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        await publisher.open()
        proxy.cut_next(*range(0, 600, 20))
        proxy.cut()
        await publish(publisher, account, 100)
    assert proxy.accepted > 30
    stage.drain(account)
    totals = account.close()
    assert (totals.confirmed, totals.returned) == (90, 10)
    figures(totals, watch.longest("publisher"))


async def test_a_connection_without_data_is_noticed_by_missing_heartbeats(
    stage: Stage, watch: Watch, figures: Callable[..., None]
) -> None:
    account = Account()
    async with (
        Proxy(stage.user.url) as proxy,
        pulsekit.connect(f"{proxy.url}?heartbeat={HEARTBEAT}", on_state=watch) as pulse,
        pulse.subscribe(queue=stage.queue, on_gap=account.gap) as messages,
    ):
        publisher, fault = pulse.publisher(stage.exchange, mandatory=True), Fault(proxy.black_hole)
        other, pending = pulse.publisher(stage.exchange), []
        await other.open()

        def swallow() -> None:
            fault()
            # aiormq would raise CancelledError in the callers that wait.
            pending.extend(asyncio.ensure_future(other.publish({}, "nobody")) for _ in range(20))

        await publish_and_consume(publisher, messages, account, lambda: watch.epochs(2), at={400: swallow})
        assert messages.gaps == 1
        receipts = await asyncio.gather(*pending)
        assert all(receipt.outcome is Outcome.CONFIRMED and receipt.resent for receipt in receipts)
    stage.drain(account)
    totals = account.close()
    assert totals.unknown == totals.timeout == totals.refused == 0
    assert account.resent
    for name in ("publisher", "consumer"):
        assert watch.seconds(fault.since, name, State.BACKING_OFF) < NOTICED
    figures(totals, watch.seconds(fault.since, "publisher"))


async def test_a_private_queue_that_a_dead_connection_locks_is_replaced(
    stage: Stage, watch: Watch, figures: Callable[..., None]
) -> None:
    account, gaps = Account(routed=True), asyncio.Queue[pulsekit.Gap]()
    async with (
        pulsekit.connect(stage.user.url) as pulse,
        Proxy(stage.user.url) as proxy,
        pulsekit.connect(f"{proxy.url}?heartbeat={HEARTBEAT}", on_state=watch) as shaky,
        shaky.subscribe(stage.exchange, on_gap=gaps.put_nowait) as messages,
    ):
        old, fault = messages.queue, Fault(partial(proxy.black_hole, keep_broker=True))
        fault()
        gap = await gaps.get()
        assert gap.lossy
        with stage.channel() as channel, pytest.raises(Exception, match="RESOURCE_LOCKED"):
            channel.queue_declare(old, passive=True)
        await publish(pulse.publisher(stage.exchange), account, 50)
        await consume(messages, account, lambda: not account.awaited)
        seconds = watch.seconds(fault.since, "consumer")
    figures(account.close(), seconds)


async def test_a_connection_that_stops_within_a_frame_is_noticed(
    stage: Stage, watch: Watch, figures: Callable[..., None]
) -> None:
    account = Account()
    async with (
        Proxy(stage.user.url) as proxy,
        pulsekit.connect(f"{proxy.url}?heartbeat={HEARTBEAT}", on_state=watch) as pulse,
        pulse.subscribe(queue=stage.queue, on_gap=account.gap) as messages,
    ):
        publisher, fault = pulse.publisher(stage.exchange, mandatory=True), Fault(proxy.half_a_frame)
        await publish_and_consume(publisher, messages, account, lambda: watch.epochs(2), at={400: fault})
        assert messages.gaps == 1
    stage.drain(account)
    totals = account.close()
    assert totals.unknown == totals.timeout == totals.refused == 0
    for name in ("publisher", "consumer"):
        assert watch.seconds(fault.since, name, State.BACKING_OFF) < NOTICED
    figures(totals, watch.seconds(fault.since, "publisher"))


async def test_confirms_after_the_deadline_are_timeouts(stage: Stage, figures: Callable[..., None]) -> None:
    account = Account()
    async with Proxy(stage.user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        await publisher.open()
        proxy.delay_answers(1.0)
        await publish(publisher, account, 200, timeout=0.3)
        since = time.monotonic()
        proxy.delay_answers(0)
        await publish(publisher, account, 200)  # late answers to the other messages do not change these outcomes
        seconds = time.monotonic() - since
    stage.drain(account)
    totals = account.close()
    assert (totals.timeout, totals.confirmed, totals.returned) == (200, 180, 20)
    assert totals.distinct == 360
    figures(totals, seconds)


async def test_a_broker_that_never_reads(stage: Stage, figures: Callable[..., None]) -> None:
    account, window = Account(routed=True, padding=100_000), 64
    async with Proxy(stage.user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        publisher = pulse.publisher(stage.exchange)
        await publisher.open()
        proxy.hold_requests()
        await publish(publisher, account, window, timeout=0.2, window=window)
        before = resident()
        await publish(publisher, account, 10 * window, timeout=0.2, window=window)
        assert publisher.in_flight == 0
        # At most one window is being sent, one is in flight, and one is prepared; ten would be too many.
        assert resident() - before < 4 * window * 100_000
        gc.collect()
        assert sum(isinstance(thing, OutgoingMessage) for thing in gc.get_objects()) < 4 * window
        since = time.monotonic()
        proxy.release_requests()
        await publish(publisher, account, 10)
        seconds = time.monotonic() - since
    stage.drain(account)
    totals = account.close()
    assert (totals.timeout, totals.confirmed) == (11 * window, 10)
    figures(totals, seconds)


async def test_a_busy_connection_survives_without_heartbeats_for_aiormq(
    stage: Stage, watch: Watch, figures: Callable[..., None]
) -> None:
    account = Account()
    async with (
        Proxy(stage.user.url) as proxy,
        pulsekit.connect(f"{proxy.url}?heartbeat={HEARTBEAT}", on_state=watch) as pulse,
        pulse.subscribe(queue=stage.queue, on_gap=account.gap) as messages,
    ):
        publisher = pulse.publisher(stage.exchange, mandatory=True)
        await publisher.open()
        proxy.drop_heartbeats()
        proxy.delay_answers(0.02)  # limits the rate to some dozens of messages per second
        end = time.monotonic() + 12.0  # aiormq would give up after 9
        await publish_and_consume(publisher, messages, account, lambda: time.monotonic() > end, batch=2)
        assert messages.gaps == 0
    assert watch.count("publisher", State.READY) == watch.count("consumer", State.READY) == 1
    stage.drain(account)
    figures(account.close())
