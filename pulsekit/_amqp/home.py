"""The process and the event loop to which a connection belongs."""

from __future__ import annotations

import asyncio
import os

from pulsekit.errors import NotOpen

__all__ = ["Home", "current_process"]

_process = object()


def current_process() -> object:
    """Return the same object in this process, and another one after a fork. Unlike a PID, it needs no system call."""
    return _process


def _forked() -> None:
    global _process  # noqa: PLW0603 - one process has one
    _process = object()


os.register_at_fork(after_in_child=_forked)


class Home:
    """The process and the event loop in which this object was made.

    A connection cannot be used in another event loop or process. Its futures would wake tasks of another thread. After
    a fork, two processes would write to one socket.
    """

    __slots__ = ("_loop", "_process")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = current_process()

    def check(self) -> None:
        """Check that the caller runs in this event loop.

        Raises:
            NotOpen: Raised in another event loop, in a thread without one, and in another process.
        """
        try:
            if asyncio.get_running_loop() is self._loop:
                return
        except RuntimeError:  # no event loop runs in this thread, or the loop belongs to the parent process
            pass
        if not self.in_process:
            raise NotOpen("the connection belongs to the parent process: call pulsekit.connect() after the fork")
        raise NotOpen(
            "the connection belongs to another event loop: call pulsekit.connect() in this one, or pass the call to "
            "the other one with asyncio.run_coroutine_threadsafe()"
        )

    @property
    def in_process(self) -> bool:
        """Whether this is the process in which the object was made."""
        return self._process is _process
