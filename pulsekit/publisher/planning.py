"""Plan a publish: the messages and routing keys of each payload, or the reason why the payload is refused.

    plan = PublishPlan("exchange/me/v1/jobs", destinations=("treeherder",), schema=load_schema("pulse-job"))
    plan.take(document)     # the messages of a payload, or a RefusedPayload
    plan.messages(job)      # the same for a decoded payload, but raises an error

This module does no I/O. `PlannedPublish` publishes the messages of a plan. `DryRun` reports what a publish would do.
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
from pulsekit.schemas.names import TODAY
from pulsekit.treeherder.context import Context
from pulsekit.treeherder.keys import routing_key
from pulsekit.treeherder.placed import place_verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from pulsekit._documents.document import Document
    from pulsekit.bindings.rules import Rule
    from pulsekit.publisher.encoder import Draft
    from pulsekit.records.payload import OpenedPayload
    from pulsekit.records.record import Record
    from pulsekit.schemas.edits import Edits
    from pulsekit.schemas.profiles import Profile
    from pulsekit.schemas.schema import Schema
    from pulsekit.treeherder.placed import Placed, PlacedVerdict
    from pulsekit.treeherder.verdict import Judge

    PlannedMessage: TypeAlias = "tuple[Any, str] | Draft"

__all__ = ["ExtraProperties", "PlannedMessages", "PublishPlan", "RefusedJob", "RefusedPayload"]

_check_key = lru_cache(1024)(check_key)


@lru_cache(1024)
def _context(key: str | None, rule: Rule | None, profile: Profile) -> Context:
    """Return the context of the verdict on a job that is sent as JSON with a routing key."""
    return Context(content_type=JSON_TYPE, routing_key=key, rule=rule, profile=profile)


@dataclass(frozen=True, slots=True)
class RefusedPayload:
    """A payload that cannot be published, and the reason.

    Attributes:
        document: the payload, or the error of an unreadable document.
        error: the reason.
    """

    document: Document | DocumentError
    error: InvalidInput

    @property
    def verdict(self) -> PlacedVerdict | None:
        """The verdict on the job, or None if the payload is not a job or was not judged."""
        return self.error.verdict if isinstance(self.error, RefusedJob) else None

    @property
    def lint(self) -> Sequence[Placed]:
        """The findings on the job, the most severe first."""
        return self.verdict.lint if self.verdict is not None else ()


class RefusedJob(InvalidPayload):
    """Raised when a job is not published, because it violates the schema or Treeherder would drop it.

    Attributes:
        verdict: the verdict on the job.
    """

    def __init__(self, verdict: PlacedVerdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.reasons, TODAY)


@dataclass(slots=True)
class PlannedMessages:
    """The messages of one payload.

    Attributes:
        messages: one message for each routing key.
        verdict: the verdict on the job, or None if the payload is not a job or was not judged.
        source: the file of the payload.
        plain: whether the body of a message is exactly the text in the file.
        dropped: the fields of a record that are omitted, see `Draft.from_record`.
    """

    messages: list[PlannedMessage]
    verdict: PlacedVerdict | None = None
    source: str = ""
    plain: bool = False
    dropped: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lint(self) -> Sequence[Placed]:
        """The findings on the job, the most severe first."""
        return self.verdict.lint if self.verdict is not None else ()

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[PlannedMessage]:
        return iter(self.messages)


def _check_writable(payload: Any, verdict: PlacedVerdict | None) -> None:
    """Refuse a payload that the publisher cannot encode, before the publisher sends other messages.

    Raises:
        RefusedJob: Raised when a job cannot be encoded as JSON.
        InvalidPayload: Raised when another payload cannot be encoded as JSON.
    """
    try:
        encode_payload(payload)
    except InvalidMessage as error:
        problem = Problem("", "json", str(error))
        if verdict is None:
            raise InvalidPayload((problem,)) from None
        raise RefusedJob(verdict._replace(problems=[*verdict.problems, problem])) from None


@dataclass(frozen=True, slots=True)
class ExtraProperties:
    """Routing keys, headers and properties that are added to every message.

    Attributes:
        cc: additional routing keys.
        headers: additional headers, which replace headers of a record.
        properties: properties by name, which replace properties of a record.
    """

    cc: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.cc or self.headers or self.properties)

    def on(self, draft: Draft) -> Draft:
        """Return a message with these additions."""
        return replace(
            draft,
            cc=tuple(dict.fromkeys((*draft.cc, *self.cc))),
            headers={**draft.headers, **self.headers},
            properties=replace(draft.properties, **self.properties),
        )


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """A plan that turns payloads into messages for one exchange.

    Attributes:
        exchange: the exchange.
        key: the routing key of all messages, or None.
        destinations: the requested destinations. Each payload becomes one message for each destination.
        defaults: the destinations of payloads without a routing key, if no destination is requested.
        schema: the schema of the payloads, or None. For Treeherder's schema, the judge is used instead.
        profile: the profile of the schema.
        edits: the changes to payloads before they are judged, or None.
        judge: the judge of jobs. The default for Treeherder's schema applies all rules.
        rule: the rule by which the exchange is registered, or None if it is unknown.
        reserved: whether the registered projects end with the reserved word, or None if it is unknown.
        force: whether to publish payloads that violate the schema or that Treeherder would drop.
        extra_properties: the additions to every message, or None.
        keep: the fields of records that are sent although they are omitted by default, see `Draft.from_record`.
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
    reserved: bool | None = None
    force: bool = False
    extra_properties: ExtraProperties | None = None
    keep: Collection[str] = ()

    def __post_init__(self) -> None:
        if self.judge is None and self.schema is not None and self.schema.name == TODAY:
            from pulsekit.treeherder.verdict import Judge

            object.__setattr__(self, "judge", Judge())

    def take(self, document: Document | DocumentError, *, checked: bool = False) -> PlannedMessages | RefusedPayload:
        """Return the messages of one payload, or the reason why it cannot be published.

        Args:
            document: the payload. An unreadable document is refused.
            checked: whether the payload is known to be valid.

        Raises:
            ConfigurationError: Raised when neither the plan nor the payload determines a routing key.
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
            document: the document of the value, which has the positions for errors.
            checked: whether the payload is known to be valid.
            line: the line of the payload, if there is no document.
            size: the size of the payload in bytes, if it is known.

        Raises:
            InvalidInput: Raised when the payload is invalid, has no routing key, or Treeherder would drop it.
            ConfigurationError: Raised when neither the plan nor the payload determines a routing key.
        """
        if self.edits is not None:
            size = None
            if document is None:
                value = changed(value, self.edits)
            else:
                document = edited(document, self.edits)
                value = document.value
        opened = open_payload(value, document)
        if opened is None:  # a line of a recording that is not a message
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
        from pulsekit.publisher.encoder import Draft, check_encodable, delivery_options

        dropped = {}
        if record is not None:
            dropped = {name: value for name, value in delivery_options(record).items() if name not in self.keep}
        planned = PlannedMessages([], verdict, dropped=dropped)
        for key in keys:
            draft = Draft(payload, key) if record is None else Draft.from_record(record, key, keep=self.keep)
            draft = self._extended(draft)
            if not checked:
                check_encodable(self.exchange, draft)
            planned.messages.append(draft)
        return planned

    def _extended(self, draft: Draft) -> Draft:
        return self.extra_properties.on(draft) if self.extra_properties else draft

    def _validate(self, opened: OpenedPayload) -> None:
        """Check a payload against a schema other than Treeherder's.

        Raises:
            InvalidPayload: Raised when the payload violates the schema.
        """
        assert self.schema is not None
        if not self.force:
            self.schema.check(opened.value if opened.document is None else opened.document, self.profile)

    def _judged(self, opened: OpenedPayload, line: int | None, size: int | None) -> tuple[list[str], PlacedVerdict]:
        """Return the routing keys of a job, and the verdict on the job.

        Raises:
            RefusedJob: Raised when the job violates the schema, or Treeherder would drop it.
            InvalidInput: Raised when the job passes these checks but has no routing key.
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
        """Return the context with the properties of the message that will be sent."""
        from pulsekit.publisher.encoder import Draft

        draft = self._extended(Draft(None, "") if record is None else Draft.from_record(record))
        return replace(
            context,
            content_type=draft.properties.content_type or JSON_TYPE,
            content_encoding=draft.properties.content_encoding,
            compression=draft.headers.get("compression"),
        )

    def keys(self, body: bytes) -> list[str]:
        """Return the routing keys of a payload that is known to be valid and not a record.

        Raises:
            ConfigurationError: Raised when neither the plan nor the payload determines a routing key.
        """
        return self._made_keys(None if self.key is not None else decode_body(body), None)

    def _keys(self, opened: OpenedPayload) -> list[str]:
        """Return the routing keys of a payload. The payload is decoded only if they depend on it."""
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
                "or set destinations in pulsekit.yml"
            )
        return [_check_key(routing_key(payload, target, self.rule, reserved=self.reserved)) for target in targets]
