"""Publish to one exchange: validate, encode, send with confirms, and say for each message what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import uuid
from collections import deque
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pulsekit.errors import BrokerRefused, InvalidInput, InvalidPayload, NetworkError, NotOpen, PulsekitError
from pulsekit.messages import CC, Outcome, Outgoing, Properties, Receipt, encode_payload
from pulsekit.names import check_exchange, owner
from pulsekit.wire import PublishWire, check_size

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from pulsekit.connection import Connection, Link
    from pulsekit.schemas import Schema

__all__ = ["Draft", "Publisher"]

log = logging.getLogger("pulsekit")

PUBLISH_TIMEOUT = 60.0  # seconds until a publish ends, whatever happens
DRAIN_TIMEOUT = 10.0  # seconds that closing waits for confirms
WINDOW = 256  # messages in flight: the knee of the curve of rate over window

_SETTLE = 1.0  # seconds before a channel that failed on a living connection is opened again
_END: Any = object()


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


@dataclass(slots=True)
class _Entry:
    """Follow one message from being accepted to its receipt."""

    message: Outgoing
    index: int
    deadline: float
    future: asyncio.Future[Receipt]
    sends: int = 0
    in_flight: bool = False

    def receipt(self, outcome: Outcome, detail: str = "") -> Receipt:
        return Receipt(
            index=self.index,
            message_id=self.message.properties.message_id or "",
            exchange=self.message.exchange,
            routing_key=self.message.routing_key,
            outcome=outcome,
            resent=self.sends > 1,
            detail=detail,
        )


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
        self.exchange = check_exchange(exchange)
        self._connection = connection
        self._tasks = tasks
        self._schema = schema
        self._mandatory = mandatory
        self._timeout = timeout
        self._entries: dict[int, _Entry] = {}  # accepted and without an outcome, in order
        self._outbox: list[tuple[int, Outgoing]] = []
        self._deadlines: list[tuple[float, int]] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._next_token = 0
        self._flushing = False
        self._wire: PublishWire | None = None
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
        return len(self._entries)

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
        entry = self._accept(self._encode(draft, mandatory=mandatory), index=0, timeout=timeout)
        receipt = await asyncio.shield(entry.future)
        if receipt.outcome is Outcome.UNKNOWN and isinstance(self._failure, BrokerRefused):
            raise self._failure
        return receipt.check()

    async def publish_many(
        self,
        messages: Iterable[tuple[Any, str] | Draft] | AsyncIterable[tuple[Any, str] | Draft],
        *,
        window: int = WINDOW,
        mandatory: bool | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[Receipt]:
        """Publish messages with many in flight and yield their receipts in order, each as soon as it is known.

        No single message raises: an invalid one is a receipt, too. Messages are taken from the source only as the
        window has room, so memory stays bounded. When iteration is given up, messages that left stay sent.

        Args:
            messages: (payload, routing key) pairs, or drafts. What the source raises is raised here, after the
                receipts of the messages it gave.
            window: how many may be without an outcome.
            mandatory: see `publish`.
            timeout: seconds for each message.

        Raises:
            BrokerRefused: the exchange, the login or the virtual host was refused; receipts known by then came first.
            NetworkError: the broker could not be reached for the first time.
        """
        self._check_open()
        is_async = isinstance(messages, AsyncIterable)
        source: Any = aiter(messages) if isinstance(messages, AsyncIterable) else iter(messages)
        waiting: deque[asyncio.Future[Receipt]] = deque()
        upcoming: asyncio.Future[Any] | None = None
        exhausted, index = False, 0
        failure: Exception | None = None
        try:
            while True:
                while waiting and waiting[0].done():
                    yield waiting.popleft().result()
                if exhausted and not waiting:
                    break
                if exhausted or len(waiting) >= window:
                    await asyncio.wait([waiting[0]])
                    continue
                try:
                    if is_async:
                        upcoming = upcoming or asyncio.ensure_future(anext(source, _END))
                        if not upcoming.done():
                            ends = [upcoming, waiting[0]] if waiting else [upcoming]
                            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                            continue
                        item, upcoming = upcoming.result(), None
                    else:
                        item = next(source, _END)
                    if item is _END:
                        exhausted = True
                    else:
                        waiting.append(self._submit(item, index, mandatory=mandatory, timeout=timeout))
                        index += 1
                except Exception as error:  # noqa: BLE001 - the source's own, raised once its receipts are out
                    failure, exhausted, upcoming = error, True, None
        finally:
            if upcoming is not None:
                upcoming.cancel()
        if failure is not None:
            raise failure
        if isinstance(self._failure, BrokerRefused):
            raise self._failure

    async def close(self, timeout: float = DRAIN_TIMEOUT) -> None:
        """Wait for outstanding confirms, then close. Closing twice is fine.

        Args:
            timeout: seconds to wait; what has no outcome then ends as unknown when it was sent, else as timed out.
        """
        if self._task is not None and self._failure is None:
            try:
                async with asyncio.timeout(timeout):
                    await self._idle.wait()
            except TimeoutError:
                log.warning("%d messages to %s were not confirmed before closing", len(self._entries), self.exchange)
        self._fail(NotOpen("the publisher is closed: use it inside the `async with` block of its connection"))
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

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
            self._ready = asyncio.get_running_loop().create_future()
            self._connection.start(self._tasks)
            self._task = self._tasks.create_task(self._run(), name=f"publish to {self.exchange}")

    def _encode(self, draft: Draft, *, mandatory: bool | None) -> Outgoing:
        if isinstance(draft.payload, bytes):
            body = draft.payload
            if self._schema is not None:
                from pulsekit.messages import decode_body

                self._schema.check(decode_body(body))
        else:
            if self._schema is not None:
                self._schema.check(draft.payload)
            body = encode_payload(draft.payload)
        headers = dict(draft.headers)
        if draft.cc:
            headers[CC] = list(draft.cc)
        own = draft.properties
        message = Outgoing(
            exchange=self.exchange,
            routing_key=draft.routing_key,
            body=body,
            properties=replace(
                own,
                content_type=own.content_type or "application/json",
                delivery_mode=own.delivery_mode or 2,  # persistent
                message_id=own.message_id or uuid.uuid4().hex,
            ),
            headers=headers,
            mandatory=self._mandatory if mandatory is None else mandatory,
        )
        check_size(message)
        return message

    def _submit(
        self, item: tuple[Any, str] | Draft, index: int, *, mandatory: bool | None, timeout: float | None
    ) -> asyncio.Future[Receipt]:
        draft = item if isinstance(item, Draft) else Draft(*item)
        try:
            message = self._encode(draft, mandatory=mandatory)
        except InvalidInput as error:
            done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
            done.set_result(
                Receipt(
                    index=index,
                    message_id=draft.properties.message_id or "",
                    exchange=self.exchange,
                    routing_key=draft.routing_key,
                    outcome=Outcome.INVALID,
                    detail=str(error),
                    problems=error.problems if isinstance(error, InvalidPayload) else (),
                )
            )
            return done
        return self._accept(message, index=index, timeout=timeout).future

    def _accept(self, message: Outgoing, *, index: int, timeout: float | None) -> _Entry:
        self._check_open()
        self._start()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self._timeout if timeout is None else timeout)
        token, self._next_token = self._next_token, self._next_token + 1
        entry = self._entries[token] = _Entry(message, index, deadline, loop.create_future())
        self._idle.clear()
        heapq.heappush(self._deadlines, (deadline, token))
        self._set_alarm()
        self._outbox.append((token, message))
        self._flush_soon()
        return entry

    def _flush_soon(self) -> None:
        """Gather what is published in one turn of the loop into one batch."""
        if not self._flushing and self._wire is not None:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._wire is None:
            return
        batch, self._outbox = self._outbox, []
        alive = [(token, message) for token, message in batch if token in self._entries]
        for token, _ in alive:
            entry = self._entries[token]
            entry.sends += 1
            entry.in_flight = True
        self._wire.send(alive)

    def _on_verdict(self, token: int, outcome: Outcome, detail: str) -> None:
        entry = self._entries.get(token)
        if entry is None:
            return  # its deadline was first
        entry.in_flight = False
        if outcome is not Outcome.UNKNOWN:  # what is unknown goes out again on the next connection
            self._settle(token, outcome, detail)

    def _settle(self, token: int, outcome: Outcome, detail: str = "") -> None:
        entry = self._entries.pop(token)
        if not entry.future.done():
            entry.future.set_result(entry.receipt(outcome, detail))
        if not self._entries:
            self._idle.set()

    def _set_alarm(self) -> None:
        """Keep one timer, for the nearest deadline of a message that still waits."""
        while self._deadlines and self._deadlines[0][1] not in self._entries:
            heapq.heappop(self._deadlines)
        if not self._deadlines:
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None
            return
        when = self._deadlines[0][0]
        if self._alarm is None or self._alarm.cancelled() or self._alarm.when() > when:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = asyncio.get_running_loop().call_at(when, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now = asyncio.get_running_loop().time()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, token = heapq.heappop(self._deadlines)
            entry = self._entries.get(token)
            if entry is not None:
                # Sent on a connection that is gone, it may have arrived; never sent, or still waiting, it is late.
                lost = entry.sends > 0 and not entry.in_flight
                self._settle(token, Outcome.UNKNOWN if lost else Outcome.TIMEOUT)
        self._set_alarm()

    async def _run(self) -> None:
        """Serve one epoch after the other, until the connection gives up or the broker refuses the exchange."""
        assert self._ready is not None
        try:
            while self._failure is None:
                link = await self._connection.link()
                try:
                    wire = await self._set_up(link)
                except NetworkError as error:
                    log.debug("%s", error)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_SETTLE):
                            await link.lost()
                    continue
                self._wire = wire
                if not self._ready.done():
                    self._ready.set_result(None)
                self._outbox = [(token, entry.message) for token, entry in self._entries.items()]
                self._flush_soon()
                reason = await wire.closed()
                self._wire = None
                if isinstance(reason, BrokerRefused):
                    raise reason
        except PulsekitError as error:
            self._fail(error)
        finally:
            if self._wire is not None:
                wire, self._wire = self._wire, None
                await wire.close()

    async def _set_up(self, link: Link) -> PublishWire:
        wire = await PublishWire.open(link, self._on_verdict)
        try:
            await wire.declare_exchange(self.exchange, passive=owner(self.exchange) != link.user)
        except BaseException:
            await wire.close()
            raise
        return wire

    def _fail(self, error: PulsekitError) -> None:
        """End for good: what was sent is unknown, what was not is answered with the reason."""
        if self._failure is None:
            self._failure = error
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(self._failure)
            self._ready.exception()  # nobody may be waiting for it
        for token, entry in list(self._entries.items()):
            if entry.sends or isinstance(error, NotOpen):
                self._settle(token, Outcome.UNKNOWN if entry.sends else Outcome.TIMEOUT, str(error))
            else:
                del self._entries[token]
                if not entry.future.done():
                    entry.future.set_exception(error)
                    entry.future.exception()  # as above
        self._idle.set()
        self._deadlines.clear()
        self._set_alarm()
