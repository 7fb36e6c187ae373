"""The entry point of the library without an event loop. It also handles forks and the exit of the interpreter."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from pulsekit import pulse as asynchronous
from pulsekit.errors import NotOpen
from pulsekit.sync.background import OUTSIDE, Background
from pulsekit.sync.consumer import Consumer
from pulsekit.sync.delegation import delegate, with_parameters_of, with_parameters_of_function
from pulsekit.sync.publisher import Publisher

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType
    from typing import Self

    from pulsekit._amqp.connection import State

__all__ = ["Pulse", "connect"]

P = ParamSpec("P")
T = TypeVar("T")

_pulses: weakref.WeakSet[Pulse] = weakref.WeakSet()
_inherited: list[Background | None] = []  # in a child process, those of its parent: kept, so that nothing closes them


class Pulse:
    """The connections to the broker, like `pulsekit.Pulse`, for several threads.

    Use it with `with`, or keep it for the whole process: the first call starts the background thread, and `close` or
    the exit of the interpreter ends it. An object that is discarded without `close` causes a `ResourceWarning`.

    Attributes:
        user: the AMQP user, who owns `exchange/<user>/…` and `queue/<user>/…`.
    """

    def __init__(self, make: Callable[[], asynchronous.Pulse]) -> None:
        self._make = make
        self._next: asynchronous.Pulse | None = make()  # now, because a wrong argument is an error of this call
        self.user: str = self._next.user
        self._of: Background | None = None
        self._lock = threading.RLock()
        self._closed = False
        _pulses.add(self)

    def __enter__(self) -> Self:
        self._background()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(at_once=error is not None)

    def __del__(self) -> None:
        background = getattr(self, "_of", None)  # there is none if the constructor failed
        if background is not None:
            text = f"a connection of {self.user} was not closed: use `with pulsekit.sync.connect() as pulse`"
            warnings.warn(text, ResourceWarning, source=self, stacklevel=2)
            background.leave()

    def close(self) -> None:
        """Wait for outstanding confirms, stop the consumers and close. Closing twice is fine.

        The exit of the `with` block does the same. After an exception, it does not wait for confirms.
        """
        self._close(at_once=False)

    @with_parameters_of(asynchronous.Pulse.publisher)
    def publisher(self, *args: Any, **kwargs: Any) -> Publisher:
        """Return a publisher whose methods block."""
        return Publisher(self._background, lambda pulse: pulse.publisher(*args, **kwargs))

    @with_parameters_of(asynchronous.Pulse.subscribe)
    def subscribe(self, *args: Any, **kwargs: Any) -> Consumer:
        """Return a consumer whose methods block. Its callbacks are called in the background thread."""
        return Consumer(self._background, lambda pulse: pulse.subscribe(*args, **kwargs))

    @property
    def state(self) -> State:
        """The state of the connections in use, see `pulsekit.Pulse.state`."""
        return self._background().pulse.state

    @delegate(asynchronous.Pulse.check)
    def check(self) -> asynchronous.Pulse:
        """Wait for an answer of the broker on each connection in use."""
        return self._background().pulse

    @delegate(asynchronous.Pulse.create_exchange)
    def create_exchange(self) -> asynchronous.Pulse:
        """Create an exchange."""
        return self._background().pulse

    @delegate(asynchronous.Pulse.exchange_exists)
    def exchange_exists(self) -> asynchronous.Pulse:
        """Return whether an exchange exists."""
        return self._background().pulse

    @delegate(asynchronous.Pulse.delete_exchange)
    def delete_exchange(self) -> asynchronous.Pulse:
        """Delete an exchange."""
        return self._background().pulse

    def run(
        self,
        function: Callable[Concatenate[asynchronous.Pulse, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call an asynchronous function with the asynchronous `Pulse` and other arguments, and return its result.

        Example:
            `pulse.run(pulsekit.queues.peek, "queue/me/jobs", count=3)`

        Raises:
            TypeError: Raised when the function is not an `async def`.
        """
        background = self._background()
        coroutine = function(background.pulse, *args, **kwargs)
        if not asyncio.iscoroutine(coroutine):
            raise TypeError(f"run() needs an `async def`, and this function returned {type(coroutine).__name__}")
        return background.call(coroutine)

    def _background(self) -> Background:
        """Return the background thread of this process, and start it if there is none.

        Raises:
            NotOpen: Raised when the `Pulse` is closed.
        """
        with self._lock:
            if self._closed:
                raise NotOpen(OUTSIDE)
            if self._of is None:
                pulse, self._next = self._next or self._make(), None  # opened once, even if this call is interrupted
                self._of = Background(pulse)
            return self._of

    def _close(self, *, at_once: bool) -> None:
        with self._lock:
            self._closed = True
            background, self._of = self._of, None
        if background is not None:
            background.close(at_once=at_once)

    def _forget(self) -> None:
        """Drop the thread of the parent in a child process, and a lock that another thread may have held."""
        self._lock = threading.RLock()
        _inherited.append(self._of)
        self._of = None


@with_parameters_of_function(asynchronous.connect)
def connect(*args: Any, **kwargs: Any) -> Pulse:
    """Return a `Pulse` whose methods block. See `pulsekit.connect` for the arguments and exceptions.

    `on_state` and instrumentations are called in the background thread, but `handling` in the thread of the handler.

    Raises:
        ConfigurationError: Raised when no broker is configured, the URL is malformed, or no login has the name.
        InsecureConnection: Raised when the password would be sent in clear text to another machine.
        TypeError: Raised when `on_state` is an `async def`.
    """
    return Pulse(lambda: asynchronous.connect(*args, **kwargs))


def _forget_all() -> None:
    for pulse in _pulses:
        pulse._forget()  # noqa: SLF001 - same module


def _close_all() -> None:
    for pulse in list(_pulses):
        pulse.close()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)
