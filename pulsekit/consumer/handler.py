"""Call a handler with each message, and settle the message by its result and the failure policy."""

from __future__ import annotations

import asyncio
import inspect
import logging
import types
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.callbacks import is_defined
from pulsekit._amqp.types import Settlement
from pulsekit.consumer.policy import OnFailure, Policy, Retries

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pulsekit.messages import Message

__all__ = ["HandlerCalls", "check_handler"]

log = logging.getLogger("pulsekit")

_SHORT = 0.25  # seconds that are short for any heartbeat interval, which is at least one second


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
    """

    def __init__(self, heartbeat: Callable[[], float]) -> None:
        self.failures = 0
        self.poison = 0
        self._retries = Retries()
        self._heartbeat = heartbeat

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
        try:
            began = perf_counter()
            result, waits_for = None, None
            try:
                result = handler(message)
                if type(result) is types.CoroutineType:
                    try:
                        waits_for = result.send(None)
                    except StopIteration:
                        result = None
            finally:
                if perf_counter() - began > _SHORT:
                    self._warn(perf_counter() - began, handler, message, queue)
            if type(result) is types.CoroutineType:
                await self._resume(result, waits_for, lambda seconds: self._warn(seconds, handler, message, queue))
            elif result is not None and inspect.isawaitable(result):
                await result
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

    @staticmethod
    @types.coroutine
    def _resume(
        coroutine: types.CoroutineType[Any, Any, Any], waits_for: Any, on_long: Callable[[float], None]
    ) -> Generator[Any, Any, None]:
        """Await the rest of a coroutine that has begun, and measure each step between two suspensions.

        Args:
            coroutine: the coroutine.
            waits_for: what it waits for.
            on_long: called with the seconds of each step that is not short.
        """
        while True:
            error: BaseException | None = None
            try:
                yield waits_for
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as thrown:  # noqa: BLE001 - such as a cancellation, which the coroutine gets
                error = thrown
            began = perf_counter()
            try:
                waits_for = coroutine.send(None) if error is None else coroutine.throw(error)
            except StopIteration:
                return
            finally:
                if perf_counter() - began > _SHORT:
                    on_long(perf_counter() - began)

    def _warn(self, seconds: float, handler: Callable[[Message], object], message: Message, queue: str) -> None:
        """Log a warning if the event loop was blocked for a considerable part of the heartbeat interval."""
        if seconds < self._heartbeat() / 4:
            return
        log.warning(
            "the handler %s blocked the event loop for %.1f s at %s of %s; the connection is lost if no heartbeat is "
            "sent for %d s: run blocking code in a thread, with `await asyncio.to_thread(function)`",
            getattr(handler, "__qualname__", type(handler).__name__),
            seconds,
            message,
            queue,
            2 * self._heartbeat(),
        )

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
