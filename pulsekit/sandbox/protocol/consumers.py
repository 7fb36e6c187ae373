"""Consumers: who gets deliveries on a channel, and the ledger of what is still unsettled to the queues."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from pulsekit.sandbox.codec import frames
from pulsekit.sandbox.refusals import precondition_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pulsekit.sandbox.model.messages import Entry
    from pulsekit.sandbox.model.queues import Queue

__all__ = ["ChannelConsumer", "Unsettled", "UnsettledDeliveries"]


class Unsettled(NamedTuple):
    """Remember whose a delivered message is, until it is settled; Basic.Get has no subscription."""

    tag: int
    entry: Entry
    queue: Queue
    consumer: ChannelConsumer | None


class ChannelConsumer:
    """Be a consumer to a queue, within the limits of its prefetch.

    Args:
        queue: what it consumes.
        tag: its name on the channel.
        prefetch: how many unsettled messages it may have; 0 is any number.
        may_deliver: tells whether channel and connection can take a message.
        on_deliver: sends one.
        on_cancelled: tells the client that the queue is gone.
    """

    def __init__(
        self,
        queue: Queue,
        tag: str,
        *,
        no_ack: bool,
        exclusive: bool,
        priority: int,
        prefetch: int,
        may_deliver: Callable[[], bool],
        on_deliver: Callable[[ChannelConsumer, Entry], None],
        on_cancelled: Callable[[ChannelConsumer], None],
    ) -> None:
        self.queue = queue
        self.tag = tag
        self.wire_tag = frames.short_string(tag)
        self.no_ack = no_ack
        self.exclusive = exclusive
        self.priority = priority
        self.prefetch = prefetch
        self.unsettled = 0
        self._may_deliver = may_deliver
        self._on_deliver = on_deliver
        self._on_cancelled = on_cancelled

    def ready(self) -> bool:
        """Tell whether a message may be delivered now."""
        return not (self.prefetch and self.unsettled >= self.prefetch) and self._may_deliver()

    def deliver(self, entry: Entry) -> None:
        """Send a message to the client."""
        self._on_deliver(self, entry)

    def cancelled(self) -> None:
        """Tell the client that the queue is gone."""
        self._on_cancelled(self)


class UnsettledDeliveries:
    """Keep what was delivered and not settled, in order of delivery tags.

    Attributes:
        consumed: how many of them came through subscriptions, which is what `qos global` limits.
    """

    def __init__(self) -> None:
        self._deliveries: OrderedDict[int, Unsettled] = OrderedDict()
        self._last_tag = 0
        self.consumed = 0

    def next_tag(self) -> int:
        """Number a delivery."""
        self._last_tag += 1
        return self._last_tag

    def add(self, unsettled: Unsettled) -> None:
        """Note a delivery that has to be settled."""
        self._deliveries[unsettled.tag] = unsettled
        if unsettled.consumer is not None:
            unsettled.consumer.unsettled += 1
            self.consumed += 1

    def remove(self, tag: int, *, multiple: bool) -> list[Unsettled]:
        """Remove one delivery, or all up to one; tag 0 with `multiple` is all.

        Raises:
            Refusal: 406, no such delivery is open.
        """
        if multiple and tag == 0:
            removed = list(self._deliveries.values())
            self._deliveries.clear()
        elif tag not in self._deliveries:
            raise precondition_failed(f"unknown delivery tag {tag}")
        elif multiple:
            removed = []
            while not removed or removed[-1].tag != tag:
                removed.append(self._deliveries.popitem(last=False)[1])
        else:
            removed = [self._deliveries.pop(tag)]
        for unsettled in removed:
            if unsettled.consumer is not None:
                unsettled.consumer.unsettled -= 1
                self.consumed -= 1
        return removed

    def add_again(self, removed: Iterable[Unsettled]) -> None:
        """Put back what a rolled back transaction had settled."""
        for unsettled in removed:
            self.add(unsettled)
        self._deliveries = OrderedDict(sorted(self._deliveries.items()))
