"""Options that change fields of payloads on their way: `--set` and `--unset`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit.errors import InvalidInput, InvalidPayload, Problem

if TYPE_CHECKING:
    from pulsekit._documents.document import Document
    from pulsekit.schemas.edits import Edits
    from pulsekit.schemas.schema import Schema

__all__ = ["SetOption", "UnsetOption", "changed", "edited", "edits_of"]

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change a field on the way, such as state=running or timeStarted=now (repeatable).",
        show_default=False,
    ),
]
UnsetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--unset",
        metavar="PATH",
        help="Leave a field out, such as result, before --set (repeatable).",
        show_default=False,
    ),
]


def edits_of(assignments: list[str] | None, removals: list[str] | None, schema: Schema | None) -> Edits | None:
    """Return the changes that were asked for, or None when there are none.

    Raises:
        ConfigurationError: one cannot be understood, or names what the schema has no place for.
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
    from pulsekit.records.record import is_metadata, is_record

    if is_metadata(value):
        return value
    if is_record(value):
        record = _opened(value)
        return record | {"payload": edits.apply(record["payload"])}
    return edits.apply(value)


def edited(document: Document, edits: Edits) -> Document:
    """Return the same of a document; what was set has no place in its text, and all else keeps its own.

    Raises:
        InvalidPayload: it has something else where a field should be put, or is a record that cannot be read.
    """
    from dataclasses import replace

    from pulsekit.records.record import is_metadata, is_record

    value: Any = document.value
    if is_metadata(value):
        return document
    if not is_record(value):
        return edits.document(document)
    try:
        opened = replace(document, value=_opened(value))
    except InvalidInput as error:
        problem = Problem("", "record", str(error)).at(*(document.locate("") or (None, None)))
        raise InvalidPayload([problem]) from None
    return edits.document(opened, "payload")


def _opened(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with the payload that would be sent, and without what holds for its former body alone."""
    from pulsekit.records.record import read_record

    kept = {name: part for name, part in record.items() if name not in {"body", "body_b64"}}
    kept["payload"] = read_record(record).payload
    if isinstance(properties := record.get("properties"), dict):
        # It is another message now; whoever drops messages that came before knows them by their ids.
        kept["properties"] = {name: part for name, part in properties.items() if name != "message_id"}
    return kept
