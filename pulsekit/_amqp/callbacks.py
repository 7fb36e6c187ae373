"""Calls of a user's callbacks, whose exceptions must not end the connection."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call_safely"]

log = logging.getLogger("pulsekit")

Ts = TypeVarTuple("Ts")


def call_safely(callback: Callable[[*Ts], object] | None, *args: *Ts) -> None:
    """Call a callback, unless it is None. An exception of the callback is logged."""
    if callback is None:
        return
    try:
        callback(*args)
    except Exception:
        log.exception("a callback failed")
