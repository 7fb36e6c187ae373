"""The description of a consumer that `pulsekit consume` runs: its handler, queue, bindings and policy."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pulsekit._amqp.callbacks import check_kind, is_defined
from pulsekit.bindings.registration import Binding
from pulsekit.catalogue.key_patterns import read_binding
from pulsekit.consumer.handler import accepts, check_handler
from pulsekit.consumer.policy import OnFailure, Policy
from pulsekit.consumer.queue_options import Queue
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from pathlib import Path
    from typing import TypeAlias

    from pulsekit.consumer.consumer import Consumer
    from pulsekit.instrumentation.protocol import Instrumentation
    from pulsekit.messages import Message
    from pulsekit.pulse import Pulse
    from pulsekit.schemas.schema import Schema

    Called: TypeAlias = Callable[[Message], object]
    Context: TypeAlias = AbstractContextManager[Called, Any] | AbstractAsyncContextManager[Called, Any]
    Handler: TypeAlias = Called | Context | Callable[[], Called | Context]

__all__ = ["Worker", "check", "is_context", "is_factory"]

_MAX_CONCURRENCY = 65535  # the largest prefetch (basic.qos)
_ORDERS = ("strict", "any")
_ACKS = ("after", "before")
_METHODS = {"__call__", "__enter__", "__aenter__"}


@dataclass(frozen=True, slots=True)
class Worker:
    """A consumer of one queue, for `pulsekit consume` and `pulsekit.consume.Workers`.

    Example:
        `Worker(on_task, "exchange/taskcluster-queue/v1/task-failed:#", Queue("queue/me/failed", type="quorum"))`

    Attributes:
        handler: the object that is called with each message: a function, which runs in a thread; an `async def`, which
            runs in the event loop; a class, of which one instance is created and called; or a context manager, or a
            function that returns one (`contextlib.contextmanager`), which is entered once and yields the handler.
        bindings: `EXCHANGE:PATTERN`, or several of them, as in `Pulse.subscribe`.
        queue: the queue. A name `queue/<user>/<name>` means `Queue(name)`. Without a queue, the consumer has a
            private queue, and messages that are published while the worker does not run are lost.
        policy: what happens to a message whose handler raised an exception. Without a policy, the message is requeued
            and all workers stop.
        concurrency: how many messages are handled at the same time.
        order: "strict" to handle one message after the other, in the order of the queue, with a prefetch of 1. "any"
            to handle messages at the same time. The default is "strict" if the concurrency is 1.
        ack: "after" to acknowledge a message when its handler has returned. No message is lost, but a message may be
            handled twice. "before" to acknowledge a message before its handler is called. A message whose handler fails
            is lost.
        prefetch: how many messages may be unsettled. The default is the concurrency. A larger number increases the rate
            of short handlers on a slow network.
        schema: the schema of the payloads, see `Pulse.subscribe`.
        name: the name in messages and metrics. The default is the name of the handler.
        instrumentation: observers of the messages of this worker, which replace those of the connection.

    Raises:
        ConfigurationError: Raised when two fields contradict each other, or a value is out of range.
        InvalidName: Raised when the name of an exchange or queue cannot exist on Pulse.
        TypeError: Raised when the handler cannot be called with a message.
    """

    handler: Handler
    bindings: str | Binding | Sequence[str | Binding] = ()
    queue: Queue | str | None = None
    policy: Policy = field(default_factory=Policy)
    concurrency: int = field(default=1, kw_only=True)
    order: Literal["strict", "any"] | None = field(default=None, kw_only=True)
    ack: Literal["after", "before"] = field(default="after", kw_only=True)
    prefetch: int | None = field(default=None, kw_only=True)
    schema: str | Path | Schema | None = field(default=None, kw_only=True)
    name: str = field(default="", kw_only=True)
    instrumentation: Instrumentation | Sequence[Instrumentation] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check(self.handler)
        _ = self.all_bindings  # raises an error for an invalid name
        check_kind("queue", self.declared, Queue)
        check_kind("policy", self.policy, Policy, optional=False)
        check_kind("concurrency", self.concurrency, int, optional=False)
        check_kind("prefetch", self.prefetch, int)
        if self.order not in (None, *_ORDERS) or self.ack not in _ACKS:
            raise ConfigurationError(
                f"order is 'strict' or 'any', and ack 'after' or 'before', not {self.order}, {self.ack}"
            )
        if not 1 <= self.concurrency <= _MAX_CONCURRENCY:
            raise ConfigurationError(f"concurrency is 1 to {_MAX_CONCURRENCY}, not {self.concurrency}")
        if self.prefetch is not None and not 1 <= self.prefetch <= _MAX_CONCURRENCY:
            raise ConfigurationError(f"prefetch is 1 to {_MAX_CONCURRENCY}, not {self.prefetch}")
        if self.is_strict and (self.concurrency, self.prefetch or 1) != (1, 1):
            raise ConfigurationError("strict order needs a concurrency and a prefetch of 1: use order 'any'")
        if self.ack == "before" and self.policy.failure not in {OnFailure.RAISE, OnFailure.ACK}:
            raise ConfigurationError(
                "a message that is acknowledged before its handler is called cannot be handled again: use ack 'after', "
                f"or a policy whose failure is RAISE or ACK, not {self.policy.failure.name}"
            )

    @property
    def all_bindings(self) -> tuple[Binding, ...]:
        """The parsed bindings."""
        given = [self.bindings] if isinstance(self.bindings, str | Binding) else self.bindings
        return tuple(map(read_binding, given))

    @property
    def declared(self) -> Queue | None:
        """The queue, or None for a private one."""
        return Queue(self.queue) if isinstance(self.queue, str) else self.queue

    @property
    def is_strict(self) -> bool:
        """Whether messages are handled one after the other, in the order of the queue."""
        return self.order == "strict" or (self.order is None and (self.concurrency, self.prefetch or 1) == (1, 1))

    @property
    def title(self) -> str:
        """The name in messages and metrics."""
        return self.name or str(getattr(self.handler, "__qualname__", type(self.handler).__name__))

    def subscribe(self, pulse: Pulse) -> Consumer:
        """Return the consumer of this worker on a connection."""
        return pulse.subscribe(
            *self.all_bindings,
            queue=self.declared,
            prefetch=self.prefetch or self.concurrency,
            schema=self.schema,
            instrumentation=self.instrumentation,
        )


def is_factory(handler: object) -> bool:
    """Return whether calling the object without arguments returns the handler.

    Such an object is a class, or a function with the decorator `contextmanager` or `asynccontextmanager`.
    """
    if isinstance(handler, type):
        return True
    inner = inspect.unwrap(handler) if callable(handler) and hasattr(handler, "__wrapped__") else None
    return inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)


def check(handler: object) -> None:
    """Check a handler, or the object that creates it. `check_call` checks the created handler.

    Raises:
        TypeError: Raised when the object is not a handler and cannot create one.
    """
    if is_factory(handler):
        name = getattr(handler, "__qualname__", "")
        if isinstance(handler, type) and not any(vars(base).keys() & _METHODS for base in handler.__mro__):
            raise TypeError(f"the class {name} is not a handler: write the method __call__(self, message)")
        if not accepts(handler):
            raise TypeError(f"{name} makes the handler and is called without arguments: give each parameter a default")
    elif is_defined(handler, inspect.isgeneratorfunction, inspect.isasyncgenfunction) and accepts(handler):
        name = getattr(handler, "__qualname__", "")
        raise TypeError(
            f"{name} yields the handler, but is not a context manager: decorate it with contextlib.contextmanager"
        )
    elif callable(handler) or not is_context(handler):
        check_handler(handler)


def is_context(value: object) -> bool:
    """Return whether an object is a context manager, for `with` or `async with`."""
    return hasattr(value, "__enter__") or hasattr(value, "__aenter__")
