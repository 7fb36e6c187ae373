"""Inspect and manage queues, over AMQP and through PulseGuardian's public web pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.queues.guardian_site import Comparison, compare, fetch_bindings
    from pulsekit.queues.operations import delete_queue, peek, purge_queue, queue_depth, take, watch

__all__ = [
    "Comparison", "compare", "delete_queue", "fetch_bindings", "peek", "purge_queue", "queue_depth", "take",
    "watch",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "guardian_site": "Comparison compare fetch_bindings",
        "operations": "delete_queue peek purge_queue queue_depth take watch",
    },
)
