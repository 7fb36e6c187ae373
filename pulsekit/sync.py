"""The library for programs without an event loop: the same names, options and errors, and calls that block.

Consume, and acknowledge each message after the work:

    import pulsekit.sync

    with pulsekit.sync.connect() as pulse:
        with pulse.subscribe("exchange/taskcluster-queue/v1/task-failed:#", queue="queue/me/failed") as messages:
            for message in messages:
                print(message.payload["status"]["taskId"])
                message.ack()

Plan: each `Pulse` of this module runs an asynchronous `Pulse` in its own event loop, in a background thread
(`_Background`). A method passes a coroutine to that thread and waits for its result, so the asynchronous classes decide
everything. Messages and receipts cross the threads in batches. The items of `publish_many` and the handler of `handle`
run in the thread of the caller, which has the database connections and request contexts of synchronous frameworks.

Invariants:

- Several threads may use one `Pulse` and one `Publisher`. One thread iterates over a `Consumer`.
- A child process after a fork has no copy of the background thread. The first call in the child starts another thread
  with its own connections, and each publisher is made again. A consumer belongs to the process that opened it.
- A `Pulse` that was not closed is closed when the interpreter exits.

Example: a web application creates one publisher while it starts, then forks four workers. Each worker publishes over
its own connection.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import queue as queues
import sys
import threading
import weakref
from collections import deque
from concurrent.futures import Future
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from pulsekit import pulse as asynchronous
from pulsekit._amqp.callbacks import check_callback
from pulsekit._amqp.connection import CONNECT_TIMEOUT
from pulsekit.consumer.consumer import Consumer as AsyncConsumer
from pulsekit.consumer.handler import check_handler
from pulsekit.errors import ConfigurationError, NotOpen
from pulsekit.publisher.publisher import WINDOW
from pulsekit.publisher.publisher import Publisher as AsyncPublisher

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from pulsekit._amqp.connection import State
    from pulsekit.consumer.policy import Policy
    from pulsekit.messages import Message
    from pulsekit.publisher.encoder import Item
    from pulsekit.publisher.receipts import Receipt

__all__ = ["Consumer", "Publisher", "Pulse", "connect"]

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="Pulse | Publisher | Consumer")
A = TypeVar("A")

_BATCH = 64  # messages that cross from the background thread at once
_OUTSIDE = "the connection is closed: call pulsekit.sync.connect() again"

_pulses: weakref.WeakSet[Pulse] = weakref.WeakSet()
_inherited: list[_Background | None] = []  # in a child process, those of its parent: kept, so that nothing closes them


def _delegate(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, T]],
) -> Callable[[Callable[[S], A]], Callable[Concatenate[S, P], T]]:
    """Make a blocking method of an asynchronous one: same parameters, result, exceptions and docstring.

    The decorated function returns the asynchronous object on which the method is called.
    """

    def decorate(target: Callable[[S], A]) -> Callable[Concatenate[S, P], T]:
        @functools.wraps(method)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            on = target(self)
            return self._background().call(method(on, *args, **kwargs))

        return call

    return decorate


def _with_parameters_of(
    method: Callable[Concatenate[A, P], object],
) -> Callable[[Callable[Concatenate[S, ...], T]], Callable[Concatenate[S, P], T]]:
    """Give a method the parameters and the docstring of an asynchronous one."""

    def decorate(function: Callable[Concatenate[S, ...], T]) -> Callable[Concatenate[S, P], T]:
        @functools.wraps(method)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return function(self, *args, **kwargs)

        return call

    return decorate


class _Background:
    """The asynchronous `Pulse` of one process, with its event loop in a background thread.

    Attributes:
        process: the process that started the thread.
        pulse: the asynchronous `Pulse`.
        loop: the event loop of the thread.
    """

    def __init__(self, pulse: asynchronous.Pulse) -> None:
        _refuse_greenlets()
        self.process = os.getpid()
        self.pulse = pulse
        self.loop: asyncio.AbstractEventLoop
        self._leave: asyncio.Future[bool]  # True to close at once, without waiting for confirms
        self._accepting = threading.Lock()
        self._closed = False
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=[started], name="pulsekit", daemon=True)
        self._thread.start()
        started.result()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the background thread, and return its result or raise its exception.

        An exception in the waiting thread, such as KeyboardInterrupt, cancels the coroutine.

        Raises:
            NotOpen: Raised when the connection is closed.
            ConfigurationError: Raised in the background thread, which cannot wait for itself.
        """
        # A lock costs 24 µs a call, asyncio.run_coroutine_threadsafe 40: a tenth of a publish.
        done = threading.Lock()
        done.acquire()
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            tasks.append(self.loop.create_task(coroutine))
            tasks[0].add_done_callback(lambda _: done.release())

        def cancel() -> None:
            tasks[0].cancel()

        with self._accepting_for(coroutine):
            self.loop.call_soon_threadsafe(start)
        try:
            done.acquire()
        except BaseException:
            self.loop.call_soon_threadsafe(cancel)
            raise
        if tasks[0].cancelled():
            raise NotOpen(_OUTSIDE)
        return tasks[0].result()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the background thread, without waiting for it; see `call`."""
        with self._accepting_for(coroutine):
            return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    @contextmanager
    def _accepting_for(self, coroutine: Coroutine[Any, Any, T]) -> Iterator[None]:
        """Keep the event loop open while a coroutine is passed to it."""
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise ConfigurationError(
                "a callback of pulsekit.sync runs in the background thread, which cannot wait for itself: "
                "pass the work to another thread, for example with queue.SimpleQueue"
            )
        with self._accepting:
            if self._closed:
                coroutine.close()
                raise NotOpen(_OUTSIDE)
            yield

    def close(self, *, at_once: bool) -> None:
        """Close the connections and end the thread. Closing twice is fine."""

        def leave() -> None:
            if not self._leave.done():
                self._leave.set_result(at_once)

        with self._accepting:
            if not self._closed:
                self.loop.call_soon_threadsafe(leave)
        self._thread.join()

    def _run(self, started: Future[None]) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)  # for example, no more file descriptors for an event loop

    async def _serve(self, started: Future[None]) -> None:
        self.loop = asyncio.get_running_loop()
        self._leave = self.loop.create_future()
        try:
            async with self.pulse:
                started.set_result(None)
                if await self._leave:
                    raise _LeaveAtOnce  # noqa: TRY301 - the block has to see it
        except _LeaveAtOnce:
            pass
        finally:
            with self._accepting:
                self._closed = True
            await asyncio.sleep(0)  # what was submitted before gets a task, which the runner cancels


class _LeaveAtOnce(Exception):
    """Raised in the block of the asynchronous `Pulse`, so that it does not wait for confirms."""


class Pulse:
    """The connections to the broker, as `pulsekit.Pulse`, for several threads.

    Use it with `with`, or keep it for the whole process: the first call starts the background thread, and `close` or
    the exit of the interpreter ends it.

    Attributes:
        user: the AMQP user, who owns `exchange/<user>/…` and `queue/<user>/…`.
    """

    def __init__(self, make: Callable[[], asynchronous.Pulse]) -> None:
        self._make = make
        self._next: asynchronous.Pulse | None = make()  # now, because a wrong argument is an error of this call
        self.user: str = self._next.user
        self._of: _Background | None = None
        self._lock = threading.RLock()
        self._closed = False
        _pulses.add(self)

    def __enter__(self) -> Self:
        self._background()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(at_once=error is not None)

    def close(self) -> None:
        """Wait for outstanding confirms, stop the consumers and close. Closing twice is fine.

        Leaving the `with` block does the same; after an exception it does not wait for confirms.
        """
        self._close(at_once=False)

    @_with_parameters_of(asynchronous.Pulse.publisher)
    def publisher(self, *args: Any, **kwargs: Any) -> Publisher:
        """Return a publisher that blocks."""
        return Publisher(self, lambda pulse: pulse.publisher(*args, **kwargs))

    @_with_parameters_of(asynchronous.Pulse.subscribe)
    def subscribe(self, *args: Any, **kwargs: Any) -> Consumer:
        """Return a consumer that blocks. Its callbacks are called in the background thread."""
        return Consumer(self, lambda pulse: pulse.subscribe(*args, **kwargs))

    @_delegate(asynchronous.Pulse.create_exchange)
    def create_exchange(self) -> asynchronous.Pulse:
        """Create an exchange."""
        return self._background().pulse

    @_delegate(asynchronous.Pulse.exchange_exists)
    def exchange_exists(self) -> asynchronous.Pulse:
        """Return whether an exchange exists."""
        return self._background().pulse

    @_delegate(asynchronous.Pulse.delete_exchange)
    def delete_exchange(self) -> asynchronous.Pulse:
        """Delete an exchange."""
        return self._background().pulse

    def run(
        self,
        function: Callable[Concatenate[asynchronous.Pulse, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call an asynchronous function with the asynchronous `Pulse` and further arguments, and return its result.

        Example:
            `pulse.run(pulsekit.queues.peek, "queue/me/jobs", count=3)`
        """
        background = self._background()
        return background.call(function(background.pulse, *args, **kwargs))

    def _background(self) -> _Background:
        """Return the background thread of this process, and start it if there is none.

        Raises:
            NotOpen: Raised when the `Pulse` is closed.
        """
        with self._lock:
            if self._closed:
                raise NotOpen(_OUTSIDE)
            if self._of is None:
                self._of = _Background(self._next or self._make())
                self._next = None
            return self._of

    def _close(self, *, at_once: bool) -> None:
        with self._lock:
            self._closed = True
            background, self._of = self._of, None
        if background is not None:
            background.close(at_once=at_once)

    def _forget(self) -> None:
        """In a child process: forget the thread of the parent, and a lock that another thread may have had."""
        self._lock = threading.RLock()
        _inherited.append(self._of)
        self._of = None


class _Delegate(Generic[A]):
    """An object whose methods run in the background thread, on an asynchronous object that is made once a process."""

    def __init__(self, pulse: Pulse, make: Callable[[asynchronous.Pulse], A]) -> None:
        self._pulse = pulse
        self._make = make
        self._made: tuple[_Background, A] | None = None
        self._asynchronous()  # a wrong argument is an error of this call

    def _background(self) -> _Background:
        return self._pulse._background()  # noqa: SLF001 - same module

    def _asynchronous(self) -> A:
        """Return the asynchronous object of this process."""
        background = self._background()
        made = self._made
        if made is None or made[0] is not background:

            async def make() -> A:
                return self._make(background.pulse)

            made = self._made = (background, background.call(make()))
        return made[1]


class Publisher(_Delegate[AsyncPublisher]):
    """A publisher for one exchange, as `pulsekit.Publisher`, for several threads. `Pulse.publisher` makes it.

    Leaving its `with` block, or that of its `Pulse`, waits for outstanding confirms.
    """

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._background().call(self._asynchronous().__aexit__(kind, error, trace))

    @property
    def exchange(self) -> str:
        """The name of the exchange."""
        return self._asynchronous().exchange

    @property
    def in_flight(self) -> int:
        """The number of messages that were accepted and have no outcome yet."""
        return self._asynchronous().in_flight

    @_delegate(AsyncPublisher.open)
    def open(self) -> AsyncPublisher:
        """Connect and declare the exchange."""
        return self._asynchronous()

    @_delegate(AsyncPublisher.publish)
    def publish(self) -> AsyncPublisher:
        """Publish one message and wait for its confirm."""
        return self._asynchronous()

    @_delegate(AsyncPublisher.close)
    def close(self) -> AsyncPublisher:
        """Wait for outstanding confirms, then close."""
        return self._asynchronous()

    def publish_many(
        self,
        messages: Iterable[Item],
        *,
        window: int = WINDOW,
        mandatory: bool | None = None,
        timeout: float | None = None,
    ) -> Iterator[Receipt]:
        """Publish messages with many in flight, and yield the receipts in order; see `pulsekit.Publisher.publish_many`.

        The iterable runs in the thread of the caller, at most two windows ahead of the receipts.
        """
        background, publisher = self._background(), self._asynchronous()
        crossing = _Crossing(background, publisher, window, mandatory, timeout)
        failure: Exception | None = None
        try:
            try:
                for message in messages:
                    yield from crossing.send(message)
            except Exception as error:  # noqa: BLE001 - raised after the receipts of the messages before it
                failure = error
            yield from crossing.rest()
        finally:
            crossing.cancel()
        if failure is not None:
            raise failure


class _Crossing:
    """The messages of one `publish_many` on their way to the background thread, and the receipts on their way back.

    Plan: `send` appends a message to `_items`, from which `_feed` yields it to the asynchronous `publish_many`. The
    receipts arrive in `_receipts`. Both are deques, which are safe between threads. A thread is woken only if it waits.

    Invariants: at most `_most` messages are without a receipt. `_hungry` is set before `_feed` looks into `_items` for
    the last time, so that no message stays unseen; the same is true of `_arrived` and `_receipts`.
    """

    def __init__(
        self,
        background: _Background,
        publisher: AsyncPublisher,
        window: int,
        mandatory: bool | None,  # noqa: FBT001 - as the caller of publish_many gave it
        timeout: float | None,
    ) -> None:
        self._loop = background.loop
        self._items: deque[Item | None] = deque()  # None ends them
        self._hungry = False
        self._wanted = asyncio.Event()
        self._receipts: deque[Receipt] = deque()
        self._arrived = threading.Event()
        self._most = 2 * window
        self._missing = 0  # receipts

        async def publish() -> None:
            receipts = publisher.publish_many(self._feed(), window=window, mandatory=mandatory, timeout=timeout)
            async with aclosing(receipts):
                async for receipt in receipts:
                    self._receipts.append(receipt)
                    self._arrived.set()

        self._publishing = background.submit(publish())
        self._publishing.add_done_callback(lambda _: self._arrived.set())

    def send(self, message: Item) -> Iterator[Receipt]:
        """Pass on one message, and yield the receipts that are known. Wait while too many are missing."""
        self._append(message)
        self._missing += 1
        while self._receipts or (self._missing >= self._most and self._wait()):
            yield from self._known()

    def rest(self) -> Iterator[Receipt]:
        """Yield the remaining receipts.

        Raises:
            PulsekitError: Raised when publishing failed; see `pulsekit.Publisher.publish_many`.
        """
        self._append(None)
        while self._receipts or self._wait():
            yield from self._known()
        self._publishing.result()

    def cancel(self) -> None:
        """Stop. Messages in flight stay sent."""
        self._publishing.cancel()

    def _append(self, item: Item | None) -> None:
        self._items.append(item)
        if self._hungry:
            self._hungry = False
            self._loop.call_soon_threadsafe(self._wanted.set)

    def _wait(self) -> bool:
        """Wait for a receipt; return False if there will be none."""
        while not self._receipts:
            if self._publishing.done():
                return bool(self._receipts)
            self._arrived.wait()
            self._arrived.clear()
        return True

    def _known(self) -> Iterator[Receipt]:
        while self._receipts:
            self._missing -= 1
            yield self._receipts.popleft()

    async def _feed(self) -> AsyncGenerator[Item, None]:
        while True:
            while self._items:
                item = self._items.popleft()
                if item is None:
                    return
                yield item
            self._wanted.clear()
            self._hungry = True
            if not self._items:
                await self._wanted.wait()
            self._hungry = False


class Consumer(_Delegate[AsyncConsumer]):
    """A consumer of one queue, as `pulsekit.Consumer`, for one thread. `Pulse.subscribe` makes it, and `with` opens it.

    Either iterate over the messages and settle each one, or call `handle`.
    """

    def __init__(self, pulse: Pulse, make: Callable[[asynchronous.Pulse], AsyncConsumer]) -> None:
        self._arrived: deque[Message] = deque()  # fetched from the background thread, not returned to the caller
        super().__init__(pulse, make)
        self._process = os.getpid()

    def _asynchronous(self) -> AsyncConsumer:
        if self._made is not None and os.getpid() != self._process:
            raise NotOpen("the consumer belongs to the process before the fork: subscribe again in the child process")
        return super()._asynchronous()

    def __enter__(self) -> Self:
        self._background().call(self._asynchronous().__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        consumer = self._asynchronous()
        consumer._signals.restore()  # noqa: SLF001 - only this thread may do that
        self._background().call(consumer.__aexit__(kind, error, trace))

    @property
    def queue(self) -> str:
        """The name of the queue, which changes with each epoch if the queue is private."""
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
        """How many messages were kept from the handler, see `Policy`."""
        return self._asynchronous().poison

    @_delegate(AsyncConsumer.depth)
    def depth(self) -> AsyncConsumer:
        """Return the depth of the queue."""
        return self._asynchronous()

    def drain(self, *, now: bool = False) -> None:
        """Stop the deliveries; see `pulsekit.Consumer.drain`."""
        self._background().call(self._asynchronous().drain(now=now))
        while now and self._arrived:
            self._arrived.popleft().nack()

    def drain_on(self, *signals: signal.Signals, now: bool = False) -> None:
        """Drain when the process receives one of these signals; see `pulsekit.Consumer.drain_on`.

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
        """Return the next message, or None after `timeout` seconds without one, or when the consumer was drained.

        Raises:
            PulsekitError: Raised as by iteration.
        """
        while True:
            while self._arrived:
                message = self._arrived.popleft()
                if message.live:  # otherwise the broker has requeued it, and delivers it again
                    return message
            if not self._background().call(self._fetch(self._asynchronous(), timeout)):
                return None

    async def _fetch(self, consumer: AsyncConsumer, timeout: float | None) -> bool:
        """Wait for messages and move them to `_arrived`; return False if there are none."""
        try:
            async with asyncio.timeout(timeout):
                self._arrived.append(await anext(consumer))
        except (TimeoutError, StopAsyncIteration):
            return False
        while len(self._arrived) < _BATCH and (message := consumer.take()) is not None:
            self._arrived.append(message)
        return True

    def handle(self, handler: Callable[[Message], object], policy: Policy | None = None) -> None:
        """Call a function with each message, one after the other, until the subscription ends or was drained.

        The function runs in the thread of the caller. See `pulsekit.Consumer.handle` for settlement and failures. After
        KeyboardInterrupt or SystemExit, the message is requeued.

        Raises:
            SubscriptionLost: Raised when the queue was deleted.
            TypeError: Raised before the first message, when the handler cannot be called, or is an `async def`.
        """
        check_handler(handler)
        check_callback("a handler of pulsekit.sync", handler)
        waiting: queues.SimpleQueue[tuple[Message, asyncio.Future[None]] | None] = queues.SimpleQueue()
        background = self._background()

        async def pass_on(message: Message) -> None:
            done: asyncio.Future[None] = background.loop.create_future()
            waiting.put((message, done))
            await done

        handling = background.submit(self._asynchronous().handle(pass_on, policy))
        handling.add_done_callback(lambda _: waiting.put(None))
        try:
            while (call := waiting.get()) is not None:
                message, done = call
                failure: Exception | None = None
                try:
                    handler(message)
                except Exception as error:  # noqa: BLE001 - the policy decides
                    failure = error
                background.loop.call_soon_threadsafe(_finish, done, failure)
            handling.result()
        finally:
            handling.cancel()


def connect(
    url: str | None = None,
    *,
    insecure: bool = False,
    timeout: float = CONNECT_TIMEOUT,
    on_state: Callable[[str, State], None] | None = None,
) -> Pulse:
    """Return a `Pulse` whose methods block; see `pulsekit.connect` for the arguments and exceptions.

    `on_state` is called in the background thread.

    Raises:
        ConfigurationError: Raised when no broker is configured, or the URL is malformed.
        InsecureConnection: Raised when the password would be sent in clear text to another machine.
        TypeError: Raised when `on_state` is an `async def`.
    """
    return Pulse(lambda: asynchronous.connect(url, insecure=insecure, timeout=timeout, on_state=on_state))


def _finish(done: asyncio.Future[None], failure: Exception | None) -> None:
    if done.done():  # cancelled
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)


def _refuse_greenlets() -> None:
    """Refuse to start where threads are replaced by greenlets: the event loop would stop all of them.

    Raises:
        ConfigurationError: Raised when gevent or eventlet has replaced the module `threading`.
    """
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    for name, replaced in (
        ("gevent", gevent is not None and gevent.is_module_patched("threading")),
        ("eventlet", eventlet is not None and eventlet.is_monkey_patched("thread")),
    ):
        if replaced:
            raise ConfigurationError(
                f"{name} has replaced threads by greenlets, and pulsekit.sync needs a real thread: "
                "do not patch threads (gevent: monkey.patch_all(thread=False)), or use pulsekit in another process"
            )


def _forget_all() -> None:
    for pulse in _pulses:
        pulse._forget()  # noqa: SLF001 - same module


def _close_all() -> None:
    for pulse in list(_pulses):
        pulse.close()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)
