"""The schemas of messages give the verdicts of the originals, with Python's `jsonschema` as the reference."""

from __future__ import annotations

import json
import random
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from pulsekit.catalogue import known_exchanges, message_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNTS = [500, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
ID = "fN1SbArXTPSVFNUvaOlinQ"
WHEN = "2026-11-28T10:00:00.000Z"
# Values of every type, at and beyond the limits that the schemas have.
VALUES: list[Any] = [
    None, True, False, 0, 1, 1.0, -1, 49, 50, 999, 1000, 1001, 10**10, 10**10 + 1, 0.5, "", "_", "x", "a" * 38,
    "a" * 39, "a" * 100, "a" * 101, "a" * 255, "a" * 256, "a\n", "é", "-", "A-b_9", "gecko-t/t-linux", ID, f"{ID}x",
    WHEN, "primary", "pending", "failed", "highest", "lowest", "scheduled", "completed", "error", "object", [], [1],
    ["x"], ["x", "x"], {}, {"x": 1}, {"tags": {}}, {"tags": {"a": "b"}}, {"tags": {"a": 1}},
]  # fmt: skip


class _Originals:
    """The schemas of the source, and the verdicts of `jsonschema`."""

    def __init__(self, folder: Path) -> None:
        self.exchanges: dict[str, str] = {
            one["exchange"]: one["schema"] for one in json.loads((folder / "exchanges.json").read_bytes())
        }
        self.schemas = {
            f"/schemas/{path.relative_to(folder / 'schemas')}": json.loads(path.read_bytes())
            for path in (folder / "schemas").rglob("*.json")
        }
        registry: Registry[Any] = Registry().with_resources(
            (uri, Resource(schema, DRAFT7)) for uri, schema in self.schemas.items()
        )
        self.oracles = {
            exchange: jsonschema.Draft7Validator(self.schemas[f"/schemas/{schema}"], registry=registry)
            for exchange, schema in self.exchanges.items()
        }
        self._uris = {exchange: f"/schemas/{schema}" for exchange, schema in self.exchanges.items()}

    def example(self, exchange: str, rng: random.Random) -> Any:
        """Return a message that is mostly valid."""
        return self._example(self.schemas[self._uris[exchange]], self._uris[exchange], rng)

    def _example(self, schema: Any, uri: str, rng: random.Random) -> Any:
        if "$ref" in schema:
            file, _, pointer = schema["$ref"].partition("#")
            uri = f"{uri.rpartition('/')[0]}/{file}" if file else uri
            schema = self.schemas[uri]
            for token in pointer.split("/")[1:]:
                schema = schema[token]
            return self._example(schema, uri, rng)
        if "enum" in schema:
            return rng.choice(schema["enum"])
        if "anyOf" in schema:
            return self._example(rng.choice(schema["anyOf"]), uri, rng)
        match schema.get("type"):
            case "object":
                required = schema.get("required", ())
                names = [name for name in schema.get("properties", {}) if name in required or rng.random() < 0.5]
                return {name: self._example(schema["properties"][name], uri, rng) for name in names}
            case "array":
                return (
                    [self._example(schema["items"], uri, rng) for _ in range(rng.randrange(3))]
                    if "items" in schema
                    else []
                )
            case "string":
                fits = schema.get("pattern", "")
                texts = [ID, "gecko-t/t-linux", "12345678-1234-1234-1234-123456789abc", "x"]
                return WHEN if schema.get("format") == "date-time" else next(_fitting(texts, fits), "x")
            case "integer" | "number":
                return rng.choice([schema.get("minimum", 0), schema.get("maximum", 5)])
            case "boolean":
                return True
        return {}


def _fitting(texts: list[str], pattern: str) -> Iterator[str]:
    return (text for text in reversed(texts) if re.search(pattern, text))


def _mutate(message: Any, rng: random.Random) -> Any:
    """Change one place of a message: replace a value, remove, add or rename a member."""
    places = list(_places(message))
    if not places:
        return rng.choice(VALUES)
    holder, name = rng.choice(places)
    match rng.randrange(6):
        case 0:
            del holder[name]
        case 1 if isinstance(holder, dict):
            holder[f"{name}x"] = holder.pop(name)
        case 2 if isinstance(holder, dict):
            holder["more"] = rng.choice(VALUES)
        case _:
            holder[name] = deepcopy(rng.choice(VALUES))
    return message


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield value, name
        yield from _places(inner)


@pytest.fixture(scope="module")
def originals(corpus: Path) -> _Originals:
    return _Originals(corpus / "taskcluster")


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_messages_are_judged_as_the_originals_judge_them(originals: _Originals, count: int) -> None:
    rng, differing, verdicts = random.Random(20261129), [], {True: 0, False: 0}
    schemas = {exchange: message_schema(exchange) for exchange in originals.exchanges}  # each call reads the files
    for number in range(count):
        exchange = list(originals.exchanges)[number % len(originals.exchanges)]
        message = originals.example(exchange, rng)
        for _ in range(rng.choice((0, 1, 1, 2))):
            message = _mutate(message, rng)
        expected = originals.oracles[exchange].is_valid(message)
        schema = schemas[exchange]
        assert schema
        verdicts[expected] += 1
        if (
            schema.is_valid(message, "treeherder") != expected
            or (not schema.problems(message, "treeherder")) != expected
        ):
            differing.append((exchange, message))
    assert not differing, differing[:3]
    assert min(verdicts.values()) > count / 5, verdicts


def test_the_schemas_of_other_services_judge_their_messages() -> None:
    push = {
        "pushid": 1,
        "time": 1543400000,
        "user": "a@b",
        "push_json_url": "https://x",
        "push_full_json_url": "https://y",
    }
    changegroup = {"repo_url": "https://hg.mozilla.org/try", "heads": ["a" * 40], "pushlog_pushes": [push]}
    lando = {"type": "push", "repo_url": "x", "branches": {}, "tags": {}, "time": "1", "push_id": 1, "user": "a"}
    valid: dict[str, list[Any]] = {
        "hgpushes": [{"payload": changegroup, "_meta": {}}, {"payload": {**changegroup, "pushlog_pushes": []}}],
        "hgpushes-v2": [
            {"_meta": {}, "payload": {"type": "changegroup.1", "data": {**changegroup, "source": "serve"}}},
            {"payload": {"type": "newrepo.1", "data": {"repo_url": "x"}}},
            {"payload": {"type": "to come", "data": {}}},
        ],
        "lando": [{"payload": {**lando, "push_json_url": "x"}}],
        "github-webhooks": [{"event": "push", "request_id": "x", "payload": {}}],
    }
    invalid: dict[str, list[Any]] = {
        "hgpushes": [{}, {"payload": {**changegroup, "pushlog_pushes": [{**push, "pushid": "1"}]}}],
        "hgpushes-v2": [
            {"payload": changegroup},
            {"payload": {"type": "changegroup.1", "data": {"repo_url": "x"}}},
            {"payload": {"type": "newrepo.1", "data": {}}},
        ],
        "lando": [{"payload": lando}],
        "github-webhooks": [{"event": "push"}],
    }
    for name, messages in valid.items():
        schema = message_schema(name)
        assert schema
        assert all(schema.is_valid(one) for one in messages), name
        assert not any(schema.is_valid(one) for one in invalid[name]), name


def test_every_known_exchange_has_a_schema_that_compiles() -> None:
    for exchange in known_exchanges():
        schema = message_schema(exchange.name)
        assert schema
        assert not schema.is_valid([]), exchange.name
        assert not schema.name.startswith("/")
    assert message_schema("exchange/me/v1/jobs") is None
