"""Routing keys of known exchanges, as named fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pulsekit.catalogue.exchanges import find_exchange

__all__ = ["Key", "read_key"]


class Key(Mapping[str, str]):
    """The named fields of a routing key: `key.taskId` or `key["taskId"]`.

    The mapping contains the fields that have a value. As an attribute, a field without a value is None. If the
    catalogue does not have the exchange, or the key has another form, the mapping is empty.
    """

    __slots__ = ("_names", "_values", "_whose")

    def __init__(self, values: Mapping[str, str], names: tuple[str, ...], whose: str) -> None:
        self._values = values
        self._names = names  # the names of all fields
        self._whose = whose  # the exchange, for messages

    def __getattr__(self, name: str) -> str | None:
        if name.startswith("_"):  # not a field; `copy` and `pickle` use such names before __init__
            raise AttributeError(name)
        if name in self._names:
            return self._values.get(name)
        if not self._names:
            raise AttributeError(f"the key has no field {name!r}: {self._whose} is not in the catalogue of exchanges")
        raise AttributeError(f"keys of {self._whose} have no field {name!r}; the fields are {', '.join(self._names)}")

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Key {dict(self._values)}>"


def read_key(exchange: str, key: str) -> Key:
    """Return the named fields of a routing key of the exchange with this full name."""
    known = find_exchange(exchange)
    if known is None:
        return Key({}, (), exchange)
    return Key(known.read_key(key) or {}, tuple(field.name for field in known.fields), known.name)
