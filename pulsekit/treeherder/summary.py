"""The main fields of a job for one line of a screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["JobSummary", "summarize"]


@dataclass(frozen=True, slots=True)
class JobSummary:
    """Hold what one line says about a job.

    Attributes:
        symbol: group and job symbol, such as `M(bc5)`.
        state: such as `completed`.
        result: such as `success`, or empty while there is none.
        name: of the job.
        project: where it belongs.
    """

    symbol: str
    state: str
    result: str
    name: str
    project: str


def summarize(payload: Any) -> JobSummary | None:
    """Read a job's main fields for one line of a screen, or None when the payload is not a job.

    Broken jobs are read as far as they go: this is for looking, not for judging.
    """
    if not isinstance(payload, dict) or not isinstance(display := payload.get("display"), dict):
        return None
    if not isinstance(payload.get("state"), str):
        return None
    symbol = f"{_text(display.get('jobSymbol'))}{_text(display.get('chunkId'))}"
    group = _text(display.get("groupSymbol"))
    origin = payload.get("origin")
    return JobSummary(
        symbol=f"{group}({symbol})" if group and group != "?" else symbol,
        state=payload["state"],
        result=_text(payload.get("result")),
        name=_text(display.get("jobName")),
        project=_text(origin.get("project")) if isinstance(origin, dict) else "",
    )


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
