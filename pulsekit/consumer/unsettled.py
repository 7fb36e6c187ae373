"""Warnings about messages that a caller does not settle, so that the broker delivers no more."""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulsekit._amqp.consuming import ConsumeChannel

__all__ = ["FullPrefetch", "ack_timeout_words"]

log = logging.getLogger("pulsekit")


class FullPrefetch:
    """A check whether a caller waits for a message while unsettled messages fill the prefetch of its consumer.

    It warns if two calls of `check` in a row find that, with no delivery between them. A second warning follows only
    after a check that found free places.
    """

    def __init__(self) -> None:
        self._since = 0.0  # the last delivery before the first check that found no free place; inf after the warning

    def check(self, queue: str, channel: ConsumeChannel, ready: int | None, *, waits: bool, received: float) -> None:
        """Check once.

        Args:
            queue: the name of the queue.
            channel: the channel of the consumer.
            ready: how many messages are ready in the queue, or None if the limit of bytes is reached.
            waits: whether a caller waits for a message, and none is in the buffer.
            received: when the last message arrived, in seconds since 1970.
        """
        stuck = waits and ready != 0 and channel.is_full
        if stuck and self._since == received:
            log.warning(
                "the consumer of %s has %d unsettled messages, as many as its %s, so %s: settle each message, or "
                "increase the limit (Policy.max_local_delay)",
                queue,
                channel.unsettled,
                "prefetch" if ready else "prefetch_bytes allows",
                f"the broker does not deliver the {ready:,} that are ready" if ready else "the connection is not read",
            )
            self._since = inf
        elif not stuck or self._since != inf:
            self._since = received if stuck else 0.0


def ack_timeout_words(queue: str, delivery_tag: int | None, seconds: float) -> str:
    """Return a warning after the consumer_timeout of the broker, with what the user can do.

    Args:
        queue: the name of the queue.
        delivery_tag: the tag of the oldest delivery that was not settled, or None if it is unknown.
        seconds: the timeout, or 0 if it is unknown.
    """
    delivery = "a delivery" if delivery_tag is None else f"delivery {delivery_tag}"
    within = f"within {seconds:,g} s" if seconds else "in time"
    return (
        f"the broker closed the channel of {queue}: {delivery} was not settled {within}, the broker's "
        "consumer_timeout; it delivers all unsettled messages again: settle each message sooner, or have "
        "consumer_timeout increased"
    )
