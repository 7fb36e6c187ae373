"""Bindings from an exchange to a queue or to another exchange (AMQP 0-9-1, queue.bind)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pulsekit.sandbox.codec.tables import encode_field

if TYPE_CHECKING:
    from pulsekit.sandbox.codec.tables import Table

__all__ = ["Binding"]

SourceT = TypeVar("SourceT")
DestinationT = TypeVar("DestinationT")


@dataclass(frozen=True)
class Binding(Generic[SourceT, DestinationT]):
    """A binding. Two bindings that differ only in their arguments are different bindings."""

    source: SourceT
    destination: DestinationT
    key: str
    arguments: bytes

    @classmethod
    def make(
        cls, source: SourceT, destination: DestinationT, key: str, arguments: Table
    ) -> Binding[SourceT, DestinationT]:
        """Build a binding from the fields of a Bind method. The order of the arguments has no meaning."""
        return cls(source, destination, key, encode_field(dict(sorted(arguments.items())))[5:])
