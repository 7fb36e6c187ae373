"""A stand-in for Treeherder: binds every combination of a registration, and says what it would take and what drop.

It checks what Treeherder checks first, the schema, and stores nothing. It is a client like any other; on the sandbox it
also makes the exchanges it binds, as their owners would have.
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

__all__ = ["TreeherderStandIn", "Verdict"]

USER = "treeherder"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Say what Treeherder would do with one message.

    Attributes:
        message: what arrived.
        reason: why it would be dropped, or empty when it would be taken.
    """

    message: Message
    reason: str

    @property
    def taken(self) -> bool:
        """Whether it would be taken."""
        return not self.reason


class TreeherderStandIn:
    """Listen as Treeherder would, and judge what comes.

    Args:
        login: gives, for a user name, where the broker is and how that user logs in.
        registrations: what to bind.
        on_outcome: called with each judgement.

    Attributes:
        bindings: what is bound.
        taken: how many messages would have been taken.
        dropped: how many would have been dropped.
    """

    def __init__(
        self,
        login: Callable[[str], Broker],
        registrations: Sequence[Registration | Binding],
        on_outcome: Callable[[Verdict], None],
    ) -> None:
        self.bindings = expand(registrations)
        self.taken = 0
        self.dropped = 0
        self._login = login
        self._on_verdict = on_outcome
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
        self._task = asyncio.create_task(messages.handle(self._judge), name="treeherder's stand-in")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._pulse.__aexit__(kind, error, trace)

    async def _judge(self, message: Message) -> None:
        try:
            self._schema.check(message.payload, "treeherder")
        except InvalidPayload as error:
            reason = "; ".join(str(problem) for problem in error.problems)
        except DocumentError as error:
            reason = f"not JSON: {error.reason}"
        else:
            reason = ""
        verdict = Verdict(message, reason)
        if verdict.taken:
            self.taken += 1
        else:
            self.dropped += 1
        self._on_verdict(verdict)
