"""Send encoded messages with confirms, and settle each message with an outcome, even after reconnects.

Plan: a message is accepted, sent and settled.

- `accept` adds the message to `_outbox` and to `pending`, which is in the order of acceptance.
- `flush` writes the outbox to the channel of the current epoch in one batch. It is called at the end of an iteration of
  the event loop, when 64 messages wait, or when the connection becomes writable again.
- `_on_outcome` is called by the channel with the broker's answer, and `_settle` gives the message its receipt and
  removes it from `pending`.
- `_run` opens a channel on each new connection, and another one if the broker closes the channel. The outbox then
  starts as a copy of `pending`: each message without a receipt is sent again, in order and with the same message id.
- If the broker closed the channel because of a message, `isolation` finds the message. It is refused, and the other
  messages are sent again.
- `Deadlines` calls `_on_deadline` with the messages that have no answer at their deadline.

Invariants: `_outbox` is a part of `pending`, except for messages that timed out since the last flush. A message gets
exactly one receipt or error, at its deadline at the latest. Memory does not grow while the broker accepts no messages,
because timed-out messages are removed from `_outbox` and the channel.

Example: messages A and B are sent on connection 1, and A is confirmed. The connection is lost. The channel reports
UNKNOWN for B, which stays pending. On connection 2, B is sent again and confirmed. `resent` is true in its receipt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from time import monotonic
from typing import TYPE_CHECKING

from pulsekit._amqp.frames import FRAME_MAX
from pulsekit._amqp.outcome import Outcome
from pulsekit._amqp.reply_codes import Concern
from pulsekit._amqp.tasks import end_task
from pulsekit.errors import BrokerRefused, ConfigurationError, NetworkError, NotOpen, PulsekitError, fresh
from pulsekit.publisher.channels import ChannelOpener
from pulsekit.publisher.deadlines import Deadlines, outcome_at_deadline, wait_words
from pulsekit.publisher.isolation import Isolation

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit._amqp.connection import Connection
    from pulsekit._amqp.link import Link
    from pulsekit._amqp.publishing import PublishChannel
    from pulsekit._amqp.reply_codes import Close
    from pulsekit.publisher.receipts import Receipt
    from pulsekit.publisher.window import PendingMessage

__all__ = ["Sender"]

log = logging.getLogger("pulsekit")

BATCH = 64  # messages that are written at once, before the iteration of the event loop ends
_WRITE_BYTES = 1024 * 1024  # bytes of bodies that are written at once; more are written message by message
_FIRST_PAUSE, _MAX_PAUSE = 1.0, 5.0  # seconds before a channel that failed on an open connection is opened again
_CLOSED = "the publisher is closed: use it inside the block of its connection"


class Sender:
    """The messages of one publisher from acceptance to outcome, see the module.

    Attributes:
        pending: the messages that were accepted and have no outcome yet, in order.
        failure: the reason why no more messages are accepted, or None.
        silent: True if a message has timed out, and the broker has answered no message since it was accepted.
        time: the clock of the deadlines.
    """

    def __init__(
        self,
        connection: Connection,
        tasks: asyncio.TaskGroup,
        exchange: str,
        *,
        overflow_rejects: bool = False,
        on_recreated: Callable[[str], None] | None = None,
    ) -> None:
        self.pending: dict[PendingMessage, None] = {}  # an ordered set
        self.failure: PulsekitError | None = None
        self.silent = False
        self._answers = 0  # messages that the broker has answered
        self.time = monotonic  # the clock of the event loop, after the start
        self._connection = connection
        self._tasks = tasks
        self._exchange = exchange
        self._overflow_rejects = overflow_rejects  # whether only a full queue sends negative confirms
        self._channels: ChannelOpener[PendingMessage] = ChannelOpener(exchange, on_recreated)
        self._isolation: Isolation[PendingMessage] = Isolation()
        self._outbox: list[PendingMessage] = []
        self._deadlines = Deadlines(self.pending, self._on_deadline)
        self._flushing = False
        self._closing = False
        self._channel: PublishChannel[PendingMessage] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def recreated(self) -> int:
        """How often the exchange was created again after it had been deleted."""
        return self._channels.recreated

    async def open(self) -> None:
        """Connect and declare the exchange, unless this is already done.

        Raises:
            PulsekitError: Raised when the connection or the declaration fails, or the sender is closed.
        """
        if self.failure is not None:
            raise fresh(self.failure)
        self.check()
        self._start()
        assert self._ready is not None
        await asyncio.shield(self._ready)
        if self.failure is not None:
            raise fresh(self.failure)

    def check(self) -> None:
        """Check that the caller runs in the event loop of the connection.

        Raises:
            NotOpen: Raised in another event loop or process.
        """
        self._connection.check()

    async def close(self, timeout: float) -> tuple[Receipt, ...]:
        """Accept no more messages, wait for outcomes, then settle the remaining messages and return their receipts."""
        self._closing = True
        if self._task is not None and self.failure is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._idle.wait()
        left = list(self.pending)
        self._fail(NotOpen(_CLOSED))
        if left:
            log.warning("%d messages to %s were not confirmed before closing", len(left), self._exchange)
        if self._task is not None:
            await end_task(self._task)
        return tuple(message.receipt for message in left if message.receipt is not None)

    def _start(self) -> None:
        if self._task is None:
            self.time = asyncio.get_running_loop().time
            self._ready = asyncio.get_running_loop().create_future()
            self._connection.start(self._tasks)
            self._task = self._tasks.create_task(self._run(), name=f"publish to {self._exchange}")

    def accept(self, message: PendingMessage) -> None:
        """Queue a message for sending, and start its deadline.

        Raises:
            PulsekitError: Raised when the sender is closed, or has failed.
        """
        if self.failure is not None:
            raise fresh(self.failure)
        if self._closing:
            raise NotOpen(_CLOSED)
        if self._task is None:
            self._start()
        if not self.pending:
            self._idle.clear()
        self.pending[message] = None
        message.deadline, message.answers = self.time() + message.timeout, self._answers
        if message.deadline < self._deadlines.earliest:
            self._deadlines.add(message.deadline)
        if self._channel is not None:  # without a channel, the next one starts with all pending messages
            self._outbox.append(message)

    def flush_soon(self) -> None:
        """Flush at the end of this iteration of the event loop, or at once if the batch is large."""
        if len(self._outbox) >= BATCH:
            self.flush()
        elif not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write the outbox, if a channel is open and writable."""
        self._flushing = False
        if not self._outbox or self._channel is None or not self._channel.writable:
            return  # flushed by the next channel, or when this one is writable again
        batch, self._outbox = self._outbox, []
        batch = [message for message in batch if not message.settled]
        if self._channel.link.frame_max < FRAME_MAX:
            batch = [message for message in batch if self._fits(message, self._channel.link.frame_max)]
        if self._isolation.size is not None:
            batch, self._outbox = self._isolation.split(batch)
        elif sum(len(message.body) for message in batch) > _WRITE_BYTES:
            self._send_one_by_one(self._channel, batch)
            return
        self._send(self._channel, batch)

    def _send_one_by_one(self, channel: PublishChannel[PendingMessage], batch: list[PendingMessage]) -> None:
        """Write large messages until the connection is not writable: the transport copies what it cannot write."""
        for number, message in enumerate(batch):
            if not channel.writable:
                self._outbox = batch[number:]
                return
            self._send(channel, [message])

    def _send(self, channel: PublishChannel[PendingMessage], batch: list[PendingMessage]) -> None:
        for message in batch:
            message.sends += 1
            message.in_flight = True
        channel.send(batch)

    def _fits(self, message: PendingMessage, frame_max: int) -> bool:
        """Return whether the content header fits into a frame of this broker. If not, settle the message as invalid."""
        size = message.header.size + len(message.message_id) + 8
        if size > frame_max:
            detail = f"the headers and properties have {size} bytes; this broker allows {frame_max}"
            self._settle(message, Outcome.INVALID, detail)
        return size <= frame_max

    def _on_outcome(self, message: PendingMessage, outcome: Outcome, detail: str = "") -> None:
        message.in_flight = False
        if outcome is Outcome.UNKNOWN:
            return  # the message is sent again on the next channel
        self.silent = False
        self._answers += 1
        if message.receipt is None:  # the message has not timed out
            if outcome is Outcome.REFUSED:
                outcome, detail = self._on_nack(message)
            elif outcome is Outcome.RETURNED and message.sends > 1:
                detail += "; it was sent again, and the first copy may have arrived"
            self._settle(message, outcome, detail)
        if self._isolation.size is not None and self._isolation.answered(message):
            self.flush_soon()

    def _on_nack(self, message: PendingMessage) -> tuple[Outcome, str]:
        """Return the outcome after a negative confirm. REFUSED if `overflow_rejects`, and the message was sent once."""
        if message.sends > 1:
            return Outcome.UNKNOWN, "negative confirm of the second copy; the first may have arrived"
        if not self._overflow_rejects:
            return Outcome.UNKNOWN, "negative confirm; a queue is full, or a node of the broker failed"
        return Outcome.REFUSED, ""

    def _settle(self, message: PendingMessage, outcome: Outcome, detail: str = "") -> None:
        del self.pending[message]
        message.settle(outcome, detail)
        if not self.pending:
            self._idle.set()

    def _on_deadline(self, due: list[PendingMessage]) -> None:
        """Settle the messages whose deadline has passed."""
        for message in due:
            self.silent = self.silent or self._answers == message.answers
            detail = wait_words(message, self._channel, self._connection.state)
            self._settle(message, outcome_at_deadline(message), detail)
            if self._isolation.answered(message):
                self.flush_soon()
        # Free the memory of settled messages, even while the broker accepts or confirms no messages.
        self._outbox = [message for message in self._outbox if not message.settled]
        if self._channel is not None:
            self._channel.forget(lambda message: message.settled)

    async def _run(self) -> None:
        """Publish on one channel after the other, until the connection fails or the broker refuses the exchange."""
        assert self._ready is not None
        pause = _FIRST_PAUSE
        try:
            while self.failure is None:
                link = await self._connection.link()
                try:
                    channel = await self._channels.open(link, self._on_outcome, self.flush)
                except (NetworkError, ConfigurationError) as error:
                    if isinstance(error, ConfigurationError) and not self._ready.done():
                        raise
                    pause = await self._pause(link, pause, error)
                    continue
                self._channel = channel
                if not self._ready.done():
                    self._ready.set_result(None)
                self._outbox = list(self.pending)
                self.flush_soon()
                since = self.time()
                reason = await channel.closed()
                self._channel = None
                self._outbox.clear()
                self._isolation.abandon()
                if self.time() - since >= _MAX_PAUSE:
                    pause = _FIRST_PAUSE
                if channel.ended_by is not None and channel.ended_by.concern is Concern.MESSAGE:
                    self._isolate(channel, channel.ended_by)
                elif isinstance(reason, BrokerRefused):
                    raise reason
                elif not link.is_lost:
                    pause = await self._pause(link, pause, reason)
        except PulsekitError as error:
            self._fail(error)
        finally:
            if self._channel is not None:
                channel, self._channel = self._channel, None
                await channel.close()

    def _isolate(self, channel: PublishChannel[PendingMessage], close: Close) -> None:
        """Settle the message for which the broker closed the channel, or reduce the groups until it is found."""
        unanswered = channel.unanswered
        if channel.forgot:  # `unanswered` is incomplete, so its only message may not be the refused one
            unanswered *= 2
        refused = self._isolation.closed(unanswered)
        if refused is not None and not refused.settled:
            self._settle(refused, Outcome.REFUSED, close.text)

    async def _pause(self, link: Link, seconds: float, error: PulsekitError) -> float:
        """Wait before another channel is opened on the same connection. Return the seconds of the next wait."""
        first = seconds == _FIRST_PAUSE and not link.is_lost
        log.log(logging.WARNING if first else logging.DEBUG, "%s; trying again", error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await link.lost()
        return _FIRST_PAUSE if link.is_lost else min(_MAX_PAUSE, seconds * 2)

    def _fail(self, error: PulsekitError) -> None:
        """Stop permanently. Messages that were sent are settled as unknown, and the others get the error."""
        if self.failure is None:
            self.failure = error
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        for message in list(self.pending):
            if message.sends or isinstance(error, NotOpen):
                self._settle(message, Outcome.UNKNOWN if message.sends else Outcome.TIMEOUT, str(error))
            else:
                del self.pending[message]
                message.fail(error)
        self._idle.set()
        self._deadlines.stop()
