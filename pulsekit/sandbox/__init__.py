"""Pulse on your own machine: an AMQP 0-9-1 broker in memory, for trying, testing and CI.

Read it from the inside out: `tables`, `frames` and `properties` are the bytes; `messages`, `backlog`, `queues`,
`exchanges`, `deadletters` and `vhosts` the model; `topology`, `consumers`, `publishing`, `channels` and `sessions` the
protocol; `server` the sockets. Only `server` and `sandbox` know asyncio.
"""

from __future__ import annotations

from pulsekit.sandbox.events import Event
from pulsekit.sandbox.guardian import GuardianLimits
from pulsekit.sandbox.sandbox import Sandbox

__all__ = ["Event", "GuardianLimits", "Sandbox"]
