"""Count the messages that would start or stop arriving when bindings change. Messages are not stored.

A queue receives a message once, even if several of its bindings match. So a message starts to arrive if a new binding
matches it and no old binding does.
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
    """The effect of a change on the messages of one binding.

    Attributes:
        binding: the binding.
        change: `added`, `removed` or `kept`.
        takes: the number of messages that the binding matches.
        moves: the number of these messages that would start or stop arriving with this binding, because no other
            binding matches them before or after the change.
        examples: the first few routing keys of the messages that start or stop arriving. For a kept binding: of the
            messages that it matches.
    """

    binding: Binding
    change: str
    takes: int = 0
    moves: int = 0
    examples: list[str] = field(default_factory=list)


class BindingImpact:
    """A comparison, message by message, of what arrives before and after a change of bindings.

    Attributes:
        counts: one for each binding. The order is removed, added, kept.
        messages: the number of messages counted.
        starts: the number of messages that would start to arrive.
        stops: the number of messages that would stop arriving.
        stays: the number of messages that arrive before and after the change.
        misses: the number of messages that arrive neither before nor after the change.
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
        """Count one message. If its exchange is unknown, count it for each exchange that has a binding."""
        tables = [self._tables.get(message.exchange)] if message.exchange else self._tables.values()
        kinds = {self._count(table, message.keys) for table in tables if table is not None}
        self.messages += 1
        self.starts += "added" in kinds
        self.stops += "removed" in kinds
        self.stays += "kept" in kinds
        self.misses += kinds <= {""}

    def _count(self, table: BindingTable[int], keys: tuple[str, ...]) -> str:
        """Count a message for the bindings of one exchange. Return its change, empty if no binding matches."""
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
