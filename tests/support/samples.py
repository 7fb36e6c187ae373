"""Jobs for tests, and thousands of valid and invalid variants of them."""

from __future__ import annotations

import random
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pulsekit._documents.document import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHECKOUT = Path(__file__).parents[2]
CORPUS = _CHECKOUT.parent / "shared" / "corpus"
SCHEMA: Any = parse_yaml((_CHECKOUT / "schemas" / "pulse-job.yml").read_bytes()).value

REVISION = "5c3e1f4b9d2a7086e1f4b9d2a70865c3e1f4b9d2"

PENDING: dict[str, Any] = {
    "taskId": "0c5f6f4e-2f8e-4c1b-9d7a-3b6f0d1e2a4c/0",
    "origin": {"project": "try", "revision": REVISION},
    "buildSystem": "our-ci",
    "display": {"jobName": "build-linux", "jobSymbol": "B", "groupSymbol": "?"},
    "state": "pending",
    "jobKind": "build",
    "owner": "ci@example.com",
    "version": 1,
}

RUNNING: dict[str, Any] = PENDING | {
    "state": "running",
    "jobKind": "other",
    "tier": 2,
    "timeScheduled": "2026-11-23T17:58:00Z",
    "timeStarted": "2026-11-23T19:00:00.250+01:00",
    "labels": ["opt"],
}

# Has every property of the schema.
COMPLETED: dict[str, Any] = {
    "taskId": "1d2e3f40-5a6b-4c7d-8e9f-0a1b2c3d4e5f/1",
    "retryId": 1,
    "isRetried": False,
    "buildSystem": "our-ci",
    "origin": {"project": "mozilla-central", "revision": REVISION, "id": 4711},
    "display": {
        "jobSymbol": "bc",
        "chunkId": 3,
        "chunkCount": 7,
        "groupSymbol": "M",
        "jobName": "test-linux-64/debug-browser-chrome-3",
        "groupName": "Mochitests",
    },
    "state": "completed",
    "result": "fail",
    "jobKind": "test",
    "tier": 1,
    "coalesced": ["0c5f6f4e-2f8e-4c1b-9d7a-3b6f0d1e2a4c/0"],
    "timeScheduled": "2026-11-23T17:58:00Z",
    "timeStarted": "2026-11-23T18:00:00Z",
    "timeCompleted": "2026-11-23T18:20:00Z",
    "labels": ["debug", "asan"],
    "owner": "ci@example.com",
    "reason": "scheduled",
    "productName": "firefox",
    "buildMachine": {"name": "builder-7", "platform": "linux64", "os": "linux", "architecture": "x86_64"},
    "runMachine": {"name": "tester-12", "platform": "linux64", "os": "linux", "architecture": "x86_64"},
    "jobInfo": {
        "summary": "3 of 120 tests failed",
        "links": [{"url": "https://ci.example.com/1/report.html", "linkText": "report", "label": "Results"}],
    },
    "logs": [{"url": "https://ci.example.com/1/live.log", "name": "live_backing_log"}],
    "version": 1,
}

JOBS = [PENDING, RUNNING, COMPLETED]

_NASTY = [
    None, True, False, 0, 1, -1, 1.0, 2.5, -0.0, 1e308, float("nan"), float("inf"), 10**400, 2**63, "", " ", "\n",
    "a\n", "a\n\n", "\ud800", "\x00", "é", "ß", "Ⅷ", "٣", "_", "-", "a b", "a/b", "😀", "true", "1", [], {}, [[]],
    [None], [1], {"": 1}, {"a": {"b": []}}, "1.0", "null", "a\u2028", "a\r", "a\r\n", "Completed", "SUCCESS",
    "\u200b", "x" * 300,
]  # fmt: skip

_TIMES = [
    "2026-02-28T23:59:60Z", "2026-02-29T00:00:00Z", "2024-02-29t00:00:00z", "2026-11-23 18:00:00Z", "2026-11-23",
    "2026-11-23T18:00:00", "2026-11-23T18:00:00+0100", "2026-11-23T18:00:00.123456789-23:59", "2026-11-23T24:00:00Z",
    "٢٠٢٦-11-23T18:00:00Z", "2026-11-23T18:00:00Z\n", "1764000000",
]  # fmt: skip

_URIS = [
    "https://example.com/a b", "example.com/log", "//example.com", "https://[::1]:8080/x?y#z", "urn:x:y", "é:x",
    "https:", "https://example.com/%zz", "https://example.com/%C3%A9", "https://example.com/é", "a:",
    "1a:b", "https://u@h:p/", "/x", "https://example.com/\n", "",
]  # fmt: skip


def mutated(jobs: list[dict[str, Any]], count: int, seed: int) -> Iterator[Any]:
    """Yield jobs with none to three changes; the same for the same arguments."""
    rng = random.Random(seed)
    changes = [_edge, _edge, _edge, _mild, _mild, _mild, _nasty, _drop, _rename, _stranger]
    for _ in range(count):
        job: Any = deepcopy(rng.choice(jobs))
        for change in rng.choices(changes, k=rng.choices((0, 1, 2, 3), (1, 12, 4, 2))[0]):
            change(job, rng)
        # Now and then something that is no object at all.
        yield rng.choice(_NASTY) if rng.random() < 0.002 else job


def places(schema: Any = SCHEMA, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield the path and subschema of every place in a job; `*` stands for an item of a list."""
    schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    yield at, schema
    for name, inner in schema.get("properties", {}).items():
        yield from places(inner, (*at, name))
    if "items" in schema:
        yield from places(schema["items"], (*at, "*"))


_PLACES = list(places())


def _edge(job: Any, rng: random.Random) -> None:
    """Set a value at or just beyond a limit, in a place of the schema."""
    path, schema = rng.choice(_PLACES)
    if path:
        _put(job, path, rng.choice(_edges(schema, rng)), rng)


def _mild(job: Any, rng: random.Random) -> None:
    """Change a value, mostly within the limits."""
    path, schema = rng.choice(_PLACES)
    kind = schema["type"]
    if not path or kind in {"object", "array"} or "format" in schema:
        return
    value: Any = rng.choice([True, False])
    if "enum" in schema:
        value = rng.choice(schema["enum"])
    elif kind == "integer":
        value = rng.choice([1, 1.0, 2, schema.get("maximum", 10**30)])
    elif kind == "string":
        size = rng.choice([schema.get("minLength", 1), schema.get("maxLength", 20)]) or 1
        value = _text(schema, size, rng)
        if rng.random() < 0.2 and "pattern" in schema and size < schema["maxLength"]:
            value += "\n"
    _put(job, path, value, rng)


def _edges(schema: dict[str, Any], rng: random.Random) -> list[Any]:
    kind = schema["type"]
    if "enum" in schema:
        one = rng.choice(schema["enum"])
        return [one, str(one).upper(), f"{one}s", [one], str(one) if kind == "integer" else 1, True, 1.0]
    if kind == "string":
        sizes = {schema.get("minLength", 1), schema.get("maxLength", 20)}
        texts = [_text(schema, size + more, rng) for size in sizes for more in (-1, 0, 1) if size + more >= 0]
        return [*texts, f"{texts[0]}\n", 7, *{"date-time": _TIMES, "uri": _URIS}.get(schema.get("format", ""), [])]
    if kind == "integer":
        ends = [schema[name] for name in ("minimum", "maximum") if name in schema] or [0]
        return [number for end in ends for number in (end - 1, end, end + 1, float(end), end + 0.5)]
    return [[], {}, [{}], "", None, {"a": 1}] if kind in {"object", "array"} else [True, False, "true", 1, None]


def _text(schema: dict[str, Any], size: int, rng: random.Random) -> str:
    """Return a text of a number of code points, mostly one that the pattern allows."""
    letters = {
        r"^[0-9a-f]+$": "0123456789abcdef",
        r"^[A-Za-z0-9/+-]+$": "Az09/+-",
        r"^[\w-]+$": "Az09_-éßⅧ٣𝔘語",
        r"^[\w/+-]+$": "Az09_-/+é𝔘",
    }.get(schema.get("pattern", ""), "Az 😀é\u0301")
    if schema.get("format") == "uri":
        return "https://example.com/".ljust(size, "a")[:size]
    first = rng.choice(["A", "é", " ", "/", "😀", "$"]) if size and rng.random() < 0.1 else ""
    return first + "".join(rng.choices(letters, k=size - len(first)))


def _put(job: Any, path: tuple[str, ...], value: Any, rng: random.Random) -> None:
    """Set a value, and create missing containers as in the complete job."""
    model: Any = COMPLETED
    for step, after in zip(path, (*path[1:], None), strict=True):
        if not isinstance(job, dict | list) or isinstance(job, list) is not (step == "*"):
            return
        key: Any = step
        if step == "*":
            job.append(deepcopy(model[0])) if not job or rng.random() < 0.3 else None
            key = rng.randrange(len(job))
        model = model[0 if step == "*" else step]
        if after is None:
            job[key] = value
        elif step != "*":
            job.setdefault(key, deepcopy(model))
        job = job[key]


def _spots(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) within a job."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [spot for key in keys for spot in _spots(value[key])]


def _nasty(job: Any, rng: random.Random) -> None:
    if spots := _spots(job):
        container, key = rng.choice(spots)
        container[key] = deepcopy(rng.choice(_NASTY))


def _drop(job: Any, rng: random.Random) -> None:
    if spots := _spots(job):
        container, key = rng.choice(spots)
        del container[key]


def _rename(job: Any, rng: random.Random) -> None:
    spots = [(container, key) for container, key in _spots(job) if isinstance(container, dict)]
    if spots:
        container, key = rng.choice(spots)
        container[rng.choice([key.lower(), key.upper(), f"{key}s", f" {key}", f"{key}\n", key[:-1]])] = container.pop(
            key
        )


def _stranger(job: Any, rng: random.Random) -> None:
    objects = [job, *(container[key] for container, key in _spots(job))]
    found = rng.choice([one for one in objects if isinstance(one, dict)])
    found[rng.choice(["extra", "", "$ref", "id", "a.b", "a[0]", "/", "~", "{x}", '"', "\ud800", "é"])] = rng.choice(
        _NASTY
    )
