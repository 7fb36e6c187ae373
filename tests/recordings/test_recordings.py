from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pulsekit._amqp.types import Properties
from pulsekit.errors import ConfigurationError, DamagedRecording, NotOpen
from pulsekit.messages import Gap, Message
from pulsekit.recordings.reader import read_recording
from pulsekit.recordings.recorder import Recorder
from pulsekit.records.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
GAP = Gap(NOON, NOON + timedelta(seconds=3), 2, lossy=True)
BODIES = [b'{"a":  1.50,\n "a": 2}', b"not json", b"\xff\x00", b"", '{"é": "\u202e"}'.encode(), b"NaN"]
FORMS = ["jobs.ndjson", "jobs.ndjson.gz"]
# One byte in this many is damaged, and all at the ends of lines.
STEPS = pytest.mark.parametrize("step", [7, pytest.param(1, marks=(pytest.mark.slow, pytest.mark.timeout(300)))])


def message(number: int, body: bytes | None = None) -> Message:
    return Message(
        exchange="exchange/me/x",
        routing_key=f"key.{number}",
        body=BODIES[number % len(BODIES)] if body is None else body,
        received=NOON + timedelta(milliseconds=number),
        headers={"CC": ["c"], "bytes": b"\xff", "when": NOON},
        properties=Properties(message_id=str(number), timestamp=NOON, priority=3),
    )


def recorded(path: Path, count: int = 12, *, replace: bool = False) -> Path:
    with Recorder(path, bindings=["exchange/me/x:#"], replace=replace) as recorder:
        for number in range(count):
            recorder.write([message(number)] if number != 5 else [GAP, message(number)])
            if number % 5 == 0:
                recorder.sync()
    return path


def places(data: bytes, step: int) -> set[int]:
    """Choose where to damage a recording: one byte in `step`, and all around the ends of its lines."""
    ends = [place for place, byte in enumerate(data) if byte == ord("\n")]
    around = {end + offset for end in ends for offset in (-1, 0, 1, 2)}
    return {*range(0, len(data), step), *around.intersection(range(len(data)))}


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def read(path: Path) -> tuple[list[Record], DamagedRecording | None]:
    """Return the readable entries, and the error after them."""
    found: list[Record] = []
    ended: DamagedRecording | None = None
    try:
        for entry in read_recording(path):
            if isinstance(entry, Record):
                found.append(entry)
    except DamagedRecording as error:
        ended = error
    assert ended is None or ended.count == len(found)
    return found, ended


@pytest.mark.parametrize("form", FORMS)
def test_messages_and_gaps_are_read_back_unchanged(form: str, tmp_path: Path) -> None:
    entries = list(read_recording(recorded(tmp_path / form)))
    assert entries.pop(5) == GAP
    for number, entry in enumerate(entries):
        sent = message(number)
        assert isinstance(entry, Record)
        assert entry == Record(
            sent.exchange, sent.routing_key, ("c",), sent.body, sent.properties, dict(sent.headers), sent.received
        )


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\n \n"], ids=["plain", "byte order mark", "blank lines"])
def test_a_list_of_records_and_a_recording_are_read_behind_what_an_editor_adds(before: bytes, tmp_path: Path) -> None:
    whole = recorded(tmp_path / "jobs.ndjson", 2).read_bytes()
    records = [json.loads(line) for line in whole.splitlines() if b"routing_key" in line]
    path = tmp_path / "edited.json"
    for text in (whole, json.dumps(records, indent=2).encode()):
        path.write_bytes(before + text)
        found, error = read(path)
        assert (len(found), error) == (2, None)


@pytest.mark.parametrize("form", FORMS)
def test_it_begins_with_a_header_and_ends_with_count_and_digest(form: str, tmp_path: Path) -> None:
    *lines, last = unpacked(recorded(tmp_path / form)).splitlines(keepends=True)
    header = json.loads(lines[0])
    assert (header["v"], header["type"], header["bindings"]) == (1, "header", ["exchange/me/x:#"])
    assert datetime.fromisoformat(header["began"]) <= datetime.now(UTC)
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    assert json.loads(last) == {"v": 1, "type": "trailer", "count": 12, "sha256": digest}


def test_an_empty_recording_is_complete(tmp_path: Path) -> None:
    assert read(recorded(tmp_path / "jobs.ndjson", 0)) == ([], None)


@STEPS
@pytest.mark.parametrize("form", FORMS)
def test_a_truncation_anywhere_is_noticed_after_the_messages_before_it(form: str, step: int, tmp_path: Path) -> None:
    path = recorded(tmp_path / form)
    whole, _ = read(path)
    data = path.read_bytes()
    lines = {line for line in data.splitlines() if b'"routing_key"' in line}
    # An empty file is not a recording. A trailer without its newline is still a trailer.
    for size in places(data, step) - {0, len(data) - (form == "jobs.ndjson")}:
        path.write_bytes(data[:size])
        found, error = read(path)
        assert error is not None
        assert "truncated" in str(error)
        assert found == whole[: len(found)]
        if form == "jobs.ndjson":
            assert len(found) == len(lines.intersection(data[:size].splitlines()))


@STEPS
@pytest.mark.parametrize("form", FORMS)
def test_a_wrong_bit_anywhere_is_noticed(form: str, step: int, tmp_path: Path) -> None:
    path = recorded(tmp_path / form, 7)
    data, whole = path.read_bytes(), unpacked(path)
    unnoticed = 0
    for place in places(data, step):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        if read(path)[1] is None:
            assert unpacked(path).strip() == whole.strip()  # the damaged byte had no effect
            unnoticed += 1
    assert unnoticed * step < 20


def test_damage_in_compressed_data_loses_nothing_before_it(tmp_path: Path) -> None:
    path = tmp_path / "jobs.ndjson.gz"
    with Recorder(path) as recorder:
        for number in range(200):
            recorder.write([message(number)])
            recorder.sync()
            if number == 99:
                place = path.stat().st_size
    data = bytearray(path.read_bytes())
    data[place : place + 10] = b"\xff" * 10
    path.write_bytes(data)
    found, error = read(path)
    assert len(found) >= 100
    assert error is not None
    assert error.line == len(found) + 2  # after the header


def _short_members() -> bytes:
    return gzip.compress(b"") * 40_000


def _damaged_long_line() -> bytes:
    line = b'{"routing_key": "k", "payload": "' + random.Random(0).randbytes(1_081_000).hex().encode() + b'"}\n'
    packed = bytearray(gzip.compress(line, 0))  # its last chunk of 64 KiB is nearly full
    packed[-5] ^= 1  # damage in the checksum, so that the whole chunk is read byte by byte
    return bytes(packed)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "short members": _short_members,
    "a damaged long line": _damaged_long_line,
    "empty blocks": lambda: b"\x1f\x8b\x08" + bytes(7) + b"\x00\x00\x00\xff\xff" * 200_000,
    "a long header": lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 2_000_000,
    "deep lists": lambda: b'{"payload":' + b"[" * 4_000_000 + b"]" * 4_000_000 + b"}\n",
    "lists in lines": lambda: b"[\n" * 500_000,
    "backslashes": lambda: b'{"routing_key":"k","payload":"' + b"\\" * 2_000_000 + b'"}\n',
    "digits": lambda: b'{"routing_key":"k","payload":' + b"1" * 2_000_000 + b"}\n",
    "line ends of Windows": lambda: b"\r\n" * 500_000,
    "byte order marks": lambda: b"\xef\xbb\xbf" * 500_000,
    "NUL bytes": lambda: bytes(2_000_000),
    "not UTF-8": lambda: b'{"routing_key":"' + b"\xff" * 2_000_000 + b'"}\n',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_any_recording_is_read_in_time_in_proportion_to_its_size(name: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.ndjson.gz"  # the first bytes decide whether it is compressed
    path.write_bytes(HOSTILE[name]())
    begin = time.process_time()
    read(path)
    assert time.process_time() - begin < 5  # about 0.1 s; with quadratic time, more than 10 s


@pytest.mark.parametrize("form", FORMS)
def test_synced_messages_can_be_read_while_the_file_grows(form: str, tmp_path: Path) -> None:
    with Recorder(tmp_path / form) as recorder:
        for number in range(20):
            recorder.write([message(number, b"x" * 10_000)])
            recorder.sync()
            found, error = read(recorder.path)
            assert len(found) == number + 1
            assert error is not None
            assert "still being written" in str(error)


def changed(lines: list[bytes]) -> list[tuple[str, list[bytes], int]]:
    """Damage a recording of three messages; return the expected message and line."""
    head, one, two, three, trailer = lines
    return [
        ("not a record", [head, one, b"{}\n", two, three, trailer], 3),
        ("not JSON", [head, one, b"\0\0\0\n"], 3),
        ("base64", [head, one, b'{"routing_key": "k", "body_b64": "*"}\n'], 3),
        ("version 2", [head, one, two.replace(b'"v":1', b'"v":2')], 3),
        ("`from` and `to`", [head, b'{"v": 1, "type": "gap"}\n'], 2),
        ("count 3, but the recording has 2", [head, one, three, trailer], 4),
        ("SHA-256", [head, one, three, two, trailer], 5),
        ("SHA-256", [one, two, three, trailer], 4),
        ("after the trailer", [head, one, two, three, trailer, one], 6),
        ("the previous one has no trailer", [head, one, head, one, two, three, trailer], 3),
        ("trailer is missing", [head, one], 3),
    ]


@pytest.mark.parametrize("number", range(11))
def test_damage_is_reported_with_its_line(number: int, tmp_path: Path) -> None:
    path = recorded(tmp_path / "jobs.ndjson", 3)
    words, lines, line = changed(path.read_bytes().splitlines(keepends=True))[number]
    path.write_bytes(b"".join(lines))
    _, error = read(path)
    assert error is not None
    assert str(error).startswith(f"{path}:{line}: ")
    assert words in str(error)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_may_contain_several_recordings(form: str, tmp_path: Path) -> None:
    first, second = recorded(tmp_path / f"1{form}", 3), recorded(tmp_path / f"2{form}", 2)
    both = tmp_path / form
    both.write_bytes(first.read_bytes() + second.read_bytes())
    found, error = read(both)
    assert error is None
    assert [one.routing_key for one in found] == ["key.0", "key.1", "key.2", "key.0", "key.1"]


def test_ndjson_that_is_not_a_recording_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "shown"
    path.write_text('{"routing_key": "a", "payload": 1}\n\n{"routing_key": "b", "payload": 2, "received": "?"}')
    found, error = read(path)
    assert error is None
    assert [(one.routing_key, one.content, one.received) for one in found] == [("a", 1, None), ("b", 2, None)]


def test_only_the_owner_can_read_a_recording(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r.ndjson"):
        assert (tmp_path / "r.ndjson").stat().st_mode & 0o777 == 0o600


def test_an_existing_file_is_replaced_only_on_request(tmp_path: Path) -> None:
    path = recorded(tmp_path / "jobs.ndjson", 5)
    with pytest.raises(FileExistsError):
        recorded(path)
    assert len(read(path)[0]) == 5
    assert len(read(recorded(path, 2, replace=True))[0]) == 2


@pytest.mark.parametrize("name", ["jobs.json", "jobs", "jobs.gz", "ndjson"])
def test_the_suffix_decides_the_format(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\.ndjson\.gz"):
        Recorder(tmp_path / name)


def test_writing_outside_of_the_block_is_refused(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "jobs.ndjson")
    with pytest.raises(NotOpen):
        recorder.write([message(0)])
    with recorder:
        pass
    recorder.close()
    with pytest.raises(NotOpen):
        recorder.sync()


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"from another program")


def _replace_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))
    path.parent.touch()


TAMPER: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "renamed": lambda path: path.rename(path.with_name("jobs.1")),
    "replaced": lambda path: path.with_name("other").rename(path),
    "truncated": lambda path: os.truncate(path, 0),
    "truncated in a line": lambda path: os.truncate(path, path.stat().st_size - 10),
    "changed": _append,
    "replaced by a file at its folder": _replace_folder,
}


@pytest.mark.parametrize("then", ["sync", "close"])
@pytest.mark.parametrize("how", TAMPER)
@pytest.mark.parametrize("form", FORMS)
def test_a_recorder_notices_that_its_file_cannot_be_read(form: str, how: str, then: str, tmp_path: Path) -> None:
    path = tmp_path / "folder" / form
    path.parent.mkdir()
    recorder = Recorder(path)
    recorder.open()
    recorder.write([message(0)])
    recorder.sync()
    path.with_name("other").touch()
    TAMPER[how](path)
    recorder.write([message(1)])
    with pytest.raises(OSError, match=how.split(maxsplit=1)[0]) as caught:
        recorder.sync() if then == "sync" else recorder.close()
    assert caught.value.filename == str(path)
    assert recorder.lost
    assert recorder.closed
    if form == "jobs.ndjson" and path.exists():
        assert b"\0" not in path.read_bytes()  # no data follows a hole
    if how == "renamed":
        found, error = read(path.with_name("jobs.1"))
        assert len(found) == 2
        assert error is None or form == "jobs.ndjson.gz"


def test_two_recorders_never_write_one_file(tmp_path: Path) -> None:
    path = recorded(tmp_path / "jobs.ndjson", 3)
    with Recorder(path, replace=True) as first:
        first.write([message(0)])
        with pytest.raises(BlockingIOError, match="another process records") as caught:
            Recorder(path, replace=True).open()
        assert caught.value.filename == str(path)
        first.write([message(1)])
    assert len(read(path)[0]) == 2
    assert len(read(recorded(path, 4, replace=True))[0]) == 4


def test_a_recording_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = recorded(tmp_path / "jobs.ndjson", 5)
    (tmp_path / "link.ndjson").symlink_to(path)
    with files_of_at_most(10), pytest.raises(OSError, match="too large"):
        Recorder(path, replace=True).open()
    assert len(read(path)[0]) == 5
    with path.open("rb") as reader:
        recorded(tmp_path / "link.ndjson", 2, replace=True)
        assert len(reader.read().splitlines()) == 5 + 2  # a program with the previous file open can read all of it
    assert len(read(path)[0]) == 2
    assert {entry.name for entry in tmp_path.iterdir()} == {"jobs.ndjson", "link.ndjson"}


def test_a_fifo_stores_no_recording(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ndjson")
    with pytest.raises(ConfigurationError, match="FIFO"):
        Recorder(tmp_path / "pipe.ndjson", replace=True).open()


# Processes record, each to a file of its own. The system kills each after the last byte that its file may have.
KILLED = """
import os, resource, signal, sys
from datetime import UTC, datetime
from pulsekit.messages import Message
from pulsekit.recordings.recorder import Recorder

for limit in range(*map(int, sys.argv[2:])):
    if (child := os.fork()) == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # which Python ignores, so that a write raises an error
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        recorder = Recorder(f"{limit}.{sys.argv[1]}")
        recorder.open()
        os.write(1, b"%d 0\\n" % limit)
        for number in range(1000):
            body = b"%d" % number * 20
            recorder.write([Message(exchange="e", routing_key="k", body=body, received=datetime.now(UTC))])
            recorder.sync()
            os.write(1, b"%d %d\\n" % (limit, number + 1))
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGXFSZ
"""


@pytest.mark.parametrize("form", FORMS)
def test_a_writer_killed_at_any_byte_loses_no_synced_message(form: str, tmp_path: Path) -> None:
    first, last, step = 300, 1300, 37
    program = (sys.executable, "-c", KILLED, form, str(first), str(last), str(step))
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=True)
    lines = (map(int, line.split()) for line in done.stdout.splitlines())
    synced = dict(lines)  # the last line of each file
    assert synced.keys() == set(range(first, last, step))
    assert len({*synced.values()}) > 3
    for limit, count in synced.items():
        path = tmp_path / f"{limit}.{form}"
        found, error = read(path)
        assert len(found) >= count
        assert [record.content for record in found] == [b"%d" % number * 20 for number in range(len(found))]
        assert error is not None
        with pytest.raises(FileExistsError):  # a second run replaces nothing
            recorded(path)


def test_a_link_to_a_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link.ndjson").symlink_to("missing.ndjson")
    for replace in (False, True):
        with pytest.raises(ConfigurationError, match="link to a file that does not exist"):
            Recorder(tmp_path / "link.ndjson", replace=replace).open()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("form", FORMS)
def test_after_a_full_disk_all_synced_messages_can_be_read(form: str, tmp_path: Path) -> None:
    path = tmp_path / form
    recorder = Recorder(path)
    recorder.open()
    synced = 0
    with files_of_at_most(99_000), pytest.raises(OSError, match="too large") as caught:
        while True:
            recorder.write([message(recorder.count, random.Random(recorder.count).randbytes(3000))])
            recorder.sync()
            synced = recorder.count
    assert caught.value.filename == str(path)
    found, error = read(path)
    assert len(found) == synced > 20
    assert (error is None) == (form == "jobs.ndjson")
    assert error is None or "has no end" in str(error)
    recorder.close()
    with pytest.raises(NotOpen):
        recorder.write([message(0)])


def test_a_device_that_accepts_nothing_is_an_os_error(tmp_path: Path) -> None:
    path = tmp_path / "full.ndjson"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        recorded(path, replace=True)
    assert caught.value.filename == str(path)


def test_an_interruption_during_a_write_leaves_complete_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jobs.ndjson"
    recorder = Recorder(path)
    recorder.open()
    recorder.write([message(0)])
    file = recorder._file

    def interrupted(data: memoryview) -> int:
        assert file is not None
        monkeypatch.undo()
        file.write(data[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(recorder, "_file", SimpleNamespace(write=interrupted))
    with pytest.raises(KeyboardInterrupt):
        recorder.write([message(1)])
    found, error = read(path)
    assert (len(found), error) == (1, None)
