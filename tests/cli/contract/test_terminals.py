"""Untrusted text does not control a terminal, and no line is wider than the terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.samples import JOBS
from support.terminal import SGR, Terminal

if TYPE_CHECKING:
    from cli.contract.conftest import Place

HOSTILE = "\x1b]0;title\x07\x1b[2J\u202e\x9b31m[red]\r\n\x7f"
NARROW = 60


def show(place: Place, line: str, columns: int = NARROW, **extra: str) -> Terminal:
    """Run a command on a terminal until it ends."""
    with Terminal(*place.words(line), folder=place.folder, url=place.url, columns=columns, extra=extra) as terminal:
        terminal.end()
    return terminal


@pytest.fixture
def hostile(place: Place) -> Place:
    """Files with hostile text in every place where a file can have text."""
    job = JOBS[0] | {"owner": HOSTILE, "buildSystem": HOSTILE, "display": JOBS[0]["display"] | {"jobName": HOSTILE}}
    records = [{"exchange": place.exchange, "routing_key": f"k.{HOSTILE}", "payload": job, "cc": [HOSTILE]}]
    texts = {
        "hostile.json": json.dumps(job),
        "worse.json": json.dumps(job | {"state": HOSTILE, HOSTILE: 1}),
        "hostile.ndjson": "".join(f"{json.dumps(record)}\n" for record in records),
        "keys.json": json.dumps([f"{place.exchange}:k.{HOSTILE}"]),
    }
    for name, text in texts.items():
        (place.folder / name).write_text(text)
    return place


@pytest.mark.parametrize(
    "line",
    [
        "validate hostile.json worse.json",
        "preview hostile.json worse.json",
        "publish hostile.json --exchange {lonely} -d treeherder",
        "publish hostile.ndjson --no-schema --exchange {lonely}",
        "publish worse.json --exchange {lonely} -d treeherder --dry-run",
        "bindings keys.json",
        f"match {HOSTILE.replace(' ', '')}",
    ],
)
def test_untrusted_text_never_controls_the_terminal(hostile: Place, line: str) -> None:
    words = [word.format(exchange=hostile.exchange, lonely=hostile.lonely) for word in line.split(" ")]
    with Terminal(*words, folder=hostile.folder, url=hostile.url) as terminal:
        terminal.end()
    assert terminal.plain
    assert not any(ord(one) < 32 and one != "\n" for one in terminal.plain)
    assert not set("\x7f\x9b\u202e") & set(terminal.plain)


LINES = [
    "match treeherder.autoland._",
    "bindings useless.yml --lint",
    "validate broken.yml",
    "preview job.yml",
    "publish job.yml --exchange {lonely} -d treeherder",
    "publish job.yml --exchange {lonely} -d treeherder --dry-run",
    "queue show {queue}",
    "queue show {queue} --watch -n 2 --every 1ms",
    "queue peek {queue} -n 2",
    "doctor",
    "tail {exchange} --for 50ms",
    "replay recording.ndjson --exchange {exchange} -n 2 --dry-run",
    "demo",
]


@pytest.mark.parametrize("line", LINES)
def test_no_line_is_wider_than_a_narrow_terminal(place: Place, line: str) -> None:
    shown = show(place, line).plain.splitlines()
    assert shown
    # A link, a name or a pattern is never truncated, so that it can be copied. The terminal wraps it.
    wide = [text for text in shown if len(text) > NARROW and not any(len(word) > NARROW // 2 for word in text.split())]
    assert wide == []


@pytest.mark.parametrize("settings", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_no_color_produces_plain_text(place: Place, settings: dict[str, str]) -> None:
    for line in ("match treeherder.autoland._", "preview job.yml"):
        assert "\x1b" not in show(place, line, **settings).shown


def test_a_terminal_receives_only_text_and_colours(place: Place) -> None:
    shown = show(place, "preview job.yml").shown
    assert SGR.search(shown)
    assert "\x1b" not in SGR.sub("", shown)
