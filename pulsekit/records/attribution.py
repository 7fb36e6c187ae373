"""Find the bindings that matched a message, and why. The broker does not report them.

A binding matches the routing key or a key of the CC header (https://www.rabbitmq.com/docs/sender-selected). If no known
binding matches, the message matched by a key of the BCC header, which the broker removes, or by an older binding of a
durable queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pulsekit.bindings.matching import explain_match
from pulsekit.bindings.table import BindingTable
from pulsekit.errors import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pulsekit.bindings.registration import Binding
    from pulsekit.messages import Message

__all__ = ["MatchedBindings", "Reason"]

_MEMO = 4096  # routing keys with a cached result


class Reason(NamedTuple):
    """The key of a message that a binding matched.

    Attributes:
        binding: the binding.
        key: the routing key or the CC key.
        words: the parts of the pattern with the words that they matched, as text.
    """

    binding: Binding
    key: str
    words: str


class MatchedBindings:
    """The bindings of a subscription. Matching bindings are returned in their order."""

    def __init__(self, bindings: Iterable[Binding]) -> None:
        self._bindings = tuple(dict.fromkeys(bindings))
        self._tables: dict[str, BindingTable[int]] = {}
        for number, binding in enumerate(self._bindings):
            self._tables.setdefault(binding.exchange, BindingTable()).add(binding.pattern, number)
        self._memo: dict[tuple[str, str], list[str]] = {}

    def __len__(self) -> int:
        return len(self._bindings)

    def bindings(self, message: Message) -> tuple[Binding, ...]:
        """Return the bindings that match a key of the message. Empty if an unknown key or binding matched."""
        table = self._tables.get(message.exchange)
        if table is None:
            return ()
        numbers = {number for key in _keys(message) for number in table.matches(key)}
        return tuple(self._bindings[number] for number in sorted(numbers))

    def reasons(self, message: Message) -> tuple[Reason, ...]:
        """Return the bindings that match a key of the message, each with the first key that it matches."""
        reasons = []
        for binding in self.bindings(message):
            key, why = next((key, why) for key in _keys(message) if (why := explain_match(binding.pattern, key)))
            reasons.append(Reason(binding, key, why.reason))
        return tuple(reasons)

    def names(self, message: Message) -> list[str]:
        """Return the bindings that match as `EXCHANGE:PATTERN`. Results for messages with one key are cached."""
        keys = _keys(message)
        route = (message.exchange, message.routing_key)
        names = self._memo.get(route) if len(keys) == 1 else None
        if names is None:
            names = [str(binding) for binding in self.bindings(message)]
            if len(keys) == 1:
                if len(self._memo) >= _MEMO:
                    self._memo.clear()
                self._memo[route] = names
        return names


def _keys(message: Message) -> tuple[str, ...]:
    try:
        return (message.routing_key, *message.cc)
    except InvalidMessage:  # malformed headers
        return (message.routing_key,)
