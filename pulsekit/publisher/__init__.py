"""Publish to one exchange: validate, encode, send, and wait for the broker's confirm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.publisher.publisher import Draft, Publisher

__all__ = [
    "Draft",
    "Publisher",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "pulsekit.publisher.publisher": (
            "Draft",
            "Publisher",
        ),
    },
)
