"""A stand-in for Treeherder, which consumes the same messages, and reports the verdict of Treeherder on each message.

The stand-in calls `pulsekit.treeherder.Judge`, and stores only the last states of jobs. It is an ordinary client,
except that it creates the exchanges of the registrations with the logins of their owners.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulsekit.bindings.names import owner
from pulsekit.bindings.registration import Binding, expand
from pulsekit.errors import DocumentError, InvalidMessage
from pulsekit.pulse import Pulse
from pulsekit.treeherder.context import NOTHING, Context
from pulsekit.treeherder.subjects import EXCHANGES, PUSH_EXCHANGES, message_subject
from pulsekit.treeherder.verdict import Judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from pulsekit._amqp.broker import Broker
    from pulsekit.bindings.registration import Registration
    from pulsekit.messages import Message
    from pulsekit.treeherder.subjects import PushMessage, TaskDefinition, TaskGraph, TaskMessage
    from pulsekit.treeherder.verdict import Verdict

__all__ = ["TREEHERDER_BINDINGS", "JobOutcome", "TreeherderStandIn"]

USER = "treeherder"
TREEHERDER_BINDINGS = tuple(Binding(exchange, "#") for exchange in (*EXCHANGES, *PUSH_EXCHANGES))


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The verdict of the stand-in on one message.

    Attributes:
        message: the message.
        verdict: the verdict of Treeherder on the message.
    """

    message: Message
    verdict: Verdict

    @property
    def reason(self) -> str:
        """The reason why Treeherder would not store the job. Empty if it would store the job."""
        verdict = self.verdict
        if verdict.outcome == "stored":
            return ""
        reasons = verdict.reasons or [one for one in verdict.findings if one.rule == "state-backwards"]
        return "; ".join(map(str, reasons))


class TreeherderStandIn:
    """A consumer with the bindings of Treeherder, which judges each job, task and push that it receives.

    Args:
        login: returns the address of the broker and the login of a user.
        registrations: the registrations. The queue is bound for every combination of destination and project. The
            bindings of Treeherder's own consumers are `TREEHERDER_BINDINGS`.
        on_outcome: called with the outcome of each message.
        context: the data of the Treeherder instance, such as its repositories.
        tasks: the definition of a task, or a graph with the definitions of several tasks. Treeherder requests a
            definition from Taskcluster's queue, which is not part of a sandbox.

    Attributes:
        bindings: the bindings.
        counts: the number of messages by outcome: `stored`, `dropped`, `ignored` or `unknown`.
    """

    def __init__(
        self,
        login: Callable[[str], Broker],
        registrations: Sequence[Registration | Binding],
        on_outcome: Callable[[JobOutcome], None],
        *,
        context: Context = NOTHING,
        tasks: TaskDefinition | TaskGraph | None = None,
    ) -> None:
        self.bindings = expand(registrations)
        self.counts: Counter[str] = Counter()
        self._login = login
        self._on_outcome = on_outcome
        self._pulse = Pulse(login(USER))
        self._judge = Judge()
        self._context = context
        self._tasks = tasks
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
        self._task = asyncio.create_task(messages.handle(self._consume), name="treeherder's stand-in")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._pulse.__aexit__(kind, error, trace)

    async def _consume(self, message: Message) -> None:
        outcome = JobOutcome(message, self._judge.judge(self._subject(message), self._context))
        self.counts[outcome.verdict.outcome] += 1
        self._on_outcome(outcome)

    def _subject(self, message: Message) -> Message | TaskMessage | PushMessage:
        try:
            kind = message.properties.content_type or ""
            return message_subject(message.exchange, message.decoded, self._tasks, kind) or message
        except (DocumentError, InvalidMessage):  # the verdict on the message reports the error
            return message
