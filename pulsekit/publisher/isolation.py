"""Find the message for which the broker closes a channel.

Plan: channel.close reports that the broker refused a message, but not which one (see `_amqp.reply_codes`). The broker
handles messages in order and ignores all messages after the refused message, so the refused message is unanswered. If
there is only one unanswered message, it is the refused one. Otherwise, the sender sends the unanswered messages again,
in groups of half their number. It sends a group after the previous group is answered. For the group with the refused
message, the broker closes the channel again, and the size is halved again, until the group has only the refused
message. When a group is answered, the size of the next group doubles, up to the number of messages at the first close.
Then the size is no longer limited.

Invariants: `size` is None if groups have no limit, and at least 1 otherwise. `group` has the unanswered messages of the
current group. For n unanswered messages, about 2·log2(n) channels close at most for each refused message, and a message
is sent at most once on each channel.

Example: A, B, C and D are unanswered when the channel closes because of C. A and B are sent (size 2) and
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
    """The groups in which messages are sent after the broker refused one of them, see the module.

    Attributes:
        size: how many messages the next group may have, or None without a limit.
    """

    def __init__(self) -> None:
        self.size: int | None = None
        self._enough = 0  # when a group reaches this size, groups have no limit
        self._group: set[MessageT] = set()

    def closed(self, unanswered: Sequence[MessageT]) -> MessageT | None:
        """Return the refused message if it is known. Otherwise, reduce the size of the groups and return None.

        Args:
            unanswered: the unanswered messages of the closed channel.
        """
        self.abandon()
        if len(unanswered) == 1:
            return unanswered[0]
        if self.size is None:
            self._enough = len(unanswered)
        self.size = max(1, len(unanswered) // 2)
        return None

    def abandon(self) -> None:
        """Drop the current group, because its channel is closed."""
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
        """Remove an answered or timed-out message from the group. Return whether it was the last one of the group."""
        if message not in self._group:
            return False
        self._group.discard(message)
        if self._group:
            return False
        if self.size is not None:
            self.size = self.size * 2 if self.size * 2 < self._enough else None
        return True
