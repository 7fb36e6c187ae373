"""What Treeherder does with a job beyond its schema: the key it is published under, and how it reads at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pulsekit.errors import InvalidMessage

__all__ = ["Glance", "glance", "routing_key"]

_RESERVED = "_"  # the last word of a job's key has no use yet ("Routing" of the facts)


@dataclass(frozen=True, slots=True)
class Glance:
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


def routing_key(job: Any, destination: str) -> str:
    """Return the key a job is published under: `<destination>.<origin.project>._`.

    Source: "Routing" of the facts.

    Raises:
        InvalidMessage: the job names no project.
    """
    origin = job.get("origin") if isinstance(job, dict) else None
    project = origin.get("project") if isinstance(origin, dict) else None
    if not isinstance(project, str) or not project:
        raise InvalidMessage(
            f"no routing key for destination {destination!r}: the payload has no origin.project; "
            "give --routing-key, or a record with routing_key"
        )
    return f"{destination}.{project}.{_RESERVED}"


def glance(payload: Any) -> Glance | None:
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
    return Glance(
        symbol=f"{group}({symbol})" if group and group != "?" else symbol,
        state=payload["state"],
        result=_text(payload.get("result")),
        name=_text(display.get("jobName")),
        project=_text(origin.get("project")) if isinstance(origin, dict) else "",
    )


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
