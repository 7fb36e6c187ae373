"""The options that change fields of payloads: `--set` and `--unset`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pulsekit.records.payload import open_document, open_payload, replace_payload

if TYPE_CHECKING:
    from pulsekit._documents.document import Document
    from pulsekit.schemas.edits import Edits
    from pulsekit.schemas.schema import Schema

__all__ = ["changed", "edited", "edits_of"]


def edits_of(assignments: list[str] | None, removals: list[str] | None, schema: Schema | None) -> Edits | None:
    """Return the requested changes, or None if there are none.

    Raises:
        ConfigurationError: Raised when a change has an invalid form, or the schema has no such field.
    """
    if not assignments and not removals:
        return None
    from pulsekit.schemas.edits import Edits

    return Edits(assignments or (), removals or (), schema=schema)


def changed(value: Any, edits: Edits) -> Any:
    """Return a payload or a record with the changes. Other lines of a recording are returned unchanged.

    Raises:
        InvalidInput: Raised when the payload has no object or list on the path of a field, or the record is invalid.
    """
    opened = open_payload(value)
    if opened is None:
        return value
    return edits.apply(value) if opened.record is None else _another(value, edits.apply(opened.value))


def edited(document: Document, edits: Edits) -> Document:
    """Return a document with the changes. New values have no position. Positions of other values do not change.

    Raises:
        InvalidPayload: Raised when the payload has no object or list on the path of a field, or the record is invalid.
    """
    opened = open_document(document)
    if opened is None:
        return document
    payload, record = opened
    if record is None:
        return edits.document(document)
    return edits.document(replace(document, value=_another(document.value, payload.value)), "payload")


def _another(record: Any, payload: Any) -> dict[str, Any]:
    """Return a record with another payload and without the message id, which would make it look like a duplicate."""
    value = replace_payload(record, payload)
    if isinstance(properties := value.get("properties"), dict):
        value["properties"] = {name: part for name, part in properties.items() if name != "message_id"}
    return value
