"""The verdicts on a document of any shape: a job, a task, a message about a task, a graph of tasks, or a push.

    for judged in judge_subjects(judge, document, context):
        judged.placed.verdict.outcome

`preview` and `validate` judge each document with this module. A file of jobs does not load the modules for tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pulsekit.errors import InvalidInput, InvalidPayload, Problem
from pulsekit.records.edits import edited
from pulsekit.treeherder.placed import judge_document, place_verdict
from pulsekit.treeherder.rule_list import JOB_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulsekit._documents.document import Document
    from pulsekit.schemas.edits import Edits
    from pulsekit.treeherder.context import Context
    from pulsekit.treeherder.placed import PlacedVerdict
    from pulsekit.treeherder.pushes import PushResolution
    from pulsekit.treeherder.subjects import Subject, TaskDefinition, TaskGraph
    from pulsekit.treeherder.verdict import Judge

__all__ = ["Judged", "edited_job", "judge_subjects"]


class Judged(NamedTuple):
    """A verdict on a document, or on a part of it.

    Attributes:
        placed: the verdict, with lines and columns.
        label: the label of a task in its graph; otherwise empty.
        variant: the index of the state in which a definition without a message is shown; otherwise 0.
        push: the repository of a push; otherwise None.
    """

    placed: PlacedVerdict
    label: str = ""
    variant: int = 0
    push: PushResolution | None = None

    def record(self) -> dict[str, Any]:
        """Return the label of a task and the repository of a push as plain JSON."""
        record: dict[str, Any] = {"label": self.label} if self.label else {}
        if (push := self.push) is not None:
            name = push.repository.name if push.repository is not None else None
            record["push"] = {"url": push.url, "branch": push.branch, "repository": name}
        return record


def judge_subjects(
    judge: Judge,
    document: Document,
    context: Context,
    *,
    tasks: TaskDefinition | TaskGraph | None = None,
    states: bool = False,
) -> Iterator[Judged]:
    """Yield the verdicts on a document: several for a graph, and none for the header, gap or trailer of a recording.

    Args:
        judge: the judge of the stream.
        document: the document.
        context: the properties of the message and of the Treeherder instance.
        tasks: a definition, or a graph of definitions, for messages without a definition.
        states: whether a definition without a message is judged once for each state, or only once.

    Raises:
        InvalidPayload: Raised when a record cannot be read.
    """
    value = document.value
    if not isinstance(value, dict) or not JOB_FIELDS.isdisjoint(value):
        if (placed := judge_document(judge, document, context)) is not None:
            yield Judged(placed)
        return
    from pulsekit.treeherder.subjects import PushMessage, TaskDefinition, TaskGraph, TaskMessage  # not for jobs

    subject = _recognized(document)
    if subject is None:
        if (placed := judge_document(judge, document, context)) is not None:
            yield Judged(placed)
    elif isinstance(subject, TaskGraph):
        for definition in subject.tasks:
            unscheduled = next(definition.messages())
            yield Judged(place_verdict(judge.judge(unscheduled, context), document), definition.label)
    elif isinstance(subject, TaskDefinition):
        yield from _judge_states(judge, document, context, subject, states=states)
    elif isinstance(subject, PushMessage):
        from pulsekit.treeherder.pushes import resolve_push

        push = resolve_push(subject, context.repositories)
        yield Judged(place_verdict(judge.judge(subject, context), document), push=push)
    else:
        if subject.task is None and tasks is not None:
            # `replace` would take 3 µs, three times as long.
            task, at = tasks.task_of(subject), subject.payload_at
            kind, root_url = subject.content_type, subject.root_url
            subject = TaskMessage(
                subject.exchange, subject.payload, task, root_url, at, subject.task_at, content_type=kind
            )
        yield Judged(place_verdict(judge.judge(subject, context), document))


def edited_job(document: Document, edits: Edits) -> Document:
    """Return the document of a job, or of its record, with some fields changed.

    Raises:
        InvalidPayload: Raised when the document is not a job, or an edit cannot be applied.
    """
    if _recognized(document) is not None:
        message = "is a task or a push; only fields of jobs can be changed"
        raise InvalidPayload([Problem("", "edits", message).at(*document.place(""))])
    return edited(document, edits)


def _recognized(document: Document) -> Subject | None:
    from pulsekit.treeherder.subjects import recognize

    try:
        return recognize(document.value)
    except InvalidInput as error:
        raise InvalidPayload([Problem("", "record", str(error)).at(*document.place(""))]) from None


def _judge_states(
    judge: Judge, document: Document, context: Context, definition: TaskDefinition, *, states: bool
) -> Iterator[Judged]:
    """Yield the verdict on each state of a definition, or one verdict if Treeherder drops the task in all states."""
    for number, message in enumerate(definition.messages()):
        verdict = judge.judge(message, context)
        yield Judged(place_verdict(verdict, document), definition.label, number)
        if verdict.outcome == "dropped" or not states:
            return
