"""The job that Treeherder creates from a message about a Taskcluster task, or the rules by which it drops the message.

    message = TaskMessage("exchange/taskcluster-queue/v1/task-failed", payload, task)
    predicted = predict_job(message)
    predicted.job              # the payload in the form of `pulse-job`, or None
    predicted.findings         # why Treeherder drops the message

Treeherder's loader then treats the job like any other, so `preview_job` and `lint_job` apply to it. Treeherder requests
the definition of the task from the queue. No content of a message or definition causes an exception.
Source: `treeherder/etl/taskcluster_pulse/handler.py` and `parse_route.py` of Treeherder, as of August 2026.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pulsekit._documents.suggestions import brief, described
from pulsekit.schemas.schema import load_schema
from pulsekit.treeherder.prediction import TaskPrediction
from pulsekit.treeherder.subjects import EXCHANGES, normalize_task
from pulsekit.treeherder.task_route import TaskRoute, find_route
from pulsekit.treeherder.task_rules import MAIN_BRANCHES, MOBILE_PROJECTS, DroppedError, dropped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pulsekit.schemas.schema import Schema
    from pulsekit.treeherder.lint import Finding
    from pulsekit.treeherder.subjects import TaskMessage

__all__ = ["predict_again", "predict_job"]

ResultT = TypeVar("ResultT")

_PREFIX = "exchange/taskcluster-queue/v1/task-"
_UUID_DIGITS = 32
_SCHEMA = "treeherder-task"
_PROBLEMS_MAX = 20  # findings about one extra.treeherder
_NAME_MAX = 139  # characters of a name that Treeherder keeps
_LATER = frozenset({"relative-datestamp", "$fromNow"})  # keys of a time that Taskgraph or JSON-e computes later
_OF_SOME_RUNS = ("timeStarted", "timeCompleted", "logs")

# The fields that Treeherder reads from each definition, besides `routes` and `extra`.
_DEFINITION = (
    ("metadata", "name"),
    ("metadata", "owner"),
    ("metadata", "description"),
    ("created",),
    ("workerType",),
)


class _Definition(NamedTuple):
    """The fields that the handler reads from a definition, besides `routes` and `extra.treeherder`."""

    owner: Any
    name: str
    created: Any
    description: Any
    worker_type: Any


class _Run(NamedTuple):
    """A run, with the last word of its exchange, its number, and the reason of the run that follows it."""

    kind: str
    number: int
    content: dict[str, Any]
    after: Any


def predict_job(message: TaskMessage, ingested: Collection[str] | None = None) -> TaskPrediction:
    """Return the job that Treeherder creates from a message, or the rules by which it drops the message.

    If several rules drop the message, Treeherder stops at the first one. If this is corrected, the next rule applies.

    Args:
        message: the message, with the definition of its task.
        ingested: the projects to which the Treeherder instance is limited, or the text of `PROJECTS_TO_INGEST`. By
            default, it has no limit.
    """
    return _Handler(message, ingested).predict()


def predict_again(message: TaskMessage, job: dict[str, Any]) -> dict[str, Any] | None:
    """Return the job of another message about the task of a job, or None if Treeherder drops the message.

    Args:
        message: the message, which has the same definition and id of the task. Its exchange is one of `EXCHANGES`.
        job: the job that was predicted from the other message. It is not changed.
    """
    return _Handler(message, None).predict_again(job)


class _Handler:
    """Treeherder's handler for one message. It continues after a finding, where Treeherder's handler stops.

    `_in_task` and `_in_message` read a value by indexing, as Treeherder does, and turn a failure into a finding. The
    JSON pointer of a value is built only for a finding, because most messages have none.
    """

    def __init__(self, message: TaskMessage, ingested: Collection[str] | None) -> None:
        self._message = message
        # A text is the value of the variable, which Treeherder splits. `in` would search the text.
        self._ingested = ingested.split(",") if isinstance(ingested, str) and ingested else ingested
        self._task: Any = None
        self._findings: list[Finding] = []
        self._assumptions: list[str] = []
        self._run_at = self._labels_at = ""

    def predict(self) -> TaskPrediction:
        """Return the job, or the rules that drop the message, in the order in which the handler applies them."""
        if self._message.exchange and self._message.exchange not in EXCHANGES:  # not bound
            self._check_exchange()
            return self._prediction(None, None)
        task_id = self._try(self._task_id)
        if self._message.task is None:
            self._assumptions.append("the definition of the task, which the queue has, results in a job")
            self._check_exchange()
            self._try(self._run)
            return self._prediction(None, None)
        self._task = normalize_task(self._message.task)
        route = self._try(lambda: find_route(self._in_task("routes"), f"{self._message.task_at}/routes"))
        if route is not None and self._ingested and route.project not in self._ingested:
            names = sorted(self._ingested)
            listed = ", ".join([*names[:5], *("…" for _ in names[5:6])])
            message = f"{brief(route.project)} is not in PROJECTS_TO_INGEST: {listed}"
            self._findings.append(dropped("project-not-ingested", route.pointer, message))
        if route is not None and route.project in MOBILE_PROJECTS:
            self._try(lambda: self._check_branch(route.project))
        config = self._try(self._config)
        self._check_exchange()
        run = self._try(self._run)
        if task_id is None or route is None or config is None or run is None:
            self._try(self._definition)  # adds findings about absent fields
            return self._prediction(None, route)
        return self._prediction(self._try(lambda: self._job(task_id, route, config, run)), route)

    def predict_again(self, job: dict[str, Any]) -> dict[str, Any] | None:
        """Return the job with the fields of this message's run, or None if the handler drops the message."""
        uuid = job["taskId"].partition("/")[0]
        again = job | {"buildMachine": job["buildMachine"].copy()}
        for name in _OF_SOME_RUNS:
            again.pop(name, None)
        try:
            self._add_run(again, (self._message.task_id, uuid), self._run())
        except DroppedError:
            return None
        return again

    def _prediction(self, job: dict[str, Any] | None, route: TaskRoute | None) -> TaskPrediction:
        return TaskPrediction(
            None if self._findings else job,
            tuple(self._findings),
            tuple(self._assumptions),
            self._message.task_at,
            self._run_at,
            "" if route is None else route.pointer,
            self._labels_at,
        )

    def _try(self, step: Callable[[], ResultT]) -> ResultT | None:
        """Return the result of a step, or record the rule by which it drops the message."""
        try:
            return step()
        except DroppedError as error:
            self._findings.append(error.finding)
            return None

    def _in_task(self, *path: str) -> Any:
        return _indexed(self._task, path, "task-incomplete", self._message.task_at)

    def _in_message(self, *path: str | int) -> Any:
        return _indexed(self._message.payload, path, "message-incomplete", self._message.payload_at)

    def _incomplete(self, path: str, message: str) -> DroppedError:
        return DroppedError("task-incomplete", self._message.task_at + path, message)

    def _task_id(self) -> tuple[str, str]:
        """Return the slug id of the task, and its UUID."""
        slug = self._in_message("status", "taskId")
        try:
            if isinstance(slug, str):
                bits = urlsafe_b64decode(f"{slug}==").hex()  # as slugid does
                if len(bits) == _UUID_DIGITS:
                    return slug, f"{bits[:8]}-{bits[8:12]}-{bits[12:16]}-{bits[16:20]}-{bits[20:]}"
        except ValueError:
            pass
        pointer = f"{self._message.payload_at}/status/taskId"
        raise DroppedError("message-incomplete", pointer, f"{described(slug)} is not the id of a task")

    def _check_branch(self, project: str) -> None:
        """Apply the rule for some GitHub projects, of which Treeherder ignores tasks outside of the main branch."""
        payload = self._in_task("payload")
        env = payload.get("env", {}) if isinstance(payload, dict) else None
        if not isinstance(env, dict):
            raise self._incomplete("/payload", "the payload, or its env, is not an object")
        base = env.get("MOBILE_BASE_REPOSITORY")
        if not base:
            self._assumptions.append(f"the decision task of the group belongs to main or master of {project}")
            return
        if not isinstance(base, str) or "/" not in base:
            raise self._incomplete("/payload/env/MOBILE_BASE_REPOSITORY", f"{brief(base)} is not a URL")
        if base.rpartition("/")[2] not in MOBILE_PROJECTS or "MOBILE_HEAD_REPOSITORY" not in env:
            return
        at = f"{self._message.task_at}/payload/env"
        if (head := env["MOBILE_HEAD_REPOSITORY"]) != base:
            message = f"{brief(head)} is not {brief(base)}"
            raise DroppedError("project-mobile-branch", f"{at}/MOBILE_HEAD_REPOSITORY", message)
        if (branch := env.get("MOBILE_HEAD_REF", MAIN_BRANCHES[0])) not in MAIN_BRANCHES:
            message = f"{brief(branch)} is neither master nor main"
            raise DroppedError("project-mobile-branch", f"{at}/MOBILE_HEAD_REF", message)

    def _config(self) -> dict[str, Any]:
        """Return the validated `extra.treeherder`."""
        extra = self._task.get("extra", {}) if isinstance(self._task, dict) else self._in_task("extra")
        if not isinstance(extra, dict):
            raise self._incomplete("/extra", f"{described(extra)} is not an object")
        config: dict[str, Any] = extra.get("treeherder", {})
        at = f"{self._message.task_at}/extra/treeherder"
        if not config:
            if "treeherder" in extra:
                raise DroppedError("treeherder-missing", at, "extra.treeherder is empty")
            raise DroppedError("treeherder-missing", self._message.task_at, "extra.treeherder is missing")
        schema = _schema()
        if schema.is_valid(config, "treeherder"):
            return config
        *others, last = (
            DroppedError("treeherder-invalid", at + problem.pointer, problem.message, problem.hint)
            for problem in schema.problems(config, "treeherder", most=_PROBLEMS_MAX)
        )
        self._findings += [error.finding for error in others]
        raise last

    def _definition(self) -> _Definition:
        """Return the fields that the handler reads, besides `routes` and `extra.treeherder`."""
        task = self._task
        try:
            metadata = task["metadata"]
            name, owner, description = metadata["name"], metadata["owner"], metadata["description"]
            found = _Definition(owner, name, task["created"], description, task["workerType"])
        except (LookupError, TypeError):
            for path in _DEFINITION:
                self._in_task(*path)
            raise
        if not isinstance(name, str):
            raise self._incomplete("/metadata/name", f"{described(name)} is not text")
        return found

    def _check_exchange(self) -> None:
        if self._message.exchange not in EXCHANGES:
            message = f"{brief(self._message.exchange)} is not an exchange that Treeherder binds"
            self._findings.append(dropped("exchange-unknown", "", message))

    def _run(self) -> _Run:
        """Return the run of the message. A task that is only defined has no run. Treeherder counts this as run 0."""
        kind = self._message.exchange.removeprefix(_PREFIX)
        if kind == "defined":
            return _Run(kind, 0, {"state": "unscheduled"}, None)
        number, runs = self._in_message("runId"), self._in_message("status", "runs")
        if not isinstance(number, int) or not isinstance(runs, list):
            raise DroppedError("message-incomplete", self._message.payload_at, "runId or runs has another type")
        self._of_run(number, "state")
        self._run_at = f"{self._message.payload_at}/status/runs/{number}"
        if kind == "exception" and self._of_run(number, "reasonCreated") == "exception":
            raise DroppedError("run-never-scheduled", f"{self._run_at}/reasonCreated", "the task was never scheduled")
        after = self._of_run(number + 1, "reasonCreated") if kind == "exception" and len(runs) > number + 1 else None
        return _Run(kind, number, runs[number], after)

    def _of_run(self, number: int, name: str) -> Any:
        return self._in_message("status", "runs", number, name)

    def _number(self, number: int) -> str:
        """Return the field `runId` of a run as text."""
        value = self._of_run(number, "runId")
        try:
            return str(value)
        except ValueError:  # more digits than Python converts
            raise DroppedError(
                "message-incomplete", f"{self._run_at}/runId", f"{brief(value)} is not a number"
            ) from None

    def _job(self, task_id: tuple[str, str], route: TaskRoute, config: dict[str, Any], run: _Run) -> dict[str, Any]:
        job = self._common(route, config)
        self._add_run(job, task_id, run)
        return job

    def _add_run(self, job: dict[str, Any], task_id: tuple[str, str], run: _Run) -> None:
        """Add the fields that depend on the run."""
        slug, uuid = task_id
        kind, number, content, after = run
        job["taskId"], job["retryId"] = f"{uuid}/{number}", number
        job["isRetried"] = kind == "exception" and after in ("retry", "task-retry")
        job["state"], job["result"] = _state(content)
        job["buildMachine"]["name"] = content.get("workerId", "unknown")
        if self._message.has_times:
            if kind in {"running", "completed", "failed"} or (kind == "exception" and content.get("started")):
                job["timeStarted"] = self._of_run(number, "started")
            if kind in {"completed", "failed", "exception"}:
                job["timeCompleted"] = self._of_run(number, "resolved")
        if kind in {"completed", "failed"}:
            log = f"{self._number(number)}/artifacts/public/logs/live_backing.log"
            url = f"{self._message.root_url.rstrip('/')}/api/queue/v1/task/{slug}/runs/{log}"
            job["logs"] = [{"name": "live_backing_log", "url": url}]
        elif kind == "exception":
            job["logs"] = []

    def _common(self, route: TaskRoute, config: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a job that depend only on the definition."""
        task = self._definition()
        machine = config.get("machine", {})
        display = {
            "jobSymbol": config["symbol"],
            "groupSymbol": config.get("groupSymbol", "?"),
            "jobName": task.name[:_NAME_MAX],
        }
        if "groupName" in config:  # the schema rejects an empty groupName or productName
            display["groupName"] = config["groupName"]
        job: dict[str, Any] = {
            "buildSystem": "taskcluster",
            "owner": task.owner,
            "display": display,
            "tier": config.get("tier", 1),
            "timeScheduled": task.created,
            "jobKind": config.get("jobKind", "other"),
            "reason": config.get("reason", "scheduled"),
            "jobInfo": {"links": [], "summary": task.description},
            "version": 1,
            "origin": {"project": route.project, "revision": route.revision, "id": route.push},
            "labels": self._labels(config),
            "buildMachine": {
                "platform": machine.get("platform", task.worker_type),
                "os": machine.get("os", "-"),
                "architecture": machine.get("architecture", "-"),
            },
        }
        if "productName" in config:
            job["productName"] = config["productName"]
        created = task.created
        if not self._message.has_times and isinstance(created, dict) and not _LATER.isdisjoint(created):
            del job["timeScheduled"]
        return job

    def _labels(self, config: dict[str, Any]) -> list[str]:
        name = "labels" if config.get("labels") else "collection"
        labels = config.get(name)
        self._labels_at = f"{self._message.task_at}/extra/treeherder/{name}"
        if not labels:
            return ["opt"]
        if name == "collection" and not isinstance(labels, dict):
            raise self._incomplete("/extra/treeherder/collection", f"{described(labels)} is not an object")
        return list(labels)


@cache
def _schema() -> Schema:
    return load_schema(_SCHEMA)


def _indexed(value: Any, path: tuple[str | int, ...], rule: str, at: str) -> Any:
    """Return `value[a][b]…` for a path, or raise an error with the rule if a part is absent."""
    try:
        for key in path:
            value = value[key]
    except (LookupError, TypeError):
        name = brief(key)
        where = "".join(f"/{part}" for part in path[: path.index(key)])
        raise DroppedError(rule, at + where, f"{name} is missing from {described(value)}") from None
    return value


def _state(run: dict[str, Any]) -> tuple[Any, str]:
    """Return the state and the result of a job for a run."""
    state = run["state"]
    if state == "completed":
        return state, "success"
    if state == "failed":
        return "completed", "fail"
    if state == "exception":
        reason = run.get("reasonResolved")
        return "completed", reason if reason in ("canceled", "superseded") else "exception"
    return state, "unknown"
