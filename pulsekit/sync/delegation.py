"""Blocking methods that delegate to asynchronous methods, and have the same signature and docstring."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from pulsekit.errors import NotOpen

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Protocol

    from pulsekit.pulse import Pulse
    from pulsekit.sync.background import Background

    class _HasBackground(Protocol):
        def _background(self) -> Background: ...


__all__ = ["Delegate", "delegate", "with_parameters_of", "with_parameters_of_function"]

A = TypeVar("A")
P = ParamSpec("P")
S = TypeVar("S", bound="_HasBackground")
T = TypeVar("T")


def delegate(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, T]],
) -> Callable[[Callable[[S], A]], Callable[Concatenate[S, P], T]]:
    """Return a decorator that makes a blocking method with the interface and docstring of an asynchronous method.

    The decorated function returns the asynchronous object on which the method is called.
    """

    def decorate(target: Callable[[S], A]) -> Callable[Concatenate[S, P], T]:
        @functools.wraps(method)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            on = target(self)
            return self._background().call(method(on, *args, **kwargs))

        return call

    return decorate


def with_parameters_of(
    method: Callable[Concatenate[A, P], object],
) -> Callable[[Callable[Concatenate[S, ...], T]], Callable[Concatenate[S, P], T]]:
    """Return a decorator that gives a method the parameters and the docstring of an asynchronous method."""

    def decorate(function: Callable[Concatenate[S, ...], T]) -> Callable[Concatenate[S, P], T]:
        @functools.wraps(method)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return function(self, *args, **kwargs)

        return call

    return decorate


def with_parameters_of_function(function: Callable[P, object]) -> Callable[[Callable[..., T]], Callable[P, T]]:
    """Return a decorator that gives a function the parameters of another function."""

    def decorate(own: Callable[..., T]) -> Callable[P, T]:
        @functools.wraps(own)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return own(*args, **kwargs)

        call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined] # of inspect
        return call

    return decorate


class Delegate(Generic[A]):
    """An object whose methods run in the background thread, on an asynchronous object. Each process creates its own.

    Args:
        background: returns the background thread of this process.
        make: creates the asynchronous object.
    """

    def __init__(self, background: Callable[[], Background], make: Callable[[Pulse], A]) -> None:
        self._background = background
        self._make = make
        self._made: tuple[Background, A] | None = None
        self._asynchronous()  # a wrong argument is an error of this call

    def _asynchronous(self) -> A:
        """Return the asynchronous object of this process, whose counters stay readable after the connection."""
        made = self._made
        try:
            background = self._background()
        except NotOpen:
            if made is None:
                raise
            return made[1]
        if made is None or made[0] is not background:

            async def make() -> A:
                return self._make(background.pulse)

            made = self._made = (background, background.call(make()))
        return made[1]

    def _end(self, close: Callable[[A], Coroutine[Any, Any, T]], nothing: T) -> T:
        """Close the asynchronous object. Return `nothing` if its connection is closed, which has closed the object."""
        try:
            return self._background().call(close(self._asynchronous()))
        except NotOpen:
            return nothing
