"""Calls of a user's callbacks, whose exceptions must not end the connection."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import suppress
from math import isnan
from typing import TYPE_CHECKING, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call_safely", "check_callback", "is_defined"]

log = logging.getLogger("pulsekit")

Ts = TypeVarTuple("Ts")


def is_defined(function: object, *tests: Callable[[object], bool]) -> bool:
    """Return whether a callable, or its `__call__`, passes a test of `inspect`, such as `iscoroutinefunction`."""
    return any(test(one) for test in tests for one in (function, getattr(function, "__call__", None)))  # noqa: B004


def check_callback(name: str, callback: object) -> None:
    """Check that a callback is None, or can be called without `await`.

    Raises:
        TypeError: Raised when the callback is defined by `async def`, contains `yield`, or cannot be called.
    """
    if callback is None:
        return
    if not callable(callback):
        raise TypeError(f"{name} is a function, not {type(callback).__name__}")
    if is_defined(callback, inspect.iscoroutinefunction, inspect.isasyncgenfunction):
        raise TypeError(
            f"{name} is called and not awaited, so it cannot be an `async def`: "
            "give a plain function, which may start a task (asyncio.create_task)"
        )
    if is_defined(callback, inspect.isgeneratorfunction):
        raise TypeError(f"{name} cannot contain `yield`: it would return a generator, and never run")


def check_kind(name: str, value: object, kind: type, *, optional: bool = True) -> None:
    """Check that an argument is an instance of a class, or None if it is optional.

    Raises:
        TypeError: Raised when the argument has another type.
    """
    if not (isinstance(value, kind) or (optional and value is None)):
        raise TypeError(f"{name} is of type {kind.__name__}, not {value!r:.40}")


def check_number(name: str, value: object, *, optional: bool = False) -> None:
    """Check that an argument is a number, or None if it is optional.

    Raises:
        TypeError: Raised when the argument has another type, is NaN, or is an integer that is too large for a float.
    """
    if optional and value is None:
        return
    with suppress(OverflowError):  # of an integer
        if isinstance(value, int | float) and not isnan(value):
            return
    raise TypeError(f"{name} is a number, not {value!r:.40}")


def call_safely(callback: Callable[[*Ts], object] | None, *args: *Ts) -> None:
    """Call a callback, if there is one. Log its exception, or an error if it returns a coroutine."""
    if callback is None:
        return
    try:
        returned = callback(*args)
    except (Exception, asyncio.CancelledError):  # not a cancellation of the task, because nothing is awaited
        log.exception("a callback failed")
    else:
        if inspect.iscoroutine(returned):
            returned.close()
            log.error("a callback returned the coroutine %s, which is not awaited", returned.__qualname__)
