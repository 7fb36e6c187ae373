"""Find the bindings that take a key, in tables of growing size."""

from __future__ import annotations

import random
import tracemalloc
from functools import partial
from itertools import cycle, islice
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.measure import Client, Failed, Meter, Part, Task
from pulsekit.topics import BindingTable, topic_matches

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PART"]

_SIZES = (10, 100, 1_000, 10_000, 100_000)
_KEYS = 40_000  # several times what the table remembers: each is forgotten before it comes again
_REMEMBERED = 1_000
_MEMO_LOOKUPS = 100_000
_COMPARISONS = 100_000  # of a key with a pattern, to check the table

# As they are met on Pulse: of Treeherder's jobs, of Taskcluster, and of its index.
_PATTERNS = (
    "treeherder-{few}.{many}{end}",
    "primary.{id}.#",
    "primary.*.*.*.*.gcp-{few}.gecko-t-{many}.#",
    "#.{many}-{few}",
    "route.index.gecko.v2.{many}.revision.{id}.#",
    "route.tc-treeherder.v2.{many}.{id}.{few}",
)


def _look_up(_: Task, meter: Meter, size: int) -> None:
    chance = random.Random(size)
    patterns = _distinct(size, lambda: _invent(chance))
    bindings = [(pattern, f"queue/user/{number}") for number, pattern in enumerate(patterns)]
    keys = _distinct(
        _KEYS, lambda: _fill(chance, chance.choice(patterns) if chance.random() < 0.5 else _invent(chance))
    )
    table = _table(bindings)
    for key in keys[: _COMPARISONS // size]:
        if table.matches(key) != [value for pattern, value in bindings if topic_matches(pattern, key)]:
            raise Failed(f"the table is wrong about {key}")
    supply = cycle(keys)
    for count in meter.phases(_REMEMBERED):
        for key in islice(supply, count):
            table.matches(key)
    meter.extra["memo/s"] = _memo_rate(table, keys[:_REMEMBERED])
    tracemalloc.start()  # the texts are there already: it counts what the table adds to them
    again = _table(bindings)
    meter.extra["bytes/binding"] = tracemalloc.get_traced_memory()[0] / len(again)


def _table(bindings: list[tuple[str, str]]) -> BindingTable[str]:
    table: BindingTable[str] = BindingTable()
    for pattern, value in bindings:
        table.add(pattern, value)
    return table


def _memo_rate(table: BindingTable[str], keys: list[str]) -> float:
    for key in keys:
        table.matches(key)
    began = perf_counter()
    for key in islice(cycle(keys), _MEMO_LOOKUPS):
        table.matches(key)
    return _MEMO_LOOKUPS / (perf_counter() - began)


def _distinct(number: int, invent: Callable[[], str]) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < number:
        found[invent()] = None
    return list(found)


def _fill(chance: random.Random, pattern: str) -> str:
    """Make a key that the pattern takes."""
    return pattern.replace("*", "any").replace("#", f"{chance.getrandbits(88):x}.more")


def _invent(chance: random.Random) -> str:
    return chance.choice(_PATTERNS).format(
        few=chance.randrange(200),
        many=f"project-{chance.randrange(400)}",
        id=f"{chance.getrandbits(88):022x}",
        end=chance.choice(("", "._", ".*", ".#")),
    )


_CLIENTS: dict[str, Client] = {f"pulsekit BindingTable of {size:,}": partial(_look_up, size=size) for size in _SIZES}
PART = Part("match: keys not met lately, one by one", "lookups/s", _CLIENTS, rounds=3)
