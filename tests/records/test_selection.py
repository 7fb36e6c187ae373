from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from support.samples import JOBS

from pulsekit.bindings.registration import Binding
from pulsekit.errors import ConfigurationError
from pulsekit.messages import Message
from pulsekit.records.expressions import Filter, Query
from pulsekit.records.selection import NOT_JSON, Selection
from pulsekit.schemas.schema import load_schema

EXCHANGE = "exchange/me/v1/jobs"
BINDINGS = [Binding(EXCHANGE, "a.#"), Binding(EXCHANGE, "b")]
WRAPPED = {"payload": JOBS[0], "_meta": {"exchange": "x", "sent": "then"}}


def message(body: Any, key: str = "a.x", *cc: str) -> Message:
    return Message(
        exchange=EXCHANGE,
        routing_key=key,
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        received=datetime(2026, 11, 23, 12, tzinfo=UTC),
        headers={"CC": list(cc)} if cc else {},
    )


def records(view: Selection, *messages: Message) -> list[Any]:
    return [json.loads(seen.line()) for seen in view.choose(messages)]


def test_every_record_has_its_size_and_matching_bindings() -> None:
    view = Selection(BINDINGS)
    (record,) = records(view, message({"n": 1}, "a.x", "b"))
    assert record["bindings"] == [f"{EXCHANGE}:a.#", f"{EXCHANGE}:b"]
    assert (record["size"], record["payload"], record["cc"]) == (8, {"n": 1}, ["b"])


@pytest.mark.parametrize("more", [{"explains": True}, {"unwraps": True}, {"filter": Filter("`true`")}])
def test_requested_parts_are_added_to_the_record(more: dict[str, Any]) -> None:
    given = [message({"n": 1}), message(b"text", "b"), message(b"\xff", "c"), message(b'{"a": 1.50, "a": 2}')]
    for plain, rich in zip(
        records(Selection(BINDINGS), *given), records(Selection(BINDINGS, **more), *given), strict=True
    ):
        assert rich.items() >= plain.items()


def test_an_explanation_has_binding_key_and_reason() -> None:
    (record,) = records(Selection(BINDINGS, explains=True), message({}, "x", "a.b"))
    assert record["reasons"] == [{"binding": f"{EXCHANGE}:a.#", "key": "a.b", "reason": "# matches 'b'"}]


def test_a_filter_sees_the_whole_record() -> None:
    given = [message({"n": n}, key) for n, key in ((1, "a.x"), (2, "b"), (3, "a.y"))]
    chosen = Selection(
        BINDINGS, filter=Filter(f"contains(bindings, '{EXCHANGE}:a.#') && size > `7` && payload.n != `1`")
    )
    assert [record["payload"]["n"] for record in records(chosen, *given)] == [3]


def test_a_query_replaces_the_record_and_skips_messages_without_a_value() -> None:
    view = Selection(BINDINGS, query=Query("sum(payload)"))
    assert records(view, message([1, 2]), message("x"), message([])) == [3, 0]
    assert [(name, expression.failures) for name, expression in view.expressions] == [("--query", 1)]


def test_a_schema_marks_each_message_with_the_first_reason() -> None:
    view = Selection(BINDINGS, schema=load_schema("pulse-job"))
    given = [message(JOBS[0]), message(JOBS[0] | {"tier": 9, "state": 1}), message(b"\xff")]
    found = [(record["valid"], record["problem"]) for record in records(view, *given)]
    assert found[0] == (True, None)
    assert not found[1][0]
    assert found[1][1].startswith("/")
    assert found[2] == (False, "not JSON")


def test_only_invalid_messages_can_be_selected() -> None:
    view = Selection(BINDINGS, schema=load_schema("pulse-job"), invalid_only=True)
    given = [message(JOBS[0], "ok"), message({}, "bad"), message(b"", "worse")]
    assert [record["routing_key"] for record in records(view, *given)] == ["bad", "worse"]


def test_only_a_schema_decides_what_is_invalid() -> None:
    with pytest.raises(ConfigurationError, match="--schema"):
        Selection(BINDINGS, invalid_only=True)


def test_filter_query_and_schema_see_the_unwrapped_payload() -> None:
    schema = load_schema("pulse-job")
    view = Selection(BINDINGS, unwraps=True, schema=schema, filter=Filter("payload.taskId && envelope.sent == 'then'"))
    (seen,) = view.choose([message(WRAPPED), message(JOBS[0])])
    assert seen.payload == JOBS[0]
    assert seen.envelope == WRAPPED["_meta"]
    assert seen.valid
    assert json.loads(seen.line())["payload"] == JOBS[0]
    assert Selection(BINDINGS, schema=schema).choose([message(WRAPPED)])[0].problem


def test_a_body_that_is_not_json_has_no_payload() -> None:
    (seen,) = Selection(BINDINGS, unwraps=True).choose([message(b"text")])
    assert seen.payload is NOT_JSON
    assert "payload" not in seen.record


def test_text_in_a_record_cannot_control_a_terminal() -> None:
    hostile = {"a": "\x1b[2J\u202e\x9b"}
    for view in (Selection(BINDINGS), Selection(BINDINGS, explains=True), Selection(BINDINGS, query=Query("payload"))):
        (seen,) = view.choose([message(hostile, "a.\x1b\u202e", "a.\x9b")])
        assert not {"\x1b", "\u202e", "\x9b"} & set(seen.line().decode())


def test_a_schema_may_depend_on_the_exchange() -> None:
    given = [message({}), message({})]
    given[1].exchange = "exchange/you/x"
    schemas = {EXCHANGE: load_schema({"required": ["a"]})}
    seen = Selection(BINDINGS, schema=schemas.get).choose(given)
    assert [(one.valid, one.record["valid"]) for one in seen] == [(False, False), (None, None)]
    assert len(Selection(BINDINGS, schema=schemas.get, invalid_only=True).choose(given)) == 1
