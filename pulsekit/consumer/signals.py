"""Call a function on the first signal, and restore the former handlers for the second."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FirstSignal"]


class FirstSignal:
    """Signal handlers that are removed by the first signal.

    They are not the event loop's own handlers: those run in the event loop, so that a second signal would be lost while
    a message handler blocks the loop.
    """

    def __init__(self, on_signal: Callable[[signal.Signals], None]) -> None:
        self._on_signal = on_signal
        self._former: dict[signal.Signals, Any] = {}

    def install(self, *signals: signal.Signals) -> None:
        """Install the handlers; the function will be called in the running event loop. Call it in the main thread."""
        self.restore()
        loop = asyncio.get_running_loop()

        def on_signal(number: int, _: object) -> None:
            self.restore()
            loop.call_soon_threadsafe(self._on_signal, signal.Signals(number))

        for number in signals:
            self._former[number] = signal.signal(number, on_signal)

    def restore(self) -> None:
        """Restore the former handlers. Doing it again is fine."""
        for number, former in self._former.items():
            signal.signal(number, former or signal.SIG_DFL)
        self._former = {}
