"""Known exchanges of Pulse: the fields of their routing keys, and the schemas of their messages.

    catalogue.pattern("task-failed", schedulerId="gecko-level-3")    # "primary.*.*.*.*.*.*.gecko-level-3.#"
    catalogue.find_exchange("task-failed").name                       # "exchange/taskcluster-queue/v1/task-failed"
    catalogue.message_schema("task-failed").check(payload)

`pulsekit.catalogue.types` has a type for each message of Taskcluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.catalogue.exchanges import (
        KeyField,
        KnownExchange,
        find_exchange,
        full_name,
        known_exchanges,
        message_schema,
    )
    from pulsekit.catalogue.key_patterns import KnownLayouts, bindings, pattern, patterns, read_binding, read_bindings
    from pulsekit.catalogue.keys import Key, read_key

__all__ = [
    "Key", "KeyField", "KnownExchange", "KnownLayouts", "bindings", "find_exchange", "full_name",
    "known_exchanges", "message_schema", "pattern", "patterns", "read_binding", "read_bindings", "read_key",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "exchanges": "KeyField KnownExchange find_exchange full_name known_exchanges message_schema",
        "keys": "Key read_key",
        "key_patterns": "KnownLayouts bindings pattern patterns read_binding read_bindings",
    },
)
