"""The steps from a task to its job on Treeherder, each with its evidence, up to the first failed step.

Pure logic: pages come from an `Evidence`, predictions from `pulsekit.treeherder`.
Source: the API of Taskcluster's queue (https://docs.taskcluster.net/docs/reference/platform/queue/api), as of August
2026. `treeherder_pages` reads the answers of Treeherder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from pulsekit._documents.suggestions import counted
from pulsekit.treeherder.subjects import EXCHANGES, TaskDefinition, TaskMessage
from pulsekit.treeherder.tasks import predict_job
from pulsekit.treeherder.verdict import judge
from pulsekit.why.explanation import WAIT, Explanation, Step, StepStatus, TaskReason, failed_step, unread_step
from pulsekit.why.treeherder_pages import TreeherderPages, shown_as

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulsekit.errors import Problem
    from pulsekit.treeherder.lint import Finding
    from pulsekit.treeherder.prediction import TaskPrediction
    from pulsekit.why.evidence import Evidence
    from pulsekit.why.target import Target

__all__ = ["explain"]

_PAGE = 200  # tasks of a group in one answer
_MOST_PAGES = 100  # pages of a group: 20,000 tasks
_COMMUNITY = "https://community-tc.services.mozilla.com"


class _Shown(NamedTuple):
    """A task that Treeherder would show."""

    task_id: str
    name: str
    project: str
    revision: str


def explain(target: Target, evidence: Evidence) -> Explanation:
    """Return the steps from a task to its job on Treeherder, up to the first one that did not succeed.

    The content of a page never causes an exception.
    """
    reader = _StepReader(target, evidence)
    steps = []
    for step in reader.of_group() if target.group_id else reader.of_task():
        steps.append(step)
        if step.status is not StepStatus.OK:
            break
    return Explanation(target, tuple(steps), reader.form, tuple(reader.tasks), reader.link)


class _StepReader:
    """The steps, one after the other. Each step reads the pages that it needs, so no pages are read after a failure."""

    def __init__(self, target: Target, evidence: Evidence) -> None:
        self._target = target
        self._evidence = evidence
        self._queue = f"{target.root_url}/api/queue/v1"
        self._definition: Any = None
        self._project = self._revision = ""
        self._treeherder = TreeherderPages(evidence, target.treeherder)
        self._unchecked = 0  # tasks of a group that belong to other pushes
        self.form: dict[str, Any] | None = None
        self.tasks: list[TaskReason] = []

    @property
    def link(self) -> str:
        return self._treeherder.link

    def of_task(self) -> Iterator[Step]:
        yield self._task()
        predicted = predict_job(_pending(self._definition, self._target.task_id))
        yield _definition_step("route", predicted, ("route-",), "/routes")
        yield _definition_step("treeherder", predicted, ("treeherder-",), "/extra")
        if predicted.job is None:
            finding = predicted.findings[0]
            yield Step("run", StepStatus.FAILED, _placed(finding), finding.hint)
            return
        self._project, self._revision = predicted.job["origin"]["project"], predicted.job["origin"]["revision"]
        yield self._treeherder.repository(self._project)
        yield self._treeherder.push(self._project, self._revision)
        yield self._run()
        assert self.form is not None
        yield self._treeherder.job(self.form["job"], self._project, self._revision)

    def of_group(self) -> Iterator[Step]:
        entries: list[Any] = []
        address = f"{self._queue}/task-group/{self._target.group_id}/list"
        query: dict[str, Any] = {"limit": _PAGE}
        for number in range(_MOST_PAGES):
            page = self._evidence.page(f"group-{number}", f"{address}?{urlencode(query)}")
            listed = page.value.get("tasks") if isinstance(page.value, dict) else None
            if page.status == 404:
                what = f"Taskcluster at {self._target.root_url} has no task group {self._target.group_id}"
                yield failed_step("group", page, what, _other_deployment(self._target.root_url))
            if page.error or not isinstance(listed, list):
                yield unread_step("group", page)
            entries += listed or []
            token = page.value.get("continuationToken")
            if not isinstance(token, str):
                break
            query["continuationToken"] = token
        else:
            what = f"has more than {len(entries):,} tasks, which are too many"
            yield Step("group", StepStatus.UNKNOWN, what, "ask about one task: pulsekit why TASK_ID", address)
        yield Step("group", StepStatus.OK, f"has {counted(len(entries), 'task')}", "", address)
        shown = list(self._shown(entries))
        if shown:
            self._project, self._revision = shown[0].project, shown[0].revision
            yield self._treeherder.repository(self._project)
            yield self._treeherder.push(self._project, self._revision)
            yield self._jobs(shown)
        if self.tasks:
            what = f"{len(self.tasks):,} of {counted(len(entries), 'task')} are not on Treeherder"
            yield Step("tasks", StepStatus.FAILED, what, "each task below has its reason")
        elif self._unchecked:
            were = "was" if self._unchecked == 1 else "were"
            what = f"{counted(self._unchecked, 'task')} of other pushes {were} not checked"
            yield Step("tasks", StepStatus.UNKNOWN, what, "ask about one of these tasks: pulsekit why TASK_ID")
        else:
            what = "each task is on Treeherder; `pulsekit why TASK_ID` checks one of them"
            yield Step("tasks", StepStatus.OK, what)

    def _shown(self, entries: list[Any]) -> Iterator[_Shown]:
        """Yield each task that Treeherder would show. Add the reason for each other task."""
        for entry in entries:
            task, status = (entry.get("task"), entry.get("status")) if isinstance(entry, dict) else (None, None)
            task_id = status.get("taskId") if isinstance(status, dict) else None
            task_id = task_id if isinstance(task_id, str) else ""
            message = _pending(task, task_id)
            verdict = judge(message)
            if verdict.reasons:
                reason = verdict.reasons[0]
                self.tasks.append(TaskReason(task_id, _name_of(task), reason.rule, _placed(reason), reason.hint))
            elif (job := verdict.job) is not None:
                yield _Shown(task_id, _name_of(task), verdict.project, job["revision"])

    def _jobs(self, shown: list[_Shown]) -> Step:
        """Compare the tasks with the jobs of the push, and note the tasks without a job."""
        stored, page = self._treeherder.task_ids()
        if stored is None:
            return unread_step("jobs", page)
        asked = [task for task in shown if (task.project, task.revision) == (self._project, self._revision)]
        missing = [task for task in asked if task.task_id not in stored]
        for task in missing:
            message = "Treeherder has no job of the task"
            self.tasks.append(TaskReason(task.task_id, task.name, "", message, WAIT))
        self._unchecked = len(shown) - len(asked)
        what = f"Treeherder has a job of {len(asked) - len(missing):,} of {counted(len(asked), 'task')} of the push"
        return Step("jobs", StepStatus.OK, what, "", page.address)

    def _task(self) -> Step:
        page = self._evidence.page("task", f"{self._queue}/task/{self._target.task_id}")
        if page.status == 404:
            what = f"Taskcluster at {self._target.root_url} has no task {self._target.task_id}"
            return failed_step("task", page, what, _other_deployment(self._target.root_url))
        if page.error or not isinstance(page.value, dict):
            return unread_step("task", page)
        self._definition = page.value
        return Step("task", StepStatus.OK, f"exists: {_name_of(page.value) or 'without a name'}", "", page.address)

    def _run(self) -> Step:
        page = self._evidence.page("status", f"{self._queue}/task/{self._target.task_id}/status")
        status = page.value.get("status") if isinstance(page.value, dict) else None
        if page.error or not isinstance(status, dict) or not isinstance(runs := status.get("runs"), list):
            return unread_step("run", page)
        number = len(runs) - 1 if self._target.run is None else self._target.run
        count = max(1, len(runs))  # without a run, Treeherder shows an unscheduled job as run 0
        if number >= count:
            what = f"the task has no run {number}, but {counted(len(runs), 'run')}, numbered from 0"
            return failed_step("run", page, what, f"ask about run {count - 1}")
        run = runs[number] if runs else {"state": "defined"}
        state = run.get("state") if isinstance(run, dict) else None
        exchange = f"{EXCHANGES[0].removesuffix('defined')}{state}"
        message = TaskMessage(
            exchange, {"status": status, "runId": max(0, number)}, self._definition, self._target.root_url
        )
        verdict = judge(message)
        self.form = verdict.job
        if self.form is None:
            reason = verdict.reasons[0]
            what = f"Treeherder drops the message about run {max(0, number)}, which is {state}: {_placed(reason)}"
            return failed_step("run", page, what, reason.hint)
        job = self.form["job"]
        return Step("run", StepStatus.OK, f"run {max(0, number)} leads to the job {shown_as(job)}", "", page.address)


def _pending(task: Any, task_id: str) -> TaskMessage:
    """Return the message for a pending task, for predictions that do not depend on the state."""
    return list(TaskDefinition({} if task is None else task, task_id).messages())[1]


def _definition_step(name: str, predicted: TaskPrediction, rules: tuple[str, ...], part: str) -> Step:
    """Return the step for a part of the definition, by the rules for this part."""
    for finding in predicted.findings:
        if finding.rule.startswith(rules) or (finding.rule == "task-incomplete" and finding.pointer.startswith(part)):
            return Step(name, StepStatus.FAILED, _placed(finding), finding.hint)
    if name == "route":
        detail = "there is one tc-treeherder route"
        if predicted.job is not None:
            origin = predicted.job["origin"]
            detail = f"the route names {origin['project']} and {origin['revision']}"
        return Step(name, StepStatus.OK, detail)
    return Step(name, StepStatus.OK, "extra.treeherder is valid")


def _placed(problem: Finding | Problem) -> str:
    return f"{problem.pointer}: {problem.message}" if problem.pointer else problem.message


def _other_deployment(root_url: str) -> str:
    other = "" if root_url == _COMMUNITY else f", or ask another deployment: --root-url {_COMMUNITY}"
    return f"check the id: a task is deleted when it expires{other}"


def _name_of(task: Any) -> str:
    """Return the name of a task, or an empty text if the definition has none."""
    metadata = task.get("metadata") if isinstance(task, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""
