"""Messages that instrumentations observe. Publishers without instrumentation do not import this module."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

from pulsekit._amqp.outcome import Outcome
from pulsekit.errors import InvalidInput
from pulsekit.instrumentation.protocol import OutcomeDetails, PublishDetails
from pulsekit.publisher.encoder import Draft, Encoder, as_pair, check_types
from pulsekit.publisher.window import PendingMessage

if TYPE_CHECKING:
    from pulsekit.errors import PulsekitError
    from pulsekit.instrumentation.hooks import Hooks
    from pulsekit.publisher.encoder import Item
    from pulsekit.schemas.schema import Schema

__all__ = ["InstrumentedEncoder"]


class InstrumentedEncoder(Encoder):
    """An encoder that calls `on_publish` for each message, and adds the returned headers."""

    def __init__(self, exchange: str, schema: Schema | None, hooks: Hooks, *, lint: bool = False) -> None:
        super().__init__(exchange, schema, lint=lint)
        self._message_type = _Message
        self._hooks = hooks

    def encode(self, item: Item, index: int, mandatory: bool, timeout: float) -> PendingMessage:  # noqa: D102, FBT001 - see Encoder
        began = perf_counter()
        draft = item if isinstance(item, Draft) else Draft(*as_pair(item))
        check_types(draft)
        details = PublishDetails(self._hooks.broker, self._exchange, draft.routing_key, draft.headers)
        headers = {**self._hooks.publish(details), **draft.headers}
        try:
            message = super().encode(replace(draft, headers=headers), index, mandatory, timeout)
        except InvalidInput as error:
            seconds = perf_counter() - began
            self._hooks.outcome(OutcomeDetails(details, Outcome.INVALID, "", 0, False, seconds, str(error)))
            raise
        assert isinstance(message, _Message)
        message.hooks, message.details, message.began = self._hooks, details, began
        return message


class _Message(PendingMessage):
    """A message that calls `on_outcome` before the program gets the receipt."""

    __slots__ = ("began", "details", "hooks")

    hooks: Hooks
    details: PublishDetails
    began: float

    def settle(self, outcome: Outcome, detail: str) -> None:
        self._report(outcome, detail)
        super().settle(outcome, detail)

    def fail(self, error: PulsekitError) -> None:
        self._report(None, str(error))
        super().fail(error)

    def _report(self, outcome: Outcome | None, detail: str) -> None:
        seconds = perf_counter() - self.began
        size, resent = len(self.body), self.sends > 1
        self.hooks.outcome(OutcomeDetails(self.details, outcome, self.id, size, resent, seconds, detail))
