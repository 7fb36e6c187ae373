"""Find the message for which the broker closes a channel.

Plan: channel.close reports that the broker refused a message, but not which one (see `_amqp.closes`). The broker
handles messages in order and ignores all messages behind the refused one, so the refused message has no answer. If it
is the only message without an answer, it is found. Otherwise the sender sends the messages without an answer again, in
groups of half their number, each group after the answers to the previous one. The group with the refused message closes
the channel again, and the next groups are smaller, until the message is alone. Each group that is answered doubles the
size of the next group, up to the number of messages at the first close. Then groups have no limit again.

Invariants: `size` is None if groups have no limit, and at least 1 otherwise. `group` has the messages of the current
group without an answer. For n messages without an answer, at most about 2·log2(n) channels close for each refused
message, and a message is sent again on each of them at most once.

Example: A, B, C and D have no answer when the channel closes because of C. A and B are sent (size 2) and
confirmed. C, D and two more messages are sent (size 4), and the channel closes. C and D are sent (size 2), and the
channel closes. C is sent alone (size 1), and the channel closes: the broker refused C. D follows alone, then two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Isolation"]

MessageT = TypeVar("MessageT")


class Isolation(Generic[MessageT]):
    """The groups in which messages are sent after the broker refused one of them; see the module.

    Attributes:
        size: how many messages the next group may have, or None without a limit.
    """

    def __init__(self) -> None:
        self.size: int | None = None
        self._enough = 0  # the size from which on groups have no limit again
        self._group: set[MessageT] = set()

    def closed(self, unanswered: Sequence[MessageT]) -> MessageT | None:
        """Return the refused message if it is known; otherwise reduce the size of the groups.

        Args:
            unanswered: the messages that were sent on the closed channel and have no answer.
        """
        self.abandon()
        if len(unanswered) == 1:
            return unanswered[0]
        if self.size is None:
            self._enough = len(unanswered)
        self.size = max(1, len(unanswered) // 2)
        return None

    def abandon(self) -> None:
        """Forget the current group: its channel is gone."""
        self._group.clear()

    def split(self, messages: list[MessageT]) -> tuple[list[MessageT], list[MessageT]]:
        """Return the messages to send now, and the messages to send later."""
        if self.size is None:
            return messages, []
        if self._group:
            return [], messages
        now = messages[: self.size]
        self._group.update(now)
        return now, messages[self.size :]

    def answered(self, message: MessageT) -> bool:
        """Remove an answered or timed-out message from the group; return whether it was the last of the group."""
        if message not in self._group:
            return False
        self._group.discard(message)
        if self._group:
            return False
        if self.size is not None:
            self.size = self.size * 2 if self.size * 2 < self._enough else None
        return True
