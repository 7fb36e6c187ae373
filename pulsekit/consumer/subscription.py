"""One queue, consumed across reconnects: declare, bind, consume, and report gaps.

Plan: `_run` serves one epoch after the other. In each it opens a channel on the current link, declares the queue and
its bindings, starts consuming, and waits until the channel closes or the broker cancels the consumer. Deliveries become
messages in `buffer`; the prefetch limits how many are unsettled, and therefore the size of the buffer.

Invariants:

- A message belongs to the channel it was delivered on, because a delivery tag is valid on its channel only. If that
  channel is not the current one, settling the message does nothing and is counted in `stale`: the broker has requeued
  the message already.
- An exclusive queue has a new name in each epoch, since the broker may not have noticed the loss of the connection, and
  then the old queue is still locked (405 RESOURCE_LOCKED). The messages in the old queue are lost, so the messages in
  the buffer are kept.
- If only the channel closes, an exclusive queue is used again, with its messages. If that fails, the queue is deleted:
  without a consumer it would grow until the connection ends.
- A durable queue is declared once. In later epochs it is only checked (passive declaration), so that a deleted queue is
  reported and not replaced by an empty one. Buffered messages are dropped at the moment of the loss, since the broker
  delivers them again.
- Before the first epoch, `prepare` looks for the queue. If the queue does not exist, a gap reports that it was created.
- If a connection is lost while a message has its last delivery (`last_chances`), the gap is lossy.
- If the node of a classic queue is down meanwhile, the gap is lossy (`_on_unreachable`). RabbitMQ 3 reports this
  with 404; RabbitMQ 4 does not answer.
- A queue with `x-expires` may expire while no connection is open. It is created again, and the gap is lossy.
- A gap is declared before the first message after it is in the buffer, see `gaps`.
- `end` is set once. Iteration raises it when the buffer is empty.

Example: a durable queue; messages 1 to 3 are buffered and 1 is acknowledged. The connection is lost at 12:00:00 and the
consumer is back at 12:00:02. The buffer is emptied, `on_gap` is called with a gap of two seconds that is not lossy, and
the broker delivers 2 and 3 again, marked as redelivered.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING

from pulsekit._amqp import methods
from pulsekit._amqp.broker import HEARTBEAT
from pulsekit._amqp.callbacks import call_safely
from pulsekit._amqp.connection import CONNECT_TIMEOUT
from pulsekit._amqp.consuming import ConsumeChannel
from pulsekit._amqp.queue_declaration import QueueDeclaration, delete_queue_quietly, queue_deleted
from pulsekit._amqp.tasks import end_task
from pulsekit.bindings.names import queue_name
from pulsekit.bindings.registration import Binding
from pulsekit.consumer.gaps import GapTracker
from pulsekit.consumer.guardian_limits import DepthMonitor, Limits, QueueDepth
from pulsekit.consumer.last_chances import LastChances
from pulsekit.consumer.queue_check import Preparation, prepare
from pulsekit.consumer.retry_queue import restore, retry_exchange
from pulsekit.consumer.settling import ChannelSettler
from pulsekit.consumer.unsettled import FullPrefetch, ack_timeout_words
from pulsekit.errors import (
    BrokerRefused,
    ConnectionLost,
    NetworkError,
    NotFound,
    PulsekitError,
    ResourceLocked,
    SubscriptionLost,
    Unreachable,
    fresh,
)
from pulsekit.messages import Delivered, Gap, Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from pulsekit._amqp.connection import Connection
    from pulsekit._amqp.link import Link
    from pulsekit._amqp.types import Delivery, Settlement
    from pulsekit.consumer.queue_options import Queue
    from pulsekit.instrumentation.hooks import Hooks
    from pulsekit.messages import MessageCheck
    from pulsekit.records.attribution import MatchedBindings
    from pulsekit.schemas.schema import Schema

__all__ = ["Subscription"]

log = logging.getLogger("pulsekit")

_FIRST_PAUSE, _MAX_PAUSE = 0.5, 5.0  # seconds between two attempts to subscribe on the same connection


class Subscription:
    """A queue and its bindings, consumed across reconnects; see the module.

    Attributes:
        queue: the name of the queue, which changes with each epoch if the queue is exclusive.
        stale: how many messages were settled after their channel had closed.
        problem: the error of the last attempt to subscribe, while another attempt follows; else None.
        ack_timeouts: how many times the broker closed the channel because a message was not settled in time.
        buffer: messages that arrived and were not returned to the caller, whose thread may be another one.
        last_chances: the unsettled deliveries that the broker removes if they are returned.
        arrived: set when a message arrives, and when the subscription ends.
        end: the reason for the end, or None.
        callers: how many callers wait for a message.
    """

    def __init__(
        self,
        connection: Connection,
        tasks: asyncio.TaskGroup,
        bindings: Sequence[Binding],
        *,
        queue: Queue | None,
        prefetch: int,
        prefetch_bytes: int,
        schema: Schema | MessageCheck | None,
        wait: bool,
        on_gap: Callable[[Gap], None] | None,
        on_refused: Callable[[Binding, BrokerRefused], None] | None,
        limits: Limits | None,
        on_depth: Callable[[QueueDepth], None] | None,
        hooks: Hooks | None,
    ) -> None:
        self.queue = queue.name if queue is not None else ""
        self.stale = 0
        self.problem: PulsekitError | None = None
        self.ack_timeouts = 0
        self.buffer: deque[Message] = deque()
        self.last_chances = LastChances()
        self.arrived = asyncio.Event()
        self.end: PulsekitError | None = None
        self._connection = connection
        self._tasks = tasks
        self._bindings = tuple((binding.exchange, binding.pattern) for binding in bindings)
        self._matched: tuple[tuple[tuple[str, str], ...], MatchedBindings] | None = None  # of these bindings
        self._queue = queue
        self._durable = queue is not None and queue.durable
        self._existing = queue is not None and queue.existing
        self._arguments: Mapping[str, Any] = {} if queue is None else queue.declare_arguments
        self._may_expire = "x-expires" in self._arguments
        self._prefetch = prefetch
        self._prefetch_bytes = prefetch_bytes
        # A second consumer of a stream would begin at its end, and an existing queue may be a stream.
        self._adapts = not self._existing and self._arguments.get("x-queue-type") != "stream"
        self._schema = schema
        self._wait = wait
        self._on_refused = on_refused
        self._refused: frozenset[tuple[str, str]] = frozenset()
        self._limits = limits or Limits()
        self._on_depth = on_depth
        self._hooks = hooks
        self.callers = 0
        self._retry_exchange = None if queue is None else retry_exchange(queue.name)
        self._preparation: Preparation | None = None
        self._passive = self._existing  # whether the queue must exist: it existed before, or is not ours to create
        self._epoch = 0
        self._lock_deadline = 0.0  # until when a lock of the queue may be that of a process that has just ended
        self._gaps = GapTracker(on_gap, hooks, durable=self._durable, private=queue is None)
        self._idle_link: Link | None = None  # on which an exclusive queue exists while it has no channel
        self._channel: ConsumeChannel | None = None
        self._settler: ChannelSettler  # of that channel
        self._ready: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def gaps(self) -> int:
        """How many times the consumer was interrupted."""
        return self._gaps.count

    @property
    def private(self) -> bool:
        """Whether the queue is exclusive, with another name in each epoch."""
        return self._queue is None

    @property
    def started(self) -> bool:
        """Whether `open` was called."""
        return self._task is not None

    @property
    def subscribed(self) -> bool:
        """Whether the broker delivers messages now."""
        return self._channel is not None and self._was_ready and self.end is None

    @property
    def is_paused(self) -> bool:
        """Whether the connection is not read, because a consumer of it has reached its limit of bytes."""
        return self._channel is not None and self._channel.link.router.is_full

    @property
    def is_full(self) -> bool:
        """Whether the broker delivers no message until one is settled."""
        return self._channel is not None and self._channel.is_full

    async def open(self) -> None:
        """Connect, declare the queue, bind it and start consuming. Opening twice is fine.

        Raises:
            PulsekitError: Raised when that fails, or the subscription has ended.
        """
        if self.end is not None:
            raise fresh(self.end)
        self.check()
        if self._task is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._lock_deadline = asyncio.get_running_loop().time() + CONNECT_TIMEOUT
            self._connection.start(self._tasks)
            self._task = self._tasks.create_task(self._run(), name="consume")
        assert self._ready is not None
        await asyncio.shield(self._ready)
        if self.end is not None:
            raise fresh(self.end)

    def check(self) -> None:
        """Check that the caller runs in the event loop of the connection.

        Raises:
            NotOpen: Raised in another event loop or process.
        """
        self._connection.check()

    async def close(self, reason: PulsekitError) -> None:
        """Stop consuming, requeue unsettled messages, and delete an exclusive queue. Closing twice is fine."""
        self._finish(reason)
        self.buffer.clear()
        channel = self._leave_channel()
        await self._cancel()
        link, self._idle_link = self._idle_link, None
        self.last_chances.returned(self.queue)
        if channel is not None:
            link = None if self._durable else channel.link
            await channel.stop()
            await channel.close()
        if link is not None:
            await delete_queue_quietly(link, self.queue)

    async def stop(self, *, now: bool = False) -> None:
        """Stop deliveries (basic.cancel), now and after each reconnect. Messages that arrived can still be settled.

        Args:
            now: requeue the messages in the buffer.
        """
        buffered = []
        while now and (message := self.take()) is not None:
            if message.live:
                buffered.append(message.delivery_tag)
        self.arrived.set()
        channel = self._channel
        if channel is not None:
            await channel.stop(requeue=buffered if now else None)
        await self._cancel()
        if self._channel is not None and self._channel is not channel:
            await self._channel.stop(requeue=() if now else None)
        self.arrived.set()

    def take(self) -> Message | None:
        """Return the next message of the buffer, or None, in any thread."""
        try:
            return self.buffer.popleft()
        except IndexError:
            return None

    async def depth(self) -> QueueDepth:
        """Return how many messages are ready in the queue, and how many are unsettled.

        Raises:
            NetworkError: Raised when the connection is lost.
            NotFound: Raised when the queue does not exist any more.
            PulsekitError: Raised when the subscription has ended: the reason.
        """
        channel = self._current_channel("ask for the depth")
        async with self._request_link(channel) as link:
            ready, unsettled, consumers = await channel.depth(link)
        return QueueDepth(self.queue, ready, unsettled, self._limits, consumers)

    async def bind(self, binding: Binding) -> None:
        """Bind the queue, now and in later epochs. Messages in transit are not affected.

        The binding is added before the broker answers, so that an epoch that begins meanwhile also binds the queue. If
        this method raises an exception, only this binding is removed. Other tasks may have added bindings meanwhile.

        Raises:
            BrokerRefused: Raised when the broker refuses the binding.
            NetworkError: Raised when the connection is lost. Bind again when the consumer is subscribed.
            PulsekitError: Raised when the subscription has ended: the reason.
        """
        pair = (binding.exchange, binding.pattern)
        is_new = pair not in self._bindings
        self._bindings = tuple(dict.fromkeys((*self._bindings, pair)))
        try:
            await self._rebind(methods.bind_queue, binding, f"bind {binding.exchange} with {binding.pattern!r}")
        except BaseException as error:
            if is_new:
                self._bindings = tuple(one for one in self._bindings if one != pair)
            if isinstance(error, BrokerRefused):
                error.binding = pair
            raise

    async def unbind(self, binding: Binding) -> None:
        """Remove a binding of the queue, now and in later epochs. Messages in the queue are still delivered.

        Raises:
            NetworkError: Raised when the connection is lost. Unbind again when the consumer is subscribed.
            PulsekitError: Raised when the subscription has ended: the reason.
        """
        pair = (binding.exchange, binding.pattern)
        existed = pair in self._bindings
        self._bindings = tuple(one for one in self._bindings if one != pair)
        try:
            unbind = functools.partial(methods.unbind_queue, arguments={})
            await self._rebind(unbind, binding, f"unbind {binding.exchange} from {binding.pattern!r}")
        except BaseException:
            if existed:
                self._bindings = tuple(dict.fromkeys((*self._bindings, pair)))
            raise

    async def _rebind(self, method: Callable[..., Awaitable[None]], binding: Binding, doing: str) -> None:
        queue = self.queue
        async with self._request_link(self._current_channel(doing)) as link:
            await link.ask(lambda channel: method(channel, queue, binding.exchange, binding.pattern), doing)

    def _request_link(self, channel: ConsumeChannel) -> AbstractAsyncContextManager[Link]:
        if not self._durable and channel.is_overfull:
            raise NetworkError(
                f"the answer about {self.queue} would arrive after further messages, but the unsettled messages exceed "
                "prefetch_bytes twice: settle messages first"
            )
        return self._connection.request_link(channel.link, exclusive=not self._durable)

    def _current_channel(self, doing: str) -> ConsumeChannel:
        self.check()
        if self.end is not None:
            raise fresh(self.end)
        if self._channel is None:
            raise ConnectionLost(f"cannot {doing}: no consumer is connected at the moment")
        return self._channel

    def _leave_channel(self) -> ConsumeChannel | None:
        """Return the channel, whose messages cannot be settled from now on."""
        channel, self._channel = self._channel, None
        if channel is not None:
            self._settler.end()
        return channel

    @property
    def replicated(self) -> bool:
        """Whether the queue is a quorum queue, which survives the loss of a node and counts returns."""
        return self._preparation is not None and self._preparation.replicated

    @property
    def heartbeat(self) -> float:
        """The heartbeat interval of the connection in seconds, or the default without a connection."""
        return self._channel.link.heartbeat if self._channel is not None else HEARTBEAT

    async def _cancel(self) -> None:
        if self._task is not None:
            await end_task(self._task)

    async def _run(self) -> None:
        """Consume in one epoch after the other, until the connection fails or the broker refuses the subscription."""
        assert self._ready is not None
        pause = _FIRST_PAUSE
        time_now = asyncio.get_running_loop().time
        try:
            while self.end is None:
                link = await self._connection.link()
                try:
                    channel = await self._subscribe(link)
                except (NotFound, ResourceLocked) as error:
                    if not self._may_appear(error, pause):
                        raise
                    await self._pause(link, pause, error)
                    pause = min(_MAX_PAUSE, pause * 2)
                    continue
                except SubscriptionLost:
                    if not self._may_expire:
                        raise
                    self._passive, self._gaps.lossy, self._gaps.created = False, True, True
                    continue
                except NetworkError as error:
                    if isinstance(error, Unreachable):
                        if not self._ready.done():
                            raise
                        self._on_unreachable()
                    await self._pause(link, pause, error)
                    pause = min(_MAX_PAUSE, pause * 2)
                    continue
                self._passive = self._durable
                self.problem = None
                self._gaps.declare(self.queue, self._epoch)
                if not self._ready.done():
                    self._ready.set_result(None)
                since = time_now()
                reason = await self._serve(channel)
                self._gaps.begin(channel, link.epoch)
                self._leave_channel()
                if self.last_chances.returned(self.queue):
                    self._gaps.lossy = True
                self._idle_link = None if self._durable else link
                if time_now() - since >= _MAX_PAUSE:
                    pause = _FIRST_PAUSE
                if isinstance(reason, SubscriptionLost) and self._durable:
                    # The queue was deleted, or its node of the cluster is down: the next declaration shows which.
                    log.warning("the broker cancelled the consumer of %s", self.queue)
                    self._gaps.lossy = True
                    await channel.close()
                elif isinstance(reason, BrokerRefused):
                    await channel.close()
                    raise reason
                elif channel.ended_by is not None and channel.ended_by.ack_timeout is not None:
                    self.ack_timeouts += 1
                    seconds = channel.ended_by.ack_timeout
                    log.warning("%s", ack_timeout_words(self.queue, channel.oldest_unsettled, seconds))
                    pause = _FIRST_PAUSE
                else:
                    await self._pause(link, pause, reason)
                    pause = min(_MAX_PAUSE, pause * 2)
        except PulsekitError as error:
            self._finish(error)
            if self._idle_link is not None:
                await delete_queue_quietly(self._idle_link, self.queue)

    async def _serve(self, channel: ConsumeChannel) -> PulsekitError:
        """Wait until the channel ends, and monitor the depth of a durable queue meanwhile."""
        if not self._durable:
            return await channel.closed()

        is_full = False  # at the last check, which then used another connection

        async def depth() -> tuple[int, int, int]:
            nonlocal is_full
            is_full = channel.link.router.is_full
            async with self._connection.request_link(channel.link, urgent=False) as link:
                ready, unsettled, consumers = await channel.depth(link)
            waits = self.callers > 0 and not self.buffer
            full_prefetch.check(
                self.queue, channel, None if is_full else ready, waits=waits, received=self._gaps.received
            )
            return ready, unsettled, consumers

        full_prefetch = FullPrefetch()
        monitor = DepthMonitor(self.queue, self._limits, self._on_depth)
        monitoring = self._tasks.create_task(monitor.run(depth), name=f"depth of {self.queue}")
        try:
            return await channel.closed()
        finally:
            monitor.stop()
            if is_full:
                monitoring.cancel()  # the end of this channel does not end a request on another connection

    def _on_unreachable(self) -> None:
        """Note that the queue is on a node that is down, so that messages published meanwhile do not reach it."""
        if self._gaps.interrupted and not self.replicated:
            self._gaps.lossy = True

    async def _subscribe(self, link: Link) -> ConsumeChannel:
        if self._queue is not None:
            self.queue = self._queue.name
        elif self._epoch != link.epoch:
            self.queue = queue_name(link.user, f"pulsekit-{secrets.token_hex(8)}")
        self._epoch = link.epoch
        if self._queue is not None and self._preparation is None:
            async with self._connection.request_link(link, exclusive=not self._durable) as request_link:
                self._preparation = await prepare(request_link, self._queue)
            self._arguments = {} if self._existing else self._preparation.arguments
            self.last_chances.limit = self._preparation.delivery_limit
            self._gaps.created = self._preparation.missing and not self._existing and self._durable
        try:
            channel = await self._open_channel(link)
            # The broker has requeued what this queue delivered before, and delivers it again.
            with contextlib.suppress(IndexError):  # no more messages; the caller's thread may take some meanwhile
                while self._durable or self.buffer[-1].epoch == link.epoch:
                    self.buffer.pop()
            self._channel = channel  # deliveries may be settled before consume-ok is read
            self._settler = ChannelSettler(self, channel)
            self._gaps.received = time.time()
            try:
                await channel.consume()
            except NotFound as error:  # a quorum queue that is being deleted can still be declared passively
                raise queue_deleted(self.queue) from error
        except BaseException:
            self._leave_channel()
            self._idle_link = None
            if self._queue is None:
                await delete_queue_quietly(link, self.queue)
            raise
        self._idle_link = None
        return channel

    async def _open_channel(self, link: Link) -> ConsumeChannel:
        """Declare and bind. With `on_refused`, omit the bindings that the broker refuses, unless it refuses all."""
        refused: set[tuple[str, str]] = set()
        while True:
            bindings = tuple(binding for binding in self._bindings if binding not in refused)
            declaration = QueueDeclaration(self.queue, self._durable, bindings, self._arguments, passive=self._passive)
            try:
                with link.router.awaiting_answer():
                    channel = await ConsumeChannel.open(
                        link,
                        declaration,
                        prefetch=self._prefetch,
                        on_delivery=self._on_delivery,
                        max_bytes=self._prefetch_bytes,
                        on_lost=self._on_lost,
                        on_silence=self._on_unreachable,
                        adapts=self._adapts,
                    )
            except SubscriptionLost as error:
                if not self._existing or self._was_ready:
                    raise
                raise NotFound(
                    f"there is no queue {self.queue}; check the spelling and the virtual host", code=404
                ) from error
            except BrokerRefused as error:
                if self._on_refused is None or error.binding is None or (self._wait and isinstance(error, NotFound)):
                    raise
                if set(bindings) == {error.binding}:
                    raise
                refused.add(error.binding)
                if error.binding not in self._refused:
                    call_safely(self._on_refused, Binding(*error.binding), error)
                continue
            self._refused = frozenset(refused)
            return channel

    @property
    def _was_ready(self) -> bool:
        return self._ready is not None and self._ready.done()

    def _may_appear(self, error: BrokerRefused, pause: float) -> bool:
        """Return whether another attempt may succeed.

        With `wait`, a missing exchange may be created. A queue may still be locked by the last connection of this
        consumer. In the first seconds, it may be locked by a process that was killed, until the broker notices.
        """
        if isinstance(error, NotFound):
            return self._wait
        return self._epoch > 1 or asyncio.get_running_loop().time() + pause < self._lock_deadline

    async def _pause(self, link: Link, seconds: float, error: PulsekitError) -> None:
        """Wait before the next attempt on the same connection; the first wait is logged as a warning."""
        self.problem = error
        first = seconds == _FIRST_PAUSE and not link.is_lost
        log.log(logging.WARNING if first else logging.DEBUG, "%s; trying again", error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await link.lost()

    def matching(self, message: Message) -> tuple[Binding, ...]:
        """Return the bindings that a message matched."""
        if self._matched is None or self._matched[0] is not self._bindings:
            from pulsekit.records.attribution import MatchedBindings  # few programs need it

            self._matched = self._bindings, MatchedBindings(Binding(*one) for one in self._bindings)
        return self._matched[1].bindings(message)

    def _on_delivery(self, delivery: Delivery) -> None:
        gaps = self._gaps
        gaps.received = now = time.time()
        if gaps.interrupted or gaps.created:  # the first message arrives with consume-ok
            gaps.declare(self.queue, self._epoch)
        message = Delivered(delivery, self._epoch, now, self._settler, self._schema)
        if self._retry_exchange is not None and delivery.exchange == self._retry_exchange:
            restore(message)
        if message.redelivered or self.last_chances.limit == 0:
            self.last_chances.add(message)
        self.buffer.append(message)
        self.arrived.set()
        if self._hooks is not None:
            self._hooks.deliver(message, self.queue, private=self.private)

    def _on_lost(self) -> None:
        if not (self._durable or (self._channel is not None and self._channel.ended_by is not None)):
            return
        # The queue exists: the broker requeues its messages, and delivers them again. Messages of an earlier private
        # queue are only in the buffer, before these.
        with contextlib.suppress(IndexError):  # no more messages; the caller's thread may take some meanwhile
            while self.buffer[-1].epoch == self._epoch:
                self._gaps.dropped = self.buffer.pop().received.timestamp()

    def _finish(self, error: PulsekitError) -> None:
        if self.end is None:
            self.end = error
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        self.arrived.set()

    def settled(self, message: Message, settlement: Settlement, *, stale: bool) -> None:
        """Report the settlement of a message to the hooks."""
        if self._hooks is not None:
            self._hooks.settle(message, settlement, self.queue, private=self.private, stale=stale)
