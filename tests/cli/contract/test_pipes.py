"""A closed pipe, a full disk, a closed stdin: an exit code, and never a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.command import environment, start

if TYPE_CHECKING:
    from cli.contract.conftest import Place

STREAMING = [
    "match --binding treeherder.# < keys.txt",
    "bindings many.yml",
    "bindings registration.yml --diff many.yml",
    "validate jobs.ndjson",
    "preview jobs.ndjson -o ndjson",
    "preview jobs.ndjson -o pretty --details",
    "publish jobs.ndjson --exchange {exchange} -d treeherder",
    "publish --exchange {exchange} -d treeherder < jobs.ndjson",
    "publish jobs.ndjson --exchange {exchange} -d treeherder --dry-run",
    "replay recording.ndjson --exchange {exchange} --speed max",
    "replay recording.ndjson --exchange {exchange} --dry-run",
    "queue show {queue} --watch --every 20ms",
    "doctor",
]
FULL = [
    "match --binding treeherder.# < keys.txt",
    "bindings registration.yml",
    "validate jobs.ndjson",
    "preview job.yml -o pretty",
    "publish job.yml --exchange {exchange} -d treeherder",
    "publish job.yml --exchange {exchange} -d treeherder --dry-run",
    "replay recording.ndjson --exchange {exchange} --speed max -n 5",
    "queue show {queue} --watch",
    "doctor",
    "register -e {exchange} -d treeherder -p autoland._",
    "queue show {queue}",
    "queue peek {queue} -o pretty",
    "completion bash",
    "sandbox --port 0",
    "demo",
]


def run(line: str, place: Place, **streams: Any) -> subprocess.Popen[str]:
    command, _, given = line.partition(" < ")
    stdin = (place.folder / given).open("rb") if given else subprocess.DEVNULL
    try:
        return start(*place.words(command), folder=place.folder, url=place.url, stdin=stdin, **streams)
    finally:
        if not isinstance(stdin, int):
            stdin.close()


def assert_plain_end(err: str, place: Place) -> None:
    for trouble in ("Traceback", "Exception", "BrokenPipe", "a bug in pulsekit", place.password):
        assert trouble not in err


@pytest.mark.parametrize("line", STREAMING)
def test_a_reader_that_exits_ends_a_stream_without_a_message(place: Place, line: str) -> None:
    with run(line, place) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 141, err
    assert_plain_end(err, place)
    assert "error" not in err


@pytest.mark.parametrize("line", FULL)
def test_a_full_disk_is_reported_once(place: Place, line: str) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full, run(line, place, stdout=full) as process:
        _, err = process.communicate()
    assert process.returncode == 74, err
    assert_plain_end(err, place)
    assert [text for text in err.splitlines() if text.startswith("error: ")] == ["error: No space left on device"]


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("match", 2, "no KEY"),
        ("validate", 2, "nothing to validate"),
        ("preview", 2, "nothing to preview"),
        ("publish --exchange {exchange} -d treeherder", 2, "nothing to publish"),
        ("bindings", 2, "no registrations"),
        ("queue purge {queue}", 2, "--yes"),
        ("register", 2, "no exchange"),
        ("publish job.yml --exchange {exchange} -d treeherder", 0, "no queue is bound"),
        ("tail {exchange} --for 100ms", 0, "0 messages in"),
        ("queue show {queue}", 0, ""),
        ("sandbox --port 0 -- true", 0, ""),
        ("validate -", 74, "error: <stdin>: Bad file descriptor"),
        ("bindings --keys - registration.yml", 74, "error: <stdin>: Bad file descriptor"),
        ("match a --registration -", 74, "error: <stdin>: Bad file descriptor"),
    ],
)
def test_a_closed_stdin_is_no_input_and_no_error(place: Place, line: str, status: int, words: str) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "pulsekit", *place.words(line)],
        env=environment(place.folder, place.url), cwd=place.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert_plain_end(done.stderr, place)


@pytest.mark.parametrize("line", ["--help", "publish --help", "queue --help", "--version"])
def test_help_with_a_closed_stdout_is_no_bug(place: Place, line: str) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "pulsekit", *place.words(line)],
        env=environment(place.folder, place.url), cwd=place.folder, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
