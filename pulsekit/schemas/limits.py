"""A time limit for validation in the event loop, where a slow pattern would block heartbeats and signals.

Plan: `limited` calls a function with a timer for the processor time (SIGVTALRM). `re` runs signal handlers while it
searches, and the handler raises. After a late call, the limit is short until the event loop has run again, so that a
batch of slow payloads does not block it either.

Without a running event loop there is no limit, because Ctrl-C interrupts the function. There is no limit outside the
main thread either, because Python runs signal handlers only in the main thread.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["LIMIT", "limited"]

T = TypeVar("T")

LIMIT = 1.0  # seconds of processor time, so that heartbeats are in time even on a busy machine
_SHORT = 0.05  # seconds, for the calls after a late one

_limit = LIMIT
_armed = False


class _Late(BaseException):
    """Raised in the function. No handler of `Exception` in it catches this."""


def limited(function: Callable[[], T], otherwise: T) -> T:
    """Return the result of a function, or another value if the function exceeds the limit."""
    global _armed, _limit  # noqa: PLW0603 - the timer belongs to the process
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or _armed or threading.current_thread() is not threading.main_thread():
        return function()
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return function()
    if signal.getsignal(signal.SIGVTALRM) is not signal.SIG_DFL:  # the program uses this timer
        return function()
    signal.signal(signal.SIGVTALRM, _stop)
    try:
        _armed = True
        signal.setitimer(signal.ITIMER_VIRTUAL, _limit)
        return function()
    except _Late:
        _limit = _SHORT
        loop.call_soon(_restore)
        return otherwise
    finally:
        _armed = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)


def _stop(_number: int, _frame: FrameType | None) -> None:
    if _armed:
        raise _Late


def _restore() -> None:
    global _limit  # noqa: PLW0603 - see `limited`
    _limit = LIMIT
