"""Find out why a connection does not work: the checks behind `pulsekit doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.diagnosis.checks import CHECKS, Finding, Status, examine

__all__ = [
    "CHECKS",
    "Finding",
    "Status",
    "examine",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "pulsekit.diagnosis.checks": (
            "CHECKS",
            "Finding",
            "Status",
            "examine",
        ),
    },
)
