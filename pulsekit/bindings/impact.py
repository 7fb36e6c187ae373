"""Count the messages that would start or stop arriving when bindings change, in the memory of the bindings alone.

A queue gets a message once, however many of its bindings match: a message starts to arrive if a new binding matches and
no old one does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pulsekit.bindings.registration import diff
from pulsekit.bindings.table import BindingTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pulsekit.bindings.matching import RoutedMessage
    from pulsekit.bindings.registration import Binding

__all__ = ["BindingCount", "BindingImpact"]

_EXAMPLES = 3  # keys kept for each binding


@dataclass(slots=True)
class BindingCount:
    """Count what a change means for the messages of one binding.

    Attributes:
        binding: the binding.
        change: `added`, `removed` or `kept`.
        takes: messages that it takes.
        moves: of those, the ones that would start to arrive through an added one, or stop with a removed one, because
            no other binding brings them before or afterwards.
        examples: the first few routing keys of those that move, or that are taken when it is kept; each once.
    """

    binding: Binding
    change: str
    takes: int = 0
    moves: int = 0
    examples: list[str] = field(default_factory=list)


class BindingImpact:
    """Compare what arrives before and after a change of bindings, message by message.

    Args:
        old: what is bound now.
        new: what would be bound.

    Attributes:
        counts: one for each binding: those removed, those added, those kept.
        messages: how many were counted, of which
        starts: so many would start to arrive,
        stops: so many would stop,
        stays: so many arrive before and after,
        misses: and so many neither before nor after.
    """

    def __init__(self, old: Iterable[Binding], new: Iterable[Binding]) -> None:
        change = diff(old, new)
        self.counts = [
            BindingCount(binding, kind)
            for kind, bindings in (("removed", change.removed), ("added", change.added), ("kept", change.kept))
            for binding in bindings
        ]
        self.messages = self.starts = self.stops = self.stays = self.misses = 0
        self._tables: dict[str, BindingTable[int]] = {}
        for number, count in enumerate(self.counts):
            table = self._tables.setdefault(count.binding.exchange, BindingTable())
            table.add(count.binding.pattern, number)

    def count(self, message: RoutedMessage) -> None:
        """Count one message; when its exchange is not known, as if it had been published to each that is bound."""
        tables = [self._tables.get(message.exchange)] if message.exchange else self._tables.values()
        kinds = {self._count(table, message.keys) for table in tables if table is not None}
        self.messages += 1
        self.starts += "added" in kinds
        self.stops += "removed" in kinds
        self.stays += "kept" in kinds
        self.misses += kinds <= {""}

    def _count(self, table: BindingTable[int], keys: tuple[str, ...]) -> str:
        """Count a message for the bindings of one exchange, and return what becomes of it there."""
        numbers = table.matches(keys[0])
        for key in keys[1:]:
            numbers += table.matches(key)
        taken = [self.counts[number] for number in dict.fromkeys(numbers)]
        changes = {count.change for count in taken}
        becomes = changes.pop() if len(changes) == 1 else "kept" if changes else ""
        for count in taken:
            count.takes += 1
            count.moves += becomes == count.change != "kept"
            if becomes == count.change and len(count.examples) < _EXAMPLES and keys[0] not in count.examples:
                count.examples.append(keys[0])
        return becomes
