"""Untrusted schemas read nothing and run nothing, and shipped patterns need linear time for any text."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from support.command import pulsekit, start
from support.samples import JOBS

import pulsekit as library
from pulsekit._documents.document import parse_yaml
from pulsekit.errors import SchemaError
from pulsekit.hooks.trigger_schema import TriggerSchema
from pulsekit.schemas import limits
from pulsekit.schemas.formats import FORMATS
from pulsekit.schemas.schema import load_schema, schema_names, shipped_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.rabbitmq.broker import RabbitMQ

_LISTENING: list[list[str]] = []


@cache
def _listen() -> None:
    """Record every file that is opened and every address that is resolved; an audit hook cannot be removed."""
    watched = {"open", "socket.connect", "socket.getaddrinfo", "urllib.Request", "subprocess.Popen", "os.system"}

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if _LISTENING and event in watched:
            _LISTENING[-1].append(f"{event} {arguments[0]!r}")

    sys.addaudithook(hook)


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """The files and addresses that the process uses from now on."""
    _listen()
    heard: list[str] = []
    _LISTENING.append(heard)
    yield heard
    _LISTENING.pop()


def outside(secret: Path) -> list[str]:
    """References that lead out of a schema."""
    return [
        secret.as_uri(),
        f"{secret.as_uri()}#/definitions/x",
        str(secret),
        secret.name,
        f"./{secret.name}#",
        "http://127.0.0.1:1/schema.json",
        "https://example.invalid/schema.json#/a",
        "//example.invalid/x",
        "ftp://example.invalid/x",
        "data:application/json,{}",
        "urn:x:y",
        "http://json-schema.org/draft-07/schema#",
    ]


@pytest.mark.parametrize("keyword", ["$ref", "$id and $ref", "$id within", "$schema"])
@pytest.mark.parametrize("number", range(12))
def test_a_reference_outside_of_the_schema_is_refused_and_not_read(
    keyword: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: list[str]
) -> None:
    monkeypatch.setenv("PULSEKIT_NO_CACHE", "1")
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret.json"
    secret.write_text('{"definitions": {"x": {"enum": ["hunter2"]}}, "enum": ["hunter2"]}')
    where = outside(secret)[number]
    if keyword == "$schema" and "json-schema.org" in where:
        where = "http://json-schema.org/draft/2020-12/schema"
    schema: dict[str, Any] = {
        "$ref": {"properties": {"a": {"$ref": where}}},
        "$id and $ref": {"$id": where, "properties": {"a": {"$ref": f"x{where}"}}},
        "$id within": {"properties": {"a": {"$id": where, "items": {"$ref": "other.json"}}}},
        "$schema": {"$schema": where},
    }[keyword]
    heard.clear()
    with pytest.raises(SchemaError) as caught:
        load_schema(schema).is_valid({"a": 1})
    assert "hunter2" not in str(caught.value)
    assert [event for event in heard if "secret" in event or not event.startswith("open")] == []


def test_text_that_looks_like_a_reference_is_not_followed(heard: list[str]) -> None:
    schema = load_schema(
        {
            "$id": "file:///etc/passwd",  # only a name
            "properties": {"$ref": {"const": {"$ref": "file:///etc/passwd"}}, "$schema": {"enum": ["http://x/"]}},
            "default": {"$ref": "file:///etc/passwd"},
            "examples": [{"$ref": "http://127.0.0.1:1/"}],
        }
    )
    heard.clear()
    assert schema.is_valid({"$ref": {"$ref": "file:///etc/passwd"}, "$schema": "http://x/"})
    assert not schema.is_valid({"$ref": "file:///etc/passwd"})
    assert [event for event in heard if "passwd" in event or not event.startswith("open")] == []


_CODE = [
    '"); open("pwned", "w"); ("',
    "'); open('pwned', 'w'); ('",
    '{open("pwned", "w")}',
    "{data!r}{variable}",
    "\n    open('pwned', 'w')\n",
    '\\\'\\""""+open(\'pwned\',\'w\')+"""',
    "\N{LATIN SMALL LETTER E WITH ACUTE}\\N{DIGIT ONE}{{}}%s%(x)s",
    "__import__('os').system('touch pwned')",
]


@pytest.mark.parametrize("text", _CODE)
def test_no_text_in_a_schema_becomes_code(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSEKIT_NO_CACHE", "1")
    monkeypatch.chdir(tmp_path)
    schema = load_schema(
        {
            "$id": f"x:{text}",
            "title": text,
            "description": text,
            "$comment": text,
            "definitions": {text: {"type": ["object", "null"], "title": text}},
            "properties": {text: {"$ref": f"#/definitions/{_pointer(text)}"}, "a": {"enum": [text, {text: text}]}},
            "patternProperties": {re.escape(text): {"minProperties": 0}},
            "required": [text],
            "dependencies": {text: [text], f"b{text}": {"required": [text]}},
            "anyOf": [{"title": text, "format": text}, {"const": text}],
            "propertyNames": {"maxLength": 500},
            "default": text,
            text: text,
        }
    )
    for profile in ("strict", "treeherder"):
        assert schema.is_valid({text: {}, "a": text}, profile)
        assert not schema.is_valid({"a": 1}, profile)
        assert schema.problems({text: 1, "a": 1}, profile)
    assert list(tmp_path.iterdir()) == []


def _pointer(text: str) -> str:
    from urllib.parse import quote

    return quote(text.replace("~", "~0").replace("/", "~1"), safe="")


def _patterns() -> list[tuple[str, str]]:
    """Return every pattern that pulsekit ships, and the name of its place."""
    found = {form.pattern: f"format {name}" for name, form in FORMATS.items()}
    for name in schema_names():
        values: list[Any] = [parse_yaml(shipped_text(name)).value]
        for value in values:
            if isinstance(value, dict):
                if isinstance(value.get("pattern"), str):
                    found.setdefault(value["pattern"], name)
                values.extend(value.values())
            elif isinstance(value, list):
                values.extend(value)
    return [(where, pattern) for pattern, where in found.items()]


_PIECES = [
    "a",
    "0",
    "-",
    "/",
    "_",
    "a-",
    "0:",
    "%41",
    "a.",
    "\u00e9",
    " ",
    "2026-11-23T18:00:00.",
    "a://",
    "b@",
    "[",
    "0000-",
]


@pytest.mark.parametrize(("where", "pattern"), _patterns())
def test_the_patterns_of_shipped_schemas_and_formats_need_linear_time(where: str, pattern: str) -> None:
    compiled = re.compile(pattern)
    for piece in _PIECES:
        for before in ("", "a:", "a://", "2026-11-23T18:00:00."):
            text = before + piece * (100_000 // len(piece)) + "\0"
            begin = time.process_time()
            compiled.search(text)
            assert time.process_time() - begin < 1, (where, pattern, before, piece)  # milliseconds; squared, minutes


def test_a_pattern_that_never_ends_can_be_interrupted() -> None:
    schema = load_schema({"pattern": "^(a+)+$"})
    assert schema.is_valid("aaa")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.2)  # once it has worked so long, as Ctrl-C would
    try:
        with pytest.raises(KeyboardInterrupt):
            schema.is_valid("a" * 60 + "!")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def test_of_millions_of_problems_some_are_listed_with_a_notice() -> None:
    schema = load_schema("pulse-job")
    job = JOBS[0] | {"labels": [1] * 3_000_000}
    begin = time.process_time()
    problems = schema.problems(json.loads(json.dumps(job)), most=100)
    assert len(problems) == 101
    assert problems[-1].message == "has more than 100 problems; the others are not listed"
    assert time.process_time() - begin < 10  # one; all of them would take minutes


async def test_a_pattern_that_never_ends_does_not_block_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LIMIT", 0.2)
    monkeypatch.setattr(limits, "_limit", 0.2)
    schema = load_schema({"items": {"pattern": "^(a+)+$"}, "title": "slow"})
    slow = ["a" * 60 + "!"]
    assert schema.is_valid(["aaa"])
    begin = time.process_time()
    verdicts = [schema.problems(slow)[0].message for _ in range(5)]  # one batch
    assert time.process_time() - begin < 2
    assert set(verdicts) == {"was not validated: the schema needs more than 1 s for it"}
    await asyncio.sleep(0)
    assert not schema.is_valid(slow)
    assert schema.is_valid(["aaa"])
    assert signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


async def test_compiling_a_large_schema_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSEKIT_NO_CACHE", "1")
    monkeypatch.setattr(limits, "_limit", 0.05)
    names = [f"p{number}" for number in range(400)]
    schema = load_schema({"properties": {name: {"pattern": f"^{name}[a-z]*$"} for name in names}})
    assert schema.is_valid({"p1": "p1a"})
    problems = [schema.problems({"p1": "a"})[0].message for _ in range(200)]  # many: explanations are compiled, too
    assert set(problems) == {'must match ^p1[a-z]*$, but "a" does not'}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("publish", "slow.ndjson"),
        ("publish", "slow.json"),
        ("publish --dry-run", "slow.ndjson"),
        ("validate", "slow.json"),
    ],
)
def test_a_pattern_that_never_ends_makes_only_its_payload_invalid(command: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"properties": {"a": {"pattern": "^(a+)+$"}}}')
    payloads = [{"a": text} for text in ("aa", "a" * 60 + "!", "aaa")]
    (tmp_path / name).write_text(
        "".join(json.dumps(one) + "\n" for one in payloads) if name.endswith("ndjson") else json.dumps(payloads)
    )
    publish = () if command == "validate" else ("--exchange", "exchange/me/x", "--routing-key", "k")
    done = pulsekit(
        *command.split(), name, "--schema", "schema.json", *publish,
        folder=tmp_path, url="amqp://me:password@127.0.0.1:1",
    )  # fmt: skip
    assert done.status == 1
    assert "was not validated: the schema needs more than 1 s for it" in done.out + done.err
    assert re.search(r"1 of 3 invalid|2 messages would be sent, 1 rejected|2 valid, 1 invalid", done.err)


def test_calls_that_are_watched_have_a_limit_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LIMIT", 0.2)
    schema = load_schema({"items": {"pattern": "^(a+)+$"}, "title": "slow"})
    hook = TriggerSchema({"type": "array", "items": {"type": "string", "pattern": "^(a+)+$"}})
    slow = ["a" * 60 + "!"]
    with limits.watched():
        begin = time.process_time()
        while time.process_time() - begin < 0.5:
            assert schema.is_valid(["aaa"])  # each call is quick, and all together exceed the limit
        assert schema.problems(slow)[0].rule == "time"
        assert schema.problems([*slow, 1])[0].rule == "time"
        assert schema.is_valid(["aaa"])
        with pytest.raises(SchemaError, match="more than a second for this payload"):
            hook.problems(slow)
    assert signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


async def test_tail_survives_a_pattern_that_never_ends(broker: RabbitMQ, tmp_path: Path) -> None:
    (tmp_path / "slow.json").write_text('{"properties": {"a": {"pattern": "^(a+)+$"}}}')
    user = broker.user()
    exchange = f"exchange/{user.name}/x"
    async with library.connect(user.url) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.open()
        with start("tail", exchange, "--schema", "slow.json", folder=tmp_path, url=user.url) as tail:
            assert tail.stdout is not None
            assert tail.stderr is not None
            assert (await asyncio.to_thread(tail.stderr.readline)).startswith("listening")
            for text in ("a" * 60 + "!", "aaa", "a" * 60 + "!"):
                await publisher.publish({"a": text}, "k")
            for valid in (False, True):
                assert json.loads(await asyncio.to_thread(tail.stdout.readline))["valid"] is valid
            tail.send_signal(signal.SIGTERM)  # during the third message, perhaps
            _, err = await asyncio.to_thread(tail.communicate)
    assert tail.returncode == -signal.SIGTERM
    assert "lost" not in err
