"""Read the file of a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._documents.document import parse_json, parse_yaml
from pulsekit.errors import DocumentError, SchemaError

if TYPE_CHECKING:
    from pathlib import Path

    from pulsekit._documents.values import JSON

__all__ = ["MAX_FILE", "parse_schema", "read_file"]

MAX_FILE = 4 * 1024 * 1024  # bytes: five hundred times Treeherder's schema


def read_file(path: Path, name: str) -> bytes:
    """Return the bytes of a schema file.

    Args:
        path: the file.
        name: the name of the file in messages.

    Raises:
        FileNotFoundError: Raised when there is no such file.
        SchemaError: Raised when the file cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SchemaError(f"the schema {name!r} cannot be read: {reason}") from error
    if len(data) > MAX_FILE:
        raise SchemaError(f"the schema {name!r} cannot be read: it has more than {MAX_FILE >> 20} MiB")
    return data


def parse_schema(data: bytes, name: str) -> JSON:
    """Parse the bytes of a file as JSON if its name ends in `.json`, else as YAML.

    Raises:
        SchemaError: Raised when the bytes are neither JSON nor YAML.
    """
    parse = parse_json if name.lower().endswith(".json") else parse_yaml
    try:
        return parse(data, source=name).value
    except DocumentError as error:
        raise SchemaError(f"the schema cannot be read: {error}") from error
