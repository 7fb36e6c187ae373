"""The `tc-treeherder` route of a task, which names its push: `tc-treeherder.v2.<project>.<revision>[.<push id>]`.

Source: `treeherder/etl/taskcluster_pulse/parse_route.py` of Treeherder, as of August 2026.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pulsekit._documents.suggestions import brief, counted, described
from pulsekit.treeherder.task_rules import ROUTE, DroppedError

__all__ = ["TaskRoute", "find_route"]

_STAGE = f"{ROUTE}-stage"
_REVISION = re.compile("[0-9a-f]{40}")


class TaskRoute(NamedTuple):
    """A `tc-treeherder` route: its JSON pointer and its words. `push` is 0 if the route has no push id."""

    pointer: str
    project: str
    revision: str
    push: int


def find_route(routes: Any, at: str) -> TaskRoute:
    """Return the only `tc-treeherder` route of a task.

    Args:
        routes: the routes of the task.
        at: the JSON pointer of the routes.

    Raises:
        DroppedError: Raised when there is not exactly one route, or it is malformed.
    """
    if not isinstance(routes, list):
        raise DroppedError("task-incomplete", at, f"{described(routes)} is not a list")
    found: list[tuple[int, list[str]]] = []
    stage = None
    for index, route in enumerate(routes):
        if not isinstance(route, str):
            raise DroppedError("task-incomplete", f"{at}/{index}", f"{described(route)} is not text")
        if not route.startswith(ROUTE):
            continue
        words = route.split(".")
        if words[0] == ROUTE:
            found.append((index, words))
        elif words[0] == _STAGE:
            stage = index
    if len(found) > 1:
        raise DroppedError("route-several", f"{at}/{found[1][0]}", f"{len(found)} routes begin with {ROUTE}")
    if not found and stage is not None:
        raise DroppedError("route-stage", f"{at}/{stage}", f"the route begins with {_STAGE}, not {ROUTE}")
    if not found:
        count = f"none of {counted(len(routes), 'route')} begins" if routes else "no route begins"
        raise DroppedError("route-missing", at, f"{count} with {ROUTE}")
    return _read_route(f"{at}/{found[0][0]}", found[0][1])


def _read_route(pointer: str, words: list[str]) -> TaskRoute:
    if len(words) < 4:
        raise DroppedError("route-short", pointer, f"{brief('.'.join(words))} has {counted(len(words), 'word')}")
    if not _REVISION.fullmatch(words[3]) and any(map(_REVISION.fullmatch, words[4:])):
        revision = next(index for index, word in enumerate(words) if index > 3 and _REVISION.fullmatch(word))
        project = brief(".".join(words[2:revision]))
        message = f"the project {project} has a dot, so {brief(words[3])} is read as the revision"
        raise DroppedError("route-project-dot", pointer, message)
    push = 0
    if len(words) == 5 and words[4]:
        try:
            push = int(words[4])
        except ValueError:
            raise DroppedError("route-push-id", pointer, f"{brief(words[4])} is not a number") from None
    _, slash, name = words[2].partition("/")
    return TaskRoute(pointer, name if slash and "/" not in name else words[2], words[3], push)
