"""The consumers of a channel, and its unsettled deliveries.

A delivery is unsettled from Basic.Deliver or Basic.GetOk until its acknowledgement, rejection or requeue. Each delivery
has a tag. The tags of a channel ascend. So a dict in the order of insertion is sorted by tag, and an acknowledgement
with `multiple` removes entries from its front. The time depends only on the number of settled entries.

Example: the tags 1, 2, 3 and 4 are unsettled. `remove(3, multiple=False)` returns 3. `remove(2, multiple=True)` returns
1 and 2, and 4 is left. A second `remove(3, …)` is refused, as in RabbitMQ: unknown delivery tag.

Invariants: `consumer_deliveries` is the sum of `unsettled` of all consumers of the channel. Tags in the dict ascend.
`add_again` adds entries whose tags may be lower than those of later deliveries, so it sorts.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pulsekit.sandbox.codec import frames
from pulsekit.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pulsekit.sandbox.model.messages import Entry
    from pulsekit.sandbox.model.queues import Queue

__all__ = ["ChannelConsumer", "Unsettled", "UnsettledDeliveries"]


class Unsettled(NamedTuple):
    """An unsettled delivery. A delivery of Basic.Get has no consumer."""

    tag: int
    entry: Entry
    queue: Queue
    consumer: ChannelConsumer | None


@dataclass(eq=False, slots=True)
class ChannelConsumer:
    """A consumer of a queue, with the limit of its prefetch.

    Attributes:
        prefetch: the maximum number of unsettled deliveries. 0 means no limit.
        may_deliver: returns True if channel and connection can send a delivery.
        on_deliver: sends a delivery.
        on_cancelled: called when the queue was deleted.
        encoded_tag: the tag as an encoded short string, for Basic.Deliver.
        unsettled: the number of unsettled deliveries of the consumer.
    """

    queue: Queue
    tag: str
    no_ack: bool
    exclusive: bool
    priority: int
    prefetch: int
    may_deliver: Callable[[], bool]
    on_deliver: Callable[[ChannelConsumer, Entry], None]
    on_cancelled: Callable[[ChannelConsumer], None]
    encoded_tag: bytes = field(init=False)
    unsettled: int = 0

    def __post_init__(self) -> None:
        self.encoded_tag = frames.short_string(self.tag)

    def ready(self) -> bool:
        """Return whether a message may be delivered now."""
        return not (self.prefetch and self.unsettled >= self.prefetch) and self.may_deliver()

    def deliver(self, entry: Entry) -> None:
        """Send a message to the client."""
        self.on_deliver(self, entry)

    def cancelled(self) -> None:
        """Inform the client that the queue was deleted."""
        self.on_cancelled(self)


class UnsettledDeliveries:
    """The unsettled deliveries of a channel, in order of delivery tags.

    Attributes:
        consumer_deliveries: how many of them were sent to consumers. Basic.Qos with `global` limits this number.
    """

    def __init__(self) -> None:
        self._deliveries: OrderedDict[int, Unsettled] = OrderedDict()
        self._last_tag = 0
        self.consumer_deliveries = 0

    def next_tag(self) -> int:
        """Return the tag of the next delivery."""
        self._last_tag += 1
        return self._last_tag

    def add(self, unsettled: Unsettled) -> None:
        """Add a delivery."""
        self._deliveries[unsettled.tag] = unsettled
        if unsettled.consumer is not None:
            unsettled.consumer.unsettled += 1
            self.consumer_deliveries += 1

    def remove(self, tag: int, *, multiple: bool) -> list[Unsettled]:
        """Remove one delivery or, with `multiple`, all deliveries up to a tag. Tag 0 means all.

        Raises:
            Refusal: Raised with 406 if no unsettled delivery has that tag.
        """
        if multiple and tag == 0:
            removed = list(self._deliveries.values())
            self._deliveries.clear()
        elif tag not in self._deliveries:
            raise Refusal(406, f"unknown delivery tag {tag}")
        elif multiple:
            removed = []
            while not removed or removed[-1].tag != tag:
                removed.append(self._deliveries.popitem(last=False)[1])
        else:
            removed = [self._deliveries.pop(tag)]
        for unsettled in removed:
            if unsettled.consumer is not None:
                unsettled.consumer.unsettled -= 1
                self.consumer_deliveries -= 1
        return removed

    def add_again(self, removed: Iterable[Unsettled]) -> None:
        """Add deliveries again whose settlement was rolled back in a transaction."""
        for unsettled in removed:
            self.add(unsettled)
        self._deliveries = OrderedDict(sorted(self._deliveries.items()))
