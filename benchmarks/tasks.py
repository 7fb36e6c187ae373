"""The task of one measurement, and its sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Failed", "LeftOut", "Sample", "Task"]


class Failed(Exception):
    """Raised when a measurement is invalid: a message was lost, a validation was skipped, or the client failed."""


class LeftOut(Exception):
    """Raised when a case cannot be measured on this machine, with the reason."""


@dataclass(frozen=True, slots=True)
class Task:
    """The task of a process. `folder` has the files of `Stage`. `messages` is the number of messages in the queue."""

    case: str
    folder: str
    seconds: float
    url: str = ""
    exchange: str = ""
    queue: str = ""
    routing_key: str = ""
    messages: int = 0
    queue_type: Literal["quorum"] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The sample of one process: operations, their seconds, and the processor seconds of the client."""

    count: int
    seconds: float
    cpu: float
    total: int  # operations, including the warm-up
    peak: int  # peak of memory, in KiB
    extra: dict[str, float] = field(default_factory=dict)
