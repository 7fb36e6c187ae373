"""The guardian, which limits the length of queues as PulseGuardian does.

Every few seconds, the guardian counts the ready and unacknowledged messages of each queue. Above the first limit, it
warns the owner once. Above the second limit, it deletes the queue and cancels the consumers. See `monitor_queues` in
pulseguardian/guardian.py of https://github.com/mozilla-services/pulseguardian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulsekit.bindings.names import owner
from pulsekit.errors import ConfigurationError
from pulsekit.sandbox.events import Event

if TYPE_CHECKING:
    from pulsekit.sandbox.events import Kind
    from pulsekit.sandbox.model.broker import Broker
    from pulsekit.sandbox.model.timers import Timer
    from pulsekit.sandbox.model.virtual_hosts import VirtualHost

__all__ = ["Guardian", "GuardianLimits"]


@dataclass(frozen=True, slots=True)
class GuardianLimits:
    """The limits of the guardian. The defaults are PulseGuardian's. In production, the limits were different at times.

    Attributes:
        warn: messages above which the owner is warned.
        delete: messages above which the queue is deleted.
        interval: seconds between two checks.

    Raises:
        ConfigurationError: Raised when the limits contradict each other.
    """

    warn: int = 2000
    delete: int = 8000
    interval: float = 5.0

    def __post_init__(self) -> None:
        if not (0 <= self.warn <= self.delete and self.interval > 0):
            raise ConfigurationError("guardian limits need 0 <= warn <= delete, and an interval above 0")


class Guardian:
    """A periodic check of the queues of a broker."""

    def __init__(self, broker: Broker, limits: GuardianLimits) -> None:
        self._broker = broker
        self._limits = limits
        self._warned: set[tuple[str, str]] = set()
        self._timer: Timer | None = None

    def start(self) -> None:
        """Check the queues every `interval` seconds."""
        self._timer = self._broker.timers.after(self._limits.interval, self._poll)

    def stop(self) -> None:
        """Stop the checks."""
        if self._timer is not None:
            self._timer.cancel()

    def check_queues(self) -> None:
        """Check all queues whose name has an owner."""
        for vhost in self._broker.vhosts.values():
            for name in list(vhost.queues):
                if owner(name) is not None:
                    self._check(vhost, name)

    def _poll(self) -> None:
        self.check_queues()
        self.start()

    def _check(self, vhost: VirtualHost, name: str) -> None:
        queue, key = vhost.queues[name], (vhost.name, name)
        depth = queue.depth
        if depth > self._limits.delete:
            self._emit("guardian-deleted", vhost, name, depth, self._limits.delete)
            self._warned.discard(key)
            vhost.delete_queue(queue)
            vhost.cancel_consumers(queue)
        elif depth <= self._limits.warn:
            self._warned.discard(key)
        elif key not in self._warned:
            self._warned.add(key)
            self._emit("guardian-warned", vhost, name, depth, self._limits.warn)

    def _emit(self, kind: Kind, vhost: VirtualHost, name: str, depth: int, limit: int) -> None:
        self._broker.emit(
            Event(
                kind,
                vhost.name,
                owner(name) or "",
                queue=name,
                count=depth,
                detail=f"{depth} messages, the limit is {limit}",
            )
        )
