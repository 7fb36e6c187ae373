"""The messages of a recording for the handler of a worker, instead of the messages of a queue."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.broker import HEARTBEAT
from pulsekit._amqp.types import Settlement
from pulsekit.bindings.matching import topic_matches
from pulsekit.consumer.handler import HandlerCalls
from pulsekit.consumer.policy import OnFailure, Policy
from pulsekit.messages import Settler
from pulsekit.recordings.reader import read_recording
from pulsekit.records.attribution import MatchedBindings
from pulsekit.records.record import Record
from pulsekit.schemas.schema import load_schema
from pulsekit.treeherder.message_check import message_check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from pulsekit.bindings.registration import Binding
    from pulsekit.consume.worker import Worker
    from pulsekit.messages import Message, MessageCheck
    from pulsekit.schemas.schema import Schema

__all__ = ["RecordedMessages", "matching_records", "message_check_of"]


class RecordedMessages:
    """The messages of a recording that match the bindings of a worker, or all messages if it has none.

    The policy applies, but without delays: a requeued message is handled again at once. A message that the policy keeps
    unsettled is acknowledged.

    Attributes:
        queue: the name of the file.
        subscribed: always True.
        rejected: how many messages were rejected.
    """

    subscribed = True
    gaps = stale = 0

    def __init__(self, path: str | Path, worker: Worker) -> None:
        self.queue = str(path)
        self.rejected = 0
        self._records = matching_records(path, worker)
        self._check = message_check_of(worker)
        self._matched = MatchedBindings(worker.all_bindings)
        self._calls = _Calls(1, lambda: HEARTBEAT)
        self._drained = False

    @property
    def poison(self) -> int:
        """How many poison messages did not reach the handler."""
        return self._calls.poison

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._drained = True

    async def handle(self, handler: Callable[[Message], object], policy: Policy | None = None) -> None:
        """Call a handler with each message; see `pulsekit.Consumer.handle`.

        Raises:
            DamagedRecording: Raised when the recording is damaged, once the messages before the damage were handled.
            OSError: Raised when the file cannot be read.
        """
        policy = _without_keep(policy or Policy())
        while not self._drained and (record := next(self._records, None)) is not None:
            settlement: Settlement | None = None
            while settlement in {None, Settlement.REQUEUE} and not self._drained:
                settler = _Settler(self._matched)
                message = record.message(redelivered=settlement is not None, settler=settler, schema=self._check)
                await self._calls.call(handler, message, policy, self.queue)
                settlement = await settler.settled
            self.rejected += settlement is Settlement.REJECT

    async def drain(self, *, now: bool = False) -> None:  # noqa: ARG002 - the interface of Consumer
        """Let `handle` return after the current messages."""
        self._drained = True


def matching_records(path: str | Path, worker: Worker) -> Iterator[Record]:
    """Yield the records of a recording that match the bindings of a worker, or all records if it has none.

    Raises:
        DamagedRecording: Raised when the recording is damaged, once the records before the damage were yielded.
        OSError: Raised when the file cannot be read.
    """
    bindings = worker.all_bindings
    for entry in read_recording(path):
        if isinstance(entry, Record) and (not bindings or any(_matches(one, entry) for one in bindings)):
            yield entry


def message_check_of(worker: Worker) -> Schema | MessageCheck | None:
    """Return the check of the messages of a worker, or None without a schema."""
    schema = load_schema(worker.schema) if isinstance(worker.schema, str | Path) else worker.schema
    return None if schema is None else message_check(schema)


class _Calls(HandlerCalls):
    """The calls of a handler, without delays."""

    def requeue(self, message: Message, delay: float) -> None:  # noqa: ARG002 - of the policy, or of `Retry`
        super().requeue(message, 0.0)


class _Settler(Settler):
    """The settler of one message. A handler may settle the message in its thread."""

    def __init__(self, matched: MatchedBindings) -> None:
        self.bindings = matched.bindings  # type: ignore[method-assign] # the bindings of one worker
        self._loop = asyncio.get_running_loop()
        self.settled: asyncio.Future[Settlement] = self._loop.create_future()

    def settle(self, message: Message, settlement: Settlement) -> None:  # noqa: ARG002 - the interface of Settler
        self._loop.call_soon_threadsafe(self._settle, settlement)

    def live(self, message: Message) -> bool:  # noqa: ARG002 - the interface of Settler
        return not self.settled.done()

    def _settle(self, settlement: Settlement) -> None:
        if not self.settled.done():
            self.settled.set_result(settlement)


def _matches(binding: Binding, record: Record) -> bool:
    keys = (record.routing_key, *record.cc)
    return binding.exchange == record.exchange and any(topic_matches(binding.pattern, key) for key in keys)


def _without_keep(policy: Policy) -> Policy:
    kept: Any = {
        name: OnFailure.ACK for name in ("failure", "exhausted", "poison") if getattr(policy, name) is OnFailure.KEEP
    }
    return replace(policy, **kept)
