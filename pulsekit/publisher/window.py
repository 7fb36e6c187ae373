"""Messages between being given and having a receipt, and the order in which `publish_many` gives receipts out."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from pulsekit._amqp.publishing import OutgoingMessage
from pulsekit.publisher.receipts import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit._amqp.frames import PublishHeader
    from pulsekit._amqp.types import Outcome
    from pulsekit.errors import PulsekitError

__all__ = ["PendingMessage", "PublishWindow", "UnsentMessage"]


class PendingMessage(OutgoingMessage):
    """Follow one message from being encoded to its receipt.

    Attributes:
        id: its message id.
        index: its place in the order of the flow.
        timeout: seconds, from when it is accepted.
        deadline: when that ends, by the clock of the loop.
        sends: on how many connections it was sent.
        in_flight: whether it was sent on this one, and has no answer yet.
        on_settled: called once it has a receipt or an error.
    """

    __slots__ = ("deadline", "error", "id", "in_flight", "index", "on_settled", "receipt", "sends", "timeout")

    def __init__(  # noqa: PLR0917 - made for each message
        self, header: PublishHeader, message_id: str, encoded_id: bytes, body: bytes, index: int, timeout: float
    ) -> None:
        self.header = header
        self.message_id = encoded_id
        self.body = body
        self.id = message_id
        self.index = index
        self.timeout = timeout
        self.deadline = 0.0
        self.sends = 0
        self.in_flight = False
        self.receipt: Receipt | None = None
        self.error: PulsekitError | None = None
        self.on_settled: Callable[[], None] | None = None

    @property
    def settled(self) -> bool:
        """Whether it has a receipt or an error."""
        return self.receipt is not None or self.error is not None

    def settle(self, outcome: Outcome, detail: str) -> None:
        """Give it its receipt, and let the body go.

        One that is late stays in the table of the wire, for a return that comes late as well.
        """
        to = self.header
        self.receipt = Receipt(self.index, self.id, to.exchange, to.routing_key, outcome, self.sends > 1, detail)
        self.body = b""
        if self.on_settled is not None:
            self.on_settled()

    def fail(self, error: PulsekitError) -> None:
        """End it without a receipt: it was never sent."""
        self.error = error
        if self.on_settled is not None:
            self.on_settled()

    def result(self) -> Receipt:
        """Return the receipt, or raise the error."""
        if self.receipt is None:
            assert self.error is not None
            raise self.error
        return self.receipt


class UnsentMessage:
    """Stand in the order of messages for one that is not sent."""

    __slots__ = ("receipt",)

    settled = True
    error: PulsekitError | None = None

    def __init__(self, receipt: Receipt) -> None:
        self.receipt: Receipt | None = receipt


class PublishWindow:
    """Keep the messages of one `publish_many` in order, and wake whoever waits for the oldest.

    Messages are taken from the source, validated and encoded ahead of the window: when a confirm makes room, what goes
    into it is ready, and the broker does not wait while the next job is validated.

    Attributes:
        size: how many may be without a known receipt, and how many may be ready besides.
        mandatory: whether the broker returns what nobody is bound to.
        timeout: seconds for each message.
        prepared: those that are ready, and wait for room.
        ended: whether the source has no more.
        failure: what the source raised.
    """

    def __init__(self, window: int, *, mandatory: bool, timeout: float) -> None:
        self.size = window
        self.mandatory = mandatory
        self.timeout = timeout
        self.prepared: deque[PendingMessage | UnsentMessage] = deque()
        self.ended = False
        self.failure: Exception | None = None
        self._messages: deque[PendingMessage | UnsentMessage] = deque()  # accepted, and their receipts not taken yet
        self._waiting: asyncio.Future[None] | None = None
        self._wanting = asyncio.Event()

    @property
    def capacity(self) -> int:
        """How many more messages may go out."""
        return self.size - len(self._messages)

    @property
    def wanted(self) -> int:
        """How many more messages are wanted from the source."""
        return 0 if self.ended else self.size - len(self.prepared)

    @property
    def done(self) -> bool:
        """Whether every message has had its receipt, and no other can come."""
        return self.ended and not self.prepared and not self._messages

    def add(self, message: PendingMessage | UnsentMessage) -> None:
        """Put a message that was accepted, or is not sent, behind the others."""
        self._messages.append(message)
        if self._waiting is not None and len(self._messages) == 1:
            self._wake_for(message)

    def pop_receipts(self) -> list[Receipt]:
        """Take the receipts that are known, from the oldest on, up to the first that is not.

        Raises:
            PulsekitError: the oldest message has an error for a receipt.
        """
        messages = self._messages
        known: list[Receipt] = []
        while messages:
            receipt = messages[0].receipt
            if receipt is None:
                if messages[0].error is not None and not known:
                    raise messages[0].error
                break
            known.append(receipt)
            messages.popleft()
        return known

    def end(self, failure: Exception | None) -> None:
        """Say that the source has no more, and what it raised."""
        self.ended = True
        self.failure = failure
        self._wake()

    async def changed(self) -> None:
        """Wait until the oldest has an outcome, or the source has ended."""
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
        """Wait until messages are wanted from the source."""
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
