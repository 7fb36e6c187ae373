"""Select messages, and compute the requested parts of each message: payload, bindings, verdict, query.

selection = Selection(bindings, filter=Filter("payload.state == 'completed'"), schema=load_schema("pulse-job"))
for selected in selection.choose(messages):
    selected.valid, selected.payload, selected.bindings, selected.line()
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, TypeAlias

from pulsekit._documents.ndjson import dump_line
from pulsekit._documents.payloads import unwritable
from pulsekit.errors import ConfigurationError, DocumentError
from pulsekit.messages import MessageCheck
from pulsekit.records.attribution import MatchedBindings
from pulsekit.records.envelope import unwrap
from pulsekit.records.record import message_record, record_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pulsekit.bindings.registration import Binding
    from pulsekit.messages import Message
    from pulsekit.records.attribution import Reason
    from pulsekit.records.expressions import Filter, Query
    from pulsekit.schemas.schema import Schema

__all__ = ["NOT_JSON", "SchemaOf", "SelectedMessage", "Selection"]

SchemaOf: TypeAlias = "Callable[[str], Schema | MessageCheck | None]"


class _NotJson(enum.Enum):
    NOT_JSON = "not JSON"


NOT_JSON = _NotJson.NOT_JSON


class Selection:
    """A selection of messages, and of the parts to show. Only requested parts are computed.

    Attributes:
        chooses: whether some messages may be skipped.
        attribution: finds the bindings that matched a message.
        plain: whether records are those of the deliveries, possibly with added members.
    """

    def __init__(
        self,
        bindings: Iterable[Binding],
        *,
        filter: Filter | None = None,  # noqa: A002 - the name in all interfaces
        query: Query | None = None,
        schema: Schema | MessageCheck | SchemaOf | None = None,
        invalid_only: bool = False,
        unwraps: bool = False,
        explains: bool = False,
    ) -> None:
        """Create a selection, and compile its parts.

        Args:
            bindings: the bindings of the subscription.
            filter: a filter of records, which selects messages.
            query: a query, whose value replaces the record.
            schema: the schema, a check, or a function. A check applies to the whole message, even with `unwraps`. A
                function returns the schema or the check for an exchange, or None if its payloads are not validated.
            invalid_only: skip messages with a valid payload.
            unwraps: remove the envelope of mozillapulse. Filter, query and schema use the inner payload.
            explains: add to each record why each binding matched.

        Raises:
            ConfigurationError: Raised when `invalid_only` is set without a schema.
        """
        if invalid_only and schema is None:
            raise ConfigurationError("--invalid-only needs a schema: add --schema, as in --schema pulse-job")
        self.schema = schema
        self.query = query
        self.chooses: bool = filter is not None or query is not None or invalid_only
        self._filter = filter
        self._invalid_only = invalid_only
        self.unwraps = unwraps
        self.explains = explains
        self.attribution: MatchedBindings = MatchedBindings(bindings)
        self.plain: bool = not (self.chooses or unwraps or schema is not None or explains)

    @property
    def expressions(self) -> tuple[tuple[str, Filter | Query], ...]:
        """The names of the options with an expression, and the expressions."""
        given = (("--filter", self._filter), ("--query", self.query))
        return tuple((name, expression) for name, expression in given if expression is not None)

    def schema_of(self, exchange: str) -> Schema | MessageCheck | None:
        """Return the schema or the check for the payloads of an exchange, or None if they are not validated."""
        return self.schema(exchange) if callable(self.schema) else self.schema

    def choose(self, messages: Sequence[Message]) -> list[SelectedMessage]:
        """Return the selected messages."""
        selected = [SelectedMessage(message, self) for message in messages]
        return [one for one in selected if self._wants(one)] if self.chooses else selected

    def _wants(self, message: SelectedMessage) -> bool:
        if self._invalid_only and message.valid is not False:
            return False
        if self._filter is not None and not self._filter.matches(message.record):
            return False
        return self.query is None or message.answer is not None


class SelectedMessage:
    """A message and its parts, each computed on first use."""

    __slots__ = ("_answer", "_payload", "_problem", "_record", "_selection", "message")

    def __init__(self, message: Message, selection: Selection) -> None:
        self.message = message
        self._selection = selection
        self._payload: tuple[Any, dict[str, Any] | None] | None = None
        self._problem: str | None = None
        self._record: dict[str, Any] | None = None
        self._answer: str | None = None

    @property
    def payload(self) -> Any:
        """The payload, without its envelope if requested, or `NOT_JSON` if the body is not JSON."""
        return self._opened()[0]

    @property
    def envelope(self) -> dict[str, Any] | None:
        """The `_meta` of the removed envelope, or None."""
        return self._opened()[1]

    @property
    def problem(self) -> str:
        """The first problem of the payload. Empty if it is valid, or there is no schema."""
        if self._problem is None:
            self._problem = self._judge()
        return self._problem

    @property
    def valid(self) -> bool | None:
        """Whether the payload is valid, or None without a schema."""
        return None if self._selection.schema_of(self.message.exchange) is None else not self.problem

    @property
    def listens(self) -> bool:
        """Whether the bindings are known. The bindings of an existing queue are unknown."""
        return bool(self._selection.attribution)

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """The bindings that matched the message."""
        return self._selection.attribution.bindings(self.message)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The bindings that matched the message, and why."""
        return self._selection.attribution.reasons(self.message)

    @property
    def record(self) -> dict[str, Any]:
        """The record, with all requested members."""
        if self._record is None:
            self._record = self._write()
        return self._record

    @property
    def answer(self) -> str | None:
        """The value of the query as a line of JSON. None without a query, or if the query failed."""
        if self._answer is None and self._selection.query is not None:
            self._answer = self._selection.query.line(self.record)
        return self._answer

    def line(self) -> bytes:
        """Return the message as a line of NDJSON with its end."""
        selection = self._selection
        if selection.plain:
            more = {"size": len(self.message.body), "bindings": selection.attribution.names(self.message)}
            return record_line(self.message, more=more)
        if selection.query is not None:
            return f"{self.answer}\n".encode()
        return f"{dump_line(self.record)}\n".encode()

    def _opened(self) -> tuple[Any, dict[str, Any] | None]:
        if self._payload is None:
            try:
                payload = self.message.decoded
            except DocumentError:
                self._payload = NOT_JSON, None
            else:
                self._payload = unwrap(payload) if self._selection.unwraps else (payload, None)
        return self._payload

    def _judge(self) -> str:
        schema = self._selection.schema_of(self.message.exchange)
        if schema is None:
            return ""
        if self.payload is NOT_JSON:
            return str(NOT_JSON.value)
        if isinstance(schema, MessageCheck):
            return next(map(str, schema.problems(self.message, most=1)), "")
        if schema.is_valid(self.payload):
            return next(map(str, unwritable(self.payload, self.message.body)), "")
        # Only the first problem is shown, because a hostile message of ten megabytes may have millions of problems.
        return next(map(str, schema.problems(self.payload, most=1)), "refused by the schema")

    def _write(self) -> dict[str, Any]:
        selection, record = self._selection, message_record(self.message)
        record["size"] = len(self.message.body)
        record["bindings"] = [*selection.attribution.names(self.message)]
        if selection.explains:
            record["reasons"] = [
                {"binding": str(reason.binding), "key": reason.key, "reason": reason.words} for reason in self.reasons
            ]
        if selection.unwraps and "payload" in record:
            record["payload"], envelope = unwrap(record["payload"])
            record["envelope"] = envelope
        if selection.schema is not None:
            record["valid"] = self.valid
            record["problem"] = self.problem or None
        return record
