"""What the linter found, with its place in the text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pulsekit._documents.document import Document
    from pulsekit.treeherder.lint import Finding

__all__ = ["Placed", "placed"]


class Placed(NamedTuple):  # a data class would take a millisecond of the start
    """Hold what the linter found, with its place in the text."""

    finding: Finding
    line: int | None
    column: int | None


def placed(findings: Iterable[Finding], document: Document) -> list[Placed]:
    """Return what the linter found in a document, with its places."""
    return [Placed(one, *document.place(one.pointer)) for one in findings]
