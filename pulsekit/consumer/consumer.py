"""Consume one queue: messages as they come, across reconnects, each settled once.

A delivery belongs to the epoch of the connection it came on. When that connection goes, the broker takes unsettled
messages back; settling them afterwards is counted and does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.callbacks import call_safely
from pulsekit._amqp.connection import CONNECT_TIMEOUT
from pulsekit._amqp.consuming import ConsumeChannel, QueueDeclaration
from pulsekit._amqp.types import Settlement
from pulsekit.bindings.names import queue_name
from pulsekit.bindings.registration import Binding
from pulsekit.consumer.depth import DepthMonitor, Limits, QueueDepth
from pulsekit.consumer.policy import OnFailure, Policy, Retries
from pulsekit.errors import (
    BrokerRefused,
    ConfigurationError,
    ConnectionLost,
    NetworkError,
    NotFound,
    NotOpen,
    PulsekitError,
    ResourceLocked,
    SubscriptionLost,
    Unreachable,
)
from pulsekit.messages import Delivered, Gap, Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType
    from typing import Self

    from pulsekit._amqp.connection import Connection
    from pulsekit._amqp.link import Link
    from pulsekit._amqp.types import Delivery
    from pulsekit.consumer.queue import Queue
    from pulsekit.schemas.schema import Schema

__all__ = ["Consumer"]

log = logging.getLogger("pulsekit")

PREFETCH = 250  # deliveries unsettled at once; more gains nothing, fewer starve the consumer
_WAIT_FIRST, _WAIT_MOST = 0.5, 5.0  # seconds between two looks for an exchange that is waited for


class Consumer:
    """Receive the messages that a queue's bindings select.

    Without a queue name the queue is the consumer's own: exclusive, new for each epoch, gone when it ends, so nobody is
    disturbed and nothing overgrows. With a name it is durable and keeps messages while nobody listens.

    Iterate, or hand over a handler. Cancelling one wait for a message loses none. Closing stops the flow; what was not
    settled goes back to a durable queue.

    Made by `Pulse.subscribe`; opened by `async with`.

    Attributes:
        queue: its name; an exclusive one changes with each epoch.
        gaps: how many times nobody was listening.
        stale: how many messages were settled too late, after their connection had gone.
        failures: how often a handler raised.
        poison: how many messages were kept from the handler, see `Policy`.
    """

    def __init__(
        self,
        connection: Connection,
        tasks: asyncio.TaskGroup,
        bindings: Sequence[Binding],
        *,
        queue: Queue | None = None,
        prefetch: int = PREFETCH,
        schema: Schema | None = None,
        wait: bool = False,
        on_gap: Callable[[Gap], None] | None = None,
        on_refused: Callable[[Binding, BrokerRefused], None] | None = None,
        limits: Limits | None = None,
        on_depth: Callable[[QueueDepth], None] | None = None,
    ) -> None:
        if not bindings and queue is None:
            raise ConfigurationError("a subscription needs a binding, such as 'exchange/me/v1/jobs:treeherder.#'")
        if not 1 <= prefetch <= 65535:  # a short integer; 0 would mean no limit (basic.qos)
            raise ConfigurationError(f"prefetch is a number from 1 to 65535, not {prefetch}")
        self.queue: str = queue.name if queue is not None else ""
        self.gaps: int = 0
        self.stale = 0
        self.failures: int = 0
        self.poison: int = 0
        self._queue = queue
        self._durable = queue is not None and queue.durable
        self._connection = connection
        self._tasks = tasks
        self._bindings = tuple((binding.exchange, binding.pattern) for binding in bindings)
        self._arguments = {} if queue is None else queue.declare_arguments
        self._prefetch = prefetch
        self._schema = schema
        self._wait = wait
        self._on_gap = on_gap
        self._on_refused = on_refused
        self._refused: frozenset[tuple[str, str]] = frozenset()
        self._limits = limits or Limits()
        self._on_depth = on_depth
        self._retries = Retries()
        self._drained = False
        self._signals: dict[signal.Signals, Any] = {}  # those to drain on, and what they did before
        self._buffer: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._epoch = 0
        self._existing = queue is not None and queue.existing
        self._passive = self._existing  # whether the durable queue existed before: then it is never created again
        self._lock_deadline = 0.0  # on the clock of the loop: until when a queue may be locked by somebody else
        self._lossy = False  # whether messages were lost since nobody listens
        self._may_expire = "x-expires" in self._arguments
        self._channel: ConsumeChannel | None = None
        self._settler: _Settler  # of that channel
        self._lost_at: datetime | None = None
        self._end: PulsekitError | None = None
        self._ready: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        """Whether it was closed, by `close` or with its connection."""
        return isinstance(self._end, NotOpen)

    async def open(self) -> None:
        """Connect, declare the queue, bind it and start consuming.

        Raises:
            NotFound: an exchange does not exist, and is not waited for.
            BrokerRefused: the login, the virtual host or a name was refused.
            NetworkError: the broker could not be reached.
        """
        if self._end is not None:
            raise self._end
        if self._task is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._lock_deadline = asyncio.get_running_loop().time() + CONNECT_TIMEOUT
            self._connection.start(self._tasks)
            self._task = self._tasks.create_task(self._run(), name="consume")
        assert self._ready is not None
        await asyncio.shield(self._ready)

    async def close(self) -> None:
        """Stop consuming and give back what was not settled; an exclusive queue is deleted. Closing twice is fine."""
        self._finish(NotOpen("the subscription is closed: use it inside its `async with` block"))
        self._forget_signals()
        channel, self._channel = self._channel, None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if channel is not None:
            await channel.stop()
            if not self._durable:
                await channel.delete_queue()
            await channel.close()

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        """Wait for the next message.

        Raises:
            SubscriptionLost: the queue was deleted under the consumer.
            BrokerRefused: after a reconnect, the broker refused the login, the queue or a binding.
            NotOpen: the subscription was not opened, or is closed.
        """
        if self._task is None:
            raise NotOpen("the subscription is not open: use `async with pulse.subscribe(…) as messages`")
        while not self._buffer:
            if self._end is not None:
                raise self._end
            if self._drained:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._buffer.popleft()

    def take(self) -> Message | None:
        """Return the next message if one has arrived, without waiting."""
        return self._buffer.popleft() if self._buffer else None

    @property
    def waiting(self) -> int:
        """How many messages have arrived that nobody took yet; never more than the prefetch of one epoch or two."""
        return len(self._buffer)

    async def depth(self) -> QueueDepth:
        """Look how far behind the consumer is: what waits in the queue, and what it has not settled.

        Raises:
            NetworkError: the connection is away.
            NotFound: the queue is gone.
        """
        if self._channel is None:
            raise ConnectionLost("nobody listens at the moment: the connection is away")
        return QueueDepth(self.queue, *await self._channel.depth(), self._limits)

    async def handle(self, handler: Callable[[Message], Awaitable[object]], policy: Policy | None = None) -> None:
        """Call a handler with each message, one after the other, across reconnects, until the subscription ends.

        A message is acknowledged when its handler returns. When the handler raises, the policy decides; without one the
        message goes back to the queue and the exception comes out here, so nothing is lost and nothing is skipped in
        silence. A handler that is cancelled gives its message back.

        Raises:
            SubscriptionLost: the queue was deleted under the consumer.
        """
        policy = policy or Policy()
        async for message in self:
            reason: Exception | None = policy.reason_against(message)
            if reason is not None:
                self.poison += 1
                await self._decide(message, policy, policy.poison or OnFailure.RAISE, reason)
                continue
            try:
                await handler(message)
            except Exception as error:  # noqa: BLE001 - whatever it is, the policy knows what to do
                self.failures += 1
                action = policy.failure
                if action is OnFailure.REQUEUE and self._retries.failed(message) > policy.limit:
                    self._retries.forget(message)
                    action = policy.exhausted
                await self._decide(message, policy, action, error)
            except BaseException:
                await message.nack()
                raise
            else:
                self._retries.forget(message)
                await message.ack()

    async def drain(self) -> None:
        """Stop the flow of messages (basic.cancel). Those that have arrived still come, then iteration ends.

        A reconnect does not start it again. Leaving the block gives back what was not settled.
        """
        self._drained = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._channel is not None:
            await self._channel.stop()
        self._arrived.set()

    def drain_on(self, *signals: signal.Signals) -> None:
        """Drain when the process gets one of these signals, so that a handler can finish what it has.

        The second signal does what it always did, from the moment of the first, even while a handler does not let the
        loop run. Call it in the main thread, within the block of the subscription.

        Args:
            *signals: SIGINT and SIGTERM by default.
        """
        self._forget_signals()
        loop = asyncio.get_running_loop()

        # Not the loop's own handlers: a second signal before the loop has its turn would be lost on them.
        def on_signal(number: int, _: object) -> None:
            self._forget_signals()
            loop.call_soon_threadsafe(self._begin_to_drain, signal.Signals(number))

        for number in signals or (signal.SIGINT, signal.SIGTERM):
            self._signals[number] = signal.signal(number, on_signal)

    def _begin_to_drain(self, number: signal.Signals) -> None:
        if self._end is not None:
            return
        log.warning("%s: draining %s; again to leave at once", number.name, self.queue)
        self._draining = self._tasks.create_task(self.drain(), name="drain")

    def _forget_signals(self) -> None:
        for number, before in self._signals.items():
            signal.signal(number, before or signal.SIG_DFL)
        self._signals = {}

    async def _decide(self, message: Message, policy: Policy, action: OnFailure, reason: Exception) -> None:
        if action is not OnFailure.RAISE:
            log.warning("%s of %s: %s: %s", message, self.queue, action, reason)
        if action is OnFailure.REQUEUE:
            # Not awaited: those behind it do not wait for its delay.
            asyncio.get_running_loop().call_later(policy.delay, message.settle, Settlement.REQUEUE)
        elif action is OnFailure.REJECT:
            await message.reject()
        elif action is OnFailure.ACK:
            await message.ack()
        elif action is OnFailure.RAISE:
            await message.nack()
            raise reason

    async def _run(self) -> None:
        """Serve one epoch after the other, until the connection gives up or the broker says no."""
        assert self._ready is not None
        pause = _WAIT_FIRST
        try:
            while self._end is None:
                link = await self._connection.link()
                try:
                    channel = await self._subscribe(link)
                except (NotFound, ResourceLocked) as error:
                    if not self._may_appear(error, pause):
                        raise
                    await self._pause(link, pause)
                    pause = min(_WAIT_MOST, pause * 2)
                    continue
                except SubscriptionLost:
                    if not self._may_expire:
                        raise
                    self._passive, self._lossy = False, True
                    continue
                except NetworkError as error:
                    if isinstance(error, Unreachable) and not self._ready.done():
                        raise  # the queue is on a node that is down
                    log.debug("%s", error)
                    await self._pause(link, pause)
                    pause = min(_WAIT_MOST, pause * 2)
                    continue
                pause = _WAIT_FIRST
                self._passive = self._durable
                self._report_gap()
                if not self._ready.done():
                    self._ready.set_result(None)
                reason = await self._serve(channel)
                self._lost_at = datetime.now(UTC)
                self._channel = None
                if isinstance(reason, SubscriptionLost) and self._durable:
                    # Gone, or only out of reach with the node of a cluster it is on: the next round finds out.
                    log.warning("the broker cancelled the consumer of %s", self.queue)
                    self._lossy = True
                    await channel.close()
                elif isinstance(reason, BrokerRefused):
                    await channel.close()
                    raise reason
        except PulsekitError as error:
            self._finish(error)

    async def _serve(self, channel: ConsumeChannel) -> PulsekitError:
        """Wait for the end of the channel, with an eye on the depth of a queue that PulseGuardian could delete."""
        if not self._durable:
            return await channel.closed()
        monitor = DepthMonitor(self.queue, self._limits, self._on_depth)
        self._tasks.create_task(monitor.run(channel.depth), name=f"depth of {self.queue}")
        try:
            return await channel.closed()
        finally:
            monitor.stop()

    async def _subscribe(self, link: Link) -> ConsumeChannel:
        # A silent death leaves the old exclusive queue locked by the old connection (405), so each epoch has its own.
        self.queue = self._queue.name if self._queue else queue_name(link.user, f"pulsekit-{secrets.token_hex(8)}")
        self._epoch = link.epoch
        channel = await self._open_channel(link)
        if self._durable:
            self._buffer.clear()  # the broker has taken them back and delivers them again
        self._channel = channel  # the first deliveries may be settled before the broker's answer is read
        self._settler = _Settler(self, channel)
        try:
            await channel.consume()
        except BaseException:
            self._channel = None
            raise
        return channel

    async def _open_channel(self, link: Link) -> ConsumeChannel:
        """Declare and bind; with `on_refused`, without the bindings that are refused, unless it is all of them."""
        refused: set[tuple[str, str]] = set()
        while True:
            bindings = tuple(binding for binding in self._bindings if binding not in refused)
            declaration = QueueDeclaration(self.queue, self._durable, bindings, self._arguments, passive=self._passive)
            try:
                channel = await ConsumeChannel.open(
                    link, declaration, prefetch=self._prefetch, on_delivery=self._on_delivery
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
        """Tell whether waiting helps: for an exchange the user waits for, or a lock of our own last connection.

        At first that is one of a process that was killed, and may go within the time that connecting may take.
        """
        if isinstance(error, NotFound):
            return self._wait
        return self._epoch > 1 or asyncio.get_running_loop().time() + pause < self._lock_deadline

    async def _pause(self, link: Link, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await link.lost()

    def _report_gap(self) -> None:
        if self._lost_at is None:
            return
        gap = Gap(self._lost_at, datetime.now(UTC), self._epoch, lossy=self._lossy or not self._durable)
        self._lost_at, self._lossy = None, False
        self.gaps += 1
        level = logging.WARNING if self._on_gap is None else logging.DEBUG
        log.log(level, "nobody listened on %s from %s to %s", self.queue, gap.start, gap.end)
        call_safely(self._on_gap, gap)

    def _on_delivery(self, delivery: Delivery) -> None:
        self._buffer.append(Delivered(delivery, self._epoch, time.time(), self._settler, self._schema))
        self._arrived.set()

    def _finish(self, error: PulsekitError) -> None:
        if self._end is None:
            self._end = error
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(self._end)
            self._ready.exception()  # nobody may be waiting for it
        self._arrived.set()


class _Settler:
    """Tell the broker about the messages of one channel: their tags mean nothing on another, even of the same epoch."""

    __slots__ = ("_channel", "_consumer")

    def __init__(self, consumer: Consumer, channel: ConsumeChannel) -> None:
        self._consumer = consumer
        self._channel = channel

    def settle(self, message: Message, settlement: Settlement) -> None:
        """Settle it, or count that it came too late."""
        if self._channel is self._consumer._channel:  # noqa: SLF001 - they are one
            with contextlib.suppress(NetworkError):
                self._channel.settle(message.delivery_tag, settlement)
                return
        self._consumer.stale += 1
