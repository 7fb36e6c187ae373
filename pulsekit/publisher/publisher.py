"""Publish messages to one exchange, and return a receipt for each message.

`Encoder` validates and encodes a message, `Sender` sends it and settles it with an outcome, and `PublishWindow` keeps
the messages of one `publish_many` in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from math import inf
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.callbacks import check_callback, check_kind, check_number
from pulsekit._amqp.outcome import Outcome
from pulsekit._amqp.tasks import end_task
from pulsekit._amqp.types import Properties
from pulsekit.bindings.names import check_exchange
from pulsekit.errors import BrokerRefused, ConfigurationError, NetworkError, NotOpen, PulsekitError, fresh
from pulsekit.publisher.encoder import Draft, Encoder
from pulsekit.publisher.sender import BATCH, Sender
from pulsekit.publisher.window import PendingMessage, PublishWindow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Literal, Self

    from pulsekit._amqp.connection import Connection
    from pulsekit.instrumentation.hooks import Hooks
    from pulsekit.publisher.encoder import Item
    from pulsekit.publisher.receipts import Receipt
    from pulsekit.schemas.schema import Schema

__all__ = ["Publisher"]

PUBLISH_TIMEOUT = 60.0  # seconds until every publish has an outcome
DRAIN_TIMEOUT = 10.0  # seconds that `close` waits for confirms
WINDOW = 256  # messages in flight; more do not increase the rate, see docs/performance.md

_PREPARE_TIME = 0.0005  # seconds of encoding when the window is full, before the event loop may read answers


class Publisher:
    """A publisher for one exchange, made by `Pulse.publisher`.

    The user's own exchange is declared (durable, topic). An exchange of another user must exist. Messages are sent in
    order. After a lost connection, unconfirmed messages are sent again on the next connection, with the same message
    id, until their deadline. Delivery is therefore at least once, and `Receipt.resent` marks possible duplicates. Every
    publish has an outcome by its deadline.

    If the broker closes the channel because of one message, for example for an invalid property, only this message is
    refused. The other messages are sent again on another channel.

    A publisher belongs to one event loop.

    Attributes:
        exchange: the name of the exchange.
        mandatory: whether the broker returns a message that it cannot route to any queue, instead of confirming and
            discarding it. `publish` and `publish_many` can override it.
    """

    def __init__(
        self,
        connection: Connection,
        tasks: asyncio.TaskGroup,
        exchange: str,
        *,
        schema: Schema | None = None,
        lint: bool = False,
        mandatory: bool = False,
        timeout: float = PUBLISH_TIMEOUT,
        overflow_rejects: bool = False,
        on_recreated: Callable[[str], None] | None = None,
        message_ids: Literal["random", "content"] = "random",
        hooks: Hooks | None = None,
    ) -> None:
        check_callback("on_recreated", on_recreated)
        if message_ids not in {"random", "content"}:
            raise ConfigurationError(f"message_ids is 'random' or 'content', not {message_ids!r:.40}")
        self.exchange: str = check_exchange(exchange)
        self.mandatory: bool = mandatory
        self._sender = Sender(
            connection, tasks, self.exchange, overflow_rejects=overflow_rejects, on_recreated=on_recreated
        )
        self._encoder = _encoder(self.exchange, schema, hooks, lint=lint)
        self._encoder.content_ids = message_ids == "content"
        self._tasks = tasks
        self._feeding: set[asyncio.Task[None]] = set()  # read the asynchronous iterables of `publish_many`
        check_number("timeout", timeout)
        self._timeout = timeout

    @property
    def closed(self) -> bool:
        """Whether the publisher was closed, either by `close` or with its connection."""
        return isinstance(self._sender.failure, NotOpen)

    @property
    def in_flight(self) -> int:
        """The number of messages that were accepted and have no outcome yet."""
        return len(self._sender.pending)

    @property
    def recreated(self) -> int:
        """How often the user's exchange was created again after a reconnect, because it had been deleted.

        The new exchange has no bindings. Until queues are bound to it, the broker discards messages.
        """
        return self._sender.recreated

    async def open(self) -> None:
        """Connect and declare the exchange now, instead of with the first message.

        Raises:
            BrokerRefused: Raised when the broker refuses the login, the virtual host or the exchange.
            NetworkError: Raised when the broker cannot be reached.
        """
        await self._sender.open()

    async def publish(
        self,
        payload: Any,
        routing_key: str,
        *,
        cc: Sequence[str] = (),
        headers: Mapping[str, Any] | None = None,
        properties: Properties | None = None,
        mandatory: bool | None = None,
        timeout: float | None = None,
    ) -> Receipt:
        """Publish one message and wait for its confirm.

        If the wait is cancelled, the message may still be sent.

        Args:
            payload: a JSON value, validated if the publisher has a schema; or the body as bytes, sent unchanged.
            routing_key: at most 255 bytes.
            cc: additional routing keys (the `CC` header).
            headers: additional headers.
            properties: see `Draft`.
            mandatory: whether an unroutable message is an error. The default is the setting of the publisher.
            timeout: seconds until the outcome, including reconnects. The default is the setting of the publisher.

        Returns:
            The receipt of the confirmed message.

        Raises:
            InvalidPayload: Raised when the payload violates the schema, or with `lint` when Treeherder would drop the
                job. Nothing was sent.
            InvalidMessage: Raised when AMQP cannot encode the message. Nothing was sent.
            TypeError: Raised when an argument has a wrong type, or the payload is JSON text. Nothing was sent.
            MessageReturned: Raised with `mandatory`, when no queue is bound to the routing key.
            MessageRefused: Raised when the broker closes the channel because of the message. If the publisher has
                `overflow_rejects`, also raised when the broker sends a negative confirm for a message that was sent
                once.
            PublishTimeout: Raised when the broker does not confirm before the deadline.
            OutcomeUnknown: Raised when the connection is lost before the confirm, and the deadline passes before the
                message can be sent again. Also raised when the broker sends a negative confirm, unless that raises
                `MessageRefused`.
            BrokerRefused: Raised when the broker refuses the exchange, the login or the virtual host.
            NetworkError: Raised when the first connection fails.
        """
        self._sender.check()
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        message = self._begin(
            lambda: None if settled.done() else settled.set_result(None),
            payload,
            routing_key,
            cc=cc,
            headers=headers,
            properties=properties,
            mandatory=mandatory,
            timeout=timeout,
        )
        self._sender.flush_soon()
        await settled
        return self._result(message)

    def _begin(
        self,
        on_settled: Callable[[], None],
        payload: Any,
        routing_key: str,
        *,
        cc: Sequence[str] = (),
        headers: Mapping[str, Any] | None = None,
        properties: Properties | None = None,
        mandatory: bool | None = None,
        timeout: float | None = None,
    ) -> PendingMessage:
        """Accept a message for `publish`, and call a function when the message has a receipt or an error."""
        if timeout is not None:
            check_number("timeout", timeout)
        item: Item = (payload, routing_key)  # the encoder caches the header of such a pair
        if cc != () or headers is not None or properties is not None:
            headers = {} if headers is None else headers
            item = Draft(payload, routing_key, cc, headers, Properties() if properties is None else properties)
        message = self._encoder.encode(
            item,
            0,
            self.mandatory if mandatory is None else mandatory,
            self._timeout if timeout is None else timeout,
        )
        message.on_settled = on_settled
        self._sender.accept(message)
        return message

    def _flush(self) -> None:
        """Write the accepted messages now, instead of at the end of this iteration of the event loop."""
        self._sender.flush()

    def _result(self, message: PendingMessage) -> Receipt:
        """Return the receipt of a settled message, or raise its error, see `publish`."""
        receipt = message.result()
        if receipt.outcome is Outcome.UNKNOWN and isinstance(self._sender.failure, BrokerRefused):
            raise fresh(self._sender.failure)
        return receipt.check()

    async def publish_many(
        self,
        messages: Iterable[Item] | AsyncIterable[Item],
        *,
        window: int = WINDOW,
        mandatory: bool | None = None,
        timeout: float | None = None,
        stop_when_silent: bool = False,
    ) -> AsyncGenerator[Receipt, None]:
        """Publish messages without waiting for each confirm, and yield receipts in the order of the messages.

        An invalid message has a receipt and raises no exception. Memory is bounded: at most `window` messages are in
        flight, and as many are encoded in advance, with bodies of 64 MiB in all. If the iteration is stopped, messages
        that are encoded in advance are not sent.

        Args:
            messages: (payload, routing key) pairs or drafts. An exception of this iterable is raised after the receipts
                of the messages before it.
            window: the maximum number of messages without an outcome.
            mandatory: see `publish`.
            timeout: seconds for each message.
            stop_when_silent: whether to stop when a message has timed out and the broker has answered no message in
                this time. Otherwise, each message is tried until its timeout.

        Raises:
            BrokerRefused: Raised when the broker refuses the exchange, the login or the virtual host, once the known
                receipts were yielded.
            NetworkError: Raised when the first connection fails, or when `stop_when_silent` applies and there are more
                messages.
            ConfigurationError: Raised when the window is smaller than 1.
            TypeError: Raised when a part of a message has a wrong type, once all previous receipts were yielded.
        """
        self._sender.check()
        if self._sender.failure is not None:
            raise fresh(self._sender.failure)
        check_kind("window", window, int)
        check_number("timeout", timeout, optional=True)
        if window < 1:
            raise ConfigurationError(f"window is the number of messages in flight, at least 1, not {window}")
        publish_window = PublishWindow(
            window,
            mandatory=self.mandatory if mandatory is None else mandatory,
            timeout=self._timeout if timeout is None else timeout,
        )
        items, feeding = None, None
        if isinstance(messages, AsyncIterable):
            feeding = self._tasks.create_task(self._feed(messages, publish_window))
            self._feeding.add(feeding)
            feeding.add_done_callback(self._feeding.discard)
        else:
            items = enumerate(messages)
        try:
            while not publish_window.done:
                known = publish_window.pop_receipts()
                late = stop_when_silent and self._sender.silent and _late(known)
                if not late:
                    self._fill_window(publish_window)
                    self._sender.flush()  # before the caller processes the receipts, so that the broker does not wait
                for receipt in known:
                    yield receipt
                if late and (publish_window.prepared or not publish_window.ended):
                    raise NetworkError(
                        f"the broker has answered no message for {publish_window.timeout:g} s ({late.detail})"
                    )
                if known:
                    continue
                if items is not None and publish_window.wanted:
                    self._prepare_some(items, publish_window)
                    await asyncio.sleep(0)  # lets the event loop read answers and send heartbeats
                else:
                    await publish_window.changed()
        finally:
            if feeding is not None and not feeding.done():
                await end_task(feeding)
        if publish_window.failure is not None:
            raise publish_window.failure
        if isinstance(self._sender.failure, BrokerRefused):
            raise fresh(self._sender.failure)

    def _prepare_some(self, items: Iterator[tuple[int, Item]], window: PublishWindow) -> None:
        """Encode a batch of messages. If the window has no capacity, stop after `_PREPARE_TIME`."""
        until = inf if window.capacity else self._sender.time() + _PREPARE_TIME
        try:
            for _ in range(min(window.wanted, BATCH)):
                self._prepare(window, *next(items))
                if window.full or self._sender.time() >= until:
                    return
        except StopIteration:
            window.end(None)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised by publish_many, after the receipts
            window.end(error)

    async def _feed(self, items: AsyncIterable[Item], window: PublishWindow) -> None:
        """Encode the messages of an asynchronous iterable when the window has capacity. This runs in a task."""
        index = 0
        until = self._sender.time() + _PREPARE_TIME
        try:
            async for item in items:
                self._prepare(window, index, item)
                index += 1
                self._fill_window(window)
                self._sender.flush_soon()
                if window.prepared and self._sender.time() >= until:
                    await asyncio.sleep(0)  # lets the event loop read answers, even if the iterable never waits
                    until = self._sender.time() + _PREPARE_TIME
                await window.wants_more()
            window.end(None)
        except asyncio.CancelledError as error:  # `close`, or the iterable waited for something that was cancelled
            window.end(error if self._sender.failure is None else fresh(self._sender.failure))
            raise
        except Exception as error:  # noqa: BLE001 - see _prepare_some
            window.end(error)

    def _fill_window(self, window: PublishWindow) -> None:
        """Accept prepared messages while the window has capacity."""
        prepared = window.prepared
        try:
            for _ in range(min(window.capacity, len(prepared))):
                message = prepared[0]
                if isinstance(message, PendingMessage):
                    self._sender.accept(message)
                window.add(prepared.popleft())
        except PulsekitError as error:  # the publisher is closed or has failed
            prepared.clear()
            window.end(error)

    def _prepare(self, window: PublishWindow, index: int, item: Item) -> None:
        window.prepare(self._encoder.encode_or_refuse(item, index, window.mandatory, window.timeout))

    async def close(self, timeout: float = DRAIN_TIMEOUT) -> tuple[Receipt, ...]:
        """Accept no more messages, wait for outstanding confirms, then close. Closing twice is fine.

        Args:
            timeout: seconds to wait. After this time, messages without an outcome are settled: as unknown if they were
                sent, else as timed out.

        Returns:
            The receipts of the messages that had no outcome in time.

        Raises:
            TypeError: Raised when the timeout is not a number.
        """
        check_number("timeout", timeout)
        receipts = await self._sender.close(timeout)
        # The caller has not finished these iterations, and may never finish them. A source may close its publisher.
        for feeding in self._feeding - {asyncio.current_task()}:
            await end_task(feeding)
        return receipts

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(DRAIN_TIMEOUT if error is None else 0)


def _encoder(exchange: str, schema: Schema | None, hooks: Hooks | None, *, lint: bool) -> Encoder:
    if hooks is None:
        return Encoder(exchange, schema, lint=lint)
    from pulsekit.publisher.instrumented import InstrumentedEncoder

    return InstrumentedEncoder(exchange, schema, hooks, lint=lint)


def _late(receipts: Iterable[Receipt]) -> Receipt | None:
    """Return the first receipt of a message that the broker has not answered in time."""
    unanswered = (Outcome.TIMEOUT, Outcome.UNKNOWN)
    return next((receipt for receipt in receipts if receipt.outcome in unanswered), None)
