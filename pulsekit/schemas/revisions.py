"""Revisions of Treeherder's job schema: recognize jobs in older forms, and convert them to today's form.

`version` in a job is 1 in all of them, so the fields of a job determine its revision (`schemas/pulse-job.yml` of
Treeherder). Until April 2026, `origin` had the kind of repository, and the number of a push was `pushLogID`, that of a
pull request `pullRequestID`. Since then, both numbers are `id`, and `origin` has no `kind` and `owner`. Until 2019, a
job could also have `extra`, and a log could have `steps` and `errorsTruncated`. Treeherder no longer reads these
fields. In 2015, the name of a project on GitHub was `projectName`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["OLD_ORIGIN", "Change", "contested", "migrate"]

_NUMBERS = ("pushLogID", "pullRequestID")
_RENAMED = {"projectName": "project", **dict.fromkeys(_NUMBERS, "id")}
_GONE = ("kind", "owner")
OLD_ORIGIN = frozenset({*_NUMBERS, *_GONE})  # fields of `origin` until April 2026
_GONE_OF_LOGS = ("steps", "errorsTruncated")


@dataclass(frozen=True, slots=True)
class Change:
    """A field that has another name in the current form.

    Attributes:
        field: its path in the older form. `*` means each item of a list.
        now: its path in the current form, or None if it was removed.
    """

    field: str
    now: str | None

    def __str__(self) -> str:
        return f"{self.field} → {self.now}" if self.now else f"{self.field} was removed"


def migrate(job: Any) -> tuple[Any, tuple[Change, ...]]:
    """Return a job of an older form in today's form, and any other payload unchanged.

    Only the names and places of fields change, so an invalid job is still invalid. The given job is not changed.

    Returns:
        The job, and the changes. There are no changes if the job had no older form.
    """
    if not isinstance(job, dict):
        return job, ()
    changed: dict[str, Any] = job
    changes: list[Change] = []
    if isinstance(origin := job.get("origin"), dict) and (of_origin := _changes_of_origin(origin)):
        kept = {_RENAMED.get(name, name): value for name, value in origin.items() if name not in _GONE}
        changed, changes = changed | {"origin": kept}, of_origin
    if "extra" in job:
        changed = {name: value for name, value in changed.items() if name != "extra"}
        changes.append(Change("extra", None))
    logs = [log for log in job["logs"] if isinstance(log, dict)] if isinstance(job.get("logs"), list) else []
    if gone := [name for name in _GONE_OF_LOGS if any(name in log for log in logs)]:
        changed = changed | {"logs": [_without(log, _GONE_OF_LOGS) for log in job["logs"]]}
        changes += [Change(f"logs.*.{name}", None) for name in gone]
    return changed, tuple(changes)


def _changes_of_origin(origin: dict[str, Any]) -> list[Change]:
    if contested(origin):
        return []
    gone = [Change(f"origin.{name}", None) for name in _GONE if name in origin]
    return gone + [Change(f"origin.{name}", f"origin.{now}") for name, now in _RENAMED.items() if name in origin]


def contested(origin: dict[str, Any]) -> list[str]:
    """Return fields of `origin` that have the same name today, so that it is unknown which value is meant."""
    for now in sorted({*_RENAMED.values()} & {_RENAMED.get(name, name) for name in origin}):
        names = [name for name in origin if _RENAMED.get(name, name) == now]
        if len(names) > 1:
            return names
    return []


def _without(value: Any, names: tuple[str, ...]) -> Any:
    return {name: part for name, part in value.items() if name not in names} if isinstance(value, dict) else value
