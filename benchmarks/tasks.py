"""What one measurement is asked to do, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Failed", "LeftOut", "Sample", "Task"]


class Failed(Exception):
    """Report a measurement that is worth nothing: a message lost, a validation skipped, a client that broke."""


class LeftOut(Exception):
    """Report why a case is not measured here."""


@dataclass(frozen=True, slots=True)
class Task:
    """Tell a process what to measure; `folder` holds what `Stage` put there, `messages` wait in the queue."""

    case: str
    folder: str
    seconds: float
    url: str = ""
    exchange: str = ""
    queue: str = ""
    routing_key: str = ""
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold what one process measured: operations, their seconds, and the processor's seconds they cost the client."""

    count: int
    seconds: float
    cpu: float
    total: int  # operations with those of the warm-up
    peak: int  # memory, in KiB
    extra: dict[str, float] = field(default_factory=dict)
