"""A job has the same word in the same colour wherever it is shown."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from support.samples import JOBS

from pulsekit.bindings.registration import Binding
from pulsekit.cli.output.rows import Rows
from pulsekit.cli.output.theme import STATUSES, sgr
from pulsekit.messages import Message
from pulsekit.records.selection import Selection

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import OnTerminal

# `state`, `result` and `jobKind` of a job, and the word with which Treeherder shows it.
SHOWN = [
    ("completed", "success", "test", "success"),
    ("completed", "fail", "test", "testfailed"),
    ("completed", "fail", "build", "busted"),
    ("completed", "exception", "build", "exception"),
    ("completed", "canceled", "test", "usercancel"),
    ("completed", "superseded", "test", "superseded"),
    ("completed", None, "test", "unknown"),
    ("running", "fail", "test", "running"),
    ("pending", None, "test", "pending"),
]


def job_of(state: str, result: str | None, kind: str) -> dict[str, Any]:
    job = {**JOBS[0], "state": state, "jobKind": kind}
    job.pop("result", None)
    return job | ({"result": result} if result else {})


class Cells:
    """An output that stores the cells of a row."""

    def __init__(self) -> None:
        self.cells: list[Any] = []

    def fitted(self, *cells: Any) -> None:
        self.cells += cells


@pytest.mark.parametrize(("state", "result", "kind", "word"), SHOWN)
def test_tail_shows_the_word_of_treeherder_in_its_colour(state: str, result: str | None, kind: str, word: str) -> None:
    out = Cells()
    body = json.dumps(job_of(state, result, kind)).encode()
    message = Message(exchange="exchange/me/x", routing_key="k", body=body, received=datetime.now(UTC))
    for seen in Selection([Binding("exchange/me/x")]).choose([message]):
        Rows(out, ["exchange/me/x"]).write(seen)  # type: ignore[arg-type] # it has what a row needs
    assert (f"{word:{max(map(len, STATUSES))}} ", word) in out.cells


def test_preview_and_dry_run_show_the_same_words_in_the_same_colours(
    folder: Path, on_terminal: OnTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    lines = [json.dumps(job_of(*given) | {"taskId": f"{number}/0"}) for number, (*given, _) in enumerate(SHOWN)]
    (folder / "jobs.ndjson").write_text("\n".join(lines))
    options = ("-e", "exchange/me/x", "-d", "treeherder", "--dry-run")
    drawn = on_terminal("preview", "jobs.ndjson", "--details", columns=200, env={"TERM": "xterm-256color"}).out
    dry = on_terminal("publish", "jobs.ndjson", *options, columns=200, env={"TERM": "xterm-256color"}).out
    for *_, word in SHOWN:
        coloured = re.escape(sgr("X", word)).replace("X", rf"[^\x1b]* {word}")
        assert re.search(coloured, drawn), (word, drawn)
        assert re.search(coloured, dry), (word, dry)
