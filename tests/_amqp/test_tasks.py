from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiormq
import pytest
from support.proxy import Proxy

from pulsekit._amqp.tasks import end_task, run_cancellable

if TYPE_CHECKING:
    from pulsekit.testing import PulseSandbox


async def test_a_task_that_swallows_a_cancellation_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pulsekit._amqp.tasks._PATIENCE", 0.01)
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 3:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end_task(task)
    assert task.cancelled()
    assert swallowed == 3


async def test_a_task_that_has_ended_is_not_cancelled() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await end_task(task)
    assert not task.cancelled()


async def test_a_request_of_a_connection_closed_without_a_reason_is_lost(
    pulse_sandbox: PulseSandbox,
) -> None:
    async with Proxy(pulse_sandbox.url("me")) as proxy:
        connection = await aiormq.connect(proxy.url)
        proxy.hold_answers()
        carried = proxy.carried
        opening = asyncio.create_task(run_cancellable(connection.channel()))
        while proxy.carried == carried:
            await asyncio.sleep(0)
        await connection._cancel_tasks()  # as aiormq does when its reader ends without an error
        with pytest.raises(ConnectionResetError, match="the connection was closed"):
            await opening
        proxy.release_answers()
        await connection.close()
