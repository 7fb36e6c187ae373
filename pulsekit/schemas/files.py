"""Embed the files to which a schema refers, so that a set of files becomes one schema.

Only files in the folder of the schema and below are read. Other folders cannot be reached, even by `..` or a link, and
the network is not used. Each file becomes a member of `definitions` with its URI as `$id`, so that all references of
the set can be resolved without changes (JSON Schema core, draft 7 §8.2.4):

    job.json:   {"properties": {"status": {"$ref": "status.json#"}}}
    is read as: {"properties": …, "definitions": {"status.json": {"$id": "status.json", …}}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from pulsekit._documents.nesting import MAX_DEPTH, is_deeper
from pulsekit.errors import SchemaError
from pulsekit.schemas.drafts import KEYWORDS, draft_of
from pulsekit.schemas.reading import parse_schema, read_file
from pulsekit.schemas.references import References

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["embed_files"]

_MOST_FILES = 200  # Taskcluster has thirty for all its messages


def embed_files(root: Any, path: Path) -> Any:
    """Return a schema in which each file to which it refers is a definition.

    References to files outside of the folder are not changed: `check_schema` refuses them.

    Args:
        root: the schema, which is not changed.
        path: the file of the schema.

    Raises:
        SchemaError: Raised when a file of the set cannot be read, is outside of the folder, or has another draft.
    """
    if not isinstance(root, dict) or not isinstance(root.get("definitions", {}), dict) or is_deeper(root, MAX_DEPTH):
        return root
    draft = draft_of(root)
    identifier = root.get("id" if draft == 4 else "$id")
    place = urljoin(identifier.rstrip("#"), ".") if isinstance(identifier, str) and "$ref" not in root else ""
    root = root | {"definitions": {**root.get("definitions", {})}}
    folder, embedded = path.parent.resolve(), set[str]()
    while missing := dict(References(root, draft, KEYWORDS).missing()):
        files = {uri: name for uri in missing if (name := _file_name(uri, place)) and uri not in embedded}
        for uri, name in files.items():
            embedded.add(uri)
            if len(embedded) > _MOST_FILES:
                raise SchemaError(f"the schema refers to more than {_MOST_FILES} files")
            root["definitions"][name if name not in root["definitions"] else uri] = _read(
                uri, name, folder, draft, missing[uri]
            )
        if not files:
            break
    return root


def _file_name(uri: str, place: str) -> str:
    """Return the path of a resource, relative to the folder with the URI `place`, or an empty text if it is outside."""
    if not uri.startswith(place) or (not place and (urlsplit(uri).scheme or urlsplit(uri).netloc)):
        return ""
    return unquote(uri.removeprefix(place))


def _read(uri: str, name: str, folder: Path, draft: int, where: str) -> Any:
    wrong = f"the schema is invalid at {where}: it names {name!r}"
    try:
        path = (folder / name).resolve()
        inside, there = path.is_relative_to(folder), path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # a zero byte, or links in a circle
        raise SchemaError(f"{wrong}, which cannot be read: {error}") from None
    if not inside:
        raise SchemaError(f"{wrong}, which is outside of this schema and its folder; nothing is fetched")
    if not there:
        raise SchemaError(f"{wrong}, which is outside of this schema; nothing is fetched, and there is no such file")
    schema = parse_schema(read_file(path, name), name)
    if is_deeper(schema, MAX_DEPTH - 2):
        raise SchemaError(f"the schema {name!r} is nested too deeply")
    if isinstance(schema, dict) and "$schema" in schema and draft_of(schema) != draft:
        raise SchemaError(f"{wrong}, whose draft is {draft_of(schema)}; this schema is of draft {draft}")
    keyword = "id" if draft == 4 else "$id"
    if isinstance(schema, dict) and "$ref" not in schema:
        return schema | {keyword: uri}
    return {keyword: uri, "allOf": [schema]}  # an $id beside a $ref is ignored, and true and false cannot have one
