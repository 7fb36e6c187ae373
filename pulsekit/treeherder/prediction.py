"""The job that Treeherder's handler creates from a message about a task, and the source of each of its fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulsekit.errors import Problem

if TYPE_CHECKING:
    from pulsekit.treeherder.lint import Finding

__all__ = ["UNKNOWN_TASK", "TaskPrediction"]

# The problem of a message about a task whose definition is unknown.
UNKNOWN_TASK = Problem(
    "",
    "task-unknown",
    "the definition of the task is unknown, so the job cannot be predicted",
    hint='give the definition with --task FILE, or in one line: {"message": …, "task": …}',
)

_ROUTE_WORDS = {
    "/origin/project": "the third word of the route is the project",
    "/origin/revision": "the fourth word of the route is the revision",
}

# For each field of a job, the place in the definition of the task from which Treeherder copies the field.
_TASK_SOURCES = {
    "/owner": "/metadata/owner",
    "/timeScheduled": "/created",
    "/display/jobName": "/metadata/name",
    "/display/jobSymbol": "/extra/treeherder/symbol",
    "/display/groupSymbol": "/extra/treeherder/groupSymbol",
    "/display/groupName": "/extra/treeherder/groupName",
    "/jobInfo/summary": "/metadata/description",
    "/buildMachine": "/extra/treeherder/machine",
    **{f"/{name}": f"/extra/treeherder/{name}" for name in ("tier", "jobKind", "reason", "productName")},
}
_RUN_SOURCES = {
    "/state": "/state",
    "/result": "/reasonResolved",
    "/timeStarted": "/started",
    "/timeCompleted": "/resolved",
    "/buildMachine/name": "/workerId",
}


@dataclass(frozen=True, slots=True)
class TaskPrediction:
    """The job that Treeherder's handler creates from a message about a task, or the reasons why it drops the message.

    Attributes:
        job: the job, in the form of `pulse-job`, or None if the handler drops the message. Links to artifacts are
            absent, because only the queue knows the artifacts.
        findings: the rules by which the handler drops the message, in the order in which it applies them.
        assumptions: what the handler requests from other services, one sentence for each request.
        task_at: the JSON pointer of the definition.
        run_at: the JSON pointer of the run, or empty.
        route_at: the JSON pointer of the route, or empty.
        labels_at: the JSON pointer of the labels, or empty.
    """

    job: dict[str, Any] | None
    findings: tuple[Finding, ...]
    assumptions: tuple[str, ...] = ()
    task_at: str = ""
    run_at: str = ""
    route_at: str = ""
    labels_at: str = ""

    def hint(self, pointer: str) -> str:
        """Return a hint that names the field of the task from which a field of the job is copied."""
        return _ROUTE_WORDS.get(pointer) or f"Treeherder copies it to {pointer} of the job"

    def source(self, pointer: str) -> str:
        """Return the JSON pointer of the value that Treeherder copies to a field of the job, or an empty text."""
        if pointer.startswith("/origin"):
            return self.route_at
        if pointer.startswith("/labels"):
            return self.labels_at
        if pointer in _RUN_SOURCES:
            return self.run_at and self.run_at + _RUN_SOURCES[pointer]
        rest = ""
        while pointer and pointer not in _TASK_SOURCES:
            pointer, _, last = pointer.rpartition("/")
            rest = f"/{last}{rest}"
        return self.task_at + _TASK_SOURCES[pointer] + rest if pointer else ""
