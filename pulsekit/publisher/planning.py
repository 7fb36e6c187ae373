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

from pulsekit._documents.bodies import JSON_TYPE
from pulsekit._documents.payloads import decode_body, encode_payload, exact_payload
from pulsekit.bindings.matching import check_key
from pulsekit.errors import ConfigurationError, DocumentError, InvalidInput, InvalidMessage, InvalidPayload, Problem
from pulsekit.records.edits import changed, edited
from pulsekit.records.payload import open_payload
from pulsekit.schemas.revisions import TODAY
from pulsekit.treeherder.context import Context
from pulsekit.treeherder.keys import routing_key
from pulsekit.treeherder.placed import place_verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from pulsekit._documents.document import Document
    from pulsekit.bindings.rules import Rule
    from pulsekit.publisher.encoder import Draft
    from pulsekit.records.payload import OpenedPayload
    from pulsekit.records.record import Record
    from pulsekit.schemas.edits import Edits
    from pulsekit.schemas.schema import Profile, Schema
    from pulsekit.treeherder.placed import Placed, PlacedVerdict
    from pulsekit.treeherder.verdict import Judge

    PlannedMessage: TypeAlias = "tuple[Any, str] | Draft"

__all__ = ["ExtraProperties", "PlannedMessages", "PublishPlan", "RefusedJob", "RefusedPayload"]

_check_key = lru_cache(1024)(check_key)


@lru_cache(1024)
def _context(key: str | None, rule: Rule | None, profile: Profile) -> Context:
    """Return what is known about a job that is sent as JSON under a key."""
    return Context(content_type=JSON_TYPE, routing_key=key, rule=rule, profile=profile)


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
    def verdict(self) -> PlacedVerdict | None:
        """The verdict on the job, or None if the payload is no job or was not judged."""
        return self.error.verdict if isinstance(self.error, RefusedJob) else None

    @property
    def lint(self) -> Sequence[Placed]:
        """The findings on the job, the worst first."""
        return self.verdict.lint if self.verdict is not None else ()


class RefusedJob(InvalidPayload):
    """Raised when a job is not published: it violates the schema, or Treeherder would drop it.

    Attributes:
        verdict: the verdict on the job.
    """

    def __init__(self, verdict: PlacedVerdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.reasons, TODAY)


@dataclass(slots=True)
class PlannedMessages:
    """Hold what is sent for one payload.

    Attributes:
        messages: one for each key.
        verdict: what Treeherder would do with the job, or None if the payload is no job or was not judged.
        source: the file the payload is from.
        plain: whether a message is the payload as it is written in the file.
    """

    messages: list[PlannedMessage]
    verdict: PlacedVerdict | None = None
    source: str = ""
    plain: bool = False

    @property
    def lint(self) -> Sequence[Placed]:
        """The findings on the job, the worst first."""
        return self.verdict.lint if self.verdict is not None else ()

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[PlannedMessage]:
        return iter(self.messages)


def _check_writable(payload: Any, verdict: PlacedVerdict | None) -> None:
    """Refuse what the publisher could not encode later, when other messages are sent already.

    Raises:
        RefusedJob: Raised when JSON has no form for a job.
        InvalidMessage: Raised when JSON has no form for another payload.
    """
    try:
        encode_payload(payload)
    except InvalidMessage as error:
        if verdict is None:
            raise
        problem = Problem("", "json", str(error))
        raise RefusedJob(verdict._replace(problems=[*verdict.problems, problem])) from None


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
        schema: what payloads have to be, or None. For Treeherder's schema, the verdict of a judge decides.
        profile: the profile of the schema.
        edits: what is changed in payloads before they are judged, or None.
        judge: what judges jobs; by default one that applies all rules if the schema is Treeherder's.
        rule: the rule by which the exchange is registered, or None if it is not known.
        force: whether payloads are sent although the schema or Treeherder would refuse them.
        extra_properties: what every message gets beside its payload, or None.
    """

    exchange: str
    key: str | None = None
    destinations: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    schema: Schema | None = None
    profile: Profile = "strict"
    edits: Edits | None = None
    judge: Judge | None = field(default=None, compare=False)
    rule: Rule | None = None
    force: bool = False
    extra_properties: ExtraProperties | None = None

    def __post_init__(self) -> None:
        if self.judge is None and self.schema is not None and self.schema.name == TODAY:
            from pulsekit.treeherder.verdict import Judge

            object.__setattr__(self, "judge", Judge())

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
        verdict = None
        if not checked and self.judge is not None:
            keys, verdict = self._judged(opened, line, None if record else size)
        else:
            if not checked and self.schema is not None:
                self._validate(opened)
            keys = self._keys(opened)
        payload = None
        if record is None:
            payload = exact_payload(opened.value)
            if not checked and document is not None:
                _check_writable(opened.value, verdict)
            if not self.extra_properties:
                return PlannedMessages([(payload, key) for key in keys], verdict)
        from pulsekit.publisher.encoder import Draft

        drafts = [Draft(payload, key) if record is None else Draft.from_record(record, key) for key in keys]
        return PlannedMessages([self._extended(draft) for draft in drafts], verdict)

    def _extended(self, draft: Draft) -> Draft:
        return self.extra_properties.on(draft) if self.extra_properties else draft

    def _validate(self, opened: OpenedPayload) -> None:
        """Check a payload against a schema that is not Treeherder's.

        Raises:
            InvalidPayload: Raised when the payload violates the schema.
        """
        assert self.schema is not None
        if not self.force:
            self.schema.check(opened.value if opened.document is None else opened.document, self.profile)

    def _judged(self, opened: OpenedPayload, line: int | None, size: int | None) -> tuple[list[str], PlacedVerdict]:
        """Return the keys of a job, and the verdict on it.

        Raises:
            RefusedJob: Raised when it violates the schema, or Treeherder would drop it.
            InvalidInput: Raised when it is a good job without a key.
        """
        assert self.judge is not None
        keys: list[str] = []
        missing = None
        try:
            keys = self._keys(opened)
        except (InvalidMessage, DocumentError) as error:
            missing = error
        context = _context(keys[0] if keys else None, self.rule, self.profile)
        subject: Any = opened.value if opened.record is None else opened.record.content
        if opened.record is not None or self.extra_properties:
            context = self._described(opened.record, context)
        verdict = place_verdict(self.judge.judge(subject, context, size=size), opened.part, line)
        if verdict.reasons and not self.force:
            raise RefusedJob(verdict)
        if missing is not None:
            raise missing
        return keys, verdict

    def _described(self, record: Record | None, context: Context) -> Context:
        """Return a context with the properties with which the message is sent."""
        from pulsekit.publisher.encoder import Draft

        draft = self._extended(Draft(None, "") if record is None else Draft.from_record(record))
        return replace(
            context,
            content_type=draft.properties.content_type or JSON_TYPE,
            content_encoding=draft.properties.content_encoding,
            compression=draft.headers.get("compression"),
        )

    def keys(self, body: bytes) -> list[str]:
        """Return the keys of a payload that is known to be valid, and to be no record.

        Raises:
            ConfigurationError: nothing says which key it has.
        """
        return self._made_keys(None if self.key is not None else decode_body(body), None)

    def _keys(self, opened: OpenedPayload) -> list[str]:
        """Return the keys of a payload; it is only decoded if they depend on it."""
        own = None if opened.record is None else opened.record.routing_key
        made = self.key is None and (own is None or self.destinations)
        return self._made_keys(opened.value if made else None, own)

    def _made_keys(self, payload: Any, own: str | None) -> list[str]:
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
        return [_check_key(routing_key(payload, target, self.rule)) for target in targets]
