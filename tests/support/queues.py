"""Queues whose consumers have gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit.queues.operations import queue_depth

if TYPE_CHECKING:
    import pulsekit


async def depth_without_consumers(pulse: pulsekit.Pulse, name: str) -> pulsekit.QueueDepth:
    """Return the depth of a queue once it has no consumer, when all messages that were delivered are ready again.

    A quorum queue notices some time after the answer to channel.close that its consumer is gone.
    """
    while (depth := await queue_depth(pulse, name)).consumers:
        pass
    return depth
