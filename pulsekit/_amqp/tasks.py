"""Await coroutines of aiormq so that no cancellation is lost, end tasks, and call blocking functions.

On Python 3.11, `asyncio.wait_for`, which aiormq uses, can swallow a cancellation that arrives in the same iteration of
the event loop as the result (https://github.com/python/cpython/issues/86296). `asyncio.wait` cannot swallow it. So each
coroutine of aiormq runs in its own task, and the caller waits for this task with `asyncio.wait`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["cancels_task", "end_task", "run_cancellable", "run_in_daemon", "set_outcome"]

T = TypeVar("T")

log = logging.getLogger("pulsekit")

_SLOW = 2.0  # seconds; an answer usually takes milliseconds
_PATIENCE = 5.0  # seconds until the task is cancelled again; closing a channel needs at most 3


async def run_cancellable(
    coroutine: Coroutine[Any, Any, T],
    discard: Callable[[T], object] | None = None,
    *,
    doing: str = "",
    patience: float = 0,
) -> T:
    """Return the result of a coroutine that may swallow a cancellation. A cancellation of the caller is always raised.

    Args:
        coroutine: the coroutine. If the caller is cancelled, it is cancelled too, and the caller waits for its end.
        discard: called with the result if the coroutine was cancelled, but returned a result.
        doing: the operation, for a warning if the broker has not answered for `_SLOW` seconds.
        patience: the seconds that a cancelled caller waits for the result before the coroutine is cancelled too.

    Raises:
        ConnectionResetError: Raised in place of the bare `Exception` that aiormq raises in each waiting request when
            the connection is closed without a reason. No caller could catch that exception without catching every
            error.
    """
    task = asyncio.ensure_future(coroutine)
    try:
        await asyncio.wait([task], timeout=_SLOW if doing else None)
        if not task.done():
            log.warning("the broker has not answered for %g s: still waiting to %s", _SLOW, doing)
            await asyncio.wait([task])
    except asyncio.CancelledError:
        try:
            if patience:
                await asyncio.wait([task], timeout=patience)
        finally:
            task.add_done_callback(lambda _: _discard(task, discard))
            await end_task(task)
        raise
    try:
        return task.result()
    except Exception as error:
        if type(error) is Exception:
            raise ConnectionResetError("the connection was closed") from error
        raise


def _discard(task: asyncio.Task[T], discard: Callable[[T], object] | None) -> None:
    if not task.cancelled() and task.exception() is None and discard is not None:
        discard(task.result())


def cancels_task(error: BaseException) -> bool:
    """Return whether an exception is the cancellation of the current task.

    Code of the user can also raise a CancelledError, for example when it awaits a future that was cancelled.
    """
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end. If the task swallows the cancellation, cancel it again."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_PATIENCE)


async def run_in_daemon(function: Callable[[], T], name: str) -> T:
    """Return the result of a blocking function, in a daemon thread. Cancelling does not stop the function.

    When the program ends, Python joins the threads of the event loop's executor. There, a resolver or a command that
    does not answer would delay the end.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            result, error = function(), None
        except Exception as caught:  # noqa: BLE001 - the waiting coroutine raises it
            result, error = None, caught
        with contextlib.suppress(RuntimeError):  # the event loop was closed
            loop.call_soon_threadsafe(set_outcome, answer, result, error)

    threading.Thread(target=work, name=name, daemon=True).start()
    return await answer


def set_outcome(answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    """Set the result or the exception of a future, unless it was cancelled."""
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
