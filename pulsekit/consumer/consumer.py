"""Receive the messages of one queue: iterate over them, or call a function with each message."""

from __future__ import annotations

import asyncio
import inspect
import logging
import signal
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.callbacks import check_callback, check_kind
from pulsekit._amqp.prefetch import PREFETCH_BYTES
from pulsekit.bindings.names import owner
from pulsekit.catalogue.key_patterns import read_binding
from pulsekit.consumer.guardian_limits import Limits
from pulsekit.consumer.handler import HandlerCalls, check_handler
from pulsekit.consumer.policy import Policy
from pulsekit.consumer.queue_options import Queue
from pulsekit.consumer.retry_queue import RetryQueue
from pulsekit.consumer.signals import FirstSignal
from pulsekit.consumer.subscription import Subscription
from pulsekit.errors import ConfigurationError, NotOpen, PulsekitError, fresh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from pulsekit._amqp.connection import Connection
    from pulsekit.bindings.registration import Binding
    from pulsekit.consumer.guardian_limits import QueueDepth
    from pulsekit.errors import BrokerRefused
    from pulsekit.instrumentation.hooks import Hooks
    from pulsekit.messages import Gap, Message, MessageCheck
    from pulsekit.schemas.schema import Schema

__all__ = ["Consumer"]

log = logging.getLogger("pulsekit")

_CONFIRMS = 5.0  # seconds that `close` waits for confirms of copies in a retry queue
PREFETCH = 250  # unsettled deliveries; more would not increase the rate, fewer would


class Consumer:
    """A consumer of one queue, made by `Pulse.subscribe` and opened by `async with`.

    Without a `Queue`, the consumer has a private queue: exclusive, new after each reconnect, and deleted at the end. A
    private queue does not affect other consumers, and cannot grow while no consumer is connected. A named queue is
    durable by default and collects messages while no consumer is connected.

    Either iterate over the messages and settle each one, or call `handle`. Cancelling a wait loses no message. Closing
    stops the deliveries, and the broker requeues unsettled messages of a durable queue.

    Example:
        async with pulse.subscribe("exchange/me/v1/jobs:treeherder.#", queue="queue/me/jobs") as messages:
            async for message in messages:
                print(message.payload)
                await message.ack()
    """

    def __init__(
        self,
        connection: Connection,
        tasks: asyncio.TaskGroup,
        bindings: Sequence[Binding],
        *,
        queue: Queue | None = None,
        prefetch: int = PREFETCH,
        prefetch_bytes: int = PREFETCH_BYTES,
        schema: Schema | MessageCheck | None = None,
        wait: bool = False,
        on_gap: Callable[[Gap], None] | None = None,
        on_refused: Callable[[Binding, BrokerRefused], None] | None = None,
        limits: Limits | None = None,
        on_depth: Callable[[QueueDepth], None] | None = None,
        hooks: Hooks | None = None,
        publisher: Callable[[str], Any] | None = None,
    ) -> None:
        if not bindings and queue is None:
            raise ConfigurationError("a subscription needs a binding, such as 'exchange/me/v1/jobs:treeherder.#'")
        check_kind("queue", queue, Queue)
        check_kind("limits", limits, Limits)
        check_kind("prefetch", prefetch, int)
        check_kind("prefetch_bytes", prefetch_bytes, int)
        if not 1 <= prefetch <= 65535:  # a short integer; 0 would mean no limit (basic.qos)
            raise ConfigurationError(f"prefetch is a number from 1 to 65535, not {prefetch}")
        if prefetch_bytes < 1:
            raise ConfigurationError(f"prefetch_bytes is a number of bytes, at least 1, not {prefetch_bytes}")
        check_callback("on_gap", on_gap)
        check_callback("on_refused", on_refused)
        check_callback("on_depth", on_depth)
        self._subscription = Subscription(
            connection,
            tasks,
            bindings,
            queue=queue,
            prefetch=prefetch,
            prefetch_bytes=prefetch_bytes,
            schema=schema,
            wait=wait,
            on_gap=on_gap,
            on_refused=on_refused,
            limits=limits,
            on_depth=on_depth,
            hooks=hooks,
        )
        self._hooks = hooks
        self._connection = connection
        self._named = queue
        self._publisher = publisher
        self._waiting: set[asyncio.Task[None]] = set()  # tasks that wait for confirms of copies in a retry queue
        self._retry_queue: RetryQueue | None = None
        self._tasks = tasks
        self._calls = HandlerCalls(prefetch, lambda: self._subscription.heartbeat)
        self._signals = FirstSignal(self._begin_to_drain)
        self._drained = False
        self._drains_now = False

    @property
    def queue(self) -> str:
        """The name of the queue. The name of a private queue changes after each reconnect."""
        return self._subscription.queue

    @property
    def subscribed(self) -> bool:
        """Whether the broker delivers messages to this consumer now. False while the connection is lost."""
        return self._subscription.subscribed

    @property
    def gaps(self) -> int:
        """How many times the connection was lost and the subscription restored."""
        return self._subscription.gaps

    @property
    def stale(self) -> int:
        """How many messages were settled too late, after their connection was lost."""
        return self._subscription.stale

    @property
    def problem(self) -> PulsekitError | None:
        """The error of the last attempt to subscribe, while the consumer retries on an open connection, or None."""
        return self._subscription.problem

    @property
    def ack_timeouts(self) -> int:
        """How many times the broker closed the channel because a message was not settled in time.

        This is RabbitMQ's `consumer_timeout`, 30 minutes by default. The consumer subscribes again, and the broker
        delivers all unsettled messages again (https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout).
        """
        return self._subscription.ack_timeouts

    @property
    def failures(self) -> int:
        """How many calls of a handler raised an exception."""
        return self._calls.failures

    @property
    def poison(self) -> int:
        """How many poison messages did not reach the handler, see `Policy.poison`."""
        return self._calls.poison

    @property
    def closed(self) -> bool:
        """Whether the consumer was closed, either by `close` or with its connection."""
        return isinstance(self._subscription.end, NotOpen)

    async def open(self) -> None:
        """Connect, declare the queue, bind it and start consuming.

        Raises:
            NotFound: Raised when an exchange does not exist, unless the subscription waits for it.
            BrokerRefused: Raised when the broker refuses the login, the virtual host or a name.
            NetworkError: Raised when the broker cannot be reached.
        """
        await self._subscription.open()

    async def close(self) -> None:
        """Stop consuming, requeue unsettled messages, and delete a private queue. Closing twice is fine."""
        self._signals.restore()
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=_CONFIRMS)
        await self._subscription.close(NotOpen("the subscription is closed: use it inside its block"))
        if self._retry_queue is not None:
            await self._retry_queue.close()

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
            SubscriptionLost: Raised when the queue was deleted.
            BrokerRefused: Raised when, after a reconnect, the broker refuses the login, the queue or a binding.
            NotOpen: Raised when the consumer was not opened, or is closed.
        """
        if not self._subscription.buffer:
            await self._arrival()
        return self._subscription.buffer.popleft()

    async def _arrival(self) -> None:
        """Wait until a message is in the buffer; see `__anext__`.

        Raises:
            StopAsyncIteration: Raised when the consumer was drained.
        """
        subscription = self._subscription
        if not subscription.started:
            raise NotOpen(
                "the subscription is not open: use `async with pulse.subscribe(…) as messages` (pulsekit.sync: `with`)"
            )
        while not subscription.buffer:
            if subscription.end is not None:
                raise fresh(subscription.end)
            if self._drained:
                raise StopAsyncIteration
            subscription.check()
            subscription.arrived.clear()
            subscription.callers += 1
            try:
                await subscription.arrived.wait()
            finally:
                subscription.callers -= 1

    def take(self) -> Message | None:
        """Return the next message if one has arrived, without waiting."""
        return self._subscription.take()

    @property
    def waiting(self) -> int:
        """How many messages have arrived and were not yet returned to the caller: at most twice the prefetch."""
        return len(self._subscription.buffer)

    @property
    def paused(self) -> bool:
        """Whether the connection is not read, because the unsettled messages of a consumer reach `prefetch_bytes`."""
        return self._subscription.is_paused

    async def depth(self) -> QueueDepth:
        """Return how many messages are ready in the queue, and how many this consumer has not settled.

        If `paused`, another connection is opened for the request. A private queue can only be asked for on its own
        connection, so a few messages may arrive before the answer.

        Raises:
            NetworkError: Raised when the connection is lost.
            NotFound: Raised when the queue does not exist any more.
            PulsekitError: Raised when the consumer has ended, as by iteration.
        """
        return await self._subscription.depth()

    async def bind(self, binding: str | Binding) -> None:
        """Add a binding to the queue, while messages arrive. Binding twice is fine.

        Args:
            binding: `EXCHANGE:PATTERN`, or a binding.

        Raises:
            BrokerRefused: Raised when the broker refuses the binding. The other bindings stay.
            NetworkError: Raised when the connection is lost.
            PulsekitError: Raised when the consumer has ended, as by iteration.
        """
        await self._subscription.bind(read_binding(binding))

    async def unbind(self, binding: str | Binding) -> None:
        """Remove a binding of the queue, while messages arrive. Messages that it matched before are still delivered.

        Args:
            binding: `EXCHANGE:PATTERN`, or a binding.

        Raises:
            NetworkError: Raised when the connection is lost.
            PulsekitError: Raised when the consumer has ended, as by iteration.
        """
        await self._subscription.unbind(read_binding(binding))

    async def handle(self, handler: Callable[[Message], object], policy: Policy | None = None) -> None:
        """Call a handler with each message, one after the other, until the subscription ends, even after reconnects.

        A message is acknowledged when its handler returns. If the handler raises an exception, the policy decides.
        Without a policy, the message is requeued and `handle` raises the exception, so that no message is lost or
        skipped silently. If the handler is cancelled, its message is requeued. A handler may raise `Reject`, `Retry` or
        `Stop` to decide about its message.

        Args:
            handler: an `async def`, or a plain function, which blocks the event loop. If a handler blocks it for a
                quarter of the heartbeat interval, a warning names the handler.
            policy: what happens to a message whose handler fails.

        Raises:
            Stop: Raised when the handler raised it.
            SubscriptionLost: Raised when the queue was deleted.
            TypeError: Raised before the first message, when the handler cannot be called with a message or contains
                `yield`, or the policy is not a `Policy`.
        """
        check_handler(handler)
        check_kind("policy", policy, Policy)
        await self._handle(handler if self._hooks is None else self._observed(handler), handler, policy or Policy())

    async def _handle(self, call: Callable[[Message], object], handler: object, policy: Policy) -> None:
        """Call a function with each message. Warnings name `handler`, which the function calls."""
        if policy.max_local_delay is not None:
            self._calls.wait, self._calls.max_local_delay = self._wait_on_broker, policy.max_local_delay
            self._retry_queue = self._retry_queue or self._new_retry_queue()
        self._calls.limit, self._calls.counts = self._subscription.last_chances.limit, self._subscription.replicated
        with self._calls.watchdog.watch(handler):
            async for message in self:
                await self._calls.call(call, message, policy, self.queue)

    def handling(self, message: Message) -> AbstractContextManager[None]:
        """Return a context for code that handles a message while iterating, see `Instrumentation.handling`.

        `handle` uses such a context for each call of the handler.
        """
        if self._hooks is None:
            return nullcontext()
        return self._hooks.handling(message, self.queue, private=self._subscription.private)

    def _new_retry_queue(self) -> RetryQueue:
        queue = self._named
        if queue is None or not queue.durable or owner(queue.name) != self._connection.user or not self._publisher:
            raise ConfigurationError(
                "a policy with max_local_delay needs a durable queue of yours, in which messages can wait"
            )
        return RetryQueue(queue.name, self._connection, self._publisher)

    def _wait_on_broker(self, message: Message, delay: float, failures: int) -> None:
        async def wait() -> None:
            assert self._retry_queue is not None
            try:
                await self._retry_queue.put(message, delay, failures)
            except PulsekitError as error:
                log.warning("%s waits in this process, because it cannot wait on the broker: %s", message, error)
                self._calls.requeue_here(message, delay)

        task = self._tasks.create_task(wait(), name=f"retry of {self.queue}")
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    def _observed(self, handler: Callable[[Message], object]) -> Callable[[Message], object]:
        async def call(message: Message) -> None:
            with self.handling(message):
                result = handler(message)
                if inspect.isawaitable(result):
                    await result

        return call

    def _is_idle(self, depth: QueueDepth) -> bool:
        """Return whether no message can arrive: the queue is empty, or kept messages fill the prefetch.

        Args:
            depth: the depth of the queue, just read.
        """
        returns = depth.unsettled and (self._calls.delayed or self._waiting)
        return not (self.waiting or returns or (depth.ready and not self._subscription.is_full))

    async def drain(self, *, now: bool = False) -> None:
        """Stop deliveries (basic.cancel), also after a reconnect. Iteration ends after the messages that arrived.

        Draining twice is fine, for example first without `now` and then with it. Leaving the block requeues unsettled
        messages.

        Args:
            now: requeue the messages that have arrived, but were not returned to the caller. Iteration ends at once,
                and `handle` ends after the current message.
        """
        self._subscription.check()
        self._drained = True
        await self._subscription.stop(now=now)

    def drain_on(self, *signals: signal.Signals, now: bool = False) -> None:
        """Drain when the process receives one of these signals, so that a handler can finish its message.

        The first signal drains every consumer that called `drain_on`, and restores the former signal handlers. So a
        second SIGINT interrupts as usual, even if a handler blocks the event loop. Call `drain_on` in the main thread,
        inside the block of the consumer.

        Args:
            *signals: SIGINT and SIGTERM by default.
            now: see `drain`.
        """
        self._drain_on(asyncio.get_running_loop(), signals, now=now)

    def _drain_on(self, loop: asyncio.AbstractEventLoop, signals: Sequence[signal.Signals], *, now: bool) -> None:
        self._drains_now = now
        self._signals.install(loop, *(signals or (signal.SIGINT, signal.SIGTERM)))

    def _begin_to_drain(self, number: signal.Signals) -> None:
        if self._subscription.end is not None:
            return
        log.warning("%s: draining %s; repeat the signal to stop at once", number.name, self.queue)
        self._draining = self._tasks.create_task(self.drain(now=self._drains_now), name="drain")
