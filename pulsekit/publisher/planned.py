"""Publish the messages of a plan, with a receipt for each message and each refused payload."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable
from contextlib import aclosing
from typing import TYPE_CHECKING

from pulsekit._amqp.outcome import Outcome
from pulsekit.errors import InvalidPayload
from pulsekit.publisher.planning import RefusedPayload
from pulsekit.publisher.publisher import WINDOW
from pulsekit.publisher.receipts import Receipt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator

    from pulsekit.publisher.planning import PlannedMessage, PlannedMessages
    from pulsekit.publisher.publisher import Publisher

__all__ = ["PlannedPublish"]

_UNANSWERED = {Outcome.TIMEOUT, Outcome.UNKNOWN}


class PlannedPublish:
    """A publish of the messages of a plan.

        planned = PlannedPublish(publisher)
        async for receipt in planned.send(map(plan.take, documents)):
            ...

    Args:
        publisher: the publisher, for the exchange of the plan.
        keep_going: whether to continue after a refused payload.

    Attributes:
        stopped: whether a refused payload ended the publish.
        finished: the number of payloads whose messages all have receipts.
        resume: the number of payloads to skip in order to continue later. This is `finished`, minus the last payloads
            that the broker did not answer.
    """

    def __init__(self, publisher: Publisher, *, keep_going: bool = True) -> None:
        self.stopped: bool = False
        self.finished: int = 0
        self.resume: int = 0
        self._publisher = publisher
        self._keep_going = keep_going
        # In the order of the payloads: the receipt of a refused payload, None for one without messages, or for each
        # message passed to the publisher, whether it is the last message of its payload.
        self._order: deque[Receipt | bool | None] = deque()

    async def send(
        self,
        planned: Iterable[PlannedMessages | RefusedPayload] | AsyncIterable[PlannedMessages | RefusedPayload],
        *,
        window: int = WINDOW,
    ) -> AsyncGenerator[Receipt, None]:
        """Publish, and yield receipts in the order of the payloads. The receipt of a refused payload has the index -1.

        Args:
            planned: the result of the plan for each payload, read while messages are confirmed.
            window: the maximum number of unconfirmed messages.

        Raises:
            NetworkError: Raised when the broker has answered no message for the duration of the timeout, see
                `stop_when_silent` of `Publisher.publish_many`.
        """
        messages = self._streamed(planned) if isinstance(planned, AsyncIterable) else self._messages(planned)
        async with aclosing(self._publisher.publish_many(messages, window=window, stop_when_silent=True)) as receipts:
            async for receipt in receipts:
                for refused in self._refused():
                    yield refused
                self.finished += self._order.popleft() is True
                if receipt.outcome not in _UNANSWERED:
                    self.resume = self.finished
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
            self._order.extend([False] * (len(result) - 1) + [True] if len(result) else [None])
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
            self.resume += self.resume == self.finished
            self.finished += 1
            if receipt is not None:
                yield receipt
