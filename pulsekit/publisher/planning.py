"""Plan a publish: which message each payload becomes, under which routing keys, and which payloads are refused.

    plan = PublishPlan("exchange/me/v1/jobs", destinations=("treeherder",), schema=load_schema("pulse-job"))
    plan.take(document)     # the messages of a payload, or why it is refused
    plan.messages(job)      # the same for a decoded payload; a refusal is raised

This does no I/O. `PlannedPublish` publishes what a plan makes of payloads; `DryRun` says what that would do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pulsekit._documents.payloads import decode_body, exact_payload
from pulsekit.bindings.matching import check_key
from pulsekit.errors import ConfigurationError, DocumentError, InvalidInput, InvalidPayload, Problem
from pulsekit.records.edits import changed, edited
from pulsekit.records.payload import open_payload
from pulsekit.treeherder import Severity, routing_key
from pulsekit.treeherder.placed import Placed, placed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from pulsekit._documents.document import Document
    from pulsekit.publisher.encoder import Draft
    from pulsekit.schemas.edits import Edits
    from pulsekit.schemas.schema import Schema
    from pulsekit.treeherder import Linter

    PlannedMessage: TypeAlias = "tuple[Any, str] | Draft"

__all__ = ["DroppedJob", "ExtraProperties", "PlannedMessages", "PublishPlan", "RefusedPayload"]

_check_key = lru_cache(1024)(check_key)


@dataclass(frozen=True, slots=True)
class RefusedPayload:
    """Say why a payload cannot be sent.

    Attributes:
        document: the payload, or why it could not be read.
        error: what is wrong with it.
    """

    document: Document | DocumentError
    error: InvalidInput

    @property
    def lint(self) -> Sequence[Placed]:
        """What Treeherder would drop the job for, and what else it would make of it; nothing when it is not valid."""
        return self.error.lint if isinstance(self.error, DroppedJob) else ()


class DroppedJob(InvalidPayload):
    """Report a job that is valid, and that Treeherder would drop all the same.

    Attributes:
        lint: all that was found, the worst first.
    """

    def __init__(self, lint: Sequence[Placed]) -> None:
        self.lint = lint
        worst = [one for one in lint if one.finding.severity is Severity.DROPPED]
        problems = [Problem(one.pointer, one.rule, one.message, hint=one.hint) for one, _, _ in worst]
        places = [(line, column) for _, line, column in worst]
        located = [problem.at(*place) for problem, place in zip(problems, places, strict=True)]
        super().__init__(located, "Treeherder's rules")


@dataclass(slots=True)
class PlannedMessages:
    """Hold what is sent for one payload.

    Attributes:
        messages: one for each key.
        lint: what Treeherder would make of it that it should not, if that was looked for.
        source: the file the payload is from.
        plain: whether a message is the payload as it is written in the file.
    """

    messages: list[PlannedMessage]
    lint: Sequence[Placed] = ()
    source: str = ""
    plain: bool = False

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[PlannedMessage]:
        return iter(self.messages)


@dataclass(frozen=True, slots=True)
class ExtraProperties:
    """Hold what every message gets.

    Attributes:
        cc: further routing keys.
        headers: more headers; they replace those of a record.
        properties: properties by their names; they replace those of a record.
    """

    cc: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.cc or self.headers or self.properties)

    def on(self, draft: Draft) -> Draft:
        """Return a message with all of this."""
        return replace(
            draft,
            cc=tuple(dict.fromkeys((*draft.cc, *self.cc))),
            headers={**draft.headers, **self.headers},
            properties=replace(draft.properties, **self.properties),
        )


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """Say what is sent where, and turn a payload into messages.

    Attributes:
        exchange: where to.
        key: one routing key for all, or None.
        destinations: those that were asked for; a message goes to each.
        defaults: those for payloads that have no key of their own when none was asked for.
        schema: what payloads have to be, or None.
        edits: what is changed in payloads before they are judged, or None.
        linter: what knows Treeherder's rules, or None when they are none of its jobs.
        force: whether jobs that Treeherder would drop are sent all the same.
        extra_properties: what every message gets beside its payload, or None.
    """

    exchange: str
    key: str | None = None
    destinations: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    schema: Schema | None = None
    edits: Edits | None = None
    linter: Linter | None = field(default=None, compare=False)
    force: bool = False
    extra_properties: ExtraProperties | None = None

    def take(self, document: Document | DocumentError, *, checked: bool = False) -> PlannedMessages | RefusedPayload:
        """Return the messages of one payload, or why there are none.

        Args:
            document: the payload; one that could not be read is refused.
            checked: whether it is known to be valid.

        Raises:
            ConfigurationError: nothing says which key it has.
        """
        if isinstance(document, DocumentError):
            return RefusedPayload(document, document)
        try:
            taken = self.messages(document.value, document, checked=checked)
        except InvalidInput as error:
            return RefusedPayload(document, error)
        taken.source = document.source
        return taken

    def messages(
        self,
        value: Any,
        document: Document | None = None,
        *,
        checked: bool = False,
        line: int | None = None,
        size: int | None = None,
    ) -> PlannedMessages:
        """Return the messages of one payload.

        Args:
            value: the payload, or a record of a message.
            document: the same with its places, which errors then name.
            checked: whether it is known to be valid.
            line: where the payload stands, when there is no document to say it.
            size: how many bytes the payload has, when that is known.

        Raises:
            InvalidInput: it is invalid, has no key, or Treeherder would drop it.
            ConfigurationError: nothing says which key it has.
        """
        if self.edits is not None:
            size = None
            if document is None:
                value = changed(value, self.edits)
            else:
                document = edited(document, self.edits)
                value = document.value
        opened = open_payload(value, document)
        if opened is None:  # a line of a recording that is no message
            return PlannedMessages([])
        record = opened.record
        schema, linter = (None, None) if checked else (self.schema, self.linter)
        made = bool(self.destinations) and self.key is None  # the key, from the job
        read = record is None or schema is not None or linter is not None or made
        payload, places = (opened.value, opened.document) if read else (None, None)
        if schema is not None:
            schema.check(payload if places is None else places)
        keys = self._keys(payload, record.routing_key if record else None)
        lint = () if checked else self._lint(payload, keys, places, line, None if record else size)
        payload = exact_payload(payload)
        if record is None and not self.extra_properties:
            return PlannedMessages([(payload, key) for key in keys], lint)
        from pulsekit.publisher.encoder import Draft

        drafts = [Draft(payload, key) if record is None else Draft.from_record(record, key) for key in keys]
        return PlannedMessages(
            list(map(self.extra_properties.on, drafts)) if self.extra_properties else list(drafts), lint
        )

    def _lint(
        self, job: Any, keys: Sequence[str], document: Document | None, line: int | None, size: int | None = None
    ) -> Sequence[Placed]:
        """Return what Treeherder has against a job, the worst first.

        Raises:
            DroppedJob: it would drop the job.
        """
        if self.linter is None:
            return ()
        found = self.linter.lint(job, keys[0], size=size)
        if not found:
            return ()
        lint = [Placed(one, line, None) for one in found] if document is None else placed(found, document)
        if found[0].severity is Severity.DROPPED and not self.force:
            raise DroppedJob(lint)
        return lint

    def keys(self, body: bytes) -> list[str]:
        """Return the keys of a payload that is known to be valid, and to be no record.

        Raises:
            ConfigurationError: nothing says which key it has.
        """
        return self._keys(None if self.key is not None else decode_body(body), None)

    def _keys(self, payload: Any, own: str | None) -> list[str]:
        if self.key is not None:
            return [_check_key(self.key)]
        if own is not None and not self.destinations:
            return [_check_key(own)]
        targets = self.destinations or self.defaults
        if not targets:
            raise ConfigurationError(
                "no routing key: give --routing-key KEY, --destination D or --target, "
                "or write destinations into pulsekit.yml"
            )
        return [_check_key(routing_key(payload, target)) for target in targets]
