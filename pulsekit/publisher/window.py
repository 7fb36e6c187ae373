"""The messages of one `publish_many`, in order. Some are in flight, and some are encoded in advance.

Plan: messages move from the iterable to `prepared` (encoded, not sent), and from `prepared` to `_messages` (accepted
and sent). Their receipts are removed from the left of `_messages`. Because messages are encoded in advance, they are
ready when confirms arrive, and the broker does not wait while payloads are validated.

    iterable ──wanted──▶ prepared ──capacity──▶ _messages ──pop_receipts──▶ caller

Invariants: each of the two queues has at most `size` messages; both together have bodies of at most `MAX_BYTES` plus
one message, where bodies below `_LARGE` are not counted; receipts are returned in the order of the iterable. Only the
oldest message wakes the waiting task, because its receipt must be returned first.

Example: size 2. A and B are in flight, C is prepared. B is confirmed: nothing happens. A is confirmed: the task wakes,
the receipts of A and B are returned, C is accepted, and two more messages are requested from the iterable.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from pulsekit._amqp.publishing import OutgoingMessage
from pulsekit.errors import fresh
from pulsekit.publisher.receipts import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit._amqp.frames import PublishHeader
    from pulsekit._amqp.outcome import Outcome
    from pulsekit.errors import PulsekitError

__all__ = ["PendingMessage", "PublishWindow", "UnsentMessage"]


MAX_BYTES = 64 * 1024 * 1024  # bytes of the bodies of one `publish_many`
_LARGE = 64 * 1024  # bytes; smaller bodies are not counted: in two default windows, they have at most 32 MiB


class PendingMessage(OutgoingMessage):
    """A message from its encoding to its receipt.

    Attributes:
        id: the message id.
        index: the position among the messages of one `publish_many`.
        timeout: seconds from acceptance to the deadline.
        deadline: the deadline on the clock of the event loop.
        answers: how many messages the broker had answered when this message was accepted.
        sends: the number of channels on which the message was sent.
        in_flight: whether the message was sent on the current channel and has no answer yet.
        on_settled: called once the message has a receipt or an error.
    """

    __slots__ = (
        "answers",
        "deadline",
        "error",
        "id",
        "in_flight",
        "index",
        "on_settled",
        "receipt",
        "sends",
        "timeout",
    )

    def __init__(  # noqa: PLR0917 - called for each message
        self, header: PublishHeader, message_id: str, encoded_id: bytes, body: bytes, index: int, timeout: float
    ) -> None:
        self.header = header
        self.message_id = encoded_id
        self.body = body
        self.id = message_id
        self.index = index
        self.timeout = timeout
        self.deadline = 0.0
        self.answers = 0
        self.sends = 0
        self.in_flight = False
        self.receipt: Receipt | None = None
        self.error: PulsekitError | None = None
        self.on_settled: Callable[[], None] | None = None

    @property
    def settled(self) -> bool:
        """Whether the message has a receipt or an error."""
        return self.receipt is not None or self.error is not None

    def settle(self, outcome: Outcome, detail: str) -> None:
        """Set the receipt, and free the body, because the channel may keep a reference to a late message."""
        to = self.header
        self.receipt = Receipt(
            self.index, self.id, to.exchange, to.routing_key, outcome, self.sends > 1, detail, sent=self.sends > 0
        )
        self.body = b""
        if self.on_settled is not None:
            self.on_settled()

    def fail(self, error: PulsekitError) -> None:
        """Set an error instead of a receipt. The message was not sent."""
        self.error = error
        if self.on_settled is not None:
            self.on_settled()

    def result(self) -> Receipt:
        """Return the receipt, or raise the error."""
        if self.receipt is None:
            assert self.error is not None
            raise fresh(self.error)
        return self.receipt


class UnsentMessage:
    """An invalid message, of which only the receipt is stored."""

    __slots__ = ("receipt",)

    settled = True
    error: PulsekitError | None = None
    body = b""

    def __init__(self, receipt: Receipt) -> None:
        self.receipt: Receipt | None = receipt


class PublishWindow:
    """The messages of one `publish_many`, see the module.

    Attributes:
        size: the maximum number of messages without a receipt, and also of prepared messages.
        mandatory: whether the broker returns messages that it cannot route.
        timeout: seconds for each message.
        prepared: messages that are encoded, but not yet accepted.
        ended: whether the iterable has no more messages.
        failure: the exception of the iterable, or None.
        full: whether the bodies reach `MAX_BYTES`. If so, no more messages may be prepared.
    """

    def __init__(self, size: int, *, mandatory: bool, timeout: float) -> None:
        self.size = size
        self.mandatory = mandatory
        self.timeout = timeout
        self.prepared: deque[PendingMessage | UnsentMessage] = deque()
        self.ended = False
        self.failure: BaseException | None = None
        self.full = False
        self._large: dict[PendingMessage | UnsentMessage, int] = {}  # sizes of large bodies without a receipt
        self._messages: deque[PendingMessage | UnsentMessage] = deque()  # accepted, receipt not returned
        self._waiting: asyncio.Future[None] | None = None
        self._wanting = asyncio.Event()

    @property
    def capacity(self) -> int:
        """How many more messages may be accepted."""
        return self.size - len(self._messages)

    @property
    def wanted(self) -> int:
        """How many more messages may be prepared."""
        return 0 if self.ended or self.full else self.size - len(self.prepared)

    @property
    def done(self) -> bool:
        """Whether the iterable has ended and all receipts were returned."""
        return self.ended and not self.prepared and not self._messages

    def prepare(self, message: PendingMessage | UnsentMessage) -> None:
        """Append a message that is encoded."""
        self.prepared.append(message)
        if len(message.body) >= _LARGE:
            self._large[message] = len(message.body)
            self.full = sum(self._large.values()) >= MAX_BYTES

    def add(self, message: PendingMessage | UnsentMessage) -> None:
        """Append a message that was accepted, or the receipt of an invalid one."""
        self._messages.append(message)
        if self._waiting is not None and len(self._messages) == 1:
            self._wake_for(message)

    def pop_receipts(self) -> list[Receipt]:
        """Return the receipts of the oldest messages, up to the first message without a receipt.

        Raises:
            PulsekitError: Raised when the oldest message has an error instead of a receipt.
        """
        messages = self._messages
        known: list[Receipt] = []
        while messages:
            receipt = messages[0].receipt
            if receipt is None:
                if messages[0].error is not None and not known:
                    raise fresh(messages[0].error)
                break
            known.append(receipt)
            message = messages.popleft()
            if self._large and self._large.pop(message, 0):
                self.full = sum(self._large.values()) >= MAX_BYTES
        return known

    def end(self, failure: BaseException | None) -> None:
        """Set `ended` and `failure`, the exception of the iterable."""
        self.ended = True
        self.failure = failure
        self._wake()

    async def changed(self) -> None:
        """Wait until the oldest message has an outcome, or the iterable has ended."""
        if self.wanted:
            self._wanting.set()
        self._waiting = asyncio.get_running_loop().create_future()
        if self._messages:
            self._wake_for(self._messages[0])
        try:
            await self._waiting
        finally:
            self._waiting = None

    async def wants_more(self) -> None:
        """Wait until more messages may be prepared."""
        while not self.wanted:
            self._wanting.clear()
            await self._wanting.wait()

    def _wake_for(self, oldest: PendingMessage | UnsentMessage) -> None:
        if oldest.settled:
            self._wake()
        elif isinstance(oldest, PendingMessage):
            oldest.on_settled = self._wake

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
