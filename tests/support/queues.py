"""Queues to which messages return."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit.queues.operations import queue_depth

if TYPE_CHECKING:
    import pulsekit


async def depth_after_return(pulse: pulsekit.Pulse, name: str, at_least: int) -> pulsekit.QueueDepth:
    """Return the depth of a queue once it has a number of ready messages.

    RabbitMQ can answer channel.close before the queue has noticed that the channel is gone, with unsettled messages.
    """
    while (depth := await queue_depth(pulse, name)).ready < at_least:
        pass
    return depth
