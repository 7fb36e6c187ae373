"""Make the handler of a worker, and call it without blocking the event loop.

Plan: a plain function runs in one of `concurrency` daemon threads, so that it cannot stop heartbeats. An `async def`
runs in the event loop. With a concurrency of 1, one thread makes the handler, calls it, and enters and exits its
context manager, because connections to SQLite and of Django belong to a thread.

Example: the worker has the function `opened_database`, decorated by `contextmanager`. The thread calls it, enters the
context manager, which yields a function, and calls this function with each message.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from contextlib import AsyncContextDecorator, AsyncExitStack, ContextDecorator, asynccontextmanager
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.callbacks import is_defined
from pulsekit._amqp.tasks import cancels_task
from pulsekit.consume.worker import is_context, is_factory
from pulsekit.consumer.handler import check_handler
from pulsekit.consumer.policy import Stop
from pulsekit.errors import ConfigurationError
from pulsekit.recordings.worker import Worker as Thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pulsekit.consume.worker import Worker
    from pulsekit.messages import Message

__all__ = ["open_handler"]

log = logging.getLogger("pulsekit")

_EXIT = 5.0  # seconds for the exit of a context manager when the program ends


@asynccontextmanager
async def open_handler(
    worker: Worker, run: Callable[..., Awaitable[Any]] | None = None
) -> AsyncIterator[Callable[[Message], Awaitable[None]]]:
    """Make the handler of a worker, and yield a coroutine function that calls it.

    Args:
        worker: the worker.
        run: calls a function with arguments, and returns its result. By default, in one of `concurrency` threads.

    Raises:
        TypeError: Raised when the created handler cannot be called with a message.
        ConfigurationError: Raised when the policy has a time limit and the handler runs in a thread.
    """
    async with AsyncExitStack() as stack:
        if run is None:
            threads = _Threads(worker)
            stack.callback(threads.close)
            run = threads.run
        handler: Any = worker.handler
        if is_factory(handler):
            handler = handler() if _belongs_to_loop(handler) else await run(handler)
        if is_context(handler):
            handler = await _enter(handler, run, stack)
        check_handler(handler)
        if is_defined(handler, inspect.iscoroutinefunction):
            yield _guarded(handler)
            return
        if worker.policy.timeout is not None:
            raise ConfigurationError(
                f"{worker.title} runs in a thread, which cannot be interrupted: write an `async def`, or remove the "
                "timeout of its policy"
            )

        async def call(message: Message) -> None:
            result = await run(handler, message)
            if inspect.isawaitable(result):  # a function, such as a lambda, may return a coroutine
                await result

        yield _guarded(call)


def _guarded(handler: Callable[[Message], Awaitable[object]]) -> Callable[[Message], Awaitable[None]]:
    """Return a handler whose exceptions do not end the event loop.

    SystemExit becomes `Stop`, which stops the workers. Any other such exception, for example the CancelledError of a
    task that the handler has cancelled, becomes a failure of the handler.
    """

    async def call(message: Message) -> None:
        try:
            await handler(message)
        except (Exception, GeneratorExit):
            raise
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            raise Stop(code) from error
        except BaseException as error:
            if cancels_task(error):
                raise  # cancelled by the policy's time limit, or because the workers stop
            raise RuntimeError(f"the handler raised {type(error).__name__}") from error

    return call


def _belongs_to_loop(factory: Any) -> bool:
    """Return whether a class or function makes an asynchronous object."""
    if isinstance(factory, type):
        return hasattr(factory, "__aenter__") or inspect.iscoroutinefunction(factory.__call__)
    return inspect.isasyncgenfunction(inspect.unwrap(factory))


async def _enter(context: Any, run: Callable[..., Awaitable[Any]], stack: AsyncExitStack) -> Any:
    """Enter a context manager, and return the value that it yields. The stack exits it."""
    if hasattr(context, "__aenter__"):
        entered = await stack.enter_async_context(context)
    else:
        entered = await run(context.__enter__)

        async def leave(kind: Any, error: Any, trace: Any) -> bool:
            try:
                async with asyncio.timeout(_EXIT) as deadline:
                    return bool(await run(context.__exit__, kind, error, trace))
            except TimeoutError:
                if not deadline.expired():  # the context manager raised it
                    raise
                log.warning("the context manager of the handler did not exit within %g s", _EXIT)
                return False

        stack.push_async_exit(leave)
    # If a context manager is callable, it may be the handler. Those of contextlib are callable only as decorators.
    is_handler = callable(context) and not isinstance(context, ContextDecorator | AsyncContextDecorator)
    return context if is_handler and not callable(entered) else entered


class _Threads:
    """Threads for the calls of one handler: one thread for each concurrent call."""

    def __init__(self, worker: Worker) -> None:
        self._threads = [Thread(f"{worker.title}-{number}") for number in range(worker.concurrency, 0, -1)]
        self._free = list(self._threads)

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in a free thread. If there is none, call it in the first thread after the running calls."""
        thread = self._free.pop() if self._free else self._threads[-1]
        context = contextvars.copy_context()

        def call() -> Any:
            try:
                return context.run(function, *arguments)
            except StopIteration as error:  # a future cannot have this exception
                raise RuntimeError("the handler raised StopIteration") from error

        try:
            return await thread.call(call)
        finally:
            if thread not in self._free:
                self._free.append(thread)

    def close(self) -> None:
        for thread in self._threads:
            thread.close()
