"""The broker: virtual hosts, users, timers and the memory limit, which all sessions share. No I/O."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pulsekit.sandbox.model.timers import Timers
from pulsekit.sandbox.model.users import DEFAULT_USER, Users
from pulsekit.sandbox.model.virtual_hosts import VirtualHost
from pulsekit.sandbox.releases import DEFAULT_RELEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from pulsekit.sandbox.events import Event, Observer
    from pulsekit.sandbox.releases import Release

    class _Session(Protocol):
        def unblock(self) -> None: ...


__all__ = ["Broker"]

DEFAULT_MEMORY_LIMIT = 1 << 30


class Broker:
    """The state that connections share, and that outlives them.

    Args:
        users: the users who may log in.
        vhosts: names of the virtual hosts.
        memory_limit: bytes of messages above which publishers are blocked.
        default_user: the user in the server properties, with which commands log in.
        release: the release of RabbitMQ whose answers the broker imitates.
        clock: seconds, for timers.

    Attributes:
        memory_used: bytes of all messages.
        sessions: the open connections.
        observers: called with every event. Without an observer, no events about messages are built, which is faster.
        change_observers: called with every event that is built. If `observers` is empty, these are the events about
            connections, exchanges and queues.
        refusing: True while the broker routes no message and answers every publish with a negative confirm.
    """

    def __init__(
        self,
        *,
        users: Users | None = None,
        vhosts: Iterable[str] = ("/", "communitytc"),
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
        default_user: str = DEFAULT_USER,
        release: Release = DEFAULT_RELEASE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.users = users or Users()
        self.timers = Timers(clock)
        self.memory_limit = memory_limit
        self.default_user = default_user
        self.release = release
        self.memory_used = 0
        self.refusing = False
        self.observers: list[Observer] = []
        self.change_observers: list[Observer] = []
        self.sessions: set[_Session] = set()
        self.vhosts = {name: VirtualHost(name, self.timers, self.use_memory, self.emit, release) for name in vhosts}
        self._block_reason = ""
        self._memory_alarm = False

    @property
    def blocked(self) -> str:
        """The reason why publishers are blocked, or the empty string."""
        return self._block_reason or ("low on memory" if self._memory_alarm else "")

    def emit(self, event: Event) -> None:
        """Call every observer."""
        for observer in (*self.observers, *self.change_observers):
            observer(event)

    def use_memory(self, cost: int) -> None:
        """Add to the memory that messages use. Block or unblock publishers if the limit is crossed."""
        self.memory_used += cost
        if not self._memory_alarm:
            if self.memory_used > self.memory_limit:
                self._memory_alarm = True
        elif (
            self.memory_used <= self.memory_limit * 0.9
        ):  # with a margin, so that not every ack ends the alarm and every publish raises it again
            self._memory_alarm = False
            self._unblock_sessions()

    def block(self, reason: str = "blocked on request") -> None:
        """Block each publisher at its next publish, as RabbitMQ does during a resource alarm."""
        self._block_reason = reason

    def unblock(self) -> None:
        """Unblock publishers, unless the memory alarm is on."""
        self._block_reason = ""
        self._unblock_sessions()

    def _unblock_sessions(self) -> None:
        if not self.blocked:
            for session in list(self.sessions):
                session.unblock()
