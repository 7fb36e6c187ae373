"""The broker: virtual hosts, users, clock and memory, shared by all sessions; no I/O."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pulsekit.sandbox.model.timers import Timers
from pulsekit.sandbox.model.users import Users
from pulsekit.sandbox.model.virtual_hosts import VirtualHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from pulsekit.sandbox.events import Event, Observer

    class _Session(Protocol):
        def unblock(self) -> None: ...


__all__ = ["Broker"]

DEFAULT_MEMORY_LIMIT = 1 << 30


class Broker:
    """Own everything that outlives a connection.

    Args:
        users: who may log in.
        vhosts: names of the virtual hosts.
        memory_limit: bytes of messages above which publishers have to wait.
        clock: seconds, for timers.

    Attributes:
        sessions: the open connections.
        observers: take every event; without one, none is built for what happens to messages.
        change_observers: take every event that is built: without observers, those of connections, exchanges and queues.
        refusing: True while every publish is answered with a negative confirm and goes nowhere.
    """

    def __init__(
        self,
        *,
        users: Users | None = None,
        vhosts: Iterable[str] = ("/", "communitytc"),
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.users = users or Users()
        self.timers = Timers(clock)
        self.memory_limit = memory_limit
        self.memory_used = 0
        self.refusing = False
        self.observers: list[Observer] = []
        self.change_observers: list[Observer] = []
        self.sessions: set[_Session] = set()
        self.vhosts = {name: VirtualHost(name, self.timers, self.use_memory, self.emit) for name in vhosts}
        self._block_reason = ""
        self._memory_alarm = False

    @property
    def blocked(self) -> str:
        """Why publishers have to wait, or the empty string."""
        return self._block_reason or ("low on memory" if self._memory_alarm else "")

    def emit(self, event: Event) -> None:
        """Tell every observer."""
        for observer in (*self.observers, *self.change_observers):
            observer(event)

    def use_memory(self, cost: int) -> None:
        """Add to the memory that messages use; crossing the limit blocks or frees publishers."""
        self.memory_used += cost
        if not self._memory_alarm:
            if self.memory_used > self.memory_limit:
                self._memory_alarm = True
        elif self.memory_used <= self.memory_limit * 0.9:  # a margin, or each ack would be followed by an alarm
            self._memory_alarm = False
            self._unblock_sessions()

    def block(self, reason: str = "blocked on request") -> None:
        """Make publishers wait, as RabbitMQ does when it runs low: each is told at its next publish."""
        self._block_reason = reason

    def unblock(self) -> None:
        """Let publishers go on."""
        self._block_reason = ""
        self._unblock_sessions()

    def _unblock_sessions(self) -> None:
        if not self.blocked:
            for session in list(self.sessions):
                session.unblock()
