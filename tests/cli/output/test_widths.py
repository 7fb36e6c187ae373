"""Output fits the terminal: words are not joined or divided, and no column of numbers is lost."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

import pytest
from support.samples import JOBS

from pulsekit.cli.output.output import Format, Output, console
from pulsekit.cli.output.screens import _table
from pulsekit.records.rates import Rates

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import OnTerminal

EXCHANGE = "exchange/taskcluster-queue/v1/task-completed"


def test_wrapped_words_are_neither_joined_nor_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    given = "The registration  Treeherder binds each destination with each project"
    for width in range(1, 80):
        screen = io.StringIO()
        monkeypatch.setattr(screen, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdout", screen)
        monkeypatch.setenv("COLUMNS", str(width))
        for hang in range(6):
            Output(Format.PRETTY).wrapped((given[:16], "head"), (given[16:], "dim"), hang=hang)
        assert not re.search(r" (\x1b\[0m)?$", screen.getvalue(), re.MULTILINE)
        text = screen.getvalue().replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
        assert text.split() == given.split() * 6, width
        assert all(line.strip() for line in text.splitlines())


@pytest.mark.parametrize("arguments", [("exchange", "list"), ("exchange", "show", "task-failed"), ("queue", "--help")])
def test_lists_and_help_divide_and_cut_no_word(on_terminal: OnTerminal, arguments: tuple[str, ...]) -> None:
    wide = on_terminal(*arguments, columns=500, env={"NO_COLOR": "1"}).out
    for columns in (60, 80):
        narrow = on_terminal(*arguments, columns=columns, env={"NO_COLOR": "1"}).out
        wider = [line.strip() for line in narrow.splitlines() if len(line) > columns]
        assert [line for line in wider if " " in line and not line.startswith("pulsekit ")] == []  # one word may be
        assert "..." not in narrow.replace("[ARGS]...", "")
        assert "".join(narrow.split()) == "".join(wide.split())  # a routing key is divided at dots
        words = set(re.findall(r"[^\s.]+", wide))
        assert set(re.findall(r"[^\s.]+", narrow)) == words


def test_a_last_column_of_spaces_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", "80")
    Output(Format.PRETTY).table([["key", " " * 100], ["b", "words"]])
    assert screen.getvalue().splitlines() == ["key", "b    words"]


@pytest.mark.parametrize(("columns", "hanging"), [(60, True), (80, False)])
def test_the_last_column_begins_at_one_place(on_terminal: OnTerminal, columns: int, *, hanging: bool) -> None:
    lines = on_terminal("help", "environment", columns=columns, env={"NO_COLOR": "1"}).out.splitlines()
    begins = {len(line) - len(line.lstrip()) for line in lines if line.startswith(" ")}
    assert begins == ({4} if hanging else {30})
    assert ("NO_COLOR" in lines) == hanging


@pytest.mark.parametrize("width", [37, 57, 77, 197])
def test_rates_keep_their_numbers_at_every_width(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    rates = Rates(0.0, words=2)
    for key in ("primary.a-long-word-of-a-routing-key", "primary.b"):
        rates.add(EXCHANGE, key, 15_000_000_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        console().print(_table(rates.look(1.0), 10, width))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    if width < 40:
        assert lines[0].split()[2:] == ["a", "second"]
        assert [line.split()[-1] for line in lines[1:]] == ["1.0", "1.0", "2.0"]
    else:
        assert lines[0].split()[2:] == ["a", "second", "messages", "MB"]
        assert [line.split()[-3:] for line in lines[1:]] == [["1.0", "1", "15,000.0"]] * 2 + [["2.0", "2", "30,000.0"]]
    assert all("task-completed" in line or width < 77 for line in lines[1:3])


@pytest.mark.parametrize("columns", [60, 80])
def test_a_dry_run_shows_size_and_result_on_a_narrow_terminal(
    folder: Path, on_terminal: OnTerminal, columns: int
) -> None:
    job = {**JOBS[0], "state": "completed", "result": "fail", "jobKind": "test"}
    (folder / "job.json").write_text(json.dumps(job))
    where = ("-e", "exchange/me/v1/a-rather-long-name", "-k", "treeherder.mozilla-inbound.words-up-to-here")
    shown = on_terminal("publish", "job.json", *where, "--dry-run", columns=columns, env={"NO_COLOR": "1"}).out
    assert max(map(len, shown.splitlines())) <= columns
    assert " bytes\n" in shown.replace("\N{NO-BREAK SPACE}", " ")
    assert "B testfailed" in shown
