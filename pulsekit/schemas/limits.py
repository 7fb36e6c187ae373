"""A time limit for validation, because a slow pattern would block heartbeats and signals, or a command without an end.

Plan: `limited` calls a function with a timer for the processor time (SIGVTALRM). `re` runs signal handlers while it
searches, and the handler raises an exception. After a call that exceeded the limit, the limit is shorter until the
event loop has run again, so that several slow payloads do not block the loop.

Setting a timer takes longer than most validations. In a block of `watched`, which reads files, one timer ticks for all
calls, and the handler raises when one call was running for `_TICKS` ticks.

Otherwise, there is no limit without a running event loop, because Ctrl-C interrupts the function. There is no limit
outside the main thread either, because Python runs signal handlers only in the main thread.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["LIMIT", "limited", "watched"]

T = TypeVar("T")

LIMIT = 1.0  # seconds of processor time, so that heartbeats are in time even on a busy machine
_SHORT = 0.05  # seconds, for the calls after a late one
_TICKS = 4  # in the limit of a watched call, which therefore ends at most a quarter later than the limit

_limit = LIMIT
_armed = False
_numbers = count(1)  # of watched calls
_watcher = 0  # the thread of `watched`, or 0
_running = 0  # the number of the watched call, or 0
_ticks = _TICKS  # the limit of that call
_seen = (0, 0)  # the number of the call at the last tick, and its ticks


class _Late(BaseException):
    """Raised in the function that exceeds the limit. Its handlers of `Exception` do not catch this."""


def limited(function: Callable[[], T], otherwise: T, *, patience: int = 1) -> T:
    """Return the result of a function, or another value if the function exceeds the limit.

    Args:
        function: the function.
        otherwise: the other value.
        patience: how many limits the function can take in a block of `watched`, where it blocks no event loop.
    """
    global _armed, _limit  # noqa: PLW0603 - the timer belongs to the process
    if _watcher and not _running and _watcher == threading.get_ident():
        return _counted(function, otherwise, _TICKS * patience)
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


@contextmanager
def watched() -> Iterator[None]:
    """Limit all calls of `limited` in the block, also without a running event loop.

    The block does nothing outside the main thread, and if the program uses the timer.
    """
    global _watcher  # noqa: PLW0603 - the timer belongs to the process
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGVTALRM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGVTALRM, _tick)
    try:
        _watcher = threading.get_ident()
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT / _TICKS, LIMIT / _TICKS)
        yield
    finally:
        _watcher = 0
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)


def _counted(function: Callable[[], T], otherwise: T, ticks: int) -> T:
    global _running, _ticks  # noqa: PLW0603 - see `limited`
    try:
        _ticks = ticks
        _running = next(_numbers)
        try:
            return function()
        finally:
            _running = 0
    except _Late:
        _running = 0  # the handler may have raised before the line above
        return otherwise


def _tick(_number: int, _frame: FrameType | None) -> None:
    global _seen  # noqa: PLW0603 - see `limited`
    if _running:
        _seen = _running, _seen[1] + 1 if _seen[0] == _running else 0
        if _seen[1] >= _ticks:
            raise _Late


def _stop(_number: int, _frame: FrameType | None) -> None:
    if _armed:
        raise _Late


def _restore() -> None:
    global _limit  # noqa: PLW0603 - see `limited`
    _limit = LIMIT
