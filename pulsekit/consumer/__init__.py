"""Consume one queue: reconnect, acknowledge, apply a failure policy, and watch the depth of the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.consumer.consumer import Consumer
    from pulsekit.consumer.depth import Depth, Limits
    from pulsekit.consumer.policy import Fate, Policy

__all__ = [
    "Consumer",
    "Depth",
    "Fate",
    "Limits",
    "Policy",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "pulsekit.consumer.consumer": ("Consumer",),
        "pulsekit.consumer.depth": (
            "Depth",
            "Limits",
        ),
        "pulsekit.consumer.policy": (
            "Fate",
            "Policy",
        ),
    },
)
