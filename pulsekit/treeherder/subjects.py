"""Recognize a JSON value by its fields: a task, a message about a task, a graph of tasks, or a push.

    subject = recognize(value)         # TaskMessage, TaskDefinition, TaskGraph, PushMessage, or None for a job

Each subject has the JSON pointers of its parts, so that findings can name a line and column of the text.
Sources: the message schemas of Taskcluster's queue and of taskcluster-github; `task-graph.json` of Taskgraph
(https://taskcluster-taskgraph.readthedocs.io/); `hgpushes` (https://mozilla-version-control-tools.readthedocs.io/).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from pulsekit._documents.values import pointer_token
from pulsekit.records.payload import may_be_record, open_payload
from pulsekit.treeherder.rule_list import JOB_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    Subject: TypeAlias = "TaskMessage | TaskDefinition | TaskGraph | PushMessage"

__all__ = [
    "EXCHANGES",
    "PUSH_EXCHANGES",
    "ROOT_URL",
    "PushMessage",
    "TaskDefinition",
    "TaskGraph",
    "TaskMessage",
    "message_subject",
    "normalize_task",
    "recognize",
]

ROOT_URL = "https://firefox-ci-tc.services.mozilla.com"
_QUEUE = "exchange/taskcluster-queue/"
_PREFIX = f"{_QUEUE}v1/task-"
_STATES = ("defined", "pending", "running", "completed", "failed", "exception")
EXCHANGES = tuple(f"{_PREFIX}{state}" for state in _STATES)  # the exchanges that Treeherder binds, by state

_GITHUB = "exchange/taskcluster-github/v1/"
_HG = "exchange/hgpushes/v1"
PUSH_EXCHANGES = (_HG, f"{_GITHUB}push", f"{_GITHUB}pull-request")  # the exchanges of pushes that Treeherder binds
# Other exchanges of services that publish neither jobs nor messages that Treeherder reads. Their records are not jobs.
_TASKCLUSTER = tuple(f"exchange/taskcluster-{name}/" for name in ("auth", "hooks", "notify", "queue", "worker-manager"))
_PUSHES = (_GITHUB, "exchange/github-webhooks/", "exchange/landoprod/", "exchange/landostage/", "exchange/landodev/")
_ANY_TASK = "A" * 22  # the slug id of the UUID of zeros
_SLUG = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")
# Fields of a definition. Two of them identify a task, because a definition may be incomplete.
_OF_TASKS = frozenset(
    {
        "created", "deadline", "dependencies", "expires", "extra", "metadata", "payload", "priority", "provisionerId",
        "requires", "retries", "routes", "schedulerId", "scopes", "tags", "taskGroupId", "taskQueueId", "workerType",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """A message of Taskcluster's queue about a task, with the definition of the task.

    Attributes:
        exchange: the exchange of the message.
        payload: the body of the message: plain JSON.
        task: the definition as plain JSON, from the queue's API or from a file. None if it is unknown.
        root_url: the root URL of the Taskcluster deployment.
        payload_at: the JSON pointer of the body in the text from which it was read.
        task_at: the JSON pointer of the definition in that text.
        has_times: False for a message that was generated for a preview. Its run, and maybe its task, has no times.
        content_type: the property of the message; empty if the message has none, or None if it is unknown.
    """

    exchange: str
    payload: Any
    task: Any = None
    root_url: str = ROOT_URL
    payload_at: str = ""
    task_at: str = ""
    has_times: bool = True
    content_type: str | None = None

    @property
    def task_id(self) -> str:
        """The id of the task, or an empty text if the message has none."""
        status = self.payload.get("status") if isinstance(self.payload, dict) else None
        task_id = status.get("taskId") if isinstance(status, dict) else None
        return task_id if isinstance(task_id, str) else ""


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """The definition of a task, without a message.

    Attributes:
        task: the definition: plain JSON.
        task_id: the id of the task, or empty.
        label: the label of the task in its graph, or empty.
        task_at: the JSON pointer of the definition in the text from which it was read.
    """

    task: Any
    task_id: str = ""
    label: str = ""
    task_at: str = ""

    def messages(self, root_url: str = ROOT_URL) -> Iterator[TaskMessage]:
        """Yield the message of each exchange that Treeherder binds, in the form of the queue, but without times.

        Args:
            root_url: the root URL of the Taskcluster deployment.
        """
        for exchange, state in zip(EXCHANGES, _STATES, strict=True):
            runs = [] if state == "defined" else [{"runId": 0, "state": state, "reasonCreated": "scheduled"}]
            payload = {"status": {"taskId": self.task_id or _ANY_TASK, "runs": runs}, "runId": 0}
            yield TaskMessage(exchange, payload, self.task, root_url, task_at=self.task_at, has_times=False)

    def task_of(self, message: TaskMessage) -> Any:  # noqa: ARG002 - as in TaskGraph
        """Return this definition, which is assumed to be the definition of the message's task."""
        return self.task


@dataclass(frozen=True, slots=True)
class TaskGraph:
    """The tasks of a decision task's `task-graph.json`, or of another file of Taskgraph.

    Attributes:
        tasks: the definitions, in the order of the file.
    """

    tasks: tuple[TaskDefinition, ...]
    _by_id: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {one.task_id: one.task for one in self.tasks if one.task_id})

    def task_of(self, message: TaskMessage) -> Any:
        """Return the definition of the task of a message, or None if the graph does not have its id."""
        return self._by_id.get(message.task_id)


@dataclass(frozen=True, slots=True)
class PushMessage:
    """A message about a push.

    Attributes:
        exchange: the exchange of the message.
        payload: the body of the message: plain JSON.
        payload_at: the JSON pointer of the body in the text from which it was read.
        content_type: the property of the message; empty if the message has none, or None if it is unknown.
    """

    exchange: str
    payload: Any
    payload_at: str = ""
    content_type: str | None = None


def normalize_task(task: Any) -> Any:
    """Return a definition from a file or a graph in the form in which the queue's API returns it.

    The queue derives `provisionerId` and `workerType` from `taskQueueId`, and adds missing `routes` and `payload`. The
    argument is not changed.
    """
    if not isinstance(task, dict):
        return task
    added: dict[str, Any] = {name: empty for name, empty in (("routes", []), ("payload", {})) if name not in task}
    queue = task.get("taskQueueId")
    if isinstance(queue, str) and len(parts := queue.split("/")) == 2:
        added["provisionerId"], added["workerType"] = parts
    return task | added if added else task


def message_subject(
    exchange: str, payload: Any, tasks: TaskDefinition | TaskGraph | None = None, content_type: str | None = None
) -> TaskMessage | PushMessage | None:
    """Return the subject of a message from an exchange of tasks or pushes that Treeherder binds, otherwise None.

    Args:
        exchange: the exchange of the message.
        payload: the decoded body of the message.
        tasks: the definition of the task, or a graph that may have it.
        content_type: the property of the message; empty if the message has none, or None if it is unknown.
    """
    if exchange in PUSH_EXCHANGES:
        return PushMessage(exchange, payload, content_type=content_type)
    if exchange not in EXCHANGES:
        return None
    message = TaskMessage(exchange, payload, content_type=content_type)
    return message if tasks is None else replace(message, task=tasks.task_of(message))


def recognize(value: Any) -> Subject | None:
    """Return the task, message, graph or push of a JSON value. Return None for a job, its record, or any other value.

    Raises:
        InvalidInput: Raised when the value is a record that cannot be read.
    """
    if not isinstance(value, dict) or not JOB_FIELDS.isdisjoint(value):
        return None
    if "message" in value and "task" in value:
        return _message(value["message"], "/message", value["task"], "/task")
    if "exchange" in value or may_be_record(value):
        return _message(value, "", value.get("task"), "/task")
    if found := _body(value):
        return found
    if len(_OF_TASKS.intersection(value)) > 1:
        return TaskDefinition(value)
    if _is_entry(value):
        return _definition("", value, "")
    if value and all(map(_is_entry, value.values())):
        return TaskGraph(tuple(_definition(key, entry, f"/{pointer_token(key)}") for key, entry in value.items()))
    return None


def _message(value: Any, at: str, task: Any, task_at: str) -> Subject | None:
    """Return the subject of a message: a record, `{"exchange", "payload", …}`, or a body."""
    if not isinstance(value, dict) or "exchange" not in value:
        found = _body(value)
        if isinstance(found, TaskMessage):
            return TaskMessage(found.exchange, value, task, payload_at=at, task_at=task_at)
        return TaskMessage("", value, task, payload_at=at, task_at=task_at) if at else None
    exchange, root_url = value["exchange"], value.get("root_url")
    if not isinstance(exchange, str):
        return None
    is_push = "/hgpushes/" in exchange or exchange.startswith(_PUSHES)
    if not (is_push or exchange.startswith(_TASKCLUSTER) or at):
        return None
    payload, name = value.get("payload"), "payload"
    if payload is None and may_be_record(value) and (opened := open_payload(value)):
        payload, name = opened.value, "body"
    if is_push:
        return PushMessage(exchange, payload, f"{at}/{name}", _content_type(value))
    root = root_url if isinstance(root_url, str) else ROOT_URL
    return TaskMessage(exchange, payload, task, root, f"{at}/{name}", task_at, content_type=_content_type(value))


def _content_type(record: dict[str, Any]) -> str | None:
    """Return the content type of a record. The record of a delivery has all properties. Other records may lack some."""
    properties = record.get("properties")
    kind = properties.get("content_type") if isinstance(properties, dict) else None
    return kind if isinstance(kind, str) else "" if record.get("received") is not None else None


def _body(value: Any) -> TaskMessage | PushMessage | None:
    """Return the subject of a body. Its fields determine the exchange."""
    if not isinstance(value, dict):
        return None
    status, details, payload = value.get("status"), value.get("details"), value.get("payload")
    if isinstance(status, dict) and "taskId" in status and "runId" in value:
        return TaskMessage(_exchange_of(status, value["runId"]), value)
    if isinstance(details, dict) and "event.base.repo.branch" in details:
        return PushMessage(f"{_GITHUB}{'pull-request' if 'event.pullNumber' in details else 'push'}", value)
    if isinstance(payload, dict) and "pushlog_pushes" in payload:
        return PushMessage(_HG, value)
    return None


def _exchange_of(status: dict[str, Any], number: Any) -> str:
    """Return the exchange of a message about a run, which depends on the state of the run."""
    runs = status.get("runs")
    if isinstance(runs, list) and isinstance(number, int) and -len(runs) <= number < len(runs):
        state = runs[number].get("state") if isinstance(runs[number], dict) else None
        return f"{_PREFIX}{state}" if isinstance(state, str) else ""
    return EXCHANGES[0] if not runs else ""


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("task"), dict)


def _definition(key: str, entry: dict[str, Any], at: str) -> TaskDefinition:
    """Return the definition in an entry of a graph, whose key is the label or the id of the task."""
    ids = (entry.get("task_id"), entry.get("taskId"), key)
    task_id = next((one for one in ids if isinstance(one, str) and _SLUG.fullmatch(one)), "")
    label = entry.get("label", key)
    return TaskDefinition(entry["task"], task_id, label if isinstance(label, str) else key, f"{at}/task")
