"""The rows of messages, drawn without a broker."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.samples import JOBS

from pulsekit._amqp.types import Properties
from pulsekit.bindings.registration import Binding
from pulsekit.cli.output.output import Format, Output
from pulsekit.cli.output.rows import Notation, Rows
from pulsekit.messages import Gap, Message
from pulsekit.records.expressions import Query
from pulsekit.records.selection import Selection
from pulsekit.schemas.schema import load_schema

EXCHANGE = "exchange/me/v1/jobs"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOSTILE = "\x1b]0;t\x07\x1b[2J\u202e\x9b"


def message(body: Any, key: str = "treeherder.try._", **more: Any) -> Message:
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(exchange=EXCHANGE, routing_key=key, body=body, received=NOON, **more)


def drawn(
    capsys: pytest.CaptureFixture[str], *messages: Message, view: Selection | None = None, **options: Any
) -> list[str]:
    view = view or Selection([Binding(EXCHANGE, "treeherder.#")])
    out = Output(Format.PRETTY)
    rows = Rows(out, [EXCHANGE], **options)
    for seen in view.choose(messages):
        rows.write(seen)
    out.flush()
    return capsys.readouterr().out.splitlines()


def test_a_row_has_time_key_size_and_main_fields(capsys: pytest.CaptureFixture[str]) -> None:
    lines = drawn(capsys, message(JOBS[0], redelivered=True, headers={"CC": ["a", "b"]}), message(b"x" * 12_345))
    assert " again" in lines[0]
    assert " +2 CC" in lines[0]
    assert "build-linux" in lines[0]
    assert "12 kB" in lines[1]


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_result_symbol_and_name_precede_what_a_terminal_truncates(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    jobs = [
        {**JOBS[0], "state": "completed", "result": result, "jobKind": "test", "display": {**JOBS[0]["display"], **it}}
        for result, it in (
            ("fail", {"jobName": "xpcshell", "jobSymbol": "X"}),
            ("superseded", {"jobName": "xpcshell", "jobSymbol": "X"}),
            ("fail", {"jobName": "xpcshell", "jobSymbol": "browser-chrome-fission", "groupSymbol": "M"}),
        )
    ]
    key = "treeherder.mozilla-inbound.a-long-word-of-a-routing-key._"
    failed, superseded, long, other = drawn(capsys, *(message(job, key) for job in jobs), message({"a": 1}, key))
    assert failed.split()[1:5] == ["testfailed", "X", "xpcshell", key]
    assert len(failed[: failed.index(key)]) <= 60 - len("treeherder.")  # the key begins within 60 columns
    assert superseded.index("xpcshell") == failed.index("xpcshell")
    assert long.split()[2:4] == ["M(browser-chrome-fission)", "xpcshell"]
    assert "completed" not in failed + superseded
    assert other.split()[1] == key


def test_an_invalid_job_has_its_problem_before_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    view = Selection([Binding(EXCHANGE)], schema=load_schema("pulse-job"))
    valid, invalid = drawn(capsys, message(JOBS[0]), message({**JOBS[0], "tier": "1"}), view=view, marked=True)
    assert valid.index(" valid ") < valid.index("build-linux")
    assert invalid.index("invalid:") == valid.index("valid ")
    assert invalid.index("/tier") < invalid.index("build-linux")


def test_a_narrow_terminal_hides_the_size_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    (line,) = drawn(capsys, message(b"x" * 12_345))
    assert "kB" not in line


def test_the_full_view_has_everything_of_the_record(capsys: pytest.CaptureFixture[str]) -> None:
    given = message(
        {"n": [1]},
        redelivered=True,
        headers={"CC": ["route.x"], "h": 1},
        properties=Properties(app_id="ci", message_id="id-1"),
    )
    lines = drawn(capsys, given, full=True)
    facts = {
        line.split()[0]: line.split(maxsplit=1)[1]
        for line in lines[1:]
        if line.startswith("    ") and len(line.split()) > 1
    }
    assert facts["exchange"] == EXCHANGE
    assert facts["key"] == "treeherder.try._"
    assert facts["binding"].startswith(f"{EXCHANGE}:treeherder.#")
    assert facts["received"] == NOON.astimezone().isoformat(sep=" ", timespec="milliseconds")
    assert facts["size"] == "10 bytes"
    assert facts["redelivered"] == "yes"
    assert facts["cc"] == "route.x"
    assert facts["header"] == "h: 1"
    assert (facts["app_id"], facts["message_id"]) == ("ci", "id-1")
    assert json.loads("\n".join(lines[lines.index("{") :])) == {"n": [1]}


def test_a_payload_can_be_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    lines = drawn(capsys, message({"b": {"c": "yes"}, "a": ["x: y", None]}), full=True, notation=Notation.YAML)
    text = "\n".join(lines[lines.index("b:") :])
    assert YAML(typ="safe", pure=True).load(text) == {"b": {"c": "yes"}, "a": ["x: y", None]}


def test_an_explanation_names_the_binding_and_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    lines = drawn(
        capsys, message({}), message({}, "x", headers={"CC": ["treeherder.y"]}), message({}, "z"), explained=True
    )
    assert f"{EXCHANGE}:treeherder.#  (# matches 'try._')" in lines[1]
    assert "(# matches 'y' for its CC key treeherder.y)" in lines[3]
    assert "none of these" in lines[5]


def test_a_query_is_shown_in_the_place_of_the_payload(capsys: pytest.CaptureFixture[str]) -> None:
    view = Selection([Binding(EXCHANGE)], query=Query("payload.display.jobSymbol"))
    assert drawn(capsys, message(JOBS[0]), view=view)[0].endswith('  "B"')
    assert drawn(capsys, message(JOBS[0]), view=view, full=True)[-1] == '"B"'


def test_an_unwrapped_payload_is_shown_without_its_envelope(capsys: pytest.CaptureFixture[str]) -> None:
    view = Selection([Binding(EXCHANGE)], unwraps=True)
    wrapped = message({"payload": {"a": 1}, "_meta": {"sent": "then"}})
    assert drawn(capsys, wrapped, view=view)[0].endswith('  {"a": 1}')
    lines = drawn(capsys, wrapped, view=view, full=True)
    assert any(line.split() == ["_meta", '{"sent":', '"then"}'] for line in lines)
    assert lines[-3:] == ["{", '  "a": 1', "}"]


def test_a_gap_is_a_row_with_its_length(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(Format.PRETTY)
    for lossy in (True, False):
        Rows(out, [EXCHANGE]).gap(Gap(NOON, NOON + timedelta(seconds=2.5), 2, lossy=lossy))
    out.flush()
    lost, kept = capsys.readouterr().out.splitlines()
    assert "lost for 2.5 s; messages of that time are not shown" in lost
    assert "lost for 2.5 s; its queue kept" in kept


@pytest.mark.parametrize("notation", Notation)
def test_text_of_a_message_cannot_control_the_terminal(notation: Notation, capsys: pytest.CaptureFixture[str]) -> None:
    given = message(
        {HOSTILE: HOSTILE, "payload": {HOSTILE: [HOSTILE]}, "_meta": {HOSTILE: HOSTILE}},
        f"treeherder.{HOSTILE}",
        headers={"CC": [HOSTILE], HOSTILE: HOSTILE, "b": HOSTILE.encode()},
        properties=Properties(app_id=HOSTILE, type=HOSTILE),
    )
    for view in (
        Selection([Binding(EXCHANGE)], unwraps=True, schema=load_schema("pulse-job")),
        Selection([Binding(EXCHANGE)], query=Query("[payload, routing_key]")),
        Selection([]),
    ):
        lines = drawn(capsys, given, message(HOSTILE.encode()), view=view, full=True, marked=True, notation=notation)
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set("".join(lines))
