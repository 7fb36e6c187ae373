"""The warnings about handlers that block the event loop or run for long, with a clock that a test advances."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

import pulsekit
from pulsekit import Worker
from pulsekit.consume import Workers
from pulsekit.consumer.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.rabbitmq.broker import PulseUser

HEARTBEAT = 20.0  # seconds: 16 timer events in this time, and a block of a quarter of it is reported
LONG = 900.0  # seconds after which a call is reported


@dataclass(eq=False)
class Timer:
    """A timer of the clock."""

    when: float
    callback: Callable[[], object]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Clock:
    """The clock and the timers of an event loop, in a time that passes only when a test says so."""

    now: float = 1000.0
    timers: list[Timer] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        self.timers.append(Timer(when, callback))
        return self.timers[-1]

    def pass_by(self, seconds: float) -> None:
        """Let time pass while the event loop runs: each timer fires when it is due."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if not timer.cancelled and timer.when <= end]:
            first = min(due, key=lambda timer: timer.when)
            self.timers.remove(first)
            self.now = max(self.now, first.when)
            first.callback()
        self.now = end

    def block(self, seconds: float) -> None:
        """Let time pass while the event loop is blocked: timers fire late."""
        self.now += seconds
        self.pass_by(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("pulsekit.consumer.watchdog.asyncio", SimpleNamespace(get_running_loop=lambda: clock))
    return clock


@pytest.fixture
def watchdog() -> Watchdog:
    return Watchdog(lambda: HEARTBEAT)


def message() -> pulsekit.Message:
    return pulsekit.Message(exchange="exchange/me/x", routing_key="a", body=b"", received=datetime.now(UTC))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "pulsekit"]


def test_a_handler_that_waits_does_not_block(
    clock: Clock, watchdog: Watchdog, caplog: pytest.LogCaptureFixture
) -> None:
    with watchdog.watch(message):
        watchdog.message, watchdog.running = message(), 1
        clock.pass_by(10 * HEARTBEAT)
        assert warnings(caplog) == []
        clock.block(HEARTBEAT / 4)
    (warning,) = warnings(caplog)
    assert warning.startswith("the handler message blocked the event loop for 3.8 s")


def test_a_block_without_a_running_handler_is_not_reported(
    clock: Clock, watchdog: Watchdog, caplog: pytest.LogCaptureFixture
) -> None:
    with watchdog.watch(message):
        clock.pass_by(HEARTBEAT)
        clock.block(HEARTBEAT)
    assert warnings(caplog) == []


def test_a_block_during_concurrent_calls_is_reported_once(
    clock: Clock, watchdog: Watchdog, caplog: pytest.LogCaptureFixture
) -> None:
    with watchdog.watch(message), watchdog.watch(message):
        clock.pass_by(HEARTBEAT)
        watchdog.message, watchdog.running = message(), 2
        clock.block(HEARTBEAT / 2)
        clock.pass_by(HEARTBEAT)
        watchdog.running = 0
    (warning,) = warnings(caplog)
    assert "blocked the event loop" in warning


def test_short_concurrent_calls_are_not_reported_as_long(
    clock: Clock, watchdog: Watchdog, caplog: pytest.LogCaptureFixture
) -> None:
    with watchdog.watch(message), watchdog.watch(message):
        watchdog.running = 1
        for _ in range(1000):  # at each moment, a call is running, but none for long
            watchdog.message = message()
            watchdog.running += 1
            clock.pass_by(HEARTBEAT / 20)  # less than the time between two timer events
            watchdog.running -= 1
        watchdog.running = 0
    assert warnings(caplog) == []


async def test_a_handler_that_runs_for_long_is_named_once(
    clock: Clock, pulse: pulsekit.Pulse, user: PulseUser, exchange: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(message: pulsekit.Message) -> None:
        if message.payload == "long":
            clock.pass_by(LONG - 1)
            assert warnings(caplog) == []
            clock.pass_by(LONG)
            workers.stop()

    await pulse.create_exchange(exchange)
    ready = asyncio.Event()
    worker = Worker(handler, f"{exchange}:#", f"queue/{user.name}/jobs", name="jobs")
    workers = Workers([worker], on_ready=lambda *_: ready.set(), signals=())
    running = asyncio.ensure_future(workers.run(pulse))
    await ready.wait()
    caplog.clear()
    for payload in ("short", "short", "long"):
        await pulse.publisher(exchange).publish(payload, "a")
    await running
    (warning,) = warnings(caplog)
    assert warning.startswith("the handler jobs has been running for 900 s with <Message")
