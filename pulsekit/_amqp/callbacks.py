"""Calls of what a user supplied, whose failure must not become ours."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call_safely"]

log = logging.getLogger("pulsekit")

Ts = TypeVarTuple("Ts")


def call_safely(callback: Callable[[*Ts], object] | None, *args: *Ts) -> None:
    """Call a callback if there is one. What it raises is logged: the connection it hears about goes on."""
    if callback is None:
        return
    try:
        callback(*args)
    except Exception:
        log.exception("a callback failed")
