"""Revisions of Treeherder's job schema: jobs of the one before today's, and their way to today's form.

`version` in a job is 1 in both, so its shape decides (`schemas/pulse-job.yml` of Treeherder): until April 2026 `origin`
named the kind of repository, and called the number of a push `pushLogID` and that of a pull request
`pullRequestID`; since then both are `id`, and there is no `kind` and no `owner`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["FORMER", "TODAY", "Change", "migrate", "revision_of"]

TODAY = "pulse-job"
FORMER = "pulse-job-2020"

_NUMBERS = ("pushLogID", "pullRequestID")
_GONE = ("kind", "owner")


@dataclass(frozen=True, slots=True)
class Change:
    """Name one field that today's form spells in another way.

    Attributes:
        field: its name in the former form, within `origin`.
        now: its name in today's form, or None when it is gone.
    """

    field: str
    now: str | None

    def __str__(self) -> str:
        return f"origin.{self.field} → origin.{self.now}" if self.now else f"origin.{self.field} is gone"


def migrate(job: Any) -> tuple[Any, tuple[Change, ...]]:
    """Write a job of the former form in today's; any other is returned as it is.

    Only what changed its place changes: an invalid job stays invalid. The job that is given is not changed.

    Returns:
        The job, and what was changed; nothing when it was not of the former form.
    """
    origin = job.get("origin") if isinstance(job, dict) else None
    if not isinstance(origin, dict) or origin.keys().isdisjoint({*_GONE, *_NUMBERS}):
        return job, ()
    numbers = [name for name in _NUMBERS if name in origin]
    if len(numbers) > 1 or (numbers and "id" in origin):
        return job, ()  # which number is meant is not ours to say
    changes = [Change(name, None) for name in _GONE if name in origin] + [Change(name, "id") for name in numbers]
    kept = {"id" if name in _NUMBERS else name: value for name, value in origin.items() if name not in _GONE}
    return job | {"origin": kept}, tuple(changes)


def revision_of(payload: Any) -> str:
    """Return the name of the revision that a payload follows, or the empty text if it is no job."""
    if not isinstance(payload, dict) or payload.keys().isdisjoint({"taskId", "display"}):
        return ""
    return FORMER if migrate(payload)[1] else TODAY
