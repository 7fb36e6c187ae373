"""Find the bindings that match a routing key, in tables of growing size."""

from __future__ import annotations

import gc
import random
import resource
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

from benchmarks.measure import Client, Meter, Part
from benchmarks.tasks import Failed, Task
from pulsekit.bindings.matching import topic_matches
from pulsekit.bindings.table import BindingTable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PART"]

_SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
_KEYS = 40_000  # more keys than the cache of the table has, so that each key is evicted before it is repeated
_REMEMBERED = 1_000
_MEMO_LOOKUPS = 100_000
_COMPARISONS = 100_000  # comparisons of a key with a pattern, to check the table
_LEAST_CHECKED = 2  # keys, for any number of patterns
_WEIGHED = 20_000  # bindings whose memory is measured together, because memory is allocated in pages
_TRICKY = ".".join(["#.a"] * 6)
_TRICKY_LOOKUPS = 500

# Patterns as on Pulse: for Treeherder's jobs, for Taskcluster, and for its index.
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
    tables: list[BindingTable[str]] = [BindingTable() for _ in range(max(1, _WEIGHED // size))]
    before, began = _memory(), process_time()
    for table in tables:
        for pattern, value in bindings:
            table.add(pattern, value)
    added = len(tables) * size
    rates = {"add/s": added / (process_time() - began)}
    weight = (_memory() - before) / added
    table = tables.pop()
    for key in keys[: max(_LEAST_CHECKED, _COMPARISONS // size)]:
        if table.matches(key) != [value for pattern, value in bindings if topic_matches(pattern, key)]:
            raise Failed(f"the table is wrong about {key}")
    supply = cycle(keys)
    for count in meter.phases(_REMEMBERED):
        for key in islice(supply, count):
            table.matches(key)
    rates["memo/s"] = _memo_rate(table, keys[:_REMEMBERED])
    tricky = _tricky_time(table)
    began = process_time()
    for pattern, value in bindings:
        table.remove(pattern, value)
    rates["remove/s"] = size / (process_time() - began)
    if any(map(table.matches, keys)):
        raise Failed("the table still finds what was removed")
    meter.extra |= rates | {"bytes/binding": weight, "6 x #.a µs": tricky * 1e6}


def _memory() -> int:
    """Return the memory of the process in bytes. Texts exist before, so that a difference is the table's memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _memo_rate(table: BindingTable[str], keys: list[str]) -> float:
    for key in keys:
        table.matches(key)
    began = process_time()
    for key in islice(cycle(keys), _MEMO_LOOKUPS):
        table.matches(key)
    return _MEMO_LOOKUPS / (process_time() - began)


def _tricky_time(table: BindingTable[str]) -> float:
    """Return the seconds to match a key of 40 words with a pattern of six `#` that fails only at its last word."""
    keys = [".".join([*["a"] * 39, f"b{number}"]) for number in range(_TRICKY_LOOKUPS)]
    table.add(_TRICKY, "tricky")
    began = process_time()
    for key in keys:
        if table.matches(key):
            raise Failed(f"the table is wrong about {key}")
    took = process_time() - began
    if table.matches(keys[0].removesuffix(".b0")) != ["tricky"]:
        raise Failed(f"the table does not know {_TRICKY}")
    table.remove(_TRICKY, "tricky")
    return took / _TRICKY_LOOKUPS


def _distinct(number: int, invent: Callable[[], str]) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < number:
        found[invent()] = None
    return list(found)


def _fill(chance: random.Random, pattern: str) -> str:
    """Return a key that the pattern matches."""
    return pattern.replace("*", "any").replace("#", f"{chance.getrandbits(88):x}.more")


def _invent(chance: random.Random) -> str:
    return chance.choice(_PATTERNS).format(
        few=chance.randrange(200),
        many=f"project-{chance.randrange(400)}",
        id=f"{chance.getrandbits(88):022x}",
        end=chance.choice(("", "._", ".*", ".#")),
    )


_CLIENTS: dict[str, Client] = {f"pulsekit BindingTable of {size:,}": partial(_look_up, size=size) for size in _SIZES}
PART = Part("match: keys that are not cached, one by one", "lookups/s", _CLIENTS, rounds=3)
