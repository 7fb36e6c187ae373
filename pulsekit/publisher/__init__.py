"""Publish to one exchange: validate, encode, send, and wait for the broker's confirm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.publisher.encoder import Draft
    from pulsekit.publisher.publisher import Publisher

__all__ = [
    "Draft",
    "Publisher",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "pulsekit.publisher.encoder": ("Draft",),
        "pulsekit.publisher.publisher": ("Publisher",),
    },
)
