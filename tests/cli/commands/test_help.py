"""Topics of `pulsekit help`: complete, and in the same words as the pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pulsekit
from pulsekit._config import settings
from pulsekit.cli import topics
from pulsekit.cli.app import _COMMANDS
from pulsekit.cli.exit_codes import MEANINGS, ExitCode
from pulsekit.messages import Message
from pulsekit.records.expressions import Filter, Query
from pulsekit.records.record import message_record
from pulsekit.treeherder import PUSH_RULES, RULES, TASK_RULES

if TYPE_CHECKING:
    from cli.conftest import Call, Spawn

ROOT = Path(__file__).parents[3]
OTHERS = {"HOME", "TERM", "COLORTERM", "SHELL"}  # what a system sets


def cells(page: str) -> set[tuple[str, ...]]:
    """Return the rows of all tables of a page, without Markdown."""
    text = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", (ROOT / page).read_text(encoding="utf-8"))
    text = re.sub(r"`` (.*?) ``", lambda code: code[1].replace("`", "\1"), text)
    text = text.replace("`", "").replace("\1", "`").replace("\\|", "\2")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return {tuple(cell.strip().replace("\2", "|") for cell in row) for row in rows}


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("docs/commands.md", tuple((str(int(code)), words) for code, words in MEANINGS.items())),
        ("docs/configuration.md", topics.ENVIRONMENT),
        ("docs/configuration.md", topics.CONFIGURATION),
        ("docs/configuration.md", topics.LOGIN),
        ("docs/records.md", topics.RECORD),
        ("docs/records.md", topics.RECORD_OF_TAIL),
        ("docs/records.md", topics.RECORD_LINES),
        ("docs/tail.md", topics.FILTERS),
    ],
)
def test_a_page_has_the_table_of_the_topic(page: str, table: topics.Rows) -> None:
    assert [row for row in table if row not in cells(page)] == []


def test_the_tables_are_complete() -> None:
    assert set(MEANINGS) == set(ExitCode)
    read = {
        name
        for path in Path(pulsekit.__file__).parent.rglob("*.py")
        for name in re.findall(r"environ(?:ment)?(?:\.get\(|\[)\"([A-Z_]+)\"", path.read_text(encoding="utf-8"))
    }
    named = {name for names, _ in topics.ENVIRONMENT for name in names.split(", ")}
    assert (read | settings._VARIABLES) - {name for name in read if name.startswith("_")} - OTHERS <= named
    message = Message(exchange="exchange/me/x", routing_key="k", body=b"{}", received=datetime.now(UTC))
    members = {name for names, *_ in (*topics.RECORD, *topics.RECORD_OF_TAIL) for name in names.split(", ")}
    assert set(message_record(message)) <= members


def test_the_sample_expressions_are_valid() -> None:
    record: dict[str, Any] = {
        "routing_key": "treeherder.autoland._",
        "cc": ["route.x"],
        "redelivered": True,
        "key": {"workerType": "t-linux"},
        "payload": {"result": "fail", "tier": 1, "state": "running", "jobInfo": {"links": [{"url": "u"}]}},
    }
    for expression, _ in topics.FILTERS:
        assert Filter(expression, name="--filter").matches(record), expression
        Query(expression)


def test_every_topic_is_shown_without_network_and_pages(call: Call) -> None:
    listed = call("help").out
    for topic, about in topics.TOPICS.items():
        assert re.search(rf"^{topic} +{re.escape(about.summary)}$", listed, re.MULTILINE)
        shown = call("help", topic)
        assert (shown.code, shown.err) == (0, "")
        for part in about.parts:
            for text in [part] if isinstance(part, str) else [cell for row in part for cell in row]:
                assert text.replace("\n", " ") in shown.out, topic


def test_every_rule_is_shown_with_its_correction(call: Call) -> None:
    listed = call("help", "rules").out
    for rule in (*RULES, *TASK_RULES, *PUSH_RULES):
        assert re.search(rf"^{rule.name} +{rule.severity}  ", listed, re.MULTILINE), rule
        shown = call("help", "rules", rule.name).out
        assert rule.about.replace("`", "") in shown
        assert rule.hint.replace("`", "") in shown


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["recods"], "did you mean 'records'?"),
        (["publsh"], "did you mean 'publish'?"),
        (["zzz"], "the topics are environment, exit-codes, "),
        (["rules", "owner-mising"], "did you mean 'owner-missing'?"),
        (["records", "v"], "only the topics rules and config-schema have parts"),
    ],
)
def test_a_misspelt_topic_gets_a_suggestion(call: Call, words: list[str], answer: str) -> None:
    done = call("help", *words)
    assert (done.code, done.out) == (2, "")
    assert answer in done.err


def test_the_help_of_a_command_is_that_of_its_option(call: Call) -> None:
    assert call("help", "match").out == call("match", "--help").out


def test_every_command_is_in_one_group(call: Call) -> None:
    shown = call("--help").out
    assert "\nCommands:" not in shown
    for name, (_, summary) in _COMMANDS.items():
        assert len(re.findall(rf"^  {name} +{re.escape(summary[:20])}", shown, re.MULTILINE)) == 1
    assert re.findall(r"^(\w+):$", shown, re.MULTILINE)[1:] == ["Publish", "Watch", "Predict", "Operate", "Try"]


def test_colours_in_a_pipe_can_be_forced(spawn: Spawn, folder: Path) -> None:
    (folder / "job.json").write_text('{"a": 1}')
    for words in (["help", "records"], ["validate", "job.json", "-o", "pretty"]):
        assert "\x1b[" in spawn(*words, env={"FORCE_COLOR": "1", "NO_COLOR": ""}).out
        assert "\x1b[" not in spawn(*words, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).out
        assert "\x1b[" not in spawn(*words, env={"FORCE_COLOR": "", "NO_COLOR": ""}).out
