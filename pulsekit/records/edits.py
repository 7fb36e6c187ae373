"""Options that change fields of payloads on their way: `--set` and `--unset`."""

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
    """Return the changes that were asked for, or None when there are none.

    Raises:
        ConfigurationError: Raised when one cannot be understood, or names what the schema has no place for.
    """
    if not assignments and not removals:
        return None
    from pulsekit.schemas.edits import Edits

    return Edits(assignments or (), removals or (), schema=schema)


def changed(value: Any, edits: Edits) -> Any:
    """Return a payload changed, or the record of one; a line of a recording that is no message stays as it is.

    Raises:
        InvalidInput: it has something else where a field should be put, or is a record that cannot be read.
    """
    opened = open_payload(value)
    if opened is None:
        return value
    return edits.apply(value) if opened.record is None else _another(value, edits.apply(opened.value))


def edited(document: Document, edits: Edits) -> Document:
    """Return the same of a document; what was set has no place in its text, and all else keeps its own.

    Raises:
        InvalidPayload: it has something else where a field should be put, or is a record that cannot be read.
    """
    opened = open_document(document)
    if opened is None:
        return document
    payload, record = opened
    if record is None:
        return edits.document(document)
    return edits.document(replace(document, value=_another(document.value, payload.value)), "payload")


def _another(record: Any, payload: Any) -> dict[str, Any]:
    """Return a record of another message: consumers that drop duplicates know a message by its id."""
    value = replace_payload(record, payload)
    if isinstance(properties := value.get("properties"), dict):
        value["properties"] = {name: part for name, part in properties.items() if name != "message_id"}
    return value
