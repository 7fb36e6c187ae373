"""A job with Python names and types, for the payload that Treeherder's job schema describes.

The field names of the payload and their limits are those of Treeherder's `pulse-job.yml`
(https://github.com/mozilla/treeherder/blob/master/schemas/pulse-job.yml).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from uuid import uuid4

from pulsekit.errors import InvalidPayload, Problem
from pulsekit.schemas.names import TODAY
from pulsekit.schemas.schema import load_schema
from pulsekit.treeherder.keys import routing_key
from pulsekit.treeherder.times import read_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from pulsekit.bindings.rules import Rule

__all__ = ["Job", "JobKind", "JobResult", "JobState", "Link", "Log", "Machine"]

JobState: TypeAlias = Literal["unscheduled", "pending", "running", "completed"]
JobResult: TypeAlias = Literal["success", "fail", "exception", "retry", "canceled", "superseded", "unknown"]
JobKind: TypeAlias = Literal["build", "test", "other"]


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that built or ran a job.

    Attributes:
        platform: the line on which Treeherder shows the job, such as "linux64".
        os: the operating system, such as "linux".
        architecture: the processor, such as "x86_64".
        name: the name of the machine, or None.
    """

    platform: str
    os: str
    architecture: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A link in the details of a job.

    Attributes:
        url: the address.
        text: the text of the link.
        label: the words before the link.
    """

    url: str
    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Log:
    """A log of a job.

    Attributes:
        url: the address.
        name: the name. Treeherder parses logs named "live_backing_log" and "errorsummary_json".
    """

    url: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job on Treeherder, or one change of its state. Publish a job with the same `task_id` again to report progress.

    Example:
        job = Job(
            project="autoland", revision=40 * "0", symbol="t", name="unit tests",
            build_system="my-ci", owner="me@example.com",
        )
        await publisher.publish(job.payload(), job.routing_key("treeherder"))
        await publisher.publish(job.running().payload(), job.routing_key("treeherder"))

    Attributes:
        project: the repository as Treeherder lists it, such as "autoland".
        revision: the 40 hexadecimal digits of the commit. Treeherder must know its push.
        symbol: the text of the link to the job, such as "bc".
        name: the full name of the job.
        build_system: the system that ran the job, such as "taskcluster".
        owner: the user or system that requested the job. Treeherder drops a job without an owner.
        task_id: the id of the job, `<uuid>/<retry number>`. By default a new id.
        kind: the kind of job. Treeherder shows a failed "test" as testfailed, and other failed jobs as busted.
        state: the progress of the job.
        result: how the job ended. Treeherder ignores the result unless the state is "completed".
        group: the symbol before the brackets around the jobs of a group, or "?" for no group.
        group_name: the full name of the group.
        chunk: the number of this part of a divided job, from 1.
        chunk_count: the number of parts.
        tier: 1, 2 or 3, of which 1 is the most important. Treeherder's default is 1.
        retry_id: how often the infrastructure started this job again.
        is_retried: whether another run replaces this one.
        push_id: the number of the push (Mercurial) or of the pull request (Git).
        scheduled, started, completed_at: times with a time zone.
        labels: the variants of the platform, such as "debug". Treeherder calls them options.
        reason: why the job ran, such as "scheduled".
        product: the product that was built or tested, such as "firefox".
        build_machine, run_machine: the machines. If one is missing, Treeherder uses the other for both.
        summary: a text that Treeherder accepts and does not show.
        links: the links in the details of the job.
        logs: the logs.
        coalesced: the task ids of jobs that this job supersedes.

    Raises:
        InvalidPayload: Raised when a time has no time zone, or the labels or coalesced jobs are one text.
    """

    project: str
    revision: str
    symbol: str
    name: str
    build_system: str
    owner: str
    task_id: str = field(default_factory=lambda: f"{uuid4()}/0")
    kind: JobKind = "other"
    state: JobState = "pending"
    result: JobResult | None = None
    group: str = "?"
    group_name: str | None = None
    chunk: int | None = None
    chunk_count: int | None = None
    tier: int | None = None
    retry_id: int | None = None
    is_retried: bool | None = None
    push_id: int | None = None
    scheduled: datetime | None = None
    started: datetime | None = None
    completed_at: datetime | None = None
    labels: tuple[str, ...] = ()
    reason: str | None = None
    product: str | None = None
    build_machine: Machine | None = None
    run_machine: Machine | None = None
    summary: str | None = None
    links: tuple[Link, ...] = ()
    logs: tuple[Log, ...] = ()
    coalesced: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, key in _TIMES.items():
            time = getattr(self, name)
            if time is not None and time.utcoffset() is None:
                reason = f"{time.isoformat()} has no time zone"
                hint = "use datetime.now(UTC), or .astimezone() for a local time"
                raise InvalidPayload([Problem(f"/{key}", "format", reason, hint=hint)])
        for name, key in _LISTS.items():
            if isinstance(text := getattr(self, name), str):  # `list` would make a label of each letter
                reason, hint = f"{text!r:.60} is text, not a tuple", f"write ({text!r:.60},), with a comma"
                raise InvalidPayload([Problem(f"/{key}", "type", reason, hint=hint)])

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Return the job of a payload that Treeherder accepts.

        Times are read as by Treeherder: without a time zone, in UTC; missing parts of a date are those of today.

        Args:
            payload: plain JSON, for example `message.payload`.

        Raises:
            InvalidPayload: Raised when the payload violates the job schema, has no owner, or has a time that
                Treeherder cannot read.
        """
        from pulsekit.treeherder.verdict import with_cut_owner  # not for programs that only publish

        load_schema(TODAY).check(with_cut_owner(payload), "treeherder")
        if "owner" not in payload:
            raise InvalidPayload([Problem("", "required", "the owner is missing: Treeherder drops the job")])
        display, origin, info = payload["display"], payload["origin"], payload.get("jobInfo", {})
        values = {name: payload[key] for name, key in _PLAIN.items() if key in payload}
        values |= {name: display[key] for name, key in _DISPLAY.items() if key in display}
        values |= {name: origin[key] for name, key in _ORIGIN.items() if key in origin}
        values |= {name: _read_time(key, payload[key]) for name, key in _TIMES.items() if key in payload}
        values |= {name: tuple(payload[key]) for name, key in _LISTS.items() if key in payload}
        values |= {name: Machine(**payload[key]) for name, key in _MACHINES.items() if key in payload}
        if "summary" in info:
            values["summary"] = info["summary"]
        values["links"] = tuple(Link(link["url"], link["linkText"], link["label"]) for link in info.get("links", ()))
        values["logs"] = tuple(Log(**log) for log in payload.get("logs", ()))
        return cls(**values)

    def payload(self) -> dict[str, Any]:
        """Return the job as plain JSON, without the fields that are None or empty. A publisher validates it."""
        payload = self._read(_PLAIN)
        payload["origin"] = self._read(_ORIGIN)
        payload["display"] = self._read(_DISPLAY)
        payload |= {key: list(value) for key, value in self._read(_LISTS).items() if value}
        payload |= {key: _write_time(time) for key, time in self._read(_TIMES).items()}
        payload |= {key: _without_none(machine) for key, machine in self._read(_MACHINES).items()}
        info: dict[str, Any] = {} if self.summary is None else {"summary": self.summary}
        if self.links:
            info["links"] = [{"url": link.url, "linkText": link.text, "label": link.label} for link in self.links]
        if info:
            payload["jobInfo"] = info
        if self.logs:
            payload["logs"] = [_without_none(log) for log in self.logs]
        payload["version"] = 1
        return payload

    def running(self, *, started: datetime | None = None) -> Self:
        """Return the job in the state "running".

        Args:
            started: the time of the start, by default now.
        """
        return replace(self, state="running", started=started or datetime.now(UTC))

    def completed(self, result: JobResult, *, completed_at: datetime | None = None) -> Self:
        """Return the job in the state "completed", which is final.

        Args:
            result: how the job ended.
            completed_at: the time of the end, by default now.
        """
        return replace(self, state="completed", result=result, completed_at=completed_at or datetime.now(UTC))

    def routing_key(self, destination: str, rule: Rule | None = None, *, reserved: bool | None = None) -> str:
        """Return the routing key of the job: `<destination>.<project>._`.

        Args:
            destination: the first word, or words, of the key.
            rule: the rule by which the exchange is registered, if it is not `destination.project`.
            reserved: whether the registered projects end with the reserved word, see `treeherder.routing_key`.

        Raises:
            ConfigurationError: Raised when the destination is empty, or has an empty word or a wildcard.
        """
        return routing_key({"origin": {"project": self.project}}, destination, rule, reserved=reserved)

    def _read(self, names: Mapping[str, str]) -> dict[str, Any]:
        values = ((key, getattr(self, name)) for name, key in names.items())
        return {key: value for key, value in values if value is not None}


# The key of each field in the payload, in the order in which `payload` writes them.
_PLAIN = {
    "task_id": "taskId",
    "retry_id": "retryId",
    "is_retried": "isRetried",
    "build_system": "buildSystem",
    "state": "state",
    "result": "result",
    "kind": "jobKind",
    "tier": "tier",
    "owner": "owner",
    "reason": "reason",
    "product": "productName",
}
_ORIGIN = {"project": "project", "revision": "revision", "push_id": "id"}
_DISPLAY = {
    "symbol": "jobSymbol",
    "chunk": "chunkId",
    "chunk_count": "chunkCount",
    "group": "groupSymbol",
    "name": "jobName",
    "group_name": "groupName",
}
_TIMES = {"scheduled": "timeScheduled", "started": "timeStarted", "completed_at": "timeCompleted"}
_LISTS = {"labels": "labels", "coalesced": "coalesced"}
_MACHINES = {"build_machine": "buildMachine", "run_machine": "runMachine"}


def _without_none(value: Machine | Log) -> dict[str, Any]:
    found = ((one.name, getattr(value, one.name)) for one in fields(value))
    return {name: text for name, text in found if text is not None}


def _read_time(key: str, text: str) -> datetime:
    moment = read_time(text)
    if moment is None:
        raise InvalidPayload([Problem(f"/{key}", "format", f"{text!r:.60} is not a time")])
    try:
        time = datetime.fromisoformat(text)  # with the fraction and the time zone, which a moment lacks
    except ValueError:
        return datetime.fromtimestamp(moment.seconds, UTC)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _write_time(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
