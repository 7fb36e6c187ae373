"""The fields that a JMESPath expression reads, but that no record has had.

An expression with a misspelt field is valid. Its value is null for every record, so a filter selects no record, without
an error. So commands finally report the fields that no record had.

    missing = MissingFields(jmespath.compile("payload.reslt == 'fail'").parsed)
    missing.look({"payload": {"result": "fail"}})
    missing.words()                        # ("payload.reslt; did you mean payload.result?",)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pulsekit._documents.suggestions import Guesses

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MissingFields"]

_Path: TypeAlias = tuple[str, ...]

# Nodes of the syntax tree whose first child reads the current value, and the others read its result.
_FIRST = {"index_expression", "projection", "value_projection", "filter_projection", "flatten", "slice", "pipe"}
# Nodes whose children all read the current value.
_ALL = {
    "and_expression", "comparator", "function_expression", "key_val_pair", "multi_select_dict", "multi_select_list",
    "not_expression", "or_expression",
}  # fmt: skip
_MOST_NAMES = 1000  # names remembered for a suggestion


class MissingFields:
    """The fields of an expression that no record has had. The expression is a syntax tree of jmespath.

    The object is false if every field was found.
    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        paths: list[_Path] = []
        paths.append(_collect(tree, (), paths) or ())
        # For each path: the largest number of steps that a record had, and the names at the place of the missing step.
        self._left: dict[_Path, tuple[int, set[str]]] = {path: (0, set()) for path in paths if path}

    def __bool__(self) -> bool:
        return bool(self._left)

    def look(self, record: Mapping[str, Any]) -> None:
        """Remove the fields that a record has, even if their value is null."""
        for path in [*self._left]:
            value: Any = record
            for depth, name in enumerate(path):
                if not isinstance(value, dict) or name not in value:
                    self._note(path, depth, value)
                    break
                value = value[name]
            else:
                del self._left[path]

    def _note(self, path: _Path, depth: int, value: Any) -> None:
        """Store where the path ended in a record, and the names that the record has at this place."""
        most, names = self._left[path]
        if depth > most:
            self._left[path] = most, names = depth, set()
        if depth == most and isinstance(value, dict) and len(names) < _MOST_NAMES:
            names.update(value)

    def words(self) -> tuple[str, ...]:
        """Return each field that no record had, with a suggestion."""
        return tuple(dict.fromkeys(self._words()))

    def _words(self) -> Iterator[str]:
        guesses = Guesses()
        for path, (depth, names) in self._left.items():
            near = guesses.nearest(path[depth], names)
            meant = f"; did you mean {'.'.join((*path[:depth], near))}?" if near else ""
            yield f"{'.'.join(path[: depth + 1])}{meant}"


def _collect(node: Mapping[str, Any], base: _Path, found: list[_Path]) -> _Path | None:
    """Add the paths that an expression reads. Return the path of the expression if it has only names, else None.

    `base` is the path of the current value.
    """
    kind, children = node["type"], node["children"]
    if kind == "field":
        return (*base, node["value"])
    if kind in {"identity", "current"}:
        return base
    if kind == "subexpression":
        path: _Path | None = base
        for child in children:
            if path is None:
                return None
            path = _collect(child, path, found)
        return path
    if kind in _FIRST or kind in _ALL:
        for child in children[: 1 if kind in _FIRST else None]:
            path = _collect(child, base, found)
            if path is not None:
                found.append(path)
    return None
