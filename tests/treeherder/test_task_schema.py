"""The schema of `extra.treeherder` has the verdicts of Treeherder's own, by Python's `jsonschema`."""

from __future__ import annotations

import itertools
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from support.samples import CORPUS

from pulsekit._documents.document import parse_yaml
from pulsekit.schemas.schema import load_schema, shipped_text

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD: dict[str, Any] = {
    "symbol": "3",
    "groupSymbol": "M",
    "groupName": "Mochitests",
    "productName": "firefox",
    "jobKind": "test",
    "tier": 1,
    "reason": "scheduled",
    "machine": {"platform": "linux64", "os": "linux", "architecture": "x86_64"},
    "labels": ["debug", "asan"],
    "collection": {"debug": True},
}
# At and beyond every limit, and of every type.
EDGES: list[Any] = [
    *("x" * size for size in (0, 1, 25, 26, 50, 51, 125, 126, 255, 256)),
    *(0, 1, 2, 3, 4, -1, 1.0, 1.5, True, False, None, 10**400, float("nan")),
    *("a b", "a\n", "a_b-C", "é", "٣", "", "build", "test", "other", "Test", "1"),
    *({}, [], [1], ["a"], ["a", "a"], ["a b"], [""], {"platform": "x"}, {"platform": ""}, {"os": "x"}),
    *({"platform": "x", "name": "y"}, {"platform": "x", "os": ""}, {"platform": "p" * 51}, {"platform": 1}),
]


def mutated() -> Iterator[Any]:
    """Yield objects with none to two changed members, and values that are no object."""
    yield GOOD
    yield from EDGES
    places = [*((name,) for name in (*GOOD, "unknown")), *(("machine", name) for name in (*GOOD["machine"], "name"))]
    for path in places:
        for edge in (..., *EDGES):
            yield _changed(path, edge)
    for first, second in itertools.combinations(places, 2):
        for edge in (..., "x" * 26, 2):
            yield _changed(second, edge, _changed(first, edge))


def _changed(path: tuple[str, ...], value: Any, config: Any = GOOD) -> Any:
    config = deepcopy(config)
    parent = config if len(path) == 1 else config.get(path[0])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)
        if value is not ...:
            parent[path[-1]] = value
    return config


def test_the_schema_of_extra_treeherder_has_the_verdicts_of_jsonschema() -> None:
    theirs = CORPUS / "taskcluster" / "treeherder-task-config.yml"
    text = theirs.read_text(encoding="utf-8") if theirs.is_file() else shipped_text("treeherder-task")
    oracle = jsonschema.Draft7Validator(parse_yaml(text).value)
    schema = load_schema("treeherder-task")
    verdicts = [(config, oracle.is_valid(config), schema.is_valid(config, "treeherder")) for config in mutated()]
    assert [config for config, expected, found in verdicts if expected is not found] == []
    assert sum(expected for _, expected, _ in verdicts) > 100
    assert sum(not expected for _, expected, _ in verdicts) > 300


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="no folder shared/corpus beside the checkout")
def test_the_schema_has_the_structure_of_treeherders_own() -> None:
    def structure(schema: Any) -> Any:
        if isinstance(schema, dict):
            return {name: structure(part) for name, part in schema.items() if name not in {"title", "description"}}
        return schema

    theirs = (CORPUS / "taskcluster" / "treeherder-task-config.yml").read_text(encoding="utf-8")
    assert structure(parse_yaml(shipped_text("treeherder-task")).value) == structure(parse_yaml(theirs).value)
