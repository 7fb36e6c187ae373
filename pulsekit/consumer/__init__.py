"""Consume one queue: reconnect, settle messages, apply a failure policy, and monitor the depth of the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.consumer.consumer import Consumer
    from pulsekit.consumer.guardian_limits import Limits, QueueDepth
    from pulsekit.consumer.policy import OnFailure, Policy, Reject, Retry, Stop
    from pulsekit.consumer.queue_options import Queue

__all__ = ["Consumer", "Limits", "OnFailure", "Policy", "Queue", "QueueDepth", "Reject", "Retry", "Stop"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "consumer": "Consumer",
        "guardian_limits": "Limits QueueDepth",
        "policy": "OnFailure Policy Reject Retry Stop",
        "queue_options": "Queue",
    },
)
