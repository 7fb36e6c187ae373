"""Call a handler with each message, and settle the message by the result of the call and the failure policy."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING

from pulsekit._amqp.callbacks import is_defined
from pulsekit._amqp.tasks import cancels_task
from pulsekit._amqp.types import Settlement
from pulsekit.consumer.last_chances import is_last_delivery
from pulsekit.consumer.policy import OnFailure, Policy, Reject, Retries, Retry, Stop
from pulsekit.consumer.watchdog import Watchdog
from pulsekit.errors import HandlerFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pulsekit.messages import Message

__all__ = ["HandlerCalls", "accepts", "check_handler"]

log = logging.getLogger("pulsekit")


def check_handler(handler: object) -> None:
    """Check that a handler can be called, before the first message.

    Raises:
        TypeError: Raised when the handler cannot be called with a message, or is a generator function.
    """
    if not callable(handler):
        kind = type(handler).__name__
        raise TypeError(
            f"a handler is a function, not {kind}: give the function without calling it, handle(on_message)"
        )
    if is_defined(handler, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        raise TypeError("a handler cannot contain `yield`: it would return a generator, and never run")
    if not accepts(handler, None):
        name = getattr(handler, "__qualname__", type(handler).__name__)
        raise TypeError(f"{name} cannot be called with a message alone: write def {name}(message)")


def accepts(function: Any, *arguments: object) -> bool:
    """Return whether a function can be called with these arguments."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # some functions in C have no signature
        return True
    return True


class HandlerCalls:
    """The calls of the handlers of one consumer.

    Args:
        prefetch: how many deliveries may be unsettled.
        heartbeat: returns the heartbeat interval in seconds.

    Attributes:
        failures: how many calls raised an exception.
        poison: how many poison messages did not reach a handler, see `Policy.poison`.
        delayed: how many messages wait in this process until they are requeued.
        limit: how often the queue requeues a message before the broker removes it, or None without a limit.
        counts: whether the queue counts the returns of its messages.
        wait: puts a message into a retry queue. Its arguments are message, delay in seconds, and number of failures.
        max_local_delay: seconds; for longer delays, `wait` is called. See `Policy.max_local_delay`.
        watchdog: names a handler that blocks the event loop.
    """

    def __init__(self, prefetch: int, heartbeat: Callable[[], float]) -> None:
        self.limit: int | None = None
        self.counts = False
        self.failures = 0
        self.poison = 0
        self.delayed = 0
        self._prefetch = prefetch
        self.wait: Callable[[Message, float, int], None] | None = None
        self.max_local_delay: float | None = None
        self._retries = Retries()
        self.watchdog = Watchdog(heartbeat)

    async def call(self, handler: Callable[[Message], object], message: Message, policy: Policy, queue: str) -> None:
        """Call a handler with one message, and settle the message.

        Raises:
            Stop: Raised when the handler raised it.
            Exception: Raised when the action of the policy is RAISE. It is the exception of the handler, or the reason
                why the message is poison.
        """
        reason: Exception | None = policy.reason_against(message)
        if reason is not None:
            self.poison += 1
            await self.apply(policy.poison or OnFailure.RAISE, message, reason, queue)
            return
        if self._ended_processes(message, policy):
            error = HandlerFailed(f"{message.delivery_count} deliveries of {message} ended without a settlement")
            await self.apply(policy.exhausted, message, error, queue)
            return
        watchdog = self.watchdog
        watchdog.message = message
        watchdog.running += 1
        try:
            try:
                await _call(handler, message, policy.timeout)
            finally:
                watchdog.running -= 1
        except Stop:
            await self._return(message)
            raise
        except Reject as decision:
            self._retries.forget(message)
            await self.apply(OnFailure.REJECT, message, decision, queue)
        except Exception as error:  # noqa: BLE001 - the policy decides about every exception
            self.failures += 1
            action, delay = OnFailure.REQUEUE if isinstance(error, Retry) else policy.failure, 0.0
            if action is OnFailure.REQUEUE:
                count = max(self._retries.failed(message), self._returns(message) + 1)
                after = error.after if isinstance(error, Retry) else None
                delay = policy.delay_after(count) if after is None else after
                # With RAISE, the message is returned once more.
                last = None if self.limit is None else self.limit - (policy.exhausted is OnFailure.RAISE)
                if (policy.limit is not None and count > policy.limit) or (
                    last is not None and is_last_delivery(message, last)
                ):
                    self._retries.forget(message)
                    action = policy.exhausted
            await self.apply(action, message, error, queue, delay)
        except BaseException:
            await self._return(message)
            raise
        else:
            self._retries.forget(message)
            await message.ack()

    def _ended_processes(self, message: Message, policy: Policy) -> bool:
        """Return whether too many deliveries ended without a settlement, perhaps because the process died.

        This can only be known with a prefetch of 1, when every delivery reaches a handler. With a larger prefetch, a
        lost connection also returns messages for which no handler was called.
        """
        return (
            message.redelivered
            and self._prefetch == 1
            and policy.failure is OnFailure.REQUEUE
            and policy.limit is not None
            and self._returns(message) > policy.limit
        )

    def _returns(self, message: Message) -> int:
        """Return how often the message was returned to its queue, or put into a retry queue.

        A classic queue does not count returns. If the header exists in such a queue, the publisher may have set it.
        """
        return message.retries + ((message.delivery_count or 0) if self.counts else 0)

    async def apply(
        self,
        action: OnFailure,
        message: Message,
        reason: Exception,
        queue: str,
        delay: float = 0.0,
    ) -> None:
        """Settle a message that was not handled, by an action of the policy.

        Raises:
            Exception: Raised when the action is RAISE. It is the given reason.
        """
        if action is not OnFailure.RAISE:
            log.warning("%s of %s: %s: %s", message, queue, action, reason)
        if action is OnFailure.REQUEUE:
            self.requeue(message, delay)
        elif action is OnFailure.REJECT:
            await message.reject()
        elif action is OnFailure.ACK:
            await message.ack()
        elif action is OnFailure.RAISE:
            await self._return(message)
            raise reason

    def requeue(self, message: Message, delay: float) -> None:
        """Requeue a message after a delay in seconds. Later messages do not wait."""
        if self.wait is not None and self.max_local_delay is not None and delay > self.max_local_delay:
            self.wait(message, delay, max(self._retries.of(message), self._returns(message) + 1))
            return
        self.requeue_here(message, delay)

    def requeue_here(self, message: Message, delay: float) -> None:
        """Requeue a message after a delay in seconds, during which it waits in this process."""
        self.delayed += 1
        asyncio.get_running_loop().call_later(delay, self._requeue, message)

    def _requeue(self, message: Message) -> None:
        self.delayed -= 1
        message.settle(Settlement.REQUEUE)

    async def _return(self, message: Message) -> None:
        """Requeue the message of a handler that stops the consumer.

        A quorum queue counts each return. If this method requeued the message, the broker would deliver it to this
        consumer again, and the end of the consumer would return it a second time. So in a quorum queue, only the end of
        the consumer requeues the message.
        """
        if self.limit is None:
            await message.nack()


async def _call(handler: Callable[[Message], object], message: Message, timeout: float | None) -> None:
    """Call a handler, and await its result if it is awaitable.

    Raises:
        HandlerFailed: Raised when the handler did not finish in time, or awaited something that was cancelled.
    """
    if timeout is None:
        try:
            result = handler(message)
            if inspect.isawaitable(result):
                await result
        except asyncio.CancelledError as error:
            if cancels_task(error):  # the consumer is cancelled, or the time is up
                raise
            raise HandlerFailed("the handler raised CancelledError: something that it awaited was cancelled") from error
        return
    try:
        async with asyncio.timeout(timeout) as deadline:
            await _call(handler, message, None)
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise HandlerFailed(f"the handler did not finish within {timeout:g} s") from error
