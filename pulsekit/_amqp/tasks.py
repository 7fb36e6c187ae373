"""End a task, also where a cancellation can be swallowed."""

from __future__ import annotations

import asyncio

__all__ = ["end_task"]

_PATIENCE = 5.0  # seconds until the task is cancelled again; a task that closes a channel may take 3


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended.

    On Python 3.11, `asyncio.wait_for`, which aiormq uses, can swallow a cancellation that comes in the same turn of the
    event loop as the result (https://github.com/python/cpython/issues/86296). The task then goes on, so it is cancelled
    again.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_PATIENCE)
