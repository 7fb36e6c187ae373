"""Pass messages to a handler in a test, without a broker, and return the outcome of each message.

Plan: `RunningWorker` calls the handler and `HandlerCalls` applies the policy, as on a broker. `feed` runs them in an
event loop. For each call of a plain function, `feed` leaves this loop. So the function runs in the thread of the test,
without an event loop, and may call `asyncio.run` or use the test's database connection.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pulsekit._amqp.types import Settlement
from pulsekit.consume.handlers import open_handler
from pulsekit.consume.recorded import matching_records, message_check_of
from pulsekit.consume.running import RunningWorker
from pulsekit.consume.worker import Worker
from pulsekit.consumer.handler import HandlerCalls
from pulsekit.errors import ConfigurationError
from pulsekit.messages import Settler
from pulsekit.publisher.encoder import Draft, as_pair, check_types
from pulsekit.records.attribution import MatchedBindings
from pulsekit.records.record import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from pulsekit.consume.worker import Handler
    from pulsekit.consumer.policy import OnFailure
    from pulsekit.messages import Message

    Run: TypeAlias = Callable[..., Awaitable[Any]]
    Fed: TypeAlias = str | Path | Iterable[tuple[Any, str] | Draft | Record]

__all__ = ["Handled", "feed", "feed_async"]

Outcome: TypeAlias = Literal["acknowledged", "rejected", "retried", "kept", "raised"]

_EXCHANGE = "exchange/test/messages"
_OUTCOMES: dict[Settlement | None, Outcome] = {
    Settlement.ACK: "acknowledged",
    Settlement.REJECT: "rejected",
    Settlement.REQUEUE: "retried",
    None: "kept",
}


@dataclass(frozen=True, slots=True)
class Handled:
    """The outcome of one message, which a handler and its policy decided.

    Attributes:
        message: the message.
        outcome: one of "acknowledged"; "rejected", so that the broker dead-letters or discards the message; "retried",
            requeued after `delay`; "kept", left unsettled; or "raised", requeued while the consumer stops with `error`.
            With `ack="before"`, the message was acknowledged before the call of the handler.
        error: the exception of the handler, or the reason why the message did not reach the handler. None if the
            handler returned.
        delay: seconds until the message is requeued. None for other outcomes.
    """

    message: Message
    outcome: Outcome
    error: Exception | None = None
    delay: float | None = None


def feed(handler: Worker | Handler, messages: Fed, *, exchange: str = "") -> list[Handled]:
    """Pass messages to a handler, one after the other, and return the outcome of each message.

    The handler is opened, called and closed as by `pulsekit consume`, but in the thread of the caller. Each message is
    delivered once. A retried message is not delivered again, but its failure counts if an equal message follows. `feed`
    raises exceptions of the handler that are not an `Exception`, such as that of `pytest.fail`.

    Example:
        `[handled] = feed(Worker(on_job, policy=policy), [({"result": "fail"}, "treeherder.autoland._")])`

    Args:
        handler: a `Worker`, or an object that can be the handler of a `Worker`.
        messages: (payload, routing key) pairs, drafts, or records; or the path of a recording, of which only the
            messages that match a binding of the worker are passed. Bytes as payload are the body.
        exchange: the exchange of pairs and drafts; the default is the exchange of the worker's first binding.

    Raises:
        ConfigurationError: Raised in a coroutine. Await `feed_async` there.
        DamagedRecording: Raised when the recording is damaged.
        TypeError: Raised when the handler cannot be called with a message, or a message has a wrong type.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise ConfigurationError("feed runs an event loop, and cannot be called in one: await feed_async(…)")
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        wanted: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        wants = asyncio.Event()

        async def run(function: Callable[..., Any], *arguments: Any) -> Any:
            done = loop.create_future()
            wanted.append((lambda: function(*arguments), done))
            wants.set()
            return await done

        async def next_call(feeding: asyncio.Task[Any]) -> None:
            waiting = asyncio.ensure_future(wants.wait())
            await asyncio.wait([feeding, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            wants.clear()

        feeding = loop.create_task(_feed(handler, messages, exchange, run))
        while not feeding.done():
            runner.run(next_call(feeding))
            while wanted:
                function, done = wanted.pop()
                try:
                    done.set_result(function())
                except StopIteration:  # a future cannot have this exception
                    done.set_exception(RuntimeError("the handler raised StopIteration"))
                except (Exception, asyncio.CancelledError, SystemExit) as error:  # noqa: BLE001 - the policy decides
                    done.set_exception(error)
        return feeding.result()


async def feed_async(handler: Worker | Handler, messages: Fed, *, exchange: str = "") -> list[Handled]:
    """Do the same as `feed` in a coroutine. An `async def` handler runs in the event loop of the caller."""

    async def run(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    return await _feed(handler, messages, exchange, run)


async def _feed(handler: Worker | Handler, messages: Fed, exchange: str, run: Run) -> list[Handled]:
    worker = handler if isinstance(handler, Worker) else Worker(handler)
    running = RunningWorker(_Control(), worker, worker.title)
    calls, check = _Calls(worker), message_check_of(worker)
    found = []
    async with open_handler(worker, run) as running.handler:
        for record in _records(messages, worker, exchange):
            calls.begin()
            message = record.message(settler=calls, schema=check)
            raised: Exception | None = None
            try:
                await calls.call(running.call, message, worker.policy, worker.title)
            except Exception as error:  # noqa: BLE001 - the outcome contains it
                raised = error
            cause = getattr(raised or calls.reason, "__cause__", None)
            if not isinstance(cause, Exception | asyncio.CancelledError | SystemExit | None):
                raise cause  # such as that of pytest.fail
            found.append(calls.handled(message, raised))
    return found


def _records(messages: Fed, worker: Worker, exchange: str) -> Iterator[Record]:
    if isinstance(messages, str | Path):
        yield from matching_records(messages, worker)
        return
    exchange = exchange or next((binding.exchange for binding in worker.all_bindings), _EXCHANGE)
    for item in messages:
        if isinstance(item, Record):
            yield item
            continue
        draft = item if isinstance(item, Draft) else Draft(*as_pair(item))
        check_types(draft)
        key, headers = draft.routing_key, dict(draft.headers)
        yield Record(exchange, key, tuple(draft.cc), draft.payload, draft.properties, headers)


class _Control:
    """A control that never stops the worker and reports nothing."""

    drains = False
    on_ready = on_failure = None

    def begin(self) -> bool:
        return True

    def stop(self) -> None:
        pass


class _Calls(HandlerCalls, Settler):
    """The calls of a handler, and the settler of the current message.

    Attributes:
        reason: why the current message was not handled, or None.
    """

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker.prefetch or worker.concurrency, lambda: 0.0)
        self.bindings = MatchedBindings(worker.all_bindings).bindings  # type: ignore[method-assign] # of one worker

    def begin(self) -> None:
        self.reason: Exception | None = None
        self._settlement: Settlement | None = None
        self._delay: float | None = None

    async def apply(
        self, action: OnFailure, message: Message, reason: Exception, queue: str, delay: float = 0.0
    ) -> None:
        self.reason = reason
        await super().apply(action, message, reason, queue, delay)

    def requeue(self, message: Message, delay: float) -> None:
        if self.live(message):
            self._delay = delay
            self.settle(message, Settlement.REQUEUE)

    def settle(self, message: Message, settlement: Settlement) -> None:
        if self.live(message):
            self._settlement = settlement

    def live(self, message: Message) -> bool:  # noqa: ARG002 - the interface of Settler
        return self._settlement is None

    def handled(self, message: Message, raised: Exception | None) -> Handled:
        """Return the outcome of the current message. `raised` is the exception of the call, or None."""
        if raised is not None:
            return Handled(message, "raised", raised)
        outcome = _OUTCOMES[self._settlement]
        return Handled(message, outcome, self.reason, (self._delay or 0.0) if outcome == "retried" else None)
