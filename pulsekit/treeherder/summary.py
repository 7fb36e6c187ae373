"""The main fields of a job, for one line of output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pulsekit.treeherder.results import shown_status, stored_result

__all__ = ["JobSummary", "summarize"]


@dataclass(frozen=True, slots=True)
class JobSummary:
    """The main fields of a job, for one line of output.

    Attributes:
        symbol: the symbols of group and job, such as `M(bc5)`.
        state: the state, such as `completed`.
        result: the result, such as `success`, or empty.
        status: the status that Treeherder shows, such as `testfailed` or `running`.
        name: the name of the job.
        project: the project of the job.
    """

    symbol: str
    state: str
    result: str
    status: str
    name: str
    project: str


def summarize(payload: Any) -> JobSummary | None:
    """Return the main fields of a job, or None if the payload is not a job.

    The job need not be valid: missing fields are empty.
    """
    if not isinstance(payload, dict) or not isinstance(display := payload.get("display"), dict):
        return None
    if not isinstance(payload.get("state"), str):
        return None
    symbol = f"{_text(display.get('jobSymbol'))}{_text(display.get('chunkId'))}"
    group = _text(display.get("groupSymbol"))
    origin = payload.get("origin")
    state, result = payload["state"], _text(payload.get("result"))
    stored = stored_result(state, result, _text(payload.get("jobKind")), retried=payload.get("isRetried") is True)
    return JobSummary(
        symbol=f"{group}({symbol})" if group and group != "?" else symbol,
        state=state,
        result=result,
        status=shown_status(state, stored),
        name=_text(display.get("jobName")),
        project=_text(origin.get("project")) if isinstance(origin, dict) else "",
    )


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
