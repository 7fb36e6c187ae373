"""A consumer whose methods block."""

from __future__ import annotations

import asyncio
import functools
import inspect
import queue as queues
from typing import TYPE_CHECKING

from pulsekit._amqp.callbacks import check_callback, check_kind, check_number
from pulsekit._amqp.home import current_process
from pulsekit.consumer.consumer import Consumer as AsyncConsumer
from pulsekit.consumer.handler import check_handler
from pulsekit.consumer.policy import Policy
from pulsekit.errors import ConfigurationError, NotOpen
from pulsekit.sync.delegation import Delegate, delegate

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from pulsekit.messages import Message
    from pulsekit.pulse import Pulse
    from pulsekit.sync.background import Background

__all__ = ["Consumer"]

_TURN = 64  # messages; when the caller has taken them, the background thread gets a turn, see `receive`


class Consumer(Delegate[AsyncConsumer]):
    """A consumer of one queue, like `pulsekit.Consumer`, for one thread. `Pulse.subscribe` creates it, `with` opens it.

    Either iterate over the messages and settle each one, or call `handle`.
    """

    def __init__(self, background: Callable[[], Background], make: Callable[[Pulse], AsyncConsumer]) -> None:
        super().__init__(background, make)
        self._consumer = super()._asynchronous()
        self._process = current_process()
        self._left = 0  # of the turn

    def _asynchronous(self) -> AsyncConsumer:
        if self._made is not None and not self._in_process:
            raise NotOpen("the consumer belongs to the process before the fork: subscribe again in the child process")
        return super()._asynchronous()

    @property
    def _in_process(self) -> bool:
        return current_process() is self._process

    def __enter__(self) -> Self:
        self._background().call(self._asynchronous().__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._in_process:
            self._consumer._signals.restore()  # noqa: SLF001 - only this thread may do that
            self._end(lambda consumer: consumer.__aexit__(kind, error, trace), None)

    @property
    def queue(self) -> str:
        """The name of the queue. The name of a private queue changes after each reconnect."""
        return self._asynchronous().queue

    @property
    def gaps(self) -> int:
        """How many times the connection was lost and the subscription restored."""
        return self._asynchronous().gaps

    @property
    def stale(self) -> int:
        """How many messages were settled too late, after their connection was lost."""
        return self._asynchronous().stale

    @property
    def failures(self) -> int:
        """How many calls of a handler raised an exception."""
        return self._asynchronous().failures

    @property
    def poison(self) -> int:
        """How many poison messages did not reach the handler, see `Policy.poison`."""
        return self._asynchronous().poison

    @delegate(AsyncConsumer.depth)
    def depth(self) -> AsyncConsumer:
        """Return the depth of the queue."""
        return self._asynchronous()

    @delegate(AsyncConsumer.bind)
    def bind(self) -> AsyncConsumer:
        """Add a binding."""
        return self._asynchronous()

    @delegate(AsyncConsumer.unbind)
    def unbind(self) -> AsyncConsumer:
        """Remove a binding."""
        return self._asynchronous()

    def drain(self, *, now: bool = False) -> None:
        """Stop the deliveries, see `pulsekit.Consumer.drain`."""
        self._background().call(self._asynchronous().drain(now=now))

    def drain_on(self, *signals: signal.Signals, now: bool = False) -> None:
        """Drain when the process receives one of these signals, see `pulsekit.Consumer.drain_on`.

        Call this in the main thread. The handler, or the body of the loop, finishes its message.
        """
        self._asynchronous()._drain_on(self._background().loop, signals, now=now)  # noqa: SLF001 - of this package

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        """Wait for the next message.

        Raises:
            SubscriptionLost: Raised when the queue was deleted.
            BrokerRefused: Raised when, after a reconnect, the broker refuses the login, the queue or a binding.
            NotOpen: Raised when the consumer was not opened, or is closed.
        """
        message = self.receive()
        if message is None:
            raise StopIteration
        return message

    def receive(self, timeout: float | None = None) -> Message | None:
        """Return the next message. Return None after `timeout` seconds without a message, or after `drain`.

        Raises:
            PulsekitError: Raised for the same reasons as by iteration.
            TypeError: Raised when the timeout is not a number.
        """
        check_number("timeout", timeout, optional=True)
        # The caller's thread takes messages from the buffer itself. If it did so without end, the background thread
        # would have to wait for the GIL for 5 ms each time (sys.getswitchinterval), and the broker for settlements.
        while True:
            if self._left and current_process() is self._process and (message := self._consumer.take()) is not None:
                self._left -= 1
                return message
            if not self._background().call(_arrival(self._asynchronous(), timeout)):
                return None
            self._left = _TURN

    def handling(self, message: Message) -> AbstractContextManager[None]:
        """Return a context for code that handles a message while iterating, see `pulsekit.Consumer.handling`."""
        return self._asynchronous().handling(message)

    def handle(self, handler: Callable[[Message], object], policy: Policy | None = None) -> None:
        """Call a function with each message, one after the other, until the subscription ends or was drained.

        The function runs in the thread of the caller. See `pulsekit.Consumer.handle` for settlement and failures. After
        KeyboardInterrupt or SystemExit, the message is requeued.

        Raises:
            ConfigurationError: Raised before the first message, when the policy has a timeout, because a function
                cannot be interrupted.
            Stop: Raised when the handler raised it.
            SubscriptionLost: Raised when the queue was deleted.
            TypeError: Raised before the first message, when the handler cannot be called with a message, or is an
                `async def`.
        """
        check_kind("policy", policy, Policy)
        if policy is not None and policy.timeout is not None:
            raise ConfigurationError(
                "a policy with a timeout needs an `async def` handler: a function is not interrupted"
            )
        check_handler(handler)
        check_callback("a handler of pulsekit.sync", handler)
        waiting: queues.SimpleQueue[tuple[Message, asyncio.Future[None]] | None] = queues.SimpleQueue()
        background = self._background()

        async def pass_on(message: Message) -> None:
            done: asyncio.Future[None] = background.loop.create_future()
            waiting.put((message, done))
            await done

        consumer = self._asynchronous()
        handling = background.submit(consumer._handle(pass_on, handler, policy or Policy()))  # noqa: SLF001 - of this package
        handling.add_done_callback(lambda _: waiting.put(None))
        try:
            while (call := waiting.get()) is not None:
                message, done = call
                failure: BaseException | None = None
                try:
                    with consumer.handling(message):
                        _refuse_coroutine(handler(message))
                except StopIteration as error:  # a future cannot have this exception
                    failure = RuntimeError("the handler raised StopIteration")
                    failure.__cause__ = error
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the policy decides
                    failure = error
                background.schedule(functools.partial(_finish, done, failure))
            handling.result()
        finally:
            handling.cancel()


async def _arrival(consumer: AsyncConsumer, timeout: float | None) -> bool:
    """Wait until a message is in the buffer; return False if there will be none, or none came in time."""
    try:
        async with asyncio.timeout(timeout):
            await consumer._arrival()  # noqa: SLF001 - of this package
    except (TimeoutError, StopAsyncIteration):
        return False
    return True


def _refuse_coroutine(result: object) -> None:
    """Refuse the result of a handler that only calls an `async def`: acknowledging its message would lose the message.

    Raises:
        TypeError: Raised when the result is a coroutine.
    """
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(f"the handler returned the coroutine {result.__qualname__}, which pulsekit.sync does not await")


def _finish(done: asyncio.Future[None], failure: BaseException | None) -> None:
    if done.done():  # cancelled
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)
