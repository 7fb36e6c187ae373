"""Publish to one exchange: validate, encode, send with confirms, and say for each message what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.frames import FRAME_MAX, PublishHeader, encode_id
from pulsekit._amqp.publishing import PublishChannel
from pulsekit._amqp.types import Outcome, Properties
from pulsekit._documents.payloads import decode_body, encode_payload
from pulsekit.bindings.names import check_exchange, owner
from pulsekit.errors import (
    BrokerRefused,
    ConfigurationError,
    InvalidInput,
    InvalidPayload,
    NetworkError,
    NotOpen,
    PulsekitError,
)
from pulsekit.messages import CC
from pulsekit.publisher.receipts import Receipt
from pulsekit.publisher.window import PendingMessage, PublishWindow, UnsentMessage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self, TypeAlias

    from pulsekit._amqp.connection import Connection
    from pulsekit._amqp.link import Link
    from pulsekit.records.record import Record
    from pulsekit.schemas.schema import Schema

    Item: TypeAlias = "tuple[Any, str] | Draft"

__all__ = ["Draft", "Publisher"]

log = logging.getLogger("pulsekit")

PUBLISH_TIMEOUT = 60.0  # seconds until a publish ends, whatever happens
DRAIN_TIMEOUT = 10.0  # seconds that closing waits for confirms
WINDOW = 256  # messages in flight: the knee of the curve of rate over window

_SETTLE = 1.0  # seconds before a channel that failed on a living connection is opened again
_BATCH = 64  # messages that go out without waiting for the others of this turn of the loop
_MOMENT = 0.0005  # seconds for which messages are made ready ahead of the window, between two looks for answers
_TICK = 0.01  # seconds between two looks for messages that are late
_MAX_HEADERS = 1024  # that are kept, by routing key
_OWN_ID = bytes((20 + 12,))  # how long an id of ours is, prefix and number: a short string begins with that
_PERSISTENT = Properties(content_type="application/json", delivery_mode=2)


@dataclass(frozen=True, slots=True)
class Draft:
    """Describe one message to publish, when payload and key are not all.

    Attributes:
        payload: JSON, or the bytes of a body that is sent as it is.
        routing_key: at most 255 bytes.
        cc: further routing keys.
        headers: more headers.
        properties: what to set besides content type, persistence and message id, which are set when absent.
    """

    payload: Any
    routing_key: str
    cc: Sequence[str] = ()
    headers: Mapping[str, Any] = field(default_factory=dict)
    properties: Properties = field(default_factory=Properties)

    @classmethod
    def from_record(cls, record: Record, routing_key: str | None = None) -> Draft:
        """Return the message of a record, under another routing key if one is given.

        `user_id` is left out: the broker refuses a message with another user's (406), and closes the channel.
        """
        properties = replace(record.properties, user_id=None)
        key = record.routing_key if routing_key is None else routing_key
        return cls(record.content, key, record.cc, record.headers, properties)


class Publisher:
    """Publish messages to one exchange.

    The user's own exchange is declared (durable, topic); somebody else's must exist. Messages leave in the order they
    were given. What a lost connection left unconfirmed is sent again on the next one, with the same message id, until
    its deadline: at least once, and the receipt says when it may be twice. Every publish ends by its deadline.

    Made by `Pulse.publisher`; not shared between event loops.
    """

    def __init__(
        self,
        connection: Connection,
        tasks: asyncio.TaskGroup,
        exchange: str,
        *,
        schema: Schema | None = None,
        mandatory: bool = False,
        timeout: float = PUBLISH_TIMEOUT,
    ) -> None:
        self.exchange: str = check_exchange(exchange)
        self._connection = connection
        self._tasks = tasks
        self._schema = schema
        self._mandatory = mandatory
        self._timeout = timeout
        self._id_prefix = secrets.token_hex(10)
        self._numbers = count()
        self._headers: dict[tuple[str, bool], PublishHeader] = {}
        self._pending: dict[PendingMessage, None] = {}  # accepted and without an outcome, in order
        self._outbox: list[PendingMessage] = []
        self._timer: asyncio.TimerHandle | None = None  # for the first deadline
        self._timer_at = inf
        self._time = monotonic  # the loop's, once there is one
        self._flushing = False
        self._channel: PublishChannel[PendingMessage] | None = None
        self._failure: PulsekitError | None = None
        self._ready: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def closed(self) -> bool:
        """Whether it was closed, by `close` or with its connection."""
        return isinstance(self._failure, NotOpen)

    @property
    def in_flight(self) -> int:
        """How many messages were accepted and have no outcome yet."""
        return len(self._pending)

    async def open(self) -> None:
        """Connect and declare the exchange now, instead of with the first message.

        Raises:
            BrokerRefused: the login, the virtual host, or the exchange was refused.
            NetworkError: the broker could not be reached.
        """
        self._check_open()
        self._start()
        assert self._ready is not None
        await asyncio.shield(self._ready)

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

        Cancelling the wait does not call the message back: it may have left.

        Args:
            payload: JSON, validated when the publisher has a schema; or the bytes of a body that is sent as it is.
            routing_key: at most 255 bytes.
            cc: further routing keys (the `CC` header).
            headers: more headers.
            properties: see `Draft`.
            mandatory: whether a message that no queue takes is an error; the publisher's own setting by default.
            timeout: seconds until the outcome, reconnecting included.

        Returns:
            The receipt of a confirmed message.

        Raises:
            InvalidPayload: the schema refuses the payload; nothing was sent.
            InvalidMessage: AMQP cannot carry it; nothing was sent.
            MessageReturned: with `mandatory`, nobody is bound to the key.
            MessageRefused: the broker could not take it.
            PublishTimeout: no confirm in time.
            OutcomeUnknown: the connection went before the confirm, and there was no time to send it again.
            BrokerRefused: the exchange, the login or the virtual host was refused.
            NetworkError: the broker could not be reached for the first time.
        """
        draft = Draft(payload, routing_key, cc, headers or {}, properties or Properties())
        message = self._prepare(
            draft,
            0,
            self._mandatory if mandatory is None else mandatory,
            self._timeout if timeout is None else timeout,
        )
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        message.on_settled = lambda: None if settled.done() else settled.set_result(None)
        self._accept(message)
        self._flush_soon()
        await settled
        receipt = message.result()
        if receipt.outcome is Outcome.UNKNOWN and isinstance(self._failure, BrokerRefused):
            raise self._failure
        return receipt.check()

    async def publish_many(
        self,
        messages: Iterable[Item] | AsyncIterable[Item],
        *,
        window: int = WINDOW,
        mandatory: bool | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[Receipt]:
        """Publish messages with many in flight and yield their receipts in order, each as soon as it is known.

        No single message raises: an invalid one is a receipt, too. As many messages as the window holds are taken from
        the source, validated and encoded ahead of it, and no more, so memory stays bounded. When iteration is given up,
        messages that left stay sent, and those ahead of the window are not sent.

        Args:
            messages: (payload, routing key) pairs, or drafts. What the source raises is raised here, after the
                receipts of the messages it gave.
            window: how many may be without an outcome.
            mandatory: see `publish`.
            timeout: seconds for each message.

        Raises:
            BrokerRefused: the exchange, the login or the virtual host was refused; receipts known by then came first.
            NetworkError: the broker could not be reached for the first time.
            ConfigurationError: the window is smaller than 1.
        """
        self._check_open()
        if window < 1:
            raise ConfigurationError(f"window is the number of messages in flight, at least 1, not {window}")
        flow = PublishWindow(
            window,
            mandatory=self._mandatory if mandatory is None else mandatory,
            timeout=self._timeout if timeout is None else timeout,
        )
        items, feeding = None, None
        if isinstance(messages, AsyncIterable):
            feeding = self._tasks.create_task(self._feed(messages, flow))
        else:
            items = enumerate(messages)
        try:
            while not flow.done:
                known = flow.pop_receipts()
                self._fill_window(flow)
                self._flush()  # before anybody looks at receipts: the broker should not wait for that
                for receipt in known:
                    yield receipt
                if known:
                    continue
                if items is not None and flow.wanted:
                    self._prepare_some(items, flow)
                    await asyncio.sleep(0)  # answers are read, and heartbeats have their turn
                else:
                    await flow.changed()
        finally:
            if feeding is not None and not feeding.done():
                feeding.cancel()
                await asyncio.wait([feeding])
        if flow.failure is not None:
            raise flow.failure
        if isinstance(self._failure, BrokerRefused):
            raise self._failure

    def _prepare_some(self, items: Iterator[tuple[int, Item]], flow: PublishWindow) -> None:
        """Take a batch from the source; ahead of the window only for a moment, then answers have their turn."""
        until = inf if flow.capacity else self._time() + _MOMENT
        try:
            for _ in range(min(flow.wanted, _BATCH)):
                self._prepare_for(flow, *next(items))
                if self._time() >= until:
                    return
        except StopIteration:
            flow.end(None)
        except Exception as error:  # noqa: BLE001 - the source's own, raised once its receipts are out
            flow.end(error)

    async def _feed(self, items: AsyncIterable[Item], flow: PublishWindow) -> None:
        """Take from an asynchronous source as messages are wanted, in one task for all of them."""
        index = 0
        until = self._time() + _MOMENT
        try:
            async for item in items:
                self._prepare_for(flow, index, item)
                index += 1
                self._fill_window(flow)
                self._flush_soon()
                if flow.prepared and self._time() >= until:
                    await asyncio.sleep(0)  # answers have their turn, though the source may have much at once
                    until = self._time() + _MOMENT
                await flow.wants_more()
            flow.end(None)
        except Exception as error:  # noqa: BLE001 - see _prepare_some
            flow.end(error)

    def _fill_window(self, flow: PublishWindow) -> None:
        """Let what is ready go out, as far as the window has room."""
        prepared = flow.prepared
        try:
            for _ in range(min(flow.capacity, len(prepared))):
                message = prepared[0]
                if isinstance(message, PendingMessage):
                    self._accept(message)
                flow.add(prepared.popleft())
        except PulsekitError as error:  # no more can be accepted
            prepared.clear()
            flow.end(error)

    async def close(self, timeout: float = DRAIN_TIMEOUT) -> tuple[Receipt, ...]:
        """Wait for outstanding confirms, then close. Closing twice is fine.

        Args:
            timeout: seconds to wait; what has no outcome then ends as unknown when it was sent, else as timed out.

        Returns:
            The receipts of those that ended so.
        """
        if self._task is not None and self._failure is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._idle.wait()
        left = list(self._pending)
        self._fail(NotOpen("the publisher is closed: use it inside the `async with` block of its connection"))
        if left:
            log.warning("%d messages to %s were not confirmed before closing", len(left), self.exchange)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        return tuple(message.receipt for message in left if message.receipt is not None)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(DRAIN_TIMEOUT if error is None else 0)

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _start(self) -> None:
        if self._task is None:
            self._time = asyncio.get_running_loop().time
            self._ready = asyncio.get_running_loop().create_future()
            self._connection.start(self._tasks)
            self._task = self._tasks.create_task(self._run(), name=f"publish to {self.exchange}")

    def _prepare(self, item: Item, index: int, mandatory: bool, timeout: float) -> PendingMessage:  # noqa: FBT001 - see Entry
        """Validate and encode one message.

        Raises:
            InvalidInput: the schema refuses it, or AMQP cannot carry it.
        """
        message_id = f"{self._id_prefix}{next(self._numbers):012x}"
        encoded_id = _OWN_ID + message_id.encode()
        if isinstance(item, Draft):
            header, payload = self._address(item, mandatory=mandatory), item.payload
            if item.properties.message_id:
                message_id = item.properties.message_id
                encoded_id = encode_id(message_id)
        else:
            payload, routing_key = item
            known = self._headers.get((routing_key, mandatory))
            header = known or self._address(Draft(None, routing_key), mandatory=mandatory)
        if isinstance(payload, bytes):
            body = payload
            if self._schema is not None:
                self._schema.check(decode_body(body))
        else:
            if self._schema is not None:
                self._schema.check(payload)
            body = encode_payload(payload)
        return PendingMessage(header, message_id, encoded_id, body, index, timeout)

    def _address(self, draft: Draft, *, mandatory: bool) -> PublishHeader:
        """Make the header of a message, and keep it when others may have the same."""
        headers, own = draft.headers, draft.properties
        if draft.cc:
            headers = {**headers, CC: list(draft.cc)}
        properties = _PERSISTENT
        if own != Properties():
            properties = replace(
                own,
                content_type=own.content_type or _PERSISTENT.content_type,
                delivery_mode=own.delivery_mode or _PERSISTENT.delivery_mode,
            )
        key = draft.routing_key
        header = PublishHeader(self.exchange, key, mandatory=mandatory, properties=properties, headers=headers)
        if properties is _PERSISTENT and not headers:
            if len(self._headers) >= _MAX_HEADERS:
                self._headers.clear()
            self._headers[key, mandatory] = header
        return header

    def _prepare_for(self, flow: PublishWindow, index: int, item: Item) -> None:
        """Make a message ready to be sent, or put the receipt in its place that says why it cannot be."""
        try:
            flow.prepared.append(self._prepare(item, index, flow.mandatory, flow.timeout))
        except InvalidInput as error:
            draft = item if isinstance(item, Draft) else Draft(*item)
            message_id = draft.properties.message_id or ""
            problems = error.problems if isinstance(error, InvalidPayload) else ()
            detail, key = str(error), draft.routing_key
            receipt = Receipt(index, message_id, self.exchange, key, Outcome.INVALID, False, detail, problems)
            flow.prepared.append(UnsentMessage(receipt))

    def _accept(self, message: PendingMessage) -> None:
        if self._failure is not None:
            raise self._failure
        if self._task is None:
            self._start()
        if not self._pending:
            self._idle.clear()
        self._pending[message] = None
        message.deadline = self._time() + message.timeout
        if message.deadline < self._timer_at:
            self._set_timer(message.deadline)
        if self._channel is not None:  # else the next one begins with all that are accepted
            self._outbox.append(message)

    def _flush_soon(self) -> None:
        """Gather what is published in one turn of the loop into one batch, if it is not much."""
        if len(self._outbox) >= _BATCH:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if not self._outbox or self._channel is None or not self._channel.writable:
            return  # comes again with the next channel, or when this one is writable
        batch, self._outbox = self._outbox, []
        batch = [message for message in batch if not message.settled]
        if self._channel.link.frame_max < FRAME_MAX:
            batch = [message for message in batch if self._fits(message, self._channel.link.frame_max)]
        for message in batch:
            message.sends += 1
            message.in_flight = True
        self._channel.send(batch)

    def _fits(self, message: PendingMessage, frame_max: int) -> bool:
        """Tell whether a broker of small frames takes the properties of a message in one, or settle it as invalid."""
        size = message.header.size + len(message.message_id) + 8
        if size > frame_max:
            detail = f"the headers and properties have {size} bytes; this broker takes {frame_max}"
            self._settle(message, Outcome.INVALID, detail)
        return size <= frame_max

    def _on_outcome(self, message: PendingMessage, outcome: Outcome, detail: str = "") -> None:
        message.in_flight = False
        # What has a receipt was late; what is unknown goes out again on the next connection.
        if message.receipt is None and outcome is not Outcome.UNKNOWN:
            self._settle(message, outcome, detail)

    def _settle(self, message: PendingMessage, outcome: Outcome, detail: str = "") -> None:
        del self._pending[message]
        message.settle(outcome, detail)
        if not self._pending:
            self._idle.set()

    def _set_timer(self, when: float) -> None:
        """Keep one timer, for the nearest deadline of a message that still waits."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = asyncio.get_running_loop().call_at(when, self._on_deadline), when

    def _on_deadline(self) -> None:
        self._timer, self._timer_at = None, inf
        now = asyncio.get_running_loop().time()
        for message in [message for message in self._pending if message.deadline <= now]:
            # Sent on a connection that is gone, it may have arrived; never sent, or still waiting, it is late.
            lost = message.sends > 0 and not message.in_flight
            self._settle(message, Outcome.UNKNOWN if lost else Outcome.TIMEOUT)
        # A broker that takes nothing, or confirms nothing, must not make us keep what is over.
        self._outbox = [message for message in self._outbox if not message.settled]
        if self._channel is not None:
            self._channel.forget(lambda message: message.settled)
        if self._pending:
            self._set_timer(max(now + _TICK, min(message.deadline for message in self._pending)))

    async def _run(self) -> None:
        """Serve one epoch after the other, until the connection gives up or the broker refuses the exchange."""
        assert self._ready is not None
        try:
            while self._failure is None:
                link = await self._connection.link()
                try:
                    channel = await self._set_up(link)
                except NetworkError as error:
                    log.debug("%s", error)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_SETTLE):
                            await link.lost()
                    continue
                self._channel = channel
                if not self._ready.done():
                    self._ready.set_result(None)
                self._outbox = list(self._pending)
                self._flush_soon()
                reason = await channel.closed()
                self._channel = None
                self._outbox.clear()
                if isinstance(reason, BrokerRefused):
                    raise reason
        except PulsekitError as error:
            self._fail(error)
        finally:
            if self._channel is not None:
                channel, self._channel = self._channel, None
                await channel.close()

    async def _set_up(self, link: Link) -> PublishChannel[PendingMessage]:
        channel: PublishChannel[PendingMessage] = await PublishChannel.open(link, self._on_outcome, self._flush)
        try:
            await channel.declare_exchange(self.exchange, passive=owner(self.exchange) != link.user)
        except BaseException:
            await channel.close()
            raise
        return channel

    def _fail(self, error: PulsekitError) -> None:
        """End for good: what was sent is unknown, what was not is answered with the reason."""
        if self._failure is None:
            self._failure = error
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(self._failure)
            self._ready.exception()  # nobody may be waiting for it
        for message in list(self._pending):
            if message.sends or isinstance(error, NotOpen):
                self._settle(message, Outcome.UNKNOWN if message.sends else Outcome.TIMEOUT, str(error))
            else:
                del self._pending[message]
                message.fail(error)
        self._idle.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_at = None, inf
