"""Call a handler with each message, and settle the message by its result and the failure policy."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING

from pulsekit._amqp.callbacks import is_defined
from pulsekit._amqp.types import Settlement
from pulsekit.consumer.policy import OnFailure, Policy, Retries
from pulsekit.consumer.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit.messages import Message

__all__ = ["HandlerCalls", "check_handler"]

log = logging.getLogger("pulsekit")


def check_handler(handler: object) -> None:
    """Check a handler before it gets a message.

    Raises:
        TypeError: Raised when the handler cannot be called, or calling it would only make a generator.
    """
    if not callable(handler):
        kind = type(handler).__name__
        raise TypeError(
            f"a handler is a function, not {kind}: give the function without calling it, handle(on_message)"
        )
    if is_defined(handler, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        raise TypeError("a handler cannot contain `yield`: it would return a generator, and never run")


class HandlerCalls:
    """The calls of the handlers of one consumer.

    Attributes:
        failures: how many calls raised an exception.
        poison: how many messages the policy kept from a handler.
        watchdog: names a handler that blocks the event loop.
    """

    def __init__(self, heartbeat: Callable[[], float]) -> None:
        self.failures = 0
        self.poison = 0
        self._retries = Retries()
        self.watchdog = Watchdog(heartbeat)

    async def call(self, handler: Callable[[Message], object], message: Message, policy: Policy, queue: str) -> None:
        """Call a handler with one message, and settle the message.

        Raises:
            Exception: Raised when the policy says RAISE: the exception of the handler, or the reason why the message is
                poison.
        """
        reason: Exception | None = policy.reason_against(message)
        if reason is not None:
            self.poison += 1
            await self._apply(policy.poison or OnFailure.RAISE, message, policy, reason, queue)
            return
        watchdog = self.watchdog
        watchdog.message = message
        watchdog.running += 1
        try:
            try:
                result = handler(message)
                if inspect.isawaitable(result):
                    await result
            finally:
                watchdog.running -= 1
        except Exception as error:  # noqa: BLE001 - the policy decides about every exception
            self.failures += 1
            action = policy.failure
            if action is OnFailure.REQUEUE and self._retries.failed(message) > policy.limit:
                self._retries.forget(message)
                action = policy.exhausted
            await self._apply(action, message, policy, error, queue)
        except BaseException:
            await message.nack()
            raise
        else:
            self._retries.forget(message)
            await message.ack()

    async def _apply(self, action: OnFailure, message: Message, policy: Policy, reason: Exception, queue: str) -> None:
        if action is not OnFailure.RAISE:
            log.warning("%s of %s: %s: %s", message, queue, action, reason)
        if action is OnFailure.REQUEUE:
            # Not awaited, so that the messages behind it do not wait for its delay.
            asyncio.get_running_loop().call_later(policy.delay, message.settle, Settlement.REQUEUE)
        elif action is OnFailure.REJECT:
            await message.reject()
        elif action is OnFailure.ACK:
            await message.ack()
        elif action is OnFailure.RAISE:
            await message.nack()
            raise reason
