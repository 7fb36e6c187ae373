"""The steps from a task to its job on Treeherder, each with its evidence, up to the first failed step.

Pure logic: pages come from an `Evidence`, predictions from `pulsekit.treeherder`.
Sources: the API of Taskcluster's queue (https://docs.taskcluster.net/docs/reference/platform/queue/api), and
`treeherder/webapp/api/` of Treeherder, as of August 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from pulsekit._documents.suggestions import Guesses, brief, counted
from pulsekit.errors import ConfigurationError
from pulsekit.treeherder.repositories import read_repositories
from pulsekit.treeherder.subjects import EXCHANGES, TaskDefinition, TaskMessage
from pulsekit.treeherder.tasks import predict_job
from pulsekit.treeherder.verdict import judge
from pulsekit.why.answers import are_objects, jobs_in, name_of, shown_as

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulsekit.errors import Problem
    from pulsekit.treeherder.lint import Finding
    from pulsekit.treeherder.prediction import TaskPrediction
    from pulsekit.why.evidence import Evidence, Page
    from pulsekit.why.target import Target

__all__ = ["STEPS", "Explanation", "Step", "StepStatus", "TaskReason", "explain"]

STEPS = ("task", "route", "treeherder", "project", "push", "run", "job")  # the steps for a task, in their order

_PAGE = 200  # tasks of a group in one answer
_MOST_PAGES = 100  # pages of a group: 20,000 tasks
_JOBS = 2000  # jobs of a push in one answer: Treeherder's limit
_WAIT = (
    "wait some minutes, and ask again. If the job does not appear, ask Treeherder's team, with the file of --save FILE"
)
_COMMUNITY = "https://community-tc.services.mozilla.com"


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
        self._push_id: Any = None
        self._unchecked = 0  # tasks of a group that belong to other pushes
        self.form: dict[str, Any] | None = None
        self.tasks: list[TaskReason] = []
        self.link = ""

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
        yield self._repository()
        yield self._push()
        yield self._run()
        yield self._job()

    def of_group(self) -> Iterator[Step]:
        entries: list[Any] = []
        address = f"{self._queue}/task-group/{self._target.group_id}/list"
        query: dict[str, Any] = {"limit": _PAGE}
        for number in range(_MOST_PAGES):
            page = self._evidence.page(f"group-{number}", f"{address}?{urlencode(query)}")
            listed = page.value.get("tasks") if isinstance(page.value, dict) else None
            if page.status == 404:
                what = f"Taskcluster at {self._target.root_url} has no task group {self._target.group_id}"
                yield _failed("group", page, what, _other_deployment(self._target.root_url))
            if page.error or not isinstance(listed, list):
                yield _unread("group", page)
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
            yield self._repository()
            yield self._push()
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
                self.tasks.append(TaskReason(task_id, name_of(task), reason.rule, _placed(reason), reason.hint))
            elif (job := verdict.job) is not None:
                yield _Shown(task_id, name_of(task), verdict.project, job["revision"])

    def _jobs(self, shown: list[_Shown]) -> Step:
        """Compare the tasks with the jobs of the push, and note the tasks without a job.

        All jobs of the push are requested, which are few pages. Each answer has the URL of the next page. Only the
        query of this URL is used, so that all requests go to the same site.
        """
        query = urlencode({"push_id": self._push_id, "count": _JOBS})
        stored: set[str] = set()
        asked_for: set[str] = set()
        while query:
            number = len(asked_for)
            page = self._evidence.page(f"jobs-{number}", f"{self._target.treeherder}/api/jobs/?{query}")
            jobs = jobs_in(page.value)
            asked_for.add(query)
            if page.error or jobs is None or number == _MOST_PAGES:
                return _unread("jobs", page)
            stored.update(task_id for job in jobs if isinstance(task_id := job.get("task_id"), str))
            following = page.value.get("next")
            query = _query_of(following) if isinstance(following, str) else ""
            if query in asked_for:
                return _unread("jobs", page)
        asked = [task for task in shown if (task.project, task.revision) == (self._project, self._revision)]
        missing = [task for task in asked if task.task_id not in stored]
        for task in missing:
            message = "Treeherder has no job of the task"
            self.tasks.append(TaskReason(task.task_id, task.name, "", message, _WAIT))
        self._unchecked = len(shown) - len(asked)
        what = f"Treeherder has a job of {len(asked) - len(missing):,} of {counted(len(asked), 'task')} of the push"
        return Step("jobs", StepStatus.OK, what, "", page.address)

    def _task(self) -> Step:
        page = self._evidence.page("task", f"{self._queue}/task/{self._target.task_id}")
        if page.status == 404:
            what = f"Taskcluster at {self._target.root_url} has no task {self._target.task_id}"
            return _failed("task", page, what, _other_deployment(self._target.root_url))
        if page.error or not isinstance(page.value, dict):
            return _unread("task", page)
        self._definition = page.value
        return Step("task", StepStatus.OK, f"exists: {name_of(page.value) or 'without a name'}", "", page.address)

    def _repository(self) -> Step:
        page = self._evidence.page("repositories", f"{self._target.treeherder}/api/repository/")
        try:
            repositories = read_repositories(page.value)
        except ConfigurationError:
            return _unread("project", page)
        found = repositories.find(self._project)
        if found is None:
            near = Guesses().nearest(self._project, repositories)
            add = "ask Treeherder's team to add the repository"
            hint = f"did you mean {near!r}? Correct the route" if near else add
            return _failed("project", page, f"{brief(self._project)} is not a repository of Treeherder", hint)
        if not found.active:
            what = f"{brief(self._project)} is a repository of Treeherder, but not active"
            return _failed("project", page, what, "ask Treeherder's team to activate the repository")
        detail = f"{self._project} is an active repository ({found.url})"
        return Step("project", StepStatus.OK, detail, "", page.address)

    def _push(self) -> Step:
        query = urlencode({"revision": self._revision})
        address = f"{self._target.treeherder}/api/project/{quote(self._project, safe='')}/push/?{query}"
        page = self._evidence.page("push", address)
        pushes = page.value.get("results") if isinstance(page.value, dict) else None
        if page.error or not (are_objects(pushes) or page.status == 404):
            return _unread("push", page)
        if page.status == 404 or not pushes:
            hint = (
                "check that the route names the head of a push. Treeherder reads pushes from Pulse, and retries a job "
                "without its push for some minutes; after that, ask Treeherder's team to ingest the push"
            )
            return _failed("push", page, f"Treeherder has no push of {self._revision} on {self._project}", hint)
        self._push_id = pushes[0].get("id")
        detail = f"Treeherder has the push of {self._revision[:12]} (id {brief(pushes[0].get('id'))})"
        return Step("push", StepStatus.OK, detail, "", page.address)

    def _run(self) -> Step:
        page = self._evidence.page("status", f"{self._queue}/task/{self._target.task_id}/status")
        status = page.value.get("status") if isinstance(page.value, dict) else None
        if page.error or not isinstance(status, dict) or not isinstance(runs := status.get("runs"), list):
            return _unread("run", page)
        number = len(runs) - 1 if self._target.run is None else self._target.run
        count = max(1, len(runs))  # without a run, Treeherder shows an unscheduled job as run 0
        if number >= count:
            what = f"the task has no run {number}, but {counted(len(runs), 'run')}, numbered from 0"
            return _failed("run", page, what, f"ask about run {count - 1}")
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
            return _failed("run", page, what, reason.hint)
        job = self.form["job"]
        return Step("run", StepStatus.OK, f"run {max(0, number)} leads to the job {shown_as(job)}", "", page.address)

    def _job(self) -> Step:
        assert self.form is not None
        job = self.form["job"]
        task_id, run = job["taskcluster_task_id"], job["taskcluster_retry_id"]
        query = urlencode({"task_id": task_id, "retry_id": run})
        page = self._evidence.page("job", f"{self._target.treeherder}/api/jobs/?{query}")
        found = jobs_in(page.value)
        if page.error or found is None:
            return _unread("job", page)
        if not found:
            return _failed("job", page, f"Treeherder has not stored run {run} of the task", _WAIT)
        stored = found[0]
        query = urlencode({"repo": self._project, "revision": self._revision, "selectedTaskRun": f"{task_id}.{run}"})
        self.link = f"{self._target.treeherder}/jobs?{query}"
        detail = f"Treeherder shows {shown_as(stored)}"
        if (stored.get("state"), stored.get("result")) != (job["state"], job["result"]):
            hint = "wait some minutes, and ask again: Treeherder processes messages one after the other"
            return _failed("job", page, f"{detail}, but the run is {job['state']} {job['result']}", hint)
        return Step("job", StepStatus.OK, detail, "", page.address)


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


def _query_of(address: str) -> str:
    try:
        return urlsplit(address).query
    except ValueError:
        return ""


def _failed(name: str, page: Page, detail: str, hint: str) -> Step:
    return Step(name, StepStatus.FAILED, detail, hint, page.address)


def _unread(name: str, page: Page) -> Step:
    what = page.error or f"{page.address} has an unexpected answer"
    return Step(name, StepStatus.UNKNOWN, what, "try again later, or check --root-url and --treeherder", page.address)


def _other_deployment(root_url: str) -> str:
    other = "" if root_url == _COMMUNITY else f", or ask another deployment: --root-url {_COMMUNITY}"
    return f"check the id: a task is deleted when it expires{other}"
