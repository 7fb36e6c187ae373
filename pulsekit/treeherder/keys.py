"""The routing key of a job, and the Taskcluster task that its taskId names.

Source: `docs/submitting_data.md` of Treeherder; `treeherder/etl/job_loader.py` for the taskId.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from functools import lru_cache
from typing import Any
from uuid import UUID

from pulsekit.bindings.names import joined_name
from pulsekit.bindings.rules import Rule
from pulsekit.errors import ConfigurationError, InvalidMessage

__all__ = ["check_destination", "key_follows", "routing_key", "task_of"]

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z")
_RESERVED = "_"  # the last word of a job's routing key is reserved


def routing_key(job: Any, destination: str, rule: Rule | None = None, *, reserved: bool | None = None) -> str:
    """Return the routing key of a job: `<destination>.<origin.project>._`.

    If the exchange is registered by another rule, the key matches the bindings of that rule:
    `<project>.<destination>` or `<destination>.<project>`.

    Args:
        job: the payload.
        destination: one or more words.
        rule: the rule by which the exchange is registered.
        reserved: whether the registered projects end with the reserved word `_`, as in `autoland._`. By default,
            projects of the rule `any.project` do not.

    Raises:
        ConfigurationError: Raised when the destination is empty, has an empty word or a wildcard, or looks like several
            destinations.
        InvalidMessage: Raised when the job has no project.
    """
    check_destination(destination)
    origin = job.get("origin") if isinstance(job, dict) else None
    project = origin.get("project") if isinstance(origin, dict) else None
    if not isinstance(project, str) or not project:
        raise InvalidMessage(
            f"no routing key for destination {destination!r}: the payload has no origin.project; "
            "give --routing-key, or a record with routing_key"
        )
    if rule is Rule.PROJECT_DESTINATION:
        return f"{project}.{destination}"
    if reserved is None:
        reserved = rule is not Rule.ANY_PROJECT
    return f"{destination}.{project}.{_RESERVED}" if reserved else f"{destination}.{project}"


@lru_cache(64)
def check_destination(destination: str) -> None:
    """Check that a job can be published to a destination of one or more words.

    Raises:
        ConfigurationError: Raised when the destination is empty, has an empty word or a wildcard, or looks like several
            destinations.
    """
    if not destination:
        raise ConfigurationError("the destination is empty, but it is the first word of the routing key")
    if mistake := joined_name(destination):
        raise ConfigurationError(f"destination: {mistake}")
    for word in destination.split("."):
        if not word or word in {"*", "#"}:
            what = "a wildcard, which only a binding can have" if word else "an empty word"
            raise ConfigurationError(
                f"the destination {destination!r} has {what}: name one destination, such as treeherder"
            )


@lru_cache(1024)
def key_follows(key: str, project: str, rule: Rule | None = None) -> bool:
    """Return whether a key can be the routing key of a job of the project.

    Args:
        key: the routing key.
        project: the project of the job.
        rule: the rule by which the exchange is registered. By default, the key begins with a destination of one or more
            words. By `project.destination`, it begins with the project.
    """
    words = key.split(".")
    if rule is Rule.ANY_PROJECT:
        return project in words
    return words[0] == project if rule is Rule.PROJECT_DESTINATION else project in words[1:]


def task_of(task_id: str) -> tuple[str, int] | None:
    """Return the Taskcluster task and the retry number of a taskId `<uuid>/<retry number>`, or None.

    The id of the task is the slug of the UUID: URL-safe base64 without padding.
    """
    uuid, _, retry = task_id.partition("/")
    try:
        # The usual form is converted without `UUID`, which takes four times as long.
        bits = bytes.fromhex(uuid.replace("-", "")) if _UUID.match(uuid) else UUID(uuid).bytes
        return urlsafe_b64encode(bits).decode().rstrip("="), int(retry)
    except ValueError:
        return None
