"""Untrusted messages and files do not control a terminal, and delay no other message."""

from __future__ import annotations

import json
import resource
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
from pamqp import frame
from pamqp.commands import Basic
from support.command import pulsekit, start
from support.raw_client import Login, connect, content
from support.samples import JOBS

import pulsekit as library
from pulsekit._amqp.types import Properties
from pulsekit.cli.output.output import clean
from pulsekit.messages import Message
from pulsekit.queues.operations import delete_queue
from pulsekit.records.record import Record
from security.screens import HOSTILE, Screen, raw_characters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser

ALL = "".join(HOSTILE)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAME = ALL[:60]  # pamqp truncates longer names
HEADERS: dict[str, Any] = {
    NAME: ALL,
    "CC": ["cc", ALL[:100]],
    "nested": {"\x1b[2J": [ALL, {"\u202e": bytearray(b"\xff\x1b[2J")}]},
    "odd": [None, True, 2**62, Decimal("1.5"), NOON, bytearray(ALL.encode())],
}
PROPERTIES = {"content_type": ALL[:100], "message_id": ALL[:100], "app_id": ALL[:100], "message_type": "\x1b[2J"}


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


BODIES: list[bytes] = [
    *(text.encode() for text in HOSTILE),
    json.dumps({text: [text] for text in HOSTILE}).encode(),
    json.dumps({text: [text] for text in HOSTILE}, ensure_ascii=False).encode(),
    json.dumps(JOBS[0] | {"state": ALL, "owner": ALL, "display": {"jobSymbol": ALL, "jobName": ALL}}).encode(),
    json.dumps(JOBS[0] | {ALL: ALL, "tier": ALL}).encode(),
    b"\xff\xfe\x1b[2J",
    b"\x9b31m\xc3",
    "\x1b[2J".encode("utf-16"),
    b"",
    b"null",
    b"NaN",
    b'{"a": [NaN, Infinity, -Infinity, 1e999]}',
    b'"\\ud800\\u001b[2J"',
    b'{"a": 1, "a": 2, "\\u009b": "\\u202e"}',
    b"9" * 5000,
    nested(900),
    nested(100_000),
    b'{"a":' * 50_000,
    b"x" * 1_000_000,
    json.dumps(["\u202e" * 1000] * 100, ensure_ascii=False).encode(),
]
KEYS = ["k", *HOSTILE, ALL[:100], "." * 255, "é" * 127]


async def send(user: PulseUser, exchange: str, bodies: Sequence[bytes] = BODIES) -> None:
    """Publish with raw frames, as a client without checks could; return when the broker has all messages."""
    parts = urlsplit(user.url)
    assert parts.hostname
    assert parts.port
    async with connect(parts.hostname, parts.port, Login(user.name, unquote(parts.password or ""))) as wire:
        for number, body in enumerate(bodies):
            key = KEYS[number % len(KEYS)]
            properties: dict[str, Any] = {"headers": HEADERS, **PROPERTIES} if number % 2 else {}
            most = 100_000
            method, head, *_ = content(exchange, key, body, **properties)
            wire.send(method, head)
            for at in range(0, len(body), most):
                wire.raw(b"\x03\0\1" + len(body[at : at + most]).to_bytes(4, "big") + body[at : at + most] + b"\xce")
        # A key that is not text: five bytes replace five others.
        last = b"".join(frame.marshal(one, 1) for one in content(exchange, "AAAAA", LAST))
        wire.raw(last.replace(b"AAAAA", b"\xff\x9b31m"))
        await wire.writer.drain()
        await wire.call(Basic.Qos(prefetch_count=1))  # which is answered when all frames before it were handled


LAST = b"the last one"


COUNT = len(BODIES) + 1


@pytest.fixture
async def exchange(user: PulseUser) -> AsyncIterator[str]:
    """An exchange of the user's, for the test."""
    name = f"exchange/{user.name}/x"
    async with library.connect(user.url) as pulse:
        await pulse.create_exchange(name)
        yield name
        await pulse.delete_exchange(name, if_unused=False)


# untrusted messages


async def test_hostile_messages_are_shown_without_an_effect(user: PulseUser, exchange: str, tmp_path: Path) -> None:
    listening = ("tail", exchange, "-n", str(COUNT), "--idle", "30")
    with (
        Screen(*listening, folder=tmp_path, url=user.url, apart=True) as brief,
        Screen(*listening, "--full", "--schema", "pulse-job", folder=tmp_path, url=user.url, apart=True) as full,
    ):
        for screen in (brief, full):
            assert screen.heard().startswith("listening")
        await send(user, exchange)
        status, shown = brief.end()
        assert status == 0
        assert raw_characters(shown) == []
        assert shown.count("\n") == COUNT
        for text in ("title", "\\x1b[2J", "\\x9b31m", "\\u202e", "[bold red]x[/]", "\\u2028"):
            assert text in shown
        status, shown = full.end()
        assert status == 0
        assert raw_characters(shown) == []
        for text in HOSTILE:
            assert clean(text) in shown


async def test_hostile_messages_are_complete_in_ndjson_without_an_effect(
    user: PulseUser, exchange: str, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.ndjson"
    arguments = ("tail", exchange, "-n", str(COUNT), "--idle", "30", "-o", "ndjson", "--save", str(saved))
    with start(*arguments, folder=tmp_path, url=user.url) as tail:
        assert tail.stderr is not None
        assert tail.stderr.readline().startswith("listening")
        await send(user, exchange)
        out, _ = tail.communicate()
    assert tail.returncode == 0
    for text in (out, saved.read_text()):
        assert raw_characters(text) == []
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["routing_key"] for record in records[:-1]] == [KEYS[n % len(KEYS)] for n in range(len(BODIES))]
    for record in records[1:-1:2]:
        assert record["properties"]["app_id"] == PROPERTIES["app_id"]
        assert record["headers"][NAME] == ALL
    kept = [one for one in library.read_recording(saved) if isinstance(one, Record)]
    assert [one.content for one in kept] == [*BODIES, LAST]
    for record, body in zip(records, BODIES, strict=False):
        if "payload" in record:
            assert record["payload"] == json.loads(body)


async def test_hostile_messages_in_a_queue_can_be_peeked_at(user: PulseUser, exchange: str, tmp_path: Path) -> None:
    queue = f"queue/{user.name}/q"
    async with library.connect(user.url) as pulse:
        async with pulse.subscribe(exchange, queue=queue):
            pass
        await send(user, exchange)
        looking = ("queue", "peek", queue, "-n", str(COUNT))
        for more in ((), ("--full",)):
            with Screen(*looking, *more, folder=tmp_path, url=user.url) as screen:
                status, shown = screen.end()
            assert status == 0, shown
            assert raw_characters(shown) == []
            assert f"{COUNT} of {COUNT} messages" in shown
        done = pulsekit(*looking, "-o", "ndjson", folder=tmp_path, url=user.url)
        assert raw_characters(done.out) == []
        assert len(done.records) == COUNT
        await delete_queue(pulse, queue, if_unused=False)


LARGE = [
    b"\xc3\xa9" * 5_000_000,
    json.dumps(JOBS[0] | {f"unknown{number}": number for number in range(400_000)}).encode(),
    json.dumps(JOBS[0] | {"labels": [1] * 3_000_000}).encode(),
    (b"[" * 900 + b"]" * 900 + b",").join([b"["] + [b""] * 500) + b"1]",
]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("more", [("--schema", "pulse-job"), ("-o", "ndjson")], ids=" ".join)
async def test_ten_megabytes_do_not_delay_the_next_message(
    user: PulseUser, exchange: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    count, before = str(len(LARGE) + 1), resource.getrusage(resource.RUSAGE_CHILDREN)
    with Screen("tail", exchange, "-n", count, *more, folder=tmp_path, url=user.url, apart=True) as screen:
        assert screen.heard().startswith("listening")
        await send(user, exchange, LARGE)
        status, shown = screen.end()
    assert status == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 45  # about five seconds, whatever else the machine does
    assert LAST.decode() in shown.splitlines()[-1]


# files and arguments


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with hostile files: a recording, a job, a schema, registrations, and one whose name is hostile."""
    with library.Recorder(tmp_path / "r.ndjson") as recorder:
        for number, body in enumerate(BODIES):
            properties = Properties(**{"type": ALL[:100], "message_id": ALL[:100]} if number % 2 else {})
            message = Message(
                exchange=f"exchange/{ALL}",
                routing_key=KEYS[number % len(KEYS)],
                body=body,
                received=NOON,
                headers=HEADERS if number % 2 else {},
                properties=properties,
            )
            recorder.write([message])
    (tmp_path / "job.json").write_text(json.dumps(JOBS[0] | {"state": ALL, ALL: ALL, "owner": ALL}))
    good = JOBS[0] | {"display": JOBS[0]["display"] | {"jobName": "[red]n[/]\x1b[2J"}}
    (tmp_path / "good.json").write_text(json.dumps(good))
    (tmp_path / "schema.yml").write_text(json.dumps({"properties": {"state": {"enum": [ALL]}}, "required": [ALL]}))
    (tmp_path / "wrong.yml").write_text(json.dumps({"properties": {ALL: {"pattern": f"({ALL}"}}}))
    (tmp_path / "bindings.json").write_text(json.dumps([{"exchange": f"exchange/me/{ALL}", "pattern": ALL}]))
    (tmp_path / "raw.yml").write_text(f"a: '{ALL}'\n")
    (tmp_path / "\x1b[2J\u202e.json").write_text("{")
    return tmp_path


ARGUMENT = ALL.replace("\0", "")  # which no argument can have
COMMANDS = [
    ("validate", "r.ndjson"),
    ("validate", "job.json", "good.json", "\x1b[2J\u202e.json", "raw.yml"),
    ("validate", "job.json", "--schema", "schema.yml"),
    ("validate", "job.json", "--schema", "wrong.yml"),
    ("preview", "r.ndjson", "job.json", "good.json", "--details"),
    ("publish", "r.ndjson", "--exchange", "exchange/me/x", "--dry-run"),
    ("publish", "job.json", "--exchange", "exchange/me/x", "-d", ARGUMENT, "--dry-run"),
    ("bindings", "bindings.json"),
    ("bindings", "raw.yml"),
    ("match", ARGUMENT[:100], "--binding", ARGUMENT[:100], "--registration", "bindings.json"),
    ("tail", f"exchange/me/{ARGUMENT}:{ARGUMENT}"),
    ("queue", "show", ARGUMENT),
    ("register", "-e", ARGUMENT, "-d", ARGUMENT, "-p", ARGUMENT),
    ("validate", ARGUMENT),
    (ARGUMENT,),
    ("tail", f"--{ARGUMENT}"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: clean(" ".join(arguments))[:40])
def test_hostile_files_and_arguments_do_not_control_a_terminal(arguments: tuple[str, ...], files: Path) -> None:
    with Screen(*arguments, folder=files, url="amqp://me:p@127.0.0.1:1/", extra={"PULSEKIT_DEBUG": "1"}) as screen:
        status, shown = screen.end()
    assert status in {0, 1, 2, 4, 74}, shown
    assert raw_characters(shown) == []


def test_hostile_keys_and_records_in_a_pipe_have_no_effect(files: Path) -> None:
    lines = (files / "r.ndjson").read_bytes()
    for command in (("match", "-o", "pretty"), ("validate", "-o", "pretty"), ("preview", "-o", "pretty")):
        done = pulsekit(*command, folder=files, given=lines)
        assert done.status in {0, 1}, done.err
        assert raw_characters(done.out + done.err) == []


async def test_hostile_recordings_are_replayed_without_an_effect(user: PulseUser, exchange: str, files: Path) -> None:
    for sending in (
        ("replay", "r.ndjson", "--exchange", exchange),
        ("publish", "r.ndjson", "--exchange", exchange, "--no-schema"),
    ):
        with start("tail", exchange, "-n", str(len(BODIES)), "--idle", "30", folder=files, url=user.url) as tail:
            assert tail.stderr is not None
            assert tail.stderr.readline().startswith("listening")
            with Screen(*sending, folder=files, url=user.url) as screen:
                status, shown = screen.end()
            assert status == 0, shown
            assert raw_characters(shown) == []
            out, _ = tail.communicate()
        assert len(out.splitlines()) == len(BODIES)
