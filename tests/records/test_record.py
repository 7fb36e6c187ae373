from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit._amqp.tables import encode_table, read_table
from pulsekit._amqp.types import Delivery, Properties, Settlement
from pulsekit._documents.document import parse_json
from pulsekit._documents.ndjson import escape_unsafe
from pulsekit._documents.nesting import MAX_DEPTH
from pulsekit._documents.payloads import encode_payload
from pulsekit.errors import DocumentError, InvalidMessage
from pulsekit.messages import Delivered, Gap, Message
from pulsekit.records.record import (
    dump_line,
    gap_record,
    is_record,
    message_record,
    read_record,
    record_line,
    record_parts,
    record_value,
)

NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)


class Settler:
    def settle(self, message: Message, settlement: Settlement) -> None:
        pass


def message(body: bytes = b'{"a": 1}', **more: Any) -> Message:
    return Message(exchange="exchange/me/x", routing_key="a.b", body=body, received=NOON, **more)


def test_a_record_has_the_documented_members() -> None:
    record = message_record(message(headers={"CC": ["c.d"]}, properties=Properties(message_id="m"), redelivered=True))
    assert record == {
        "v": 1,
        "exchange": "exchange/me/x",
        "routing_key": "a.b",
        "cc": ["c.d"],
        "redelivered": True,
        "received": "2026-11-23T12:00:00.123Z",
        "properties": {"message_id": "m"},
        "headers": {"CC": ["c.d"]},
        "payload": {"a": 1},
    }


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("body", [b'{"a": 1.50, "a": 2}', b"text", b"\xff", b'"\xc3\xa9"'])
def test_a_record_that_was_read_back_is_the_same_json(body: bytes, exact: bool) -> None:
    given = message(body, headers={"CC": ["c.d"], "h": b"\xff"}, properties=Properties(message_id="m", timestamp=NOON))
    value = record_value(read_record(message_record(given, exact=exact)))
    assert value.items() >= (message_record(given) | {"size": value["size"]}).items()


def test_a_record_written_by_hand_needs_only_key_and_payload() -> None:
    value = record_value(read_record({"routing_key": "k", "payload": {"a": 1}, "cc": ["c"]}))
    assert (value["payload"], value["cc"], value["received"], value["size"]) == ({"a": 1}, ["c"], None, 7)


def test_the_time_of_a_record_is_in_utc_to_the_millisecond() -> None:
    there = timezone(timedelta(hours=5, minutes=45))
    one = Message(exchange="e", routing_key="k", body=b"1", received=NOON.astimezone(there))
    assert message_record(one)["received"] == "2026-11-23T12:00:00.123Z"


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-14:00"])
def test_a_time_that_utc_cannot_express_is_unknown(when: str) -> None:
    record = read_record({"routing_key": "k", "payload": 1, "received": when})
    assert record_value(record)["received"] is None


def test_an_exact_record_keeps_the_body_unchanged() -> None:
    body = b'{"a":  1.50, "a": 2}'
    record = message_record(message(body), exact=True)
    assert record["payload"] == {"a": 2}
    assert read_record(record).content == body


@pytest.mark.parametrize("body", [b"not json", b"NaN", b'{"a": 1e999}', b"[" * 100_000, b"\xff\xfe", b"", b"9" * 5000])
def test_a_body_that_is_not_json_is_kept_unchanged(body: bytes) -> None:
    record = json.loads(dump_line(message_record(message(body))))
    assert "payload" not in record
    written = record["body"].encode() if "body" in record else None
    assert written == body or "body_b64" in record


HEADERS = {
    "text": "ä",
    "number": -(2**63),
    "float": 1.5,
    "nan": float("inf"),
    "bytes": b"\xff\x00",
    "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "decimal": Decimal("1.50"),
    "none": None,
    "yes": True,
    "table": {"$type": "mine", "value": [1, b"x"]},
    "list": [{"a": [b""]}],
}


def test_header_values_that_json_lacks_are_read_back() -> None:
    line = dump_line(message_record(message(headers=HEADERS)))
    assert read_record(json.loads(line)).headers == HEADERS


def test_properties_are_read_back() -> None:
    properties = Properties(content_type="application/json", priority=3, timestamp=NOON, type="t")
    line = dump_line(message_record(message(properties=properties)))
    assert read_record(json.loads(line)).properties == properties


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.text() | st.integers(), st.lists)))
def test_a_line_is_read_back_unchanged_and_safe_for_a_terminal(value: dict[str, Any]) -> None:
    line = dump_line(value)
    assert json.loads(line) == value
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066\u200f\u061c\u2028" for c in line)
    line.encode()


PAYLOADS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(PAYLOADS, st.booleans(), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_any_json_becomes_one_line_with_the_same_payload(
    payload: Any, ascii_only: bool, indent: int | str | None, exact: bool
) -> None:
    text = json.dumps(payload, ensure_ascii=ascii_only, indent=indent)
    body = text.encode("utf-8", "surrogatepass")
    line = record_line(message(body), exact=exact).decode()
    record = json.loads(line)
    assert line.endswith("\n")
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066\u200f\u061c\u2028" for c in line[:-1])
    assert record == message_record(message(body), exact=exact)
    assert read_record(record).payload == payload
    assert ("body" in record) == exact
    if exact:
        assert read_record(record).content == body


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (b'{"a":1.50,"b":12345678901234567890123,"c":"\\u001b\\ud800"}', None),
        ('{"a": "é\x7f\x85\\\\\u202e"}'.encode(), '{"a": "é\\u007f\\u0085\\\\\\u202e"}'),
        (b'{"a":1,\r\n\t"a":2.0}\n', '{"a":2.0}'),
        (b'[{"a":1,"a":2}]', '[{"a":2}]'),
        (b" 1 ", "1"),
    ],
)
def test_a_payload_keeps_its_spelling_if_it_is_one_safe_line(body: bytes, written: str | None) -> None:
    line = record_line(message(body)).decode()
    assert line.endswith(f'"headers":{{}},"payload":{written or body.decode()}}}\n')


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"\\u00e9\\n"}',
        '{"a": "é🦊\u2028\x7f\\\\"}'.encode(),
        '{"a":\n"🦊\\ud800"}'.encode(),
        "é🦊\0 text\u2028".encode(),
        b"\xff\x00 binary",
        "é🦊".encode()[:5],
        b"",
    ],
)
def test_a_large_body_is_written_in_parts_without_a_difference(
    body: bytes, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = record_line(message(body), exact=exact)
    monkeypatch.setattr("pulsekit.records.record._PART", 3)
    parts = list(record_parts(message(body), exact=exact))
    assert b"".join(parts) == whole
    assert len(parts) > 4 or not body


def test_hostile_characters_are_escaped_in_time_in_proportion_to_the_text() -> None:
    """Each of many and each of many different ones, also behind a normal character outside of ASCII."""
    every = [chr(code) for code in (*range(0x7F, 0xA0), 0x202E, 0x2066, *range(0xD800, 0xE000))]
    for text in ("é\u2028" * 1_000_000, "é".join(every)):
        started = time.process_time()
        escaped = escape_unsafe(text)
        assert time.process_time() - started < 1
        assert json.loads(f'"{escaped}"') == text
        assert "\u2028" not in escaped
        escaped.encode()


@pytest.mark.parametrize("layout", [b"", b" "], ids=["as it is", "written anew"])
def test_a_record_is_never_nested_too_deeply_to_be_read(layout: bytes) -> None:
    for depth, form in ((MAX_DEPTH - 1, "payload"), (MAX_DEPTH, "body"), (MAX_DEPTH + 1, "body"), (100_000, "body")):
        body = b"[" * depth + layout + b"]" * depth
        record = parse_json(record_line(message(body))).value
        assert isinstance(record, dict)
        assert ("payload" in record, "body" in record) == (form == "payload", form == "body")
        assert record.get("body", body.decode()) == body.decode()


def test_a_record_with_the_deepest_headers_can_be_read() -> None:
    table: dict[str, Any] = {"$type": 1}
    for _ in range(62):
        table = {"$type": table}
    line = record_line(message(b"{}", headers=read_table(encode_table({"a": table}), 0)[0]))
    assert read_record(parse_json(line).value).headers == {"a": table}  # type: ignore[arg-type] # an object


def test_text_of_other_languages_stays_readable_in_a_line() -> None:
    assert dump_line({"a": "日本 é 🦊"}) == '{"a":"日本 é 🦊"}'


@pytest.mark.parametrize(
    "value",
    [
        {"routing_key": "a", "payload": {}},
        {"routing_key": "a", "payload": None},
        {"routing_key": "a", "body": ""},
        {"v": 1, "routing_key": "a", "body_b64": ""},
    ],
)
def test_a_record_is_recognised(value: Any) -> None:
    assert is_record(value)
    assert read_record(value).routing_key == "a"


@pytest.mark.parametrize(
    "value", [{}, [], None, {"routing_key": 1, "payload": 1}, {"routing_key": "a"}, {"payload": 1}]
)
def test_a_payload_is_not_mistaken_for_a_record(value: Any) -> None:
    assert not is_record(value)


def test_the_body_of_a_record_overrides_its_payload() -> None:
    record = read_record({"routing_key": "a", "payload": {"old": 1}, "body": '{"new": 2}'})
    assert record.payload == {"new": 2}
    assert record.content == b'{"new": 2}'


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"cc": "a"},
        {"cc": [1]},
        {"headers": []},
        {"properties": 1},
        {"exchange": 1},
        {"body": 1},
        {"body_b64": "*"},
        {"headers": {"a": {"$type": "alien", "value": 1}}},
        {"headers": {"a": {"$type": "timestamp", "value": "noon"}}},
        {"headers": {"a": {"$type": "timestamp", "value": "2026-11-23T24:00:00Z"}}},
        {"headers": {"a": {"$type": "timestamp", "value": "20261123 24"}}},
        {"headers": {"a": {"$type": "timestamp", "value": "2026W48T2400"}}},
        {"headers": {"a": {"$type": "bytes"}}},
        {"headers": json.loads('{"a":' * 900 + "1" + "}" * 900)},
        {"properties": {"type": json.loads("[" * 900 + "]" * 900)}},
    ],
    ids=lambda change: repr(change)[:40],
)
def test_an_invalid_record_is_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage):
        read_record({"routing_key": "a", "payload": 1} | change)


def test_a_record_without_json_can_be_sent_but_not_validated() -> None:
    record = read_record({"routing_key": "a", "body": "not json"})
    assert record.content == b"not json"
    with pytest.raises(DocumentError):
        _ = record.payload


def test_a_gap_has_a_start_and_an_end() -> None:
    record = gap_record(Gap(NOON, NOON, 2, lossy=True))
    assert (record["type"], record["from"], record["lossy"]) == ("gap", "2026-11-23T12:00:00.123Z", True)


def test_a_message_with_malformed_headers_is_recorded() -> None:
    header = bytes(12) + b"\x20\x00" + b"\x00\x00\x00\xff"  # a header table longer than what there is
    delivery = Delivery("e", "k", header, b'{"a":1}', redelivered=False, delivery_tag=1)
    broken = Delivered(delivery, 1, NOON.timestamp(), Settler(), None)
    record = message_record(broken)
    assert "cannot be read" in record["unreadable"]
    assert (record["headers"], record["properties"], record["payload"]) == ({}, {}, {"a": 1})
    assert read_record(record).routing_key == "k"


def test_a_payload_is_encoded_compactly_in_utf_8() -> None:
    assert encode_payload({"a": ["é", 1.0]}) == '{"a":["é",1.0]}'.encode()


def test_a_lone_surrogate_is_sent_as_an_escape() -> None:
    assert encode_payload("\ud800") == b'"\\ud800"'


@pytest.mark.parametrize("payload", [float("nan"), {1, 2}, b"x", float("inf")])
def test_values_that_json_cannot_represent_are_refused(payload: Any) -> None:
    with pytest.raises(InvalidMessage):
        encode_payload(payload)


def test_a_payload_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidMessage):
        encode_payload(loop)


def test_a_message_decodes_its_payload_once() -> None:
    good = message()
    assert good.payload is good.payload
    with pytest.raises(DocumentError):
        _ = message(b"nope").payload


@pytest.mark.parametrize(("header", "cc"), [(["a", "b"], ("a", "b")), ("a", ()), ([1, "a"], ("a",)), (None, ())])
def test_cc_keys_come_from_the_upper_case_header(header: Any, cc: tuple[str, ...]) -> None:
    assert message(headers={"CC": header, "cc": ["no"]}).cc == cc
