"""The fuzz targets: a function for each place where untrusted text or bytes are read.

Each target accepts any bytes, allows the documented errors, and fails on all other errors. `test_fuzz.py` calls them
with inputs that hypothesis draws from the pieces, `fuzz.py` with inputs of atheris.
"""

from __future__ import annotations

import asyncio
import atexit
import gzip
import io
import json
import re
import tempfile
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pamqp.body
import pamqp.frame
from pamqp import commands, header
from support.hostile_frames import samples, speak
from support.samples import COMPLETED, JOBS
from support.taskcluster import RUN, SLUG, TASK

from pulsekit._amqp.broker import parse_url, user_in
from pulsekit._amqp.consuming import ConsumeChannel
from pulsekit._amqp.frame_router import FrameRouter
from pulsekit._amqp.frames import FRAME, PublishHeader, encode_id
from pulsekit._amqp.properties import read_properties
from pulsekit._amqp.types import Delivery
from pulsekit._config.settings import load_settings
from pulsekit._documents.document import parse_documents, parse_json, parse_yaml
from pulsekit.bindings.coverage import covers
from pulsekit.bindings.lint import lint
from pulsekit.bindings.matching import check_key, check_pattern, explain_match, topic_matches
from pulsekit.bindings.registration import Binding, expand, read_registrations
from pulsekit.bindings.table import BindingTable
from pulsekit.catalogue import KnownLayouts, known_exchanges
from pulsekit.cli.output.output import Format, Output
from pulsekit.cli.output.rows import Notation, Rows
from pulsekit.errors import (
    ConfigurationError,
    DamagedRecording,
    DocumentError,
    InvalidInput,
    InvalidMessage,
    InvalidPattern,
    SchemaError,
)
from pulsekit.messages import CC, Delivered, Message
from pulsekit.publisher.planning import PublishPlan
from pulsekit.recordings.reader import read_recording
from pulsekit.records.record import is_record, message_record, read_gap, read_record, record_line
from pulsekit.records.selection import Selection
from pulsekit.schemas.schema import load_schema
from pulsekit.treeherder import Context, Judge
from pulsekit.treeherder.document_verdicts import judge_subjects
from pulsekit.why import SavedEvidence, explain
from security.screens import raw_characters

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """A fuzz target.

    Attributes:
        check: a function of any bytes, which fails if the code breaks a promise.
        pieces: the parts from which inputs are composed.
        seeds: complete inputs to start from.
    """

    check: Callable[[bytes], object]
    pieces: tuple[bytes, ...] = ()
    seeds: tuple[bytes, ...] = ()


def _check_words(error: Exception, secret: str | None = None) -> None:
    """Check that an error has a message of limited length, without a secret."""
    assert 0 < len(str(error)) < 10_000
    assert secret is None or secret not in str(error)


# documents


def _json(data: bytes) -> None:
    for source in ("x.json", "x.ndjson", ""):
        try:
            documents = parse_documents(data, source=source)
        except DocumentError:
            continue
        for document in documents:
            assert document.locate("/a/0")
            json.dumps(document.value)
    try:
        ours = parse_json(data).value
    except DocumentError:
        return
    assert json.dumps(ours) == json.dumps(json.loads(data.removeprefix(b"\xef\xbb\xbf").decode()))


def _yaml(data: bytes) -> None:
    with suppress(DocumentError):  # with anchors; an alias that multiplies must not fill the memory
        json.dumps(parse_yaml(data, shared=True).value, allow_nan=False)
    try:
        documents = parse_documents(data, source="x.yml")
    except DocumentError as error:
        _check_words(error)
        return
    for document in documents:
        assert document.locate("/a/0")
        json.dumps(document.value, allow_nan=False)


# records


def _records(data: bytes) -> None:
    try:
        value: Any = parse_json(data).value
    except DocumentError:
        return
    with suppress(InvalidMessage):
        read_gap(value if isinstance(value, dict) else {"from": value, "to": value})
    for one in (value, {"routing_key": "k", "payload": value}, {"routing_key": "k", "body": "", "headers": value}):
        if is_record(one):
            _record(one)


def _record(value: dict[str, Any]) -> None:
    try:
        record = read_record(value)
    except InvalidMessage:
        return
    with suppress(DocumentError):
        json.dumps(record.payload)
    try:
        drafts: Any = PublishPlan("exchange/me/x").messages(value)
    except (ConfigurationError, InvalidInput):
        return
    for draft in drafts:
        headers = {**draft.headers, CC: list(draft.cc)}
        try:
            publish_header = PublishHeader(
                "x", draft.routing_key, mandatory=True, properties=draft.properties, headers=headers
            )
            frames: list[bytes] = []
            publish_header.frames(1, encode_id("m"), b"{}", 4096, frames)
        except InvalidMessage:
            continue
        sent, table = read_properties(_second(b"".join(frames)))  # the content header
        message = Message(exchange="x", routing_key="k", body=b"{}", received=_NOW, headers=table, properties=sent)
        assert read_record(message_record(message)).cc == draft.cc


def _second(data: bytes) -> bytes:
    """Return the payload of the second frame."""
    at = 8 + FRAME.unpack_from(data)[2]
    return data[at + 7 : at + 7 + FRAME.unpack_from(data, at)[2]]


@cache
def _scratch() -> Path:
    """Return a folder that exists as long as the process."""
    folder = tempfile.mkdtemp(prefix="pulsekit-")
    atexit.register(rmtree, folder)
    return Path(folder)


def _recordings(data: bytes) -> None:
    path = _scratch() / "recording"
    path.write_bytes(data)
    try:
        for entry in read_recording(path):
            assert entry is not None
    except DamagedRecording as error:
        _check_words(error)


# configuration


def _registrations(data: bytes) -> None:
    try:
        registrations = read_registrations(data, source="x")
    except InvalidInput as error:
        _check_words(error)
        return
    bindings = expand(registrations)
    if len(bindings) < 200:
        assert set(lint(registrations, layouts=KnownLayouts())) == set(bindings)


def _tasks(data: bytes) -> None:
    """Check that any file of tasks, pushes or answers of `why` gets verdicts and steps."""
    try:
        document = parse_json(data)
        for judged in judge_subjects(Judge(), document, Context(), states=True):
            verdict = judged.placed.verdict
            assert verdict.outcome in {"stored", "dropped", "unknown"}
            assert verdict.reasons or verdict.job is not None or judged.push is not None
        saved = SavedEvidence(document.value)
    except InvalidInput as error:
        _check_words(error)
        return
    explain(saved.target, saved)


def _configuration(data: bytes) -> None:
    (_scratch() / "pulsekit.yml").write_bytes(data)
    try:
        settings = load_settings(_scratch(), {"HOME": str(_scratch())})
    except (ConfigurationError, InvalidInput):
        return
    assert not settings.names_a_broker
    assert settings.user is None
    with suppress(ConfigurationError):
        settings.broker()
        raise AssertionError("a project's file has led to a broker")


def _schemas(data: bytes) -> None:
    try:
        value: Any = parse_json(data).value
    except DocumentError:
        return
    if not isinstance(value, dict):
        value = {"properties": {"a": value}}
    before = json.dumps(value)
    try:
        schema = load_schema(value)
    except SchemaError:
        return
    assert json.dumps(value) == before, "the schema was changed"
    for payload in ({}, {"a": 1}, {"a": {"a": "b"}}, [1, 1.0, None], "2026", 0, True):
        for profile in ("strict", "treeherder"):
            try:
                valid = schema.is_valid(payload, profile)
                assert valid == (not schema.problems(payload, profile))
            except SchemaError:
                return


# addresses and keys


def _urls(data: bytes) -> None:
    url = data.decode("utf-8", "surrogateescape")
    user_in(url)
    try:
        broker = parse_url(url)
    except ConfigurationError as error:
        found = re.search(r":([^:@/?#]{6,})@", url)
        _check_words(error, found[1] if found and url.count(found[1]) == 1 else None)
        return
    assert broker.host
    assert broker.user
    written = str(broker).replace(":***@", f":{quote(broker.password, safe='')}@", 1)
    again = parse_url(written)
    for part in ("hosts", "user", "password", "virtual_host", "tls"):
        assert getattr(again, part) == getattr(broker, part), part


def _topics(data: bytes) -> None:
    pattern, key, other = [*data.split(b"\0", 2), b"", b""][:3]
    try:
        wants, wider = (check_pattern(text.decode("utf-8", "surrogateescape")) for text in (pattern, other))
        has = check_key(key.decode("utf-8", "surrogateescape"))
    except (InvalidMessage, InvalidPattern):
        return
    matches = topic_matches(wants, has)
    assert matches == _naive(wants, has)
    explained = explain_match(wants, has)
    assert explained.matched == matches
    assert explained.reason
    table = BindingTable[int]()
    for number, one in enumerate((wants, wider)):
        table.add(one, number)
    assert table.matches(has) == [n for n, one in enumerate((wants, wider)) if _naive(one, has)]
    if covers(wider, wants):
        assert not matches or _naive(wider, has)
    assert covers("#", wants)
    _known(wants, has, matches=matches)


def _known(pattern: str, key: str, *, matches: bool) -> None:
    """Read a key of each layout. A pattern that matches a possible key has no finding."""
    layouts = KnownLayouts()
    for known in known_exchanges():
        known.read_key(key)
        possible = layouts.mismatch(known.name, key) is None and not {"*", "#"} & set(key.split("."))
        if matches and possible and known.separator == ".":
            assert layouts.mismatch(known.name, pattern) is None


def _naive(pattern: str, key: str) -> bool:
    """Match by trying every way to read the pattern, word by word of the key."""
    wants = pattern.split(".") if pattern else []
    places = _reached(wants, {0})
    for word in key.split(".") if key else []:
        stay = {at for at in places if at < len(wants) and wants[at] == "#"}
        on = {at + 1 for at in places if at < len(wants) and wants[at] in {"*", word}}
        places = _reached(wants, stay | on)
    return len(wants) in places


def _reached(wants: list[str], places: set[int]) -> set[int]:
    found = set(places)
    for at, want in enumerate(wants):
        if want == "#" and at in found:
            found.add(at + 1)
    return found


# data from a broker

_NOW = datetime(2026, 11, 23, 18, tzinfo=UTC)


def _messages(data: bytes) -> None:
    """Check that any delivery can be recorded and shown, without controlling a terminal."""
    size = data[0] if data else 0
    key, rest = data[1 : 1 + size].decode("utf-8", "replace"), data[1 + size :]
    length = int.from_bytes(rest[:1]) * 4
    head, body = rest[1 : 1 + length], rest[1 + length :]
    delivery = Delivery("exchange/x/a", key, b"\0" * 12 + head, body, False, 1)
    message = Delivered(delivery, 1, _NOW.timestamp(), _Nobody(), load_schema("pulse-job"))
    for exact in (False, True):
        line = record_line(message, exact=exact)
        assert line.endswith(b"\n")
        assert not raw_characters(line[:-1].decode())
        record = read_record(json.loads(line))
        assert record.routing_key == key
    assert record.content == body, "an exact record has the body as it came"
    bindings = [Binding("exchange/x/a", "#.a"), Binding("exchange/y/b")]
    view = Selection(bindings, schema=load_schema("pulse-job"), unwraps=True, explains=True)
    shown = io.TextIOWrapper(_Terminal(), encoding="utf-8", newline="")
    with redirect_stdout(shown):
        out = Output(Format.PRETTY)
        for notation in Notation:
            rows = Rows(
                out, ["exchange/x/a", "exchange/y/b"], marked=True, explained=True, full=True, notation=notation
            )
            for seen in view.choose([message]):
                rows.write(seen)
                assert not raw_characters(seen.line()[:-1].decode())
    shown.flush()
    assert not raw_characters(shown.buffer.getvalue().decode())  # type: ignore[attr-defined]  # a `_Terminal`


class _Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


class _Nobody:
    def settle(self, message: Message, settlement: object) -> None: ...


def _frames(data: bytes) -> None:
    """Feed the bytes that a client reads from its socket; the first byte chooses where they are divided."""
    at = 1 + (data[0] if data else 0)
    _loop().run_until_complete(_receive(data[1:at], data[at:]))


async def _receive(*parts: bytes) -> None:
    reader = asyncio.StreamReader()
    link = _Link(FrameRouter(reader))
    link.router.connection_made(_Transport())
    deliveries: list[Delivery] = []
    channel = ConsumeChannel(link, _Channel(), "q", 10, deliveries.append)  # type: ignore[arg-type]  # played
    link.router.connect(_Channel.number, channel)
    for part in parts:
        link.router.data_received(part)
    for delivery in deliveries:
        message = Delivered(delivery, 1, 0.0, _Nobody(), None)
        assert read_record(json.loads(record_line(message, exact=True))).content == delivery.body


@dataclass
class _Link:
    router: FrameRouter
    is_lost = False


class _Channel:
    number = 1


class _Transport(asyncio.Transport):
    def write(self, data: object) -> None: ...

    def abort(self) -> None: ...

    def is_closing(self) -> bool:
        return False


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def _delivered(key: str, body: bytes, headers: dict[str, Any] | None = None) -> bytes:
    properties = commands.Basic.Properties(headers=headers, content_type="text/plain", timestamp=_NOW)
    values = (
        commands.Basic.Deliver("tag", 1, False, "exchange/x", key),
        header.ContentHeader(0, len(body), properties),
        pamqp.body.ContentBody(body),
    )
    return b"".join(pamqp.frame.marshal(value, 1) for value in values)


def _message(key: bytes, headers: dict[str, Any], body: bytes) -> bytes:
    """Write a message as `_messages` reads it."""
    marshalled = header.ContentHeader(0, 0, commands.Basic.Properties(headers=headers)).marshal()[12:]
    head = marshalled.ljust(-(-len(marshalled) // 4) * 4, b"\0")
    return bytes((len(key),)) + key + bytes((len(head) // 4,)) + head + body


_NESTED = b"[" * 990 + b"]" * 990
_HOSTILE = ("\x1b]0;t\x07", "\x9b31m", "\u202e", "[red]", "\r\n", "\u2028", "é", "😀")
_JSON = (
    *rb'{ } [ ] , : " \ 1 0 - . e9 1e999 NaN -Infinity null true false \ud800 \u001b "a" "b" {"a": [[ ]]'.split(),
    b"\n", b" ", b"\t", b"9" * 20, b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", *(text.encode() for text in _HOSTILE),
)  # fmt: skip
_YAML = (
    b"a", b"b: ", b"- ", b"? ", b": ", b"{", b"}", b"[", b"]", b",", b'"', b"'", b"\n", b"  ", b"\t", b"\r", b"&a ",
    b"*a ", b"!", b"!!map ", b"|\n", b">\n", b"%YAML 1.2\n", b"#", b"---\n", b"...\n", b"\\x1b", b"\\U", b"~", b"<<: ",
    b".inf", b"1e9", b"0x1f", b"\x85", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xed\xa0\x80",
)  # fmt: skip
_RECORD = (
    b'{"routing_key":"k",', b'"body":"x"', b'"body_b64":"/w=="', b'"payload":1', b'"headers":{', b'"properties":{',
    b'"priority":', b'"timestamp":', b'{"$type":"decimal","value":"1e99"}', b'{"$type":"table","value":{', b'"bytes"',
    b'{"$type":"double","value":"nan"}', b'{"$type":"timestamp","value":"2026-11-23T18:00:00Z"}', b'"v":1',
    b'"cc":["a"]',
    b'"type":"gap"', b'"from":', b'"epoch":', b'"received":"0001-01-01T00:00:00+23:59"', b'"exchange":"e"', b'"x":',
)  # fmt: skip
_KEYWORDS = """\
type enum const allOf anyOf oneOf not if then else minLength pattern format minimum exclusiveMaximum multipleOf
uniqueItems items additionalItems contains required dependencies properties patternProperties additionalProperties
propertyNames definitions $ref $id $schema default"""
_SCHEMA = (
    *(f'"{word}":'.encode() for word in _KEYWORDS.split()),
    b'"object"', b'"array"', b'"string"', b'["a"]', b'"#"', b'"#/properties/a"', b'"file:///etc/passwd"', b'"("',
    b'"http://json-schema.org/draft-04/schema#"', b'"date-time"', b'"^a$"', b"0.01", b"-1", b"[{}]", b"{}",
)  # fmt: skip
_SETTINGS = tuple(
    f"{key}: ".encode()
    for key in ("url", "user", "password", "password_file", "password_command", "host", "exchange", "destinations",
                "registrations", "targets", "schema", "lint_off", "logins", "PULSE_URL", "production", "projects",
                "Url", "url ")
)  # fmt: skip
_WORDS = (b".", b"*", b"#", b"a", b"b", b"ab", b"..", b"#.#", b"*.#", b"\0", b"", b"A", b"\xff", b"\xc3\xa9", b"a" * 90)

_RECORDING = (*_RECORD, b'{"v":1,"type":"header"}\n', b'{"v":1,"type":"trailer","count":0}\n', b"\x1f\x8b\x08\0")
_REGISTRATION = (
    b"exchange/me/jobs", b".a:b", b"exchange: ", b"destinations: ", b"projects: ", b"pattern: ", b'"exchange": ', b"(",
    b")",
    b"PULSE_DATA_INGESTION_SOURCES=", b"rule: any.project", b"SOURCES = ", b"'''", b"#", b"\\N{",
)  # fmt: skip
_URL = (
    b"amqp://", b"amqps://", b"pyamqp://", b"http://", b"me", b":", b"@", b"secret1", b"h", b"[::1]", b"127.0.0.1",
    b",",
    b"/", b"?", b"#", b"&", b"ssl=1", b"heartbeat=9", b"cafile=f", b"%2F", b"%ff", b"%", b"\xc3\xa9", b" ", b"99999",
    b"\xff", b"\xe2\x84\x80", b"[", b"]", b"localhost",
)  # fmt: skip
_TABLE = (b"S\0\0\0\1x", b"A\0\0\0\4", b"F\0\0\0\4", b"\2CC", b"T", b"D\xff", b"V", b"\x01a", b" \0", b"x")

_QUEUE = "exchange/taskcluster-queue/v1/task-"
_FAILED = {"status": {"taskId": SLUG, "runs": [RUN]}, "runId": 0}
_PAGES = {"task": {"address": "x", "status": 200, "value": TASK}}
_FIELDS = """routes extra treeherder metadata created status runs runId taskId task message exchange payload details
labels collection pages target value"""
_TASK = (
    *(f'"{name}":'.encode() for name in _FIELDS.split()),
    b'"tc-treeherder.v2.a.b"', f'"{SLUG}"'.encode(), f'"{_QUEUE}exception"'.encode(), b'"reasonCreated":"exception"',
)  # fmt: skip

TARGETS = {
    "json": Target(_json, _JSON, (json.dumps(COMPLETED).encode(), _NESTED)),
    "yaml": Target(
        _yaml,
        _YAML,
        (b"a: &a [x]\nb: &b [*a, *a]\nc: {<<: {d: *b}}\n", b"a:\n- {b: 'c', d: \"\\x41\"}\n- |\n  e\n", b"[" * 200),
    ),
    "records": Target(
        _records,
        _JSON + _RECORD,
        (
            b'{"a":' * 900 + b"1" + b"}" * 900,
            b'{"a":' * 300 + b"1" + b"}" * 300,
            _NESTED,
            b'{"routing_key":"k","payload":{},"headers":{"a":[1]},"cc":["b"]}',
        ),
    ),
    "recordings": Target(
        _recordings,
        _JSON + _RECORDING,
        (
            b'{"v":1,"type":"header"}\n{"routing_key":"k","payload":1}\n',
            gzip.compress(b'{"v":1,"type":"header"}\n{"routing_key":"k","payload":1}\n', mtime=0),
        ),
    ),
    "tasks": Target(
        _tasks,
        _JSON + _TASK,
        (
            json.dumps(TASK).encode(),
            json.dumps({"message": {"exchange": f"{_QUEUE}failed", "payload": _FAILED}, "task": TASK}).encode(),
            json.dumps({"build": {"task": TASK}}).encode(),
            json.dumps({"payload": {"repo_url": "x", "pushlog_pushes": []}}).encode(),
            json.dumps({"v": 1, "type": "pulsekit-why", "target": {"task_id": SLUG}, "pages": _PAGES}).encode(),
        ),
    ),
    "registrations": Target(
        _registrations,
        _YAML + _REGISTRATION,
        (
            b"- {exchange: exchange/me/jobs, destinations: [a], projects: ['b._']}\n",
            b"exchange/me/jobs.a.#:b\n",
            b"pulse_sources = [{'exchange': 'exchange/me/jobs', 'destinations': ['#'], 'projects': ['a']}]\n",
            b"A=1\nexport PULSE_JOB_SOURCES=exchange/me/jobs.a\n",
            b"class C:\n    X = f(A + [{'exchange': 'exchange/me/jobs', 'projects': ['a']}])\n",
            b"{\r\xc2\x80",  # Python 3.12 and newer cannot find the tokens
        ),
    ),
    "configuration": Target(
        _configuration,
        (*_YAML, *_SETTINGS, b"exchange/me/jobs", b"amqp://a:b@h/"),
        (
            b"exchange: exchange/me/jobs\ndestinations: [treeherder]\n",
            b"url: amqps://me:x@example.org/\n",
            b"logins:\n  work:\n    url: amqps://me:x@example.org/\n",
        ),
    ),
    "schemas": Target(
        _schemas,
        _JSON + _SCHEMA,
        (
            b'{"properties":{"a":{"type":["string","integer"],"pattern":"^b$"}},"required":["a"]}',
            b'{"definitions":{"x":{"$ref":"#"}},"anyOf":[{"$ref":"#/definitions/x"},{"minItems":1}]}',
        ),
    ),
    "urls": Target(
        _urls,
        _URL,
        (
            b"amqps://me:secret1@a.example:5671,b.example/v?ssl=1&heartbeat=20",
            b"amqp://me:secret1@[::1]:5672/%2F",
        ),
    ),
    "topics": Target(_topics, _WORDS, (b"a.*.#\0a.b.c\0#.c", b"#.#.a.*.b\0" + b"a." * 60 + b"b\0*.#")),
    "messages": Target(
        _messages,
        _JSON + _TABLE,
        (
            _message(b"a.b", {"CC": ["x"], "n": {"m": [1, 2.5, True, None, _NOW]}}, json.dumps(JOBS[0]).encode()),
            _message("".join(_HOSTILE).encode(), {"\x1b[2J": "\u202e"}, "".join(_HOSTILE).encode()),
            _message(b"k", {}, _NESTED),
        ),
    ),
    "frames": Target(
        _frames,
        (*samples(), _delivered("k", b"{}"), _delivered("k", b"x" * 300, {"CC": ["a"]})),
        (b" " + _delivered("k", b"{}", {"a": [1]}) + _delivered("k", b""),),
    ),
    "sandbox": Target(speak, tuple(bytes((number, 0)) for number in range(len(samples())))),
}
