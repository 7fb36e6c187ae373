"""The payload of a JSON value: the value itself, or the payload of a record.

    payload, record = open_document(document)    # the payload with its positions; None for a bare payload

`validate`, `preview`, `publish` and `--set` all read records through this module. `records.record` is imported when a
value may be a record. A file of jobs does not need it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pulsekit.errors import InvalidInput, InvalidPayload, Problem

if TYPE_CHECKING:
    from pulsekit._documents.document import Document
    from pulsekit.records.record import Record

__all__ = ["OpenedPayload", "may_be_record", "open_document", "open_payload", "replace_payload"]

_BODIES = ("body", "body_b64")


class OpenedPayload:
    """A payload and its `record`. The record of a bare payload is None."""

    def __init__(self, content: Any, record: Record | None, within: Document | None) -> None:
        self.record = record
        self._content = content
        self._within = within

    @cached_property
    def value(self) -> Any:
        """The payload. If the record has an exact body, the payload is from the body.

        Raises:
            DocumentError: Raised when the body is not JSON.
        """
        return self._content if self.record is None else self.record.payload

    @property
    def part(self) -> Document | None:
        """The part of the document that contains the payload, or None if the value was not read from a document."""
        return self._within if self._within is None or self.record is None else _part(self._within)

    @property
    def document(self) -> Document | None:
        """The payload as a document, or None if the value was not read from a document.

        If a record has both a payload and a body, the positions are from the payload, in which more values have a
        position.

        Raises:
            DocumentError: Raised when the body is not JSON.
        """
        if self._within is None or self.record is None:
            return self._within
        return replace(_part(self._within), value=self.value)


def may_be_record(value: Any) -> bool:
    """Return whether a value has a member that every line of a recording has and no job has."""
    return isinstance(value, dict) and ("routing_key" in value or "type" in value or "routingKey" in value)


def open_payload(value: Any, document: Document | None = None) -> OpenedPayload | None:
    """Return the payload of a JSON value, or None for a header, gap or trailer of a recording.

    The value is a payload, or a record of a message.

    Raises:
        InvalidMessage: Raised when the record cannot be read.
    """
    if not may_be_record(value):
        return OpenedPayload(value, None, document)
    from pulsekit.records.record import is_metadata, is_record, read_record

    if is_metadata(value):
        return None
    return OpenedPayload(value, read_record(value) if is_record(value) else None, document)


def open_document(document: Document) -> tuple[Document, Record | None] | None:
    """Return the payload of a document and its record, or None for a header, gap or trailer of a recording.

    Raises:
        InvalidPayload: Raised when the record cannot be read, or its body is not JSON. The error has the position.
    """
    if not may_be_record(document.value):
        return document, None
    try:
        opened = open_payload(document.value, document)
        payload = None if opened is None else opened.document or document
    except InvalidInput as error:
        problem = Problem("", "record", str(error)).at(*_part(document).place(""))
        raise InvalidPayload([problem]) from None
    return None if opened is None or payload is None else (payload, opened.record)


def replace_payload(record: dict[str, Any], payload: Any) -> dict[str, Any]:
    """Return the JSON of a record with another payload and without the exact body."""
    return {name: part for name, part in record.items() if name not in _BODIES} | {"payload": payload}


def _part(document: Document) -> Document:
    """Return the member of a record that contains the payload."""
    value: Any = document.value
    return document.child(next(name for name in ("payload", *_BODIES) if name in value))
