"""Call functions on the first signal. Restore the former signal handlers for the second signal.

Several objects may wait for the same signal. The first signal calls the functions of all these objects. It also
restores the former handlers of their signals, so that the next signal has its former effect.

Invariants: while the handler of this module is installed for a signal, `_waiting` has the objects that wait for it, and
`_former` has the former handler. Both are global, since a process has one handler for each signal. If no object waits,
because the last one was closed in another thread or belongs to the parent process, the signal has its former effect.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["FirstSignal"]

_waiting: dict[int, list[FirstSignal]] = {}
_former: dict[int, Any] = {}


class FirstSignal:
    """Signal handlers that are removed by the first signal.

    The handlers of the event loop (`add_signal_handler`) are not used: they do not run while a message handler blocks
    the loop, so a second signal would have no effect.
    """

    def __init__(self, on_signal: Callable[[signal.Signals], None]) -> None:
        self._on_signal = on_signal
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self, loop: asyncio.AbstractEventLoop, *signals: signal.Signals) -> None:
        """Install the handlers. The function is called in the event loop. Call `install` in the main thread."""
        self.restore()
        self._loop = loop
        for number in signals:
            if number not in _waiting:
                _former[number] = signal.signal(number, _on_first)
            _waiting.setdefault(number, []).append(self)

    def restore(self) -> None:
        """Restore the former handlers of all signals for which no other object waits. Restoring twice is fine.

        Python sets handlers in the main thread only. In another thread, the next signal restores its former handler.
        """
        for number, waiting in list(_waiting.items()):
            if self in waiting:
                waiting.remove(self)
                if not waiting and threading.current_thread() is threading.main_thread():
                    _restore(number)

    def _received(self, number: int) -> None:
        self.restore()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._on_signal, signal.Signals(number))


def _restore(number: int) -> None:
    _waiting.pop(number, None)
    signal.signal(number, _former.pop(number, None) or signal.SIG_DFL)


def _on_first(number: int, _: object) -> None:
    waiting = list(_waiting.get(number, ()))
    if not waiting:
        _restore(number)
        signal.raise_signal(number)
    for one in waiting:
        one._received(number)  # noqa: SLF001 - same module


def _forked() -> None:
    for waiting in _waiting.values():
        waiting.clear()


os.register_at_fork(after_in_child=_forked)
