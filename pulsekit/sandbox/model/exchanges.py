"""Exchanges: their bindings, and the destinations of a message (AMQP 0-9-1 §3.1.3).

Every message is routed, but bindings change rarely. So an exchange has an index from keys to destinations, and a cache
of the last routed keys, which any change of bindings clears. A `topic` exchange uses `BindingTable` as its index.
`fanout` and `headers` check all bindings.

Invariants: `_index[key][destination]` is the number of bindings with that key and destination. They differ in their
arguments. A destination is removed from the index with its last binding. `binding.destination.sources` has the same
bindings as `bindings` of the source.

Example: queue `q` is bound twice with key `k`, with different arguments. `_index` is `{"k": {q: 2}}`, and a message
with key `k` has one destination. After one of the bindings is removed, `_index` is `{"k": {q: 1}}`.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

from pulsekit.bindings.table import BindingTable
from pulsekit.sandbox.codec import tables
from pulsekit.sandbox.model.arguments import EXCHANGE_ARGUMENTS, check_equivalent, yes_no
from pulsekit.sandbox.refusals import Refusal, inequivalent
from pulsekit.sandbox.releases import DEFAULT_RELEASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pulsekit.sandbox.model.bindings import Binding
    from pulsekit.sandbox.model.messages import Message
    from pulsekit.sandbox.model.queues import Queue
    from pulsekit.sandbox.releases import Release

__all__ = ["EXCHANGE_TYPES", "Destination", "Exchange", "ExchangeBinding"]

Destination: TypeAlias = "Queue | Exchange"
ExchangeBinding: TypeAlias = "Binding[Exchange, Destination]"

_CACHED_KEYS = 2048


class Exchange:
    """A `direct` exchange, which routes by equal keys. Exchanges of other types are subclasses.

    Attributes:
        sources: bindings whose destination is this exchange.
        bindings: bindings whose source is this exchange, in order.
    """

    type = "direct"

    def __init__(
        self,
        vhost: str,
        name: str,
        *,
        durable: bool = True,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: tables.Table | None = None,
        release: Release = DEFAULT_RELEASE,
    ) -> None:
        self.vhost = vhost
        self.name = name
        self.durable = durable
        self.auto_delete = auto_delete
        self.internal = internal
        self.release = release
        self.arguments = arguments if arguments is not None else tables.Table()
        self.alternate: str | None = self.arguments.get("alternate-exchange")
        self.bindings: dict[ExchangeBinding, None] = {}
        self.sources: dict[ExchangeBinding, None] = {}
        self._index: dict[str, Counter[Destination]] = {}
        self._cache: dict[str, tuple[Destination, ...]] = {}

    def __str__(self) -> str:
        return f"exchange '{self.name}' in vhost '{self.vhost}'"

    def check_equivalent(
        self, kind: str, *, durable: bool, auto_delete: bool, internal: bool, arguments: tables.Table
    ) -> None:
        """Compare a second declaration with the first.

        Raises:
            Refusal: Raised with 406 for the first property that differs.
        """
        if kind != self.type:
            raise inequivalent("type", str(self), f"'{kind}'", f"'{self.type}'")
        for name, received, current in (
            ("durable", durable, self.durable),
            ("auto_delete", auto_delete, self.auto_delete),
            ("internal", internal, self.internal),
        ):
            if received != current:
                raise inequivalent(name, str(self), yes_no(received), yes_no(current))
        check_equivalent(self.arguments, arguments, EXCHANGE_ARGUMENTS, str(self))

    def check_binding(self, arguments: tables.Table) -> None:
        """Check the arguments of a binding.

        Raises:
            Refusal: Raised with 406 if they are invalid for this type of exchange.
        """

    def bind(self, binding: ExchangeBinding) -> bool:
        """Add a binding. Return False if it existed."""
        if binding in self.bindings:
            return False
        self._add_to_index(binding)
        self.bindings[binding] = None
        self._index.setdefault(binding.key, Counter())[binding.destination] += 1
        binding.destination.sources[binding] = None
        self._cache.clear()
        return True

    def unbind(self, binding: ExchangeBinding) -> bool:
        """Remove a binding. Return False if it did not exist."""
        if binding not in self.bindings:
            return False
        del self.bindings[binding]
        del binding.destination.sources[binding]
        found = self._index[binding.key]
        found[binding.destination] -= 1
        if not found[binding.destination]:
            del found[binding.destination]
            if not found:
                del self._index[binding.key]
            self._remove_from_index(binding)
        self._cache.clear()
        return True

    def destinations(self, message: Message) -> Sequence[Destination]:
        """Return the destinations of a message, each at least once."""
        if len(message.keys) == 1:
            return self._for_key(message.routing_key)
        return [destination for key in message.keys for destination in self._for_key(key)]

    def _for_key(self, key: str) -> tuple[Destination, ...]:
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= _CACHED_KEYS:
                self._cache.clear()
            found = self._cache[key] = tuple(self._match(key))
        return found

    def _add_to_index(self, binding: ExchangeBinding) -> None:
        """Add the binding to the index of a subclass."""

    def _remove_from_index(self, binding: ExchangeBinding) -> None:
        """Remove a destination with this key from the index of a subclass."""

    def _match(self, key: str) -> Iterable[Destination]:
        return self._index.get(key, ())


class _Fanout(Exchange):
    type = "fanout"

    def _match(self, key: str) -> Iterable[Destination]:
        del key
        return dict.fromkeys(binding.destination for binding in self.bindings)


class _Topic(Exchange):
    type = "topic"

    @cached_property
    def _table(self) -> BindingTable[Destination]:
        return BindingTable()

    def _add_to_index(self, binding: ExchangeBinding) -> None:
        self._table.add(binding.key, binding.destination)

    def _remove_from_index(self, binding: ExchangeBinding) -> None:
        self._table.remove(binding.key, binding.destination)

    def _match(self, key: str) -> Iterable[Destination]:
        return self._table.matches(key)


class _Headers(Exchange):
    type = "headers"

    def check_binding(self, arguments: tables.Table) -> None:
        match = arguments.get("x-match", "all")
        if not isinstance(match, str):
            kind = tables.TYPE_NAMES[arguments.letters["x-match"]]
            raise Refusal(406, f"Invalid x-match field type {kind} (value {match}); expected longstr")
        if match not in {"all", "any", "all-with-x", "any-with-x"}:
            wanted = "expected all, any, all-with-x, or any-with-x"
            raise Refusal(406, f'Invalid x-match field value <<"{match}">>; {wanted}')

    def destinations(self, message: Message) -> Sequence[Destination]:
        headers = message.properties.headers if "headers" in message.properties else {}
        return [
            binding.destination
            for binding in self.bindings
            if _headers_match(tables.decode(binding.arguments), headers, exact=self.release.exact_numbers)
        ]


def _headers_match(wanted: tables.Table, headers: dict[str, object], *, exact: bool) -> bool:
    match = wanted.get("x-match", "all")
    matches = [
        name in headers and (value is None or _equal(value, headers[name], exact=exact))
        for name, value in wanted.items()
        if name != "x-match" and (match.endswith("-with-x") or not name.startswith("x-"))
    ]
    return all(matches) if match.startswith("all") else any(matches)


def _equal(wanted: object, given: object, *, exact: bool) -> bool:
    """Compare two values as Erlang does: text can equal binary data, and an integer can equal a timestamp."""
    wanted, given = _term(wanted), _term(given)
    numbers = isinstance(wanted, int | float) and isinstance(given, int | float) and not exact
    return wanted == given and (type(wanted) is type(given) or (numbers and bool not in {type(wanted), type(given)}))


def _term(value: object) -> object:
    if isinstance(value, tables.Timestamp):
        return int(value)
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


EXCHANGE_TYPES: Final[dict[str, type[Exchange]]] = {kind.type: kind for kind in (Exchange, _Fanout, _Topic, _Headers)}
