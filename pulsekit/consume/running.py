"""One worker while it runs: its handler, its messages, and its counters."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pulsekit._amqp.callbacks import call_safely
from pulsekit._amqp.tasks import cancels_task
from pulsekit._documents.suggestions import counted
from pulsekit.consume.handlers import open_handler
from pulsekit.consumer.policy import Reject, Retry, Stop
from pulsekit.errors import (
    BrokerRefused,
    ConfigurationError,
    DamagedRecording,
    HandlerFailed,
    NetworkError,
    NotOpen,
    PulsekitError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from pulsekit.consume.recorded import RecordedMessages
    from pulsekit.consume.worker import Worker
    from pulsekit.consumer.consumer import Consumer
    from pulsekit.messages import Message
    from pulsekit.pulse import Pulse

__all__ = ["RunningWorker", "cancel", "most_important"]

log = logging.getLogger("pulsekit")

_LOOK = 0.1  # seconds between two checks for an empty queue
_CANCELLED = 2.0  # seconds in which a cancelled handler must return
_OF_SOURCE = (BrokerRefused, NetworkError, NotOpen, DamagedRecording, OSError)


class _Control(Protocol):
    """The part of `Workers` that a single worker uses."""

    drains: bool

    @property
    def on_ready(self) -> Callable[[str, str], None] | None: ...
    @property
    def on_failure(self) -> Callable[[str, Message, Exception], None] | None: ...

    def begin(self) -> bool: ...
    def stop(self) -> None: ...


class RunningWorker:
    """A worker while it runs, and its counters.

    Attributes:
        worker: the worker.
        name: the name, unique in the process.
        source: the consumer, or the messages of a recording. None until it is open.
        running: the messages that are being handled, each with the time when its handler was called, in seconds since
            1970.
        succeeded: how many calls of the handler returned.
        failed: how many calls of the handler raised an exception.
        rejected: how many messages of a recording were rejected.
        handler: the coroutine function that calls the handler, once it is open.
        hangs: whether a handler ignored its cancellation. If so, the event loop cannot be closed.
        seconds: the total duration of all calls of the handler.
    """

    def __init__(self, control: _Control, worker: Worker, name: str) -> None:
        self.worker = worker
        self.name = name
        self.source: Consumer | RecordedMessages | None = None
        self.running: dict[Message, float] = {}
        self.succeeded = 0
        self.failed = 0
        self.rejected = 0
        self.seconds = 0.0
        self.opened = False
        self.hangs = False
        self._recorded = False
        self._control = control
        self._raised: dict[asyncio.Task[object] | None, Exception] = {}  # the handler's last exception, by calling task
        self.handler: Callable[[Message], Awaitable[None]]

    @property
    def ready(self) -> bool:
        """Whether the worker receives messages."""
        return self.source is not None and self.source.subscribed

    def ends_alone(self, error: BaseException) -> bool:
        """Return whether the other workers continue after this error."""
        return self.opened and isinstance(error, _OF_SOURCE)

    async def drain(self) -> None:
        """Requeue the messages that were not passed to a handler, and let `run` return."""
        if self.source is not None:
            await self.source.drain(now=True)

    async def run(self, source: Pulse | str | Path) -> None:
        """Open the handler and the source, and call the handler with each message until `drain`; see `Workers.run`."""
        failure: BaseException | None = None
        try:
            async with AsyncExitStack() as stack:
                try:
                    await self._open_handler(stack)
                    await self._consume(source)
                except BaseException as error:
                    failure = error
                    raise
        except (Exception, asyncio.CancelledError) as error:
            if error is failure or cancels_task(error):
                raise
            raise HandlerFailed(f"the handler {self.name} could not be closed: {described(error)}") from error
        if failure is not None:
            raise failure  # the context manager of the handler suppressed it

    async def _open_handler(self, stack: AsyncExitStack) -> None:
        try:
            self.handler = await stack.enter_async_context(open_handler(self.worker))
        except ConfigurationError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if cancels_task(error):
                raise
            raise HandlerFailed(f"the handler {self.name} could not be made: {described(error)}") from error

    async def _consume(self, source: Pulse | str | Path) -> None:
        messages = self._messages(source)
        try:
            async with messages:
                self.source, self.opened = messages, True
                call_safely(self._control.on_ready, self.name, messages.queue)
                await self._handle(messages)
        finally:
            self.source = None
            self.rejected += getattr(messages, "rejected", 0)

    def _messages(self, source: Pulse | str | Path) -> Consumer | RecordedMessages:
        if isinstance(source, str | Path):
            from pulsekit.consume.recorded import RecordedMessages  # imported late: not needed with a broker

            self._recorded = True
            return RecordedMessages(source, self.worker)
        return self.worker.subscribe(source)

    async def _handle(self, messages: Consumer | RecordedMessages) -> None:
        async def call(message: Message) -> None:
            await self.call(message)

        call.__qualname__ = self.name  # the name in warnings
        calls = [
            asyncio.ensure_future(messages.handle(call, self.worker.policy)) for _ in range(self.worker.concurrency)
        ]
        looking = asyncio.ensure_future(self._drain_when_empty(messages))
        try:
            pending = set(calls)
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                errors = [error for call in done if (error := self._error(call)) is not None]
                if any(not isinstance(error, _OF_SOURCE) for error in errors):
                    self._control.stop()
        finally:
            self.hangs = not await cancel([*calls, looking])
        worst = most_important(self._error(call) for call in calls)
        if worst is not None:
            raise worst

    def _error(self, call: asyncio.Future[None]) -> Exception | None:
        """Return why a call of `handle` ended. Exceptions of the handler and of the policy become a HandlerFailed."""
        error = None if call.cancelled() else call.exception()
        if error is None or isinstance(error, Stop | HandlerFailed):
            return error
        if isinstance(error, _OF_SOURCE) and error not in self._raised.values():
            return error
        what = f"raised {described(error)}" if error in self._raised.values() else f"got no message: {described(error)}"
        failure = HandlerFailed(f"the handler {self.name} {what}{self.where()}")
        failure.__cause__ = error
        return failure

    def where(self) -> str:
        """Return the part of a sentence that says what happened to a message whose handler failed."""
        if self.worker.ack == "before":
            return "; the message was acknowledged before"
        queue = self.worker.declared
        return "" if queue is None or self._recorded else f"; the message is in {queue.name} again"

    async def call(self, message: Message) -> None:
        """Call the handler, and count the call."""
        if not self._control.begin():
            await self.drain()
            message.nack()
            return
        if self.worker.ack == "before":
            message.ack()
        self.running[message] = time.time()
        began, succeeded = time.perf_counter(), False
        try:
            await self.handler(message)
            succeeded = True
        except Stop:
            raise
        except Exception as error:
            self._raised[asyncio.current_task()] = error
            call_safely(self._control.on_failure, self.name, message, error)
            if self.worker.ack == "before" and isinstance(error, Reject | Retry):
                raise HandlerFailed(f"{self.name} decided about a message that was acknowledged before") from error
            raise
        finally:
            del self.running[message]
            self.seconds += time.perf_counter() - began
            self.succeeded += succeeded
            self.failed += not succeeded

    async def _drain_when_empty(self, messages: Consumer | RecordedMessages) -> None:
        """Drain when two checks in a row find that no message can arrive: in one check, a message may be in transit."""
        from pulsekit.consumer.consumer import Consumer

        if not self._control.drains or not isinstance(messages, Consumer):
            return
        empty = 0
        while empty < 2:
            await asyncio.sleep(_LOOK)
            if self.running or messages.waiting:
                empty = 0
                continue
            try:
                depth = await messages.depth()
            except PulsekitError:  # `handle` continues after a reconnect, or ends
                empty = 0
                continue
            idle = not self.running and messages._is_idle(depth)  # noqa: SLF001 - of this package
            empty = empty + 1 if idle else 0
        if depth.ready:
            log.warning(
                "%s left in %s: the broker delivers no more, because the policy keeps %d unsettled, which fills the "
                "prefetch",
                counted(depth.ready, "message"),
                messages.queue,
                depth.unsettled,
            )
        await messages.drain()


def most_important(errors: Iterable[BaseException | None]) -> BaseException | None:
    """Return the error that determines the exit code: a `Stop`, else a failed handler, else the first error."""
    found = [error for error in errors if error is not None]
    return next(
        (error for kind in (Stop, HandlerFailed, BaseException) for error in found if isinstance(error, kind)), None
    )


def described(error: BaseException) -> str:
    """Return the type and the text of an exception."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


async def cancel(tasks: Iterable[asyncio.Future[Any]], *, timeout: float = _CANCELLED) -> bool:
    """Cancel tasks, and return whether they ended in time. A handler may ignore its cancellation."""
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=timeout)
    return all(task.done() for task in left)
