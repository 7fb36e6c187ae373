from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pulsekit._amqp.tasks import end_task

if TYPE_CHECKING:
    import pytest


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
