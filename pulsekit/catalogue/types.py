"""The messages of known exchanges as types for type checkers, made by `schemas/refresh_catalogue.py`.

    from pulsekit.catalogue.types import TaskFailedMessage

    failed: TaskFailedMessage = message.payload
    print(failed["status"]["taskId"], failed["runId"])

A type says what the schema of a message says about names and types. It does not validate a payload: the schema does.
"""

from typing import Any, Literal, NotRequired, TypedDict

__all__ = [
    "ArtifactCreatedArtifact",
    "ArtifactCreatedMessage",
    "ClientMessage",
    "GithubPullRequestMessage",
    "GithubPushMessage",
    "GithubReleaseMessage",
    "GithubRerunMessage",
    "GithubWebhooksEventMessage",
    "HgpushesChangegroup",
    "HgpushesPush",
    "HgpushesV1Message",
    "HgpushesV2Message",
    "HgpushesV2Payload",
    "HookChangedMessage",
    "LandoPushMessage",
    "LandoPushPayload",
    "LaunchConfigMessage",
    "NotificationMessage",
    "RoleMessage",
    "TaskCompletedMessage",
    "TaskDefinedMessage",
    "TaskExceptionMessage",
    "TaskFailedMessage",
    "TaskGroupChangedMessage",
    "TaskGroupCreationRequestedMessage",
    "TaskGroupPriorityChangedMessage",
    "TaskPendingMessage",
    "TaskPendingTask",
    "TaskPriorityChangedMessage",
    "TaskPulseDefinition",
    "TaskRunningMessage",
    "TaskStatus",
    "TaskStatusRun",
    "WorkerMessage",
    "WorkerPoolErrorMessage",
    "WorkerPoolMessage",
    "WorkerRemovedMessage",
]


class GithubWebhooksEventMessage(TypedDict):
    """A message of github-webhooks."""

    event: str
    request_id: str
    payload: dict[str, Any]


class HgpushesPush(TypedDict):
    """A part of messages."""

    pushid: int
    time: float
    user: str
    push_json_url: str
    push_full_json_url: str


class HgpushesChangegroup(TypedDict):
    """A part of messages."""

    repo_url: str
    heads: list[str]
    pushlog_pushes: list[HgpushesPush]
    source: NotRequired[str]


class HgpushesV1Message(TypedDict):
    """A message of hgpushes."""

    _meta: NotRequired[dict[str, Any]]
    payload: HgpushesChangegroup


class HgpushesV2Payload(TypedDict):
    """A part of messages."""

    type: str
    data: dict[str, Any]


class HgpushesV2Message(TypedDict):
    """A message of hgpushes-v2."""

    _meta: NotRequired[dict[str, Any]]
    payload: HgpushesV2Payload


class LandoPushPayload(TypedDict):
    """A part of messages."""

    type: Literal["push"]
    repo_url: str
    branches: dict[str, Any]
    tags: dict[str, Any]
    time: float | str
    push_id: int
    user: str
    push_json_url: str


class LandoPushMessage(TypedDict):
    """A message of lando, lando-stage or lando-dev."""

    payload: LandoPushPayload


class ClientMessage(TypedDict):
    """A message of client-created, client-updated or client-deleted."""

    clientId: str
    version: Literal[1]


class RoleMessage(TypedDict):
    """A message of role-created, role-updated or role-deleted."""

    roleId: str
    version: Literal[1]


class GithubPullRequestMessage(TypedDict):
    """A message of github-pull-request."""

    action: str
    body: dict[str, Any]
    branch: str
    details: NotRequired[dict[str, Any]]
    eventId: str
    installationId: int
    organization: str
    repository: str
    tasks_for: str
    version: Literal[1]


class GithubPushMessage(TypedDict):
    """A message of github-push."""

    body: dict[str, Any]
    branch: str
    details: NotRequired[dict[str, Any]]
    eventId: str
    installationId: int
    organization: str
    repository: str
    tasks_for: str
    version: Literal[1]


class GithubReleaseMessage(TypedDict):
    """A message of github-release."""

    body: dict[str, Any]
    branch: str
    details: NotRequired[dict[str, Any]]
    eventId: str
    installationId: int
    organization: str
    repository: str
    tasks_for: str
    version: Literal[1]


class GithubRerunMessage(TypedDict):
    """A message of github-rerun."""

    body: dict[str, Any]
    checkRunId: float
    checkSuiteId: float
    details: NotRequired[dict[str, Any]]
    eventId: str
    installationId: int
    organization: str
    repository: str
    tasks_for: str
    version: Literal[1]


class TaskGroupCreationRequestedMessage(TypedDict):
    """A message of github-task-group-creation-requested."""

    organization: str
    repository: str
    taskGroupId: str
    version: Literal[1]


class HookChangedMessage(TypedDict):
    """A message of hook-created, hook-updated or hook-deleted."""

    hookGroupId: str
    hookId: str


class NotificationMessage(TypedDict):
    """A message of notification."""

    message: dict[str, Any]
    version: NotRequired[Literal[1]]


class TaskStatusRun(TypedDict):
    """A part of messages."""

    reasonCreated: Literal["scheduled", "retry", "task-retry", "rerun", "exception"]
    reasonResolved: NotRequired[Literal["completed", "failed", "deadline-exceeded", "canceled", "claim-expired", "worker-shutdown", "malformed-payload", "resource-unavailable", "internal-error", "intermittent-task", "superseded"]]
    resolved: NotRequired[str]
    runId: int
    scheduled: str
    started: NotRequired[str]
    state: Literal["pending", "running", "completed", "failed", "exception"]
    takenUntil: NotRequired[str]
    workerGroup: NotRequired[str]
    workerId: NotRequired[str]


class TaskStatus(TypedDict):
    """A part of messages."""

    deadline: str
    expires: str
    priority: NotRequired[Literal["highest", "very-high", "high", "medium", "low", "very-low", "lowest"]]
    projectId: str
    provisionerId: str
    retriesLeft: int
    runs: list[TaskStatusRun]
    schedulerId: str
    state: Literal["unscheduled", "pending", "running", "completed", "failed", "exception"]
    taskGroupId: str
    taskId: str
    taskQueueId: str
    workerType: str


class TaskPulseDefinition(TypedDict):
    """A part of messages."""

    tags: dict[str, str]


class TaskDefinedMessage(TypedDict):
    """A message of task-defined."""

    status: TaskStatus
    task: NotRequired[TaskPulseDefinition]
    version: Literal[1]


class TaskPendingTask(TypedDict):
    """A part of messages."""

    tags: dict[str, str]


class TaskPendingMessage(TypedDict):
    """A message of task-pending."""

    runId: int
    status: TaskStatus
    task: NotRequired[TaskPendingTask]
    version: Literal[1]


class TaskRunningMessage(TypedDict):
    """A message of task-running."""

    runId: int
    status: TaskStatus
    takenUntil: str
    task: NotRequired[TaskPulseDefinition]
    version: Literal[1]
    workerGroup: str
    workerId: str


class ArtifactCreatedArtifact(TypedDict):
    """A part of messages."""

    contentType: str
    expires: str
    name: str
    storageType: Literal["reference", "link", "error", "object"]


class ArtifactCreatedMessage(TypedDict):
    """A message of artifact-created."""

    artifact: ArtifactCreatedArtifact
    runId: int
    status: TaskStatus
    version: Literal[1]
    workerGroup: str
    workerId: str


class TaskCompletedMessage(TypedDict):
    """A message of task-completed."""

    runId: int
    status: TaskStatus
    task: NotRequired[TaskPulseDefinition]
    version: Literal[1]
    workerGroup: str
    workerId: str


class TaskFailedMessage(TypedDict):
    """A message of task-failed."""

    runId: int
    status: TaskStatus
    task: NotRequired[TaskPulseDefinition]
    version: Literal[1]
    workerGroup: str
    workerId: str


class TaskExceptionMessage(TypedDict):
    """A message of task-exception."""

    runId: NotRequired[int]
    status: TaskStatus
    task: NotRequired[TaskPulseDefinition]
    version: Literal[1]
    workerGroup: NotRequired[str]
    workerId: NotRequired[str]


class TaskGroupChangedMessage(TypedDict):
    """A message of task-group-resolved or task-group-sealed."""

    expires: str
    schedulerId: str
    sealed: NotRequired[str]
    taskGroupId: str
    version: Literal[1]


class TaskPriorityChangedMessage(TypedDict):
    """A message of task-priority-changed."""

    newPriority: Literal["highest", "very-high", "high", "medium", "low", "very-low", "lowest"]
    oldPriority: Literal["highest", "very-high", "high", "medium", "low", "very-low", "lowest"]
    status: TaskStatus
    version: Literal[1]


class TaskGroupPriorityChangedMessage(TypedDict):
    """A message of task-group-priority-changed."""

    newPriority: Literal["highest", "very-high", "high", "medium", "low", "very-low", "lowest"]
    schedulerId: str
    taskGroupId: str
    tasksAffected: int
    version: Literal[1]


class WorkerPoolMessage(TypedDict):
    """A message of worker-pool-created or worker-pool-updated."""

    previousProviderId: NotRequired[str]
    providerId: str
    workerPoolId: str


class WorkerPoolErrorMessage(TypedDict):
    """A message of worker-pool-error."""

    errorId: str
    kind: str
    launchConfigId: NotRequired[str]
    providerId: str
    timestamp: str
    title: str
    workerGroup: NotRequired[str]
    workerId: NotRequired[str]
    workerPoolId: str


class WorkerMessage(TypedDict):
    """A message of worker-requested, worker-running or worker-stopped."""

    capacity: int
    launchConfigId: NotRequired[str]
    providerId: str
    timestamp: str
    workerGroup: str
    workerId: str
    workerPoolId: str


class WorkerRemovedMessage(TypedDict):
    """A message of worker-removed."""

    capacity: int
    launchConfigId: NotRequired[str]
    providerId: str
    reason: str
    timestamp: str
    workerGroup: str
    workerId: str
    workerPoolId: str


class LaunchConfigMessage(TypedDict):
    """A message of launch-config-created, launch-config-updated or launch-config-archived."""

    launchConfigId: str
    providerId: str
    workerPoolId: str
