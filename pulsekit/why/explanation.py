"""The answer of `explain`: steps with their status, and for a group the tasks that are not shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pulsekit.why.evidence import Page
    from pulsekit.why.target import Target

__all__ = ["STEPS", "WAIT", "Explanation", "Step", "StepStatus", "TaskReason", "failed_step", "unread_step"]

STEPS = ("task", "route", "treeherder", "project", "push", "run", "job")  # the steps for a task, in their order

WAIT = (
    "wait some minutes, and ask again. If the job does not appear, ask Treeherder's team, with the file of --save FILE"
)


class StepStatus(StrEnum):
    """The status of a step."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Step:
    """One step on the way of a task to Treeherder.

    Attributes:
        name: one of `STEPS`; for a group, `group`, `project`, `push`, `jobs` or `tasks`.
        status: the status. `unknown` if a page could not be read.
        detail: the finding.
        hint: what to change or to run if the step failed. Otherwise empty.
        address: the URL of the evidence, or empty.
    """

    name: str
    status: StepStatus
    detail: str
    hint: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class TaskReason:
    """Why a task of a group is not on Treeherder.

    Attributes:
        task_id: the id of the task.
        name: the name of the task, or empty.
        rule: the rule by which Treeherder drops the messages of the task. Empty if it drops none, but has no job.
        message: the finding.
        hint: what to change.
    """

    task_id: str
    name: str
    rule: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The reason why a task is not on Treeherder, or how it is shown.

    Attributes:
        target: the task or the group in question.
        steps: the steps, up to the first one that did not succeed.
        job: the job as Treeherder should store it, see `preview_job`, or None if an earlier step failed.
        tasks: for a group, the tasks that are not shown.
        link: the URL of the job on Treeherder, or empty.
    """

    target: Target
    steps: tuple[Step, ...]
    job: dict[str, Any] | None = None
    tasks: tuple[TaskReason, ...] = ()
    link: str = ""

    @property
    def failed(self) -> Step | None:
        """The last step if it did not succeed, or None."""
        return next((step for step in self.steps if step.status is not StepStatus.OK), None)


def failed_step(name: str, page: Page, detail: str, hint: str) -> Step:
    """Return a step that failed, with the page that shows it."""
    return Step(name, StepStatus.FAILED, detail, hint, page.address)


def unread_step(name: str, page: Page) -> Step:
    """Return a step whose status is unknown, because a page could not be read or has other content."""
    what = page.error or f"{page.address} has an unexpected answer"
    return Step(name, StepStatus.UNKNOWN, what, "try again later, or check --root-url and --treeherder", page.address)
