"""The deadlines of messages that wait for a confirm, and the outcome of a message at its deadline."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

from pulsekit._amqp.connection import State
from pulsekit._amqp.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pulsekit._amqp.publishing import PublishChannel
    from pulsekit.publisher.window import PendingMessage

__all__ = ["Deadlines", "outcome_at_deadline", "wait_words"]

_LEAST_PAUSE = 0.01  # seconds between two checks of deadlines


class Deadlines:
    """One timer for the earliest deadline of all pending messages.

    Args:
        pending: the messages without an outcome, in any order of their deadlines.
        on_due: called with the messages whose deadline has passed. It removes them from `pending`.

    Attributes:
        earliest: the time for which the timer is set, on the clock of the event loop. Infinite without a timer.
    """

    def __init__(self, pending: Iterable[PendingMessage], on_due: Callable[[list[PendingMessage]], None]) -> None:
        self._pending = pending
        self._on_due = on_due
        self._timer: asyncio.TimerHandle | None = None
        self.earliest = inf

    def add(self, deadline: float) -> None:
        """Set the timer to the deadline of a new message, unless it is set to an earlier time."""
        if deadline < self.earliest:
            self.stop()
            self._timer, self.earliest = asyncio.get_running_loop().call_at(deadline, self._check), deadline

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self.earliest = None, inf

    def _check(self) -> None:
        self._timer, self.earliest = None, inf
        now = asyncio.get_running_loop().time()
        self._on_due([message for message in self._pending if message.deadline <= now])
        if (earliest := min((message.deadline for message in self._pending), default=inf)) < inf:
            self.add(max(now + _LEAST_PAUSE, earliest))


def outcome_at_deadline(message: PendingMessage) -> Outcome:
    """Return the outcome of a message that has no answer at its deadline.

    It is UNKNOWN if the message was sent on a connection that was lost, because it may have arrived, else TIMEOUT.
    """
    return Outcome.UNKNOWN if message.sends > 0 and not message.in_flight else Outcome.TIMEOUT


def wait_words(message: PendingMessage, channel: PublishChannel[PendingMessage] | None, state: State) -> str:
    """Describe whether an unanswered message was sent, and what it waited for.

    Args:
        message: the message.
        channel: the channel of its publisher, or None if none is open.
        state: the state of the connection.
    """
    if channel is None:
        connected = state in {State.READY, State.BLOCKED}
        waited = "no channel on the connection" if connected else "no connection to the broker"
    elif (reason := channel.link.blocked) is not None:
        waited = f"the broker blocks publishers: {reason}"
    elif not channel.flowing:
        waited = "the broker accepts no messages on the channel (channel.flow)"
    elif not channel.writable:
        waited = "the broker does not read from the connection"
    elif message.in_flight:
        waited = "the broker sent no confirm"
    else:
        waited = "it waited for other messages"
    return f"{'sent' if message.sends else 'not sent'}; {waited}"
