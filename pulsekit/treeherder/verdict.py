"""The verdict on a job: what Treeherder does with it, and why.

    judge(job).outcome                        # "stored", "dropped", "ignored" or "unknown"
    judge(message).findings                   # also looks at content type, encoding and routing key
    judge(body, context=Context(content_type="text/plain"))

Commands, publishers, consumers and the stand-in for Treeherder call this module, so their verdicts are the same.
The steps are those of Treeherder's loader: decode the body as kombu does (`bodies`), truncate an owner of more than 50
characters, apply the schema, and apply the rules that are not in the schema (`rule_list`). A job without an owner is
dropped before the schema is applied. Source: `treeherder/etl/job_loader.py`, `treeherder/etl/schema.py`. This module
does no I/O.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from pulsekit._documents.bodies import JSON_TYPE, BodyTooLarge, UnreadableBody, read_body
from pulsekit._documents.payloads import encode_payload
from pulsekit._documents.suggestions import brief
from pulsekit.errors import DocumentError, InvalidMessage, InvalidPayload, Problem
from pulsekit.schemas.names import TODAY
from pulsekit.schemas.schema import MOST_PROBLEMS, load_schema
from pulsekit.treeherder.context import NOTHING, Context
from pulsekit.treeherder.lint import RULES_BY_NAME, Linter, make_finding
from pulsekit.treeherder.rule_list import OWNER_CUT, OWNER_MAX, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pulsekit.messages import Message
    from pulsekit.records.record import Record
    from pulsekit.schemas.profiles import Profile
    from pulsekit.treeherder.known_tasks import KnownTask, KnownTasks
    from pulsekit.treeherder.lint import Finding
    from pulsekit.treeherder.subjects import PushMessage, TaskMessage

__all__ = ["RULES_AS_OF", "Judge", "TreeherderOutcome", "Verdict", "judge", "preview_job", "with_cut_owner"]

MovedT = TypeVar("MovedT", "Problem", "Finding")

RULES_AS_OF = date(2026, 8, 1)  # the date of the Treeherder source that the rules and the schema describe

TreeherderOutcome: TypeAlias = Literal["stored", "dropped", "ignored", "unknown"]

_PUSH = "the push of origin.revision exists"
_PROJECT = "origin.project is an active repository"
_CONTENT_TYPE = "the content type of the message is application/json"
# A task cannot break these rules: Treeherder's handler writes the fields, and the job is not sent as a message.
_NOT_OF_TASKS = frozenset(
    {
        "key-mismatch", "log-unparsed", "machine-unnamed", "message-large", "owner-missing", "result-early",
        "result-missing", "summary-unused",
    }
)  # fmt: skip
_COMPRESSION = "compression"  # kombu's header

_ASSUMED = {  # by whether the content type and the repositories are known
    (type_known, projects_known): (
        _PUSH,
        *([] if projects_known else [_PROJECT]),
        *([] if type_known else [_CONTENT_TYPE]),
    )
    for type_known in (True, False)
    for projects_known in (True, False)
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Treeherder does with a job, and why.

    Attributes:
        outcome: `stored`; `dropped`, without an error to the publisher; `ignored`, because Treeherder has a later
            state of the job; `unknown`, if the outcome cannot be determined.
        problems: the violations of the schema, in the profile of the context.
        findings: the rules that the job breaks, the most severe first.
        revision: the revision of the schema that the payload follows, such as `pulse-job`; empty if it is not a job.
        assumptions: unknown conditions that the outcome `stored` depends on.
        rules_as_of: the date of the Treeherder source that the rules describe.
    """

    outcome: TreeherderOutcome
    problems: tuple[Problem, ...] = ()
    findings: tuple[Finding, ...] = ()
    revision: str = TODAY
    assumptions: tuple[str, ...] = ()
    rules_as_of: date = RULES_AS_OF
    _payload: Any = field(default=None, repr=False, compare=False)
    _today: date | None = field(default=None, repr=False, compare=False)
    _task: KnownTask | None = field(default=None, repr=False, compare=False)

    @property
    def job(self) -> dict[str, Any] | None:
        """The stored job: `{"job": {…}, "superseded": […], "revision": …}`, or None if Treeherder does not store it.

        The names are Treeherder's. Times are seconds since 1970 in UTC. The payload is not changed.
        """
        if self.outcome != "stored" or self._payload is None:  # a push has no job
            return None
        if self._task is not None:
            return self._task.stored_form(self._payload)
        from pulsekit.treeherder.preview import stored_form  # only for programs that show jobs

        return stored_form(with_cut_owner(self._payload), self._today)

    @property
    def project(self) -> str:
        """The project of the job, or the empty text if the job has none."""
        origin = self._payload.get("origin") if isinstance(self._payload, dict) else None
        project = origin.get("project") if isinstance(origin, dict) else None
        return project if isinstance(project, str) else ""

    @property
    def reasons(self) -> tuple[Problem, ...]:
        """The reasons not to publish the job: the problems, and the findings for which Treeherder drops the job."""
        dropping = [one for one in self.findings if one.severity is Severity.DROPPED] if self.findings else ()
        return (*self.problems, *(one.problem() for one in dropping)) if dropping else self.problems


class Judge:
    """A judge of the jobs of one stream, such as a file, which also compares the states of each job.

    Args:
        off: names of rules that are not applied. Verdicts are those of a Treeherder without these rules.

    Raises:
        ConfigurationError: Raised when a name is not the name of a rule.
    """

    def __init__(self, off: Iterable[str] = ()) -> None:
        self._off = frozenset(off)
        self._linter = Linter(self._off)
        self._schema = load_schema(TODAY)
        self._of_tasks: Judge | None = None
        self._context: Context | None = None  # of the last task
        self._context_of_job = NOTHING
        self._known: KnownTasks | None = None  # the tasks that were judged in this context

    def begin(self) -> None:
        """Start a new stream, and drop the states of all jobs."""
        self._linter.begin()
        if self._of_tasks is not None:
            self._of_tasks.begin()

    def judge(
        self, subject: Any, context: Context | None = None, *, size: int | None = None, most: int = MOST_PROBLEMS
    ) -> Verdict:
        """Return the verdict on a job. No subject causes an exception.

        Args:
            subject: the body of a message as bytes, a decoded payload, a `Message` or a `Record`, or a `TaskMessage` or
                `PushMessage`. Properties of a message or record replace those of the context.
            context: the properties of the message and of the Treeherder instance. By default, they are unknown.
            size: an upper limit of the size of the body in bytes, if it is known.
            most: the maximum number of problems to collect. A payload can have millions.
        """
        context = context or NOTHING
        if type(subject) is not dict:
            if hasattr(subject, "payload_at"):  # only these subjects have it, and need the modules for tasks
                return self._of_taskcluster(subject, context, most)
            try:
                subject, context, size = _opened(subject, context, size)
            except InvalidMessage as error:
                return Verdict("unknown", (Problem("", "header", str(error)),), revision="")
        findings = self._check_content_type(context.content_type)
        if type(subject) is not dict or context.content_encoding or context.compression:
            try:
                subject = _decoded(subject, context)
            except BodyTooLarge as error:
                return Verdict("unknown", (Problem("", "size", str(error)),), findings, "")
            except UnreadableBody as error:
                findings += (make_finding(RULES_BY_NAME["content-encoding"], "", str(error)),)
                return Verdict("dropped", (), findings, "")
            except DocumentError as error:
                return Verdict("dropped", (error.problem(),), findings, "")
        return self._judge(subject, context, findings, size, most)

    def _judge(
        self, payload: Any, context: Context, findings: tuple[Finding, ...], size: int | None, most: int
    ) -> Verdict:
        problems = self._problems(payload, context.profile, most)
        # Use `is_valid`, because another list of problems would double the time of an invalid job.
        refused = bool(problems) and not self._schema.is_valid(with_cut_owner(payload), "treeherder")
        if size is None and not problems:
            try:
                size = len(encode_payload(payload))
            except InvalidMessage as error:
                problems, refused = (Problem("", "json", str(error)),), True
        revision = _revision(payload) if problems else TODAY
        if revision.startswith(TODAY):  # the rules apply only to jobs
            findings += self._linter.check(payload, size=size, context=context)
        outcome: TreeherderOutcome = "stored"
        if refused or (findings and findings[0].severity is Severity.DROPPED):
            outcome = "dropped"  # so this state does not count for later messages
        elif (compared := self._linter.compare(payload, findings)) != findings:
            findings, outcome = compared, "ignored"
        assumed = outcome == "stored"
        return Verdict(
            outcome,
            problems,
            findings,
            revision,
            _ASSUMED[context.content_type is not None, context.repositories is not None] if assumed else (),
            RULES_AS_OF,
            payload,
            context.today,
        )

    def _check_content_type(self, kind: str | None) -> tuple[Finding, ...]:
        if kind is None or kind == JSON_TYPE or "content-type" in self._off:
            return ()
        message = f"the content type of the message is {brief(kind)}" if kind else "the message has no content type"
        return (make_finding(RULES_BY_NAME["content-type"], "", message),)

    def _of_taskcluster(self, subject: TaskMessage | PushMessage, context: Context, most: int) -> Verdict:
        """Return the verdict on a message about a task or a push."""
        from pulsekit.treeherder.subjects import TaskMessage

        kind = context.content_type if subject.content_type is None else subject.content_type
        if findings := self._check_content_type(kind):
            return Verdict("dropped", (), findings, "")
        if isinstance(subject, TaskMessage):
            return self._judge_task(subject, context, most)
        from pulsekit.treeherder.pushes import resolve_push

        resolved = resolve_push(subject, context.repositories)
        outcome: TreeherderOutcome = "dropped" if resolved.findings else "stored"
        return Verdict(outcome, (), resolved.findings, "", resolved.assumptions)

    def _judge_task(self, message: TaskMessage, context: Context, most: int) -> Verdict:
        """Return the verdict on the job of a task, with JSON pointers into the task and its message."""
        from pulsekit.treeherder.known_tasks import KnownTasks

        if context is not self._context or self._known is None:  # all tasks of a file have the same
            self._context, self._known = context, KnownTasks()
            self._context_of_job = replace(context, content_type=JSON_TYPE, routing_key=None)  # those of the message
        key = self._known.key(message)
        if key is not None and (verdict := self._judge_again(self._known.find(key), message)) is not None:
            return verdict
        from pulsekit.treeherder.prediction import UNKNOWN_TASK
        from pulsekit.treeherder.tasks import predict_job

        predicted = predict_job(message, context.ingested)
        if predicted.job is None:
            if predicted.findings:
                return Verdict("dropped", (), predicted.findings, "")
            return Verdict("unknown", (UNKNOWN_TASK,), (), "", predicted.assumptions)
        verdict = self._judge_of(message)._judge(predicted.job, self._context_of_job, (), 0, most)  # noqa: SLF001 - the same class
        if not (verdict.problems or verdict.findings or predicted.assumptions):
            if key is not None:
                self._known.add(key, message, predicted.job, context.today)
            return verdict
        return replace(
            verdict,
            problems=tuple(
                replace(_moved(one, predicted.source(one.pointer)), hint=one.hint or predicted.hint(one.pointer))
                for one in map(_kept, verdict.problems)
            ),
            findings=tuple(_moved(one, predicted.source(one.pointer)) for one in verdict.findings),
            assumptions=(*predicted.assumptions, *verdict.assumptions),
        )

    def _judge_again(self, task: KnownTask | None, message: TaskMessage) -> Verdict | None:
        """Return the verdict on another message about a known task, or None if it must be judged completely."""
        if task is None or (job := task.job_of(message)) is None:
            return None
        if self._judge_of(message)._linter.went_back(job):  # noqa: SLF001 - the same class
            return None
        assumed = _ASSUMED[True, self._context_of_job.repositories is not None]
        return Verdict("stored", assumptions=assumed, _payload=job, _today=self._context_of_job.today, _task=task)

    def _judge_of(self, message: TaskMessage) -> Judge:
        """Return the judge of the jobs of tasks, which skips the rules about fields that Treeherder writes."""
        if not message.has_times:  # generated for a preview: its states are not compared
            return _single(self._off | _NOT_OF_TASKS | {"time-missing"})
        if self._of_tasks is None:
            self._of_tasks = Judge(self._off | _NOT_OF_TASKS)
        return self._of_tasks

    def _problems(self, payload: Any, profile: Profile, most: int) -> tuple[Problem, ...]:
        """Return the violations of the schema, after the owner was truncated as by the loader."""
        if self._schema.is_valid(payload, profile):
            return ()
        return self._schema.problems(with_cut_owner(payload), profile, most=most)


def judge(subject: Any, *, context: Context | None = None, off: Iterable[str] = ()) -> Verdict:
    """Return the verdict on a single job. No subject causes an exception.

    Args:
        subject: the body of a message as bytes, a decoded payload, a `Message` or a `Record`.
        context: the properties of the message and of the Treeherder instance. By default, they are unknown.
        off: names of rules that are not applied.

    Raises:
        ConfigurationError: Raised when a name is not the name of a rule.
    """
    return _single(frozenset(off)).judge(subject, context)


@lru_cache(16)
def _single(off: frozenset[str]) -> Judge:
    """Return a judge of single jobs, which does not compare or store states."""
    return Judge({*off, "state-backwards"})


def preview_job(job: Any) -> dict[str, Any]:
    """Return the job in the form in which Treeherder stores it. `Verdict.job` is the same.

    Args:
        job: plain JSON.

    Raises:
        InvalidPayload: Raised when Treeherder drops the job.
    """
    verdict = judge(job)
    form = verdict.job
    if form is None:
        raise InvalidPayload(verdict.reasons, TODAY)
    return form


def with_cut_owner(payload: Any) -> Any:
    """Return the payload to which the loader applies the schema: an owner of more than 50 characters is cut to 49."""
    if isinstance(payload, dict) and isinstance(owner := payload.get("owner"), str) and len(owner) > OWNER_MAX:
        return payload | {"owner": owner[:OWNER_CUT]}
    return payload


def _revision(payload: Any) -> str:
    from pulsekit.schemas.forms import revision_of  # only for an invalid job

    return revision_of(payload)


def _opened(subject: Any, context: Context, size: int | None) -> tuple[Any, Context, int | None]:
    """Return the message, body or payload of a subject, its context, and the size of the body.

    Raises:
        InvalidMessage: Raised when the content header of a message is malformed.
    """
    if isinstance(subject, bytes):
        return subject, context, len(subject)
    if subject is None or isinstance(subject, dict | list | str | int | float):
        return subject, context, size
    from pulsekit.messages import Message
    from pulsekit.records.record import Record

    if isinstance(subject, Message):
        return subject, _described(subject, context, complete=True), len(subject.body)
    if isinstance(subject, Record):
        # The record of a delivery has all properties of the message. A record written by hand may lack some.
        content, context = subject.content, _described(subject, context, complete=subject.received is not None)
        return content, context, len(content) if isinstance(content, bytes) else None
    return subject, context, size


def _decoded(subject: Any, context: Context) -> Any:
    """Return the payload of a message or body. Any other subject is a payload, whose body is UTF-8 JSON.

    Raises:
        UnreadableBody: Raised when the body does not have its declared encoding or compression.
        BodyTooLarge: Raised when the decompressed body is too large.
        DocumentError: Raised when the body is not JSON.
    """
    if isinstance(subject, bytes):
        return read_body(subject, context.content_encoding, context.compression)
    from pulsekit.messages import Message

    if not isinstance(subject, Message):
        if context.content_encoding or context.compression:
            with suppress(InvalidMessage):  # the schema reports values that JSON cannot represent
                return read_body(encode_payload(subject), context.content_encoding, context.compression)
        return subject
    if context.content_encoding or context.compression or subject.body.startswith(BOM_UTF8):
        return read_body(subject.body, context.content_encoding, context.compression)
    return subject.decoded


def _kept(problem: Problem) -> Problem:
    """Return the problem of a field of a task without the hint to remove it, unless the handler reads it with `get`."""
    if problem.pointer == "/buildMachine/name" or (problem.suggestion or {}).get("op") != "remove":
        return problem
    return replace(problem, hint="write a text: without the field, Treeherder drops the message", suggestion=None)


def _moved(one: MovedT, pointer: str) -> MovedT:
    """Return a problem or finding with another pointer. A suggestion for the same value also gets this pointer."""
    suggestion = one.suggestion
    if suggestion is not None:
        suggestion = {**suggestion, "path": pointer} if suggestion.get("path") == one.pointer and pointer else None
    return replace(one, pointer=pointer, suggestion=suggestion)


def _described(message: Message | Record, context: Context, *, complete: bool) -> Context:
    """Return the context with the properties of a message. If these are complete, an absent property is empty."""
    properties, compression = message.properties, message.headers.get(_COMPRESSION)
    kind, encoding = properties.content_type, properties.content_encoding
    if complete:
        kind, encoding, compression = kind or "", encoding or "", compression or ""
    # `replace` would be five times slower, and consumers call this for each message.
    return Context(
        kind if kind is not None else context.content_type,
        encoding if encoding is not None else context.content_encoding,
        compression if compression is not None else context.compression,
        message.routing_key,
        context.rule if context.rules is None else context.rules.get(message.exchange, context.rule),
        context.rules,
        context.profile,
        context.repositories,
        context.ingested,
        context.today,
    )
