"""Resolve the references of a schema to subschemas and to embedded files.

The plan: `References` walks the schema once, and notes the base URI of each subschema, to which its references are
relative. A subschema with an `$id` (`id` in draft 4) begins a resource. Its URI is the base of all references inside
it, and a `$ref` can name it. A target is found in two steps. The URI before the `#` selects the resource. The text
after the `#` selects the place in the resource, by a JSON pointer or by the name in an `$id` such as `#name`.

    {"id": "https://example.com/v1/job.json",
     "properties": {"info": {"id": "info.json", …}, "more": {"$ref": "info.json"}}}

`more` names the subschema at `/properties/info`, whose URI is `https://example.com/v1/info.json`.

Source: JSON Schema core, draft 4 §7 and drafts 6 and 7 §8.2; where these leave a choice, the verdict is that of
Python's `jsonschema`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urldefrag, urljoin

from pulsekit._documents.values import pointer_token, pointer_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Found", "References"]

_Keywords: TypeAlias = "Mapping[str, tuple[str, int]]"
# The target of a reference and its place for messages, or the reason why there is no target.
Found: TypeAlias = tuple[Any, str] | str

_SCHEMA = frozenset({"schema", "additional", "items"})
_LIST = frozenset({"schemas", "items"})
_OBJECT = frozenset({"members", "patterns", "definitions", "dependencies"})


class References:
    """The resources of a schema, by URI.

    The schema is plain JSON, which must not change. It need not be well formed, but must not be nested too deeply.
    `keywords` are those of `drafts`.
    """

    def __init__(self, root: Any, draft: int, keywords: _Keywords) -> None:
        self._id_keyword = "id" if draft == 4 else "$id"
        self._shapes = {keyword: shape for keyword, (shape, since) in keywords.items() if since <= draft}
        self._bases: dict[int, str] = {}
        self._resources: dict[str, tuple[Any, str]] = {}
        self._names: dict[tuple[str, str], tuple[Any, str]] = {}
        self._references: list[tuple[str, dict[str, Any]]] = []
        self._walk(root, "", "")
        self._resources.setdefault(self._bases.get(id(root), ""), (root, ""))

    def resolve(self, schema: dict[str, Any]) -> Found:
        """Find the target of the `$ref` of a subschema."""
        reference: str = schema["$ref"]
        base = self._bases.get(id(schema), "")
        try:
            uri, fragment = (base, reference[1:]) if reference[:1] == "#" else urldefrag(urljoin(base, reference))
        except ValueError:  # a malformed host
            return f"names {reference!a}, which is not a URI"
        found = self._resources.get(uri)
        if found is None:
            return f"names {reference!a}, which is outside of this schema; nothing is fetched"
        tokens = pointer_tokens(unquote(fragment))
        if tokens is None:
            named = self._names.get((uri, fragment))
            return named or f"names {reference!a}, but must be a path such as #/definitions/name"
        target, where = found
        for token in tokens:
            target, where = _member(target, token), f"{where}/{pointer_token(token)}"
            if target is None:
                return f"names {reference!a}, which is not in this schema"
            uri = self._bases.get(id(target), uri)
        self._walk(target, uri, where)  # if a place that only a reference leads to, such as `#/shared/name`
        return target, where

    def missing(self) -> Iterator[tuple[str, str]]:
        """Yield the URI of each resource that a reference names and the schema lacks, with the place of the `$ref`."""
        for where, schema in self._references:
            with suppress(ValueError):
                uri = urldefrag(urljoin(self._bases[id(schema)], schema["$ref"]))[0]
                if uri not in self._resources and not schema["$ref"].startswith("#"):
                    yield uri, f"{where}/$ref"

    def _walk(self, schema: Any, base: str, where: str) -> None:
        left = [(schema, base, where)]
        while left:
            schema, base, where = left.pop()
            if not isinstance(schema, dict) or id(schema) in self._bases:
                continue
            base = self._begin(schema, base, where)
            self._bases[id(schema)] = base
            if isinstance(schema.get("$ref"), str):
                self._references.append((where, schema))
            left += [(inner, base, f"{where}/{path}") for path, inner in self._inner(schema)]

    def _begin(self, schema: dict[str, Any], base: str, where: str) -> str:
        """Return the base of a subschema. If it begins a resource, or has a name, note this."""
        own = schema.get(self._id_keyword)
        if not isinstance(own, str) or "$ref" in schema:  # keywords beside a $ref are ignored
            return base
        if own.startswith("#"):
            self._names.setdefault((base, own[1:]), (schema, where))
            return base
        try:
            base = urljoin(base, own.rstrip("#"))
        except ValueError:
            return base
        self._resources.setdefault(base, (schema, where))
        return base

    def _inner(self, schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield the subschemas of a schema, each with its path."""
        for keyword, value in schema.items():
            shape = self._shapes.get(keyword, "")
            if isinstance(value, dict) and shape in _SCHEMA:
                yield pointer_token(keyword), value
            elif isinstance(value, dict) and shape in _OBJECT:
                yield from ((f"{keyword}/{pointer_token(name)}", inner) for name, inner in value.items())
            elif isinstance(value, list) and shape in _LIST:
                yield from ((f"{keyword}/{number}", inner) for number, inner in enumerate(value))


def _member(value: Any, token: str) -> Any:
    """Return one member of an object or list, or None."""
    if isinstance(value, list):
        return value[int(token)] if token.isdecimal() and int(token) < len(value) else None
    return value.get(token) if isinstance(value, dict) else None
