"""A stand-in for Treeherder. It consumes the jobs of registrations, and reports the jobs that Treeherder would drop.

The stand-in validates jobs against the schema, which is Treeherder's first step, and stores nothing. It is an ordinary
client, except that it creates the exchanges of the registrations with the logins of their owners.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulsekit.bindings.names import owner
from pulsekit.bindings.registration import expand
from pulsekit.errors import DocumentError, InvalidPayload
from pulsekit.pulse import Pulse
from pulsekit.schemas.schema import load_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from pulsekit._amqp.broker import Broker
    from pulsekit.bindings.registration import Binding, Registration
    from pulsekit.messages import Message

__all__ = ["JobOutcome", "TreeherderStandIn"]

USER = "treeherder"


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The result of the stand-in for one message.

    Attributes:
        message: the message.
        reason: why Treeherder would drop the message; empty if Treeherder would accept it.
    """

    message: Message
    reason: str

    @property
    def accepted(self) -> bool:
        """True if Treeherder would accept the job."""
        return not self.reason


class TreeherderStandIn:
    """A consumer that has the bindings of Treeherder and validates the jobs it receives.

    Args:
        login: returns address and login of the broker for a user name.
        registrations: the registrations. The queue is bound with every combination of destination and project.
        on_outcome: called with each outcome.

    Attributes:
        bindings: the bindings.
        accepted: the number of messages that Treeherder would accept.
        dropped: the number of messages that Treeherder would drop.
    """

    def __init__(
        self,
        login: Callable[[str], Broker],
        registrations: Sequence[Registration | Binding],
        on_outcome: Callable[[JobOutcome], None],
    ) -> None:
        self.bindings = expand(registrations)
        self.accepted = 0
        self.dropped = 0
        self._login = login
        self._on_outcome = on_outcome
        self._pulse = Pulse(login(USER))
        self._schema = load_schema("pulse-job")
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        for exchange in dict.fromkeys(binding.exchange for binding in self.bindings):
            async with Pulse(self._login(owner(exchange) or USER)) as theirs:
                await theirs.create_exchange(exchange)
        await self._pulse.__aenter__()
        try:
            messages = self._pulse.subscribe(*self.bindings, queue=f"queue/{USER}/jobs")
            await messages.open()
        except BaseException:
            await self._pulse.__aexit__(None, None, None)
            raise
        self._task = asyncio.create_task(messages.handle(self._validate), name="treeherder's stand-in")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._pulse.__aexit__(kind, error, trace)

    async def _validate(self, message: Message) -> None:
        try:
            self._schema.check(message.payload, "treeherder")
        except InvalidPayload as error:
            reason = "; ".join(str(problem) for problem in error.problems)
        except DocumentError as error:
            reason = f"not JSON: {error.reason}"
        else:
            reason = ""
        outcome = JobOutcome(message, reason)
        if outcome.accepted:
            self.accepted += 1
        else:
            self.dropped += 1
        self._on_outcome(outcome)
