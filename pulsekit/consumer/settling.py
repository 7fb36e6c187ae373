"""Settle the messages of one channel, in any thread.

Plan: in the thread of the event loop, a message is settled at once. Other threads append their settlements to a deque,
and one callback in the event loop (`drain`) settles all of them. While that callback is scheduled, no other is: to wake
the event loop costs more than to settle a message.

Invariants:

- `settle` appends to the deque, and then reads `_scheduled`. `drain` clears `_scheduled`, and then reads the deque. So
  each settlement is seen by the `drain` that runs, or by another one.
- The settlements of one thread stay in order, and precede what the thread does next in the event loop: its `drain` was
  scheduled before that.
- `end` settles what was collected before the subscription leaves the channel.
- In a forked process, and when the event loop is closed, a settlement is stale: nothing can be sent.

Example: a thread acknowledges messages 1 to 60 while the event loop waits for the GIL. The first one schedules `drain`.
`drain` passes 60 settlements to the channel, which writes one basic.ack.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from threading import get_ident
from typing import TYPE_CHECKING, Protocol

from pulsekit._amqp.home import current_process
from pulsekit.errors import NetworkError
from pulsekit.messages import Settler

if TYPE_CHECKING:
    from pulsekit._amqp.consuming import ConsumeChannel
    from pulsekit._amqp.types import Settlement
    from pulsekit.bindings.registration import Binding
    from pulsekit.consumer.last_chances import LastChances
    from pulsekit.messages import Message

__all__ = ["ChannelSettler"]


class _Subscription(Protocol):
    """What a settler uses of its subscription."""

    stale: int
    last_chances: LastChances

    def settled(self, message: Message, settlement: Settlement, *, stale: bool) -> None:
        """Report the settlement of a message to the hooks."""

    def matching(self, message: Message) -> tuple[Binding, ...]:
        """Return the bindings that a message matched."""


class ChannelSettler(Settler):
    """The settler of the messages of one channel; their delivery tags are not valid on another channel."""

    __slots__ = ("_channel", "_collected", "_ended", "_loop", "_process", "_scheduled", "_subscription", "_thread")

    def __init__(self, subscription: _Subscription, channel: ConsumeChannel) -> None:
        self._subscription = subscription
        self._channel = channel
        self._ended = False
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._process = current_process()
        self._collected: deque[tuple[Message, Settlement]] = deque()  # by other threads
        self._scheduled = False  # whether `drain` will be called

    def settle(self, message: Message, settlement: Settlement) -> None:
        """Settle a message, or count it as stale. In another thread, the event loop does this; see the module."""
        if current_process() is not self._process:  # the socket is that of the parent process
            self._subscription.stale += 1
        elif get_ident() == self._thread:
            self._settle(message, settlement)
        else:
            self._collected.append((message, settlement))
            if not self._scheduled or self._loop.is_closed():
                self._scheduled = True
                try:
                    self._loop.call_soon_threadsafe(self.drain)
                except RuntimeError:  # the event loop is closed, and the broker has requeued the messages
                    with suppress(IndexError):
                        while True:
                            self._collected.popleft()
                            self._subscription.stale += 1

    def drain(self) -> None:
        """Settle what other threads have collected. This runs in the event loop."""
        self._scheduled = False
        while self._collected:
            self._settle(*self._collected.popleft())

    def end(self) -> None:
        """Settle what was collected. Later settlements are stale: the subscription leaves the channel."""
        self.drain()
        self._ended = True

    def _settle(self, message: Message, settlement: Settlement) -> None:
        subscription = self._subscription
        if not self._ended:
            if subscription.last_chances.tags:
                subscription.last_chances.settled(message, settlement)
            try:
                if self._channel.settle(message.delivery_tag, settlement):
                    subscription.settled(message, settlement, stale=False)
            except NetworkError:
                pass
            else:
                return
        subscription.stale += 1
        subscription.settled(message, settlement, stale=True)

    def bindings(self, message: Message) -> tuple[Binding, ...]:
        """Return the bindings of the subscription that the message matched."""
        return self._subscription.matching(message)

    def live(self, message: Message) -> bool:
        """Return whether a message can still be settled."""
        if self._ended or current_process() is not self._process:
            return False
        return self._channel.is_unsettled(message.delivery_tag)
