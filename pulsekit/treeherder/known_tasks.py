"""The tasks of a stream whose definitions have no problem and no finding, so that they are judged only once.

A task has a message for each state of each run, and its definition determines most fields of its jobs. `Judge` judges
the first message completely. If its job has no problem and no finding, `KnownTasks` remembers the job, by the JSON of
the task's id and of all fields of the definition that Treeherder reads. The job of the next message is that job with
the fields of another run:

    {"runId": 0, "state": "running", "workerId": "i-0abc", "started": "2026-11-23T18:00:00.000Z", …}

If these fields have their usual form, no schema and no rule refuses them, except that a state can go backwards. All
other messages are judged completely. With four messages for each task, this saves a fifth of the processor time of
`preview`, for a recording and a task graph as for lines with the definition.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from pulsekit._documents.payloads import ONLY_JSON
from pulsekit.treeherder.preview import stored_form
from pulsekit.treeherder.results import stored_result
from pulsekit.treeherder.subjects import EXCHANGES
from pulsekit.treeherder.task_rules import MOBILE_PROJECTS
from pulsekit.treeherder.tasks import predict_again
from pulsekit.treeherder.times import FIELDS, read_time

if TYPE_CHECKING:
    from datetime import date

    from pulsekit.treeherder.subjects import TaskMessage

__all__ = ["KnownTask", "KnownTasks"]

_MOST = 8192  # tasks, of 6 KB each
_RUNS_MAX = 1000  # more runs than a task can have
_SLUG = re.compile(r"[\w-]{22}", re.ASCII)
_ROOT_URL = re.compile(r"https?://[\w.-]{1,100}", re.ASCII)
_WORKER = re.compile(r"[\w-]{1,50}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


class KnownTask:
    """A task of which a job had no problem and no finding.

    Args:
        job: that job.
        today: the day on which Treeherder reads the job; by default today.
    """

    __slots__ = ("_form", "_job", "_today")

    def __init__(self, job: dict[str, Any], today: date | None) -> None:
        self._job = job
        self._today = today
        self._form: dict[str, Any] | None = None

    def job_of(self, message: TaskMessage) -> dict[str, Any] | None:
        """Return the job of another message about the task, or None if the message must be judged completely."""
        job = predict_again(message, self._job)
        return job if job is not None and _is_usual(job, message) else None

    def stored_form(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the form in which Treeherder stores a job of `job_of`, see `preview.stored_form`."""
        if self._form is None:  # with all times, which keeps the order of the names
            self._form = stored_form(dict.fromkeys(FIELDS, self._job["timeScheduled"]) | self._job, self._today)
        form = self._form["job"].copy()
        form["job_guid"], form["state"], form["taskcluster_retry_id"] = job["taskId"], job["state"], job["retryId"]
        form["result"] = stored_result(job["state"], job["result"], job["jobKind"], retried=job["isRetried"])
        form["machine"] = job["buildMachine"]["name"]
        form["log_references"] = [log | {"parse_status": "pending"} for log in job.get("logs", ())]
        form["perfherder_data_references"] = []
        for name in ("option_collection", "build_platform", "machine_platform"):
            form[name] = form[name].copy()
        for field, name in FIELDS.items():
            moment = read_time(job[field], self._today) if field in job else None
            if moment is None:
                del form[name]
            else:
                form[name] = moment.seconds
        return self._form | {"job": form, "superseded": []}


class KnownTasks:
    """The known tasks of a stream: the last ones, up to a limit."""

    def __init__(self) -> None:
        self._tasks: dict[bytes, KnownTask] = {}

    def key(self, message: TaskMessage) -> bytes | None:
        """Return the key of the task of a message, or None if its jobs are not remembered."""
        task = message.task
        if not message.has_times or message.exchange not in EXCHANGES or not isinstance(task, dict):
            return None
        get = task.get
        extra = get("extra")
        config = extra.get("treeherder") if isinstance(extra, dict) else None
        read = (get("routes"), get("metadata"), get("created"), get("taskQueueId"), get("workerType"), config)
        try:
            return orjson.dumps((message.task_id, message.root_url, *read), option=ONLY_JSON)
        except orjson.JSONEncodeError:  # a surrogate, or an integer beyond 64 bits
            return None

    def find(self, key: bytes) -> KnownTask | None:
        """Return the task with a key, or None if it is not known."""
        return self._tasks.get(key)

    def add(self, key: bytes, message: TaskMessage, job: dict[str, Any], today: date | None) -> None:
        """Remember the job of a message if it has no problem and no finding, and all its fields have the usual form."""
        if not (_SLUG.fullmatch(message.task_id) and _ROOT_URL.fullmatch(message.root_url)):
            return
        if job["origin"]["project"] in MOBILE_PROJECTS or not _TIME.fullmatch(job["timeScheduled"]):
            return  # Treeherder also reads the payload of the task
        if len(self._tasks) >= _MOST:
            self._tasks.clear()
        self._tasks[key] = KnownTask(job, today)


def _is_usual(job: dict[str, Any], message: TaskMessage) -> bool:
    """Return whether the fields that depend on the run have the usual form, which no schema and no rule refuses."""
    state, number, result, worker = job["state"], job["retryId"], job["result"], job["buildMachine"]["name"]
    if type(number) is not int or not 0 <= number < _RUNS_MAX:
        return False
    if not isinstance(worker, str) or not _WORKER.fullmatch(worker):
        return False
    kind = message.exchange.rpartition("-")[2]
    due: tuple[str, ...] = ()
    if kind in {"completed", "failed", "exception"}:
        if state != "completed" or (result == "fail" and job["jobKind"] == "other"):
            return False
        if job["isRetried"] and result != "exception":
            return False
        if job["logs"] and message.payload["status"]["runs"][number].get("runId") != number:  # it is in the URL
            return False
        due = ("timeStarted", "timeCompleted")
    else:
        if state != ("unscheduled" if kind == "defined" else kind):
            return False
        if kind == "running":
            due = ("timeStarted",)
    before = job["timeScheduled"]
    for name in due:
        time = job.get(name)
        # Of two texts of this form, the lesser is the earlier time.
        if not isinstance(time, str) or not _TIME.fullmatch(time) or time < before or read_time(time) is None:
            return False
        before = time
    return True
