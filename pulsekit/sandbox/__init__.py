"""Pulse on your own machine: an AMQP 0-9-1 broker in memory, for experiments, tests and CI.

`codec` reads and writes bytes. `model` has exchanges, queues and messages. `protocol` handles AMQP methods. `server`
connects sessions to sockets, and `sandbox` is the interface for users. Only the last two import asyncio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.sandbox.events import Event
    from pulsekit.sandbox.guardian import GuardianLimits
    from pulsekit.sandbox.sandbox import Sandbox

__all__ = ["Event", "GuardianLimits", "Sandbox"]

__getattr__, __dir__ = lazy_names(__name__, {"events": "Event", "guardian": "GuardianLimits", "sandbox": "Sandbox"})
