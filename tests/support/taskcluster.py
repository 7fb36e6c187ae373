"""A stand-in for Taskcluster and Treeherder on loopback, with a task whose job Treeherder has stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from support.samples import REVISION
from support.site_on_loopback import site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.site_on_loopback import Site

from contextlib import contextmanager

__all__ = ["GROUP", "RUN", "SLUG", "STORED", "TASK", "Stand", "standing"]

SLUG = "DF9vTi-OTBudejtvDR4qTA"
GROUP = "XrWNyFwpT2in-wLY9frb-w"
UUID = "0c5f6f4e-2f8e-4c1b-9d7a-3b6f0d1e2a4c"
TASK: dict[str, Any] = {
    "provisionerId": "gecko-t",
    "workerType": "t-linux-large",
    "taskQueueId": "gecko-t/t-linux-large",
    "taskGroupId": GROUP,
    "created": "2026-11-23T17:50:00.000Z",
    "routes": [f"tc-treeherder.v2.autoland.{REVISION}.4711"],
    "payload": {},
    "metadata": {"name": "test-linux64", "description": "Mochitests", "owner": "ci@example.com"},
    "extra": {"treeherder": {"symbol": "3", "groupSymbol": "M", "jobKind": "test", "machine": {"platform": "linux64"}}},
}
RUN: dict[str, Any] = {
    "runId": 0,
    "state": "failed",
    "reasonCreated": "scheduled",
    "reasonResolved": "failed",
    "workerId": "worker-7",
    "started": "2026-11-23T18:00:00.000Z",
    "resolved": "2026-11-23T18:20:00.000Z",
}
REPOSITORIES = [
    {"id": 1, "name": "autoland", "url": "https://hg.mozilla.org/integration/autoland", "active_status": "active"},
    {"id": 2, "name": "old", "url": "https://hg.mozilla.org/old", "active_status": "onhold"},
]
STORED = {
    "results": [["M", "3", "completed", "testfailed", SLUG, 0]],
    "job_property_names": ["job_group_symbol", "job_type_symbol", "state", "result", "task_id", "retry_id"],
}


class Stand:
    """The answers of both services.

    Attributes:
        site: the site, which is Taskcluster and Treeherder at once.
    """

    def __init__(self, running: Site) -> None:
        self.site = running
        self.url = running.url
        running.status, running.body = 404, b"{}"
        self.task(TASK)
        self.status([RUN])
        self.answer("/api/repository/", REPOSITORIES)
        self.answer(f"/api/project/autoland/push/?revision={REVISION}", {"results": [{"id": 4711}]})
        self.jobs(STORED)
        self.answer("/api/jobs/?push_id=4711&count=2000", STORED)

    def answer(self, path: str, value: Any, status: int = 200) -> None:
        """Set the answer for a path: JSON, or bytes."""
        self.site.pages[path] = (status, value if isinstance(value, bytes) else json.dumps(value).encode())

    def task(self, task: Any) -> None:
        self.answer(f"/api/queue/v1/task/{SLUG}", task)

    def status(self, runs: list[Any]) -> None:
        status = {"taskId": SLUG, "taskGroupId": GROUP, "state": runs[-1]["state"] if runs else "unscheduled"}
        self.answer(f"/api/queue/v1/task/{SLUG}/status", {"status": status | {"runs": runs}})

    def jobs(self, value: Any, run: int = 0) -> None:
        self.answer(f"/api/jobs/?{urlencode({'task_id': SLUG, 'retry_id': run})}", value)


@contextmanager
def standing() -> Iterator[Stand]:
    """Serve until the block ends."""
    with site() as running:
        yield Stand(running)
