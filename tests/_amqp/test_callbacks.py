"""Calls of a user's callbacks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pulsekit
from pulsekit._amqp.callbacks import call_safely

if TYPE_CHECKING:
    import pytest
    from support.rabbitmq.broker import PulseUser


def test_a_failed_callback_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    call_safely(lambda number: 1 / number, 0)
    assert "a callback failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_a_callback_that_asks_a_cancelled_future_does_not_end_the_connection(
    user: PulseUser, caplog: pytest.LogCaptureFixture
) -> None:
    cancelled = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    async with pulsekit.connect(user.url, on_state=lambda _name, _state: cancelled.result()) as pulse:
        async with asyncio.timeout(20):
            await pulse.check()
        assert pulse.state is pulsekit.State.READY
    assert "a callback failed" in caplog.text


def test_a_callback_that_returns_a_coroutine_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def note(_: int) -> None:
        raise AssertionError

    call_safely(note, 1)
    assert "note, which is not awaited" in caplog.text
