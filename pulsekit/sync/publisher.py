"""A publisher whose methods block."""

from __future__ import annotations

import asyncio
import queue as queues
import threading
from collections import deque
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from pulsekit.errors import NotOpen
from pulsekit.publisher.publisher import WINDOW
from pulsekit.publisher.publisher import Publisher as AsyncPublisher
from pulsekit.sync.background import OUTSIDE
from pulsekit.sync.delegation import Delegate, delegate, with_parameters_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from pulsekit.publisher.encoder import Item
    from pulsekit.publisher.receipts import Receipt
    from pulsekit.publisher.window import PendingMessage
    from pulsekit.sync.background import Background

__all__ = ["Publisher"]


class Publisher(Delegate[AsyncPublisher]):
    """A publisher for one exchange, like `pulsekit.Publisher`, for several threads. `Pulse.publisher` creates it.

    The exit of its `with` block, or of that of its `Pulse`, waits for outstanding confirms.
    """

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(lambda publisher: publisher.__aexit__(kind, error, trace), None)

    @property
    def exchange(self) -> str:
        """The name of the exchange."""
        return self._asynchronous().exchange

    @property
    def in_flight(self) -> int:
        """The number of messages that were accepted and have no outcome yet."""
        return self._asynchronous().in_flight

    @delegate(AsyncPublisher.open)
    def open(self) -> AsyncPublisher:
        """Connect and declare the exchange."""
        return self._asynchronous()

    @with_parameters_of(AsyncPublisher.publish)
    def publish(self, *args: Any, **kwargs: Any) -> Receipt:
        """Publish one message and wait for its confirm."""
        # This needs no task and no second iteration of the event loop: a third more messages per second.
        background, publisher = self._background(), self._asynchronous()
        settled: queues.SimpleQueue[BaseException | None] = queues.SimpleQueue()
        begun: list[PendingMessage] = []

        def begin() -> None:
            try:
                begun.append(publisher._begin(lambda: settled.put(None), *args, **kwargs))  # noqa: SLF001 - of this package
                publisher._flush()  # noqa: SLF001 - of this package
            except BaseException as error:  # noqa: BLE001 - raised in the thread of the caller
                settled.put(error)

        background.schedule(begin)
        if (error := settled.get()) is not None:
            raise error
        return publisher._result(begun[0])  # noqa: SLF001 - of this package

    @with_parameters_of(AsyncPublisher.close)
    def close(self, *args: Any, **kwargs: Any) -> tuple[Receipt, ...]:
        """Wait for outstanding confirms, then close."""
        return self._end(lambda publisher: publisher.close(*args, **kwargs), ())

    def publish_many(
        self,
        messages: Iterable[Item],
        *,
        window: int = WINDOW,
        mandatory: bool | None = None,
        timeout: float | None = None,
        stop_when_silent: bool = False,
    ) -> Iterator[Receipt]:
        """Publish messages and yield the receipts in order, see `pulsekit.Publisher.publish_many`.

        The iterable runs in the thread of the caller, at most two windows ahead of the receipts.
        """
        background, publisher = self._background(), self._asynchronous()
        options = {"mandatory": mandatory, "timeout": timeout, "stop_when_silent": stop_when_silent}
        crossing = _Crossing(background, publisher, window, options)
        failure: BaseException | None = None
        try:
            try:
                for message in messages:
                    crossing.send(message)
                    if crossing.has_news:
                        yield from crossing.known()
                    if crossing.ended:  # publishing failed: `rest` raises the reason
                        break
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised after the receipts
                failure = error
            yield from crossing.rest()
        finally:
            crossing.cancel()
        if failure is not None:
            raise failure


class _Crossing:
    """The messages that one `publish_many` passes to the background thread, and the receipts that it gets back.

    Plan: `send` appends a message to `_items`, from which `_feed` yields it to the asynchronous `publish_many`. The
    receipts arrive in `_receipts`. Both are deques, which are safe between threads. A thread is woken only if it waits.

    Invariants: at most `_most` messages are without a receipt. `_feed` sets `_feed_waits`, then checks `_items` once
    more, and then waits, so that it misses no message. The same applies to `_arrived` and `_receipts`.
    """

    def __init__(
        self,
        background: Background,
        publisher: AsyncPublisher,
        window: int,
        options: dict[str, Any],
    ) -> None:
        self._background = background
        self._items: deque[Item | None] = deque()  # None ends them
        self._feed_waits = False
        self._wanted = asyncio.Event()
        self._receipts: deque[Receipt] = deque()
        self._waiting = False  # for receipts
        self._arrived = threading.Event()
        self._most = 2 * window
        self._missing = 0  # receipts

        async def publish() -> None:
            async with aclosing(publisher.publish_many(self._feed(), window=window, **options)) as receipts:
                async for receipt in receipts:
                    self._receipts.append(receipt)
                    if self._waiting:
                        self._waiting = False
                        self._arrived.set()

        self.ended = False  # whether there will be no more receipts
        self._publishing = background.submit(publish())
        self._publishing.add_done_callback(self._end)

    def _end(self, _: object) -> None:
        self.ended = True
        self._arrived.set()

    def send(self, message: Item) -> None:
        """Pass one message to the background thread."""
        self._append(message)
        self._missing += 1

    @property
    def has_news(self) -> bool:
        """Whether receipts have arrived, or too many are missing."""
        return bool(self._receipts) or self._missing >= self._most

    def known(self) -> Iterator[Receipt]:
        """Yield the receipts that have arrived. Wait while too many are missing."""
        while self._receipts or (self._missing >= self._most and self._wait()):
            self._missing -= 1
            yield self._receipts.popleft()

    def rest(self) -> Iterator[Receipt]:
        """Yield the remaining receipts.

        Raises:
            PulsekitError: Raised when publishing failed, see `pulsekit.Publisher.publish_many`.
            NotOpen: Raised when the connection was closed.
        """
        self._append(None)
        while self._receipts or self._wait():
            yield self._receipts.popleft()
        publishing = self._publishing
        # The asynchronous publisher would advise to use `async with`.
        if publishing.cancelled() or (self._background.closed and isinstance(publishing.exception(), NotOpen)):
            raise NotOpen(OUTSIDE)
        publishing.result()

    def cancel(self) -> None:
        """Stop publishing. Messages in flight are not recalled."""
        self._publishing.cancel()

    def _append(self, item: Item | None) -> None:
        self._items.append(item)
        if self._feed_waits:
            self._feed_waits = False
            with suppress(NotOpen):  # publishing has ended, and `rest` yields the receipts before it raises the reason
                self._background.schedule(self._wanted.set)

    def _wait(self) -> bool:
        """Wait for a receipt. Return False if there will be none."""
        while not self._receipts:
            self._arrived.clear()
            self._waiting = True
            if self._publishing.done():
                return bool(self._receipts)
            if not self._receipts:
                self._arrived.wait()
        return True

    async def _feed(self) -> AsyncGenerator[Item, None]:
        while True:
            while self._items:
                item = self._items.popleft()
                if item is None:
                    return
                yield item
            self._wanted.clear()
            self._feed_waits = True
            if not self._items:
                await self._wanted.wait()
            self._feed_waits = False
