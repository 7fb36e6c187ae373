"""Publish what a plan makes of payloads, with a receipt for each message and for each payload that is refused."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable
from contextlib import aclosing
from typing import TYPE_CHECKING

from pulsekit._amqp.types import Outcome
from pulsekit.errors import InvalidPayload
from pulsekit.publisher.planning import RefusedPayload
from pulsekit.publisher.publisher import WINDOW
from pulsekit.publisher.receipts import Receipt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator

    from pulsekit.publisher.planning import PlannedMessage, PlannedMessages
    from pulsekit.publisher.publisher import Publisher

__all__ = ["PlannedPublish"]


class PlannedPublish:
    """Publish what a plan makes of payloads.

        planned = PlannedPublish(publisher)
        async for receipt in planned.send(map(plan.take, documents)):
            ...

    Args:
        publisher: publishes the messages; the exchange is the plan's.
        keep_going: publish the payloads after one that is refused. Without it, that payload is the last.

    Attributes:
        stopped: whether a refused payload was the last.
        finished: the number of payloads of which each message has a receipt. To continue later, skip them.
    """

    def __init__(self, publisher: Publisher, *, keep_going: bool = True) -> None:
        self.stopped: bool = False
        self.finished: int = 0
        self._publisher = publisher
        self._keep_going = keep_going
        # In the order of the payloads: the receipt of one that was refused, or for each message that was passed to the
        # publisher whether it is the last of its payload.
        self._order: deque[Receipt | bool] = deque()

    async def send(
        self,
        planned: Iterable[PlannedMessages | RefusedPayload] | AsyncIterable[PlannedMessages | RefusedPayload],
        *,
        window: int = WINDOW,
    ) -> AsyncGenerator[Receipt, None]:
        """Publish, and yield receipts in the order of the payloads. The index of a refused payload's receipt is -1.

        Args:
            planned: what the plan made of each payload; it is read as messages are confirmed.
            window: messages in flight.
        """
        messages = self._streamed(planned) if isinstance(planned, AsyncIterable) else self._messages(planned)
        async with aclosing(self._publisher.publish_many(messages, window=window)) as receipts:
            async for receipt in receipts:
                for refused in self._refused():
                    yield refused
                self.finished += self._order.popleft() is True
                yield receipt
        for refused in self._refused():
            yield refused

    def _messages(self, planned: Iterable[PlannedMessages | RefusedPayload]) -> Iterator[PlannedMessage]:
        for result in planned:
            yield from self._accept(result)
            if self.stopped:
                return

    async def _streamed(
        self, planned: AsyncIterable[PlannedMessages | RefusedPayload]
    ) -> AsyncIterator[PlannedMessage]:
        async for result in planned:
            for message in self._accept(result):
                yield message
            if self.stopped:
                return

    def _accept(self, result: PlannedMessages | RefusedPayload) -> list[PlannedMessage]:
        if not isinstance(result, RefusedPayload):
            self._order.extend([False] * (len(result) - 1) + [True])
            return result.messages
        error = result.error
        problems = error.problems if isinstance(error, InvalidPayload) else ()
        exchange = self._publisher.exchange
        self._order.append(Receipt(-1, "", exchange, "", Outcome.INVALID, detail=str(error), problems=problems))
        self.stopped = not self._keep_going
        return []

    def _refused(self) -> Iterator[Receipt]:
        while self._order and not isinstance(receipt := self._order[0], bool):
            self._order.popleft()
            self.finished += 1
            yield receipt
