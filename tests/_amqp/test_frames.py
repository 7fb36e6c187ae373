"""The frames of pulsekit, compared with those of pamqp."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.header import ContentHeader

import pulsekit
from pulsekit._amqp.frames import (
    ACK,
    HEARTBEAT,
    NACK,
    REJECT,
    PublishHeader,
    describe_frame,
    encode_id,
    encode_settlement,
    read_content,
)
from pulsekit._amqp.properties import read_properties
from pulsekit._amqp.types import Properties, short_string

SHORT = st.text(max_size=60)
PROPERTIES = st.builds(
    Properties,
    content_type=st.none() | SHORT,
    content_encoding=st.none() | SHORT,
    delivery_mode=st.none() | st.sampled_from([1, 2]),
    priority=st.none() | st.integers(0, 255),
    correlation_id=st.none() | SHORT,
    reply_to=st.none() | SHORT,
    expiration=st.none() | SHORT,
    message_id=st.none() | SHORT,
    timestamp=st.none() | st.integers(0, 2**31).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    type=st.none() | SHORT,
    user_id=st.none() | SHORT,
    app_id=st.none() | SHORT,
)
HEADERS = st.dictionaries(
    st.text(min_size=1, max_size=20),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.text()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def publish(
    exchange: str = "x",
    key: str = "k",
    body: bytes = b"",
    properties: Properties = Properties(),  # noqa: B008 - it is frozen
    headers: dict[str, Any] | None = None,
    *,
    mandatory: bool = False,
    frame_max: int = 131_072,
    message_id: str = "",
) -> bytes:
    parts: list[bytes] = []
    publish_header = PublishHeader(exchange, key, mandatory=mandatory, properties=properties, headers=headers or {})
    publish_header.frames(7, encode_id(message_id), body, frame_max, parts)
    return b"".join(parts)


def read_by_pamqp(data: bytes, frame_max: int = 131_072) -> list[Any]:
    found = []
    while data:
        size, channel, frame = pamqp.frame.unmarshal(data)
        assert channel == 7
        assert size <= frame_max
        found.append(frame)
        data = data[size:]
    return found


@given(SHORT, SHORT, st.binary(max_size=300), PROPERTIES, HEADERS, st.booleans(), st.integers(16, 400), SHORT)
def test_a_publish_is_read_correctly_by_pamqp(
    exchange: str,
    key: str,
    body: bytes,
    properties: Properties,
    headers: dict[str, Any],
    mandatory: bool,
    most: int,
    message_id: str,
) -> None:
    given_ = {"mandatory": mandatory, "message_id": message_id}
    largest = max(most, len(publish(exchange, key, b"", properties, headers, **given_)))
    data = publish(exchange, key, body, properties, headers, **given_, frame_max=largest)
    method, header, *parts = read_by_pamqp(data, largest)
    assert isinstance(method, commands.Basic.Publish)
    assert (method.exchange, method.routing_key, method.mandatory) == (exchange, key, mandatory)
    assert header.body_size == len(body)
    assert b"".join(part.value for part in parts) == body
    theirs = header.properties
    for name, value in {**asdict(properties), "message_id": message_id}.items():
        assert getattr(theirs, "message_type" if name == "type" else name) == value
    assert (theirs.headers or {}) == headers


@given(PROPERTIES, HEADERS, st.integers(0, 2**40))
def test_a_header_by_pamqp_is_read_correctly(properties: Properties, headers: dict[str, Any], size: int) -> None:
    headers = dict.fromkeys(headers, "text")  # pamqp writes a float with half of its bits
    values = asdict(properties)
    values["message_type"] = values.pop("type")
    # pamqp omits an empty text, which has the same meaning as a missing one.
    values = {name: value for name, value in values.items() if value != ""}
    theirs = ContentHeader(properties=commands.Basic.Properties(headers=headers or None, **values), body_size=size)
    found, found_headers = read_properties(theirs.marshal())
    assert found_headers == headers
    assert {name: value for name, value in asdict(found).items() if value is not None} == {
        name: value for name, value in asdict(properties).items() if value not in {None, ""}
    }


@given(st.binary(max_size=60))
def test_a_malformed_content_header_is_an_error_with_a_message(data: bytes) -> None:
    try:
        read_properties(bytes(12) + data)
    except pulsekit.InvalidMessage as error:
        assert "cannot be read" in str(error)  # noqa: PT017 - most frames cannot be read, but some are valid


@given(st.binary(max_size=300), HEADERS, st.integers(60, 400), st.integers(0, 700), st.binary(max_size=9))
def test_a_content_is_read_in_place_only_if_it_is_complete(
    body: bytes, headers: dict[str, Any], frame_max: int, cut: int, behind: bytes
) -> None:
    data = publish(body=body, headers=headers, frame_max=frame_max)
    at = 8 + int.from_bytes(data[3:7], "big")
    _, _, *parts = read_by_pamqp(data)
    whole = read_content(b"before" + data[at:] + behind, 6, 7)
    if len(parts) > 1:
        assert whole is None
    else:
        assert whole is not None
        assert whole[1:] == (body, 6 + len(data) - at)
        assert read_properties(whole[0])[1] == headers
    assert read_content(data[at:][:cut], 0, 7) == (read_content(data[at:], 0, 7) if cut >= len(data) - at else None)
    assert read_content(data[at:], 0, 8) is None


@pytest.mark.parametrize(
    ("method", "bits", "name", "flags"),
    [
        (ACK, 0, "Basic.Ack", {"multiple": False}),
        (ACK, 1, "Basic.Ack", {"multiple": True}),
        (NACK, 2, "Basic.Nack", {"multiple": False, "requeue": True}),
        (REJECT, 0, "Basic.Reject", {"requeue": False}),
    ],
)
def test_a_settlement_is_read_correctly_by_pamqp(method: bytes, bits: int, name: str, flags: dict[str, bool]) -> None:
    _, channel, frame = pamqp.frame.unmarshal(encode_settlement(3, method, 2**40, bits))
    assert (channel, frame.name, frame.delivery_tag) == (3, name, 2**40)
    assert {flag: getattr(frame, flag) for flag in flags} == flags


@given(HEADERS)
def test_headers_are_read_back_unchanged(headers: dict[str, Any]) -> None:
    data = publish(headers=headers)
    content = read_content(data, 8 + int.from_bytes(data[3:7], "big"), 7)
    assert content is not None
    assert read_properties(content[0])[1] == headers


@pytest.mark.parametrize(
    "value", [b"\x00\xff", Decimal("-1.50"), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), [{"a": [b""]}]]
)
def test_types_that_json_lacks_are_read_back_unchanged(value: Any) -> None:
    test_headers_are_read_back_unchanged.hypothesis.inner_test({"h": value})


def test_a_key_that_is_not_utf8_does_not_stop_the_reading() -> None:
    assert short_string(b"\x02\xff\xfeab", 0) == ("\ufffd\ufffd", 3)


def test_a_publish_is_described_without_its_body_and_headers() -> None:
    properties = Properties(user_id="property-value")
    data = publish("exchange/x", "a.b", b"the-body", properties, {"h": "header-value"}, mandatory=True)
    described = []
    while data:
        size = 8 + int.from_bytes(data[3:7], "big")
        described.append(describe_frame(data[:size]))
        data = data[size:]
    assert described == [
        "channel 7 basic.publish exchange='exchange/x' key='a.b' mandatory",
        "channel 7 content header, body of 8 bytes",
        "channel 7 body of 8 bytes",
    ]


@pytest.mark.parametrize(
    ("data", "description"),
    [
        (encode_settlement(3, NACK, 9, 3), "channel 3 basic.nack delivery_tag=9 multiple requeue"),
        (pamqp.frame.marshal(commands.Queue.DeclareOk("q", 0, 2), 1),
         "channel 1 queue.declare-ok queue='q' message_count=0 consumer_count=2"),
        (pamqp.frame.marshal(commands.Basic.Return(312, "NO_ROUTE", "x", "a\x1b[2J"), 1),
         "channel 1 basic.return reply_code=312 reply_text='NO_ROUTE' exchange='x' key='a\\x1b[2J'"),
        (HEARTBEAT, "channel 0 heartbeat"),
        (b"AMQP\x00\x00\x09\x01", "protocol header AMQP 0-9-1"),
        (b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x3c\xce", "channel 1 method 60.60, 12 bytes"),
        (b"HTTP/1.1", "no frame, 8 bytes"),
        (b"", "no frame, 0 bytes"),
    ],
)  # fmt: skip
def test_a_frame_is_described_in_one_line(data: bytes, description: str) -> None:
    assert describe_frame(data) == description


@pytest.mark.parametrize(
    "method",
    [
        commands.Connection.StartOk({"key": "hunter2"}, "PLAIN", "\0me\0hunter2"),
        commands.Connection.Secure("hunter2"),
        commands.Connection.SecureOk("hunter2"),
        commands.Connection.UpdateSecret("hunter2", "expired"),
        commands.Queue.Declare(queue="q", arguments={"key": "hunter2"}),
    ],
    ids=lambda method: method.name,
)
def test_descriptions_contain_no_secret_and_no_table(method: Any) -> None:
    described = describe_frame(pamqp.frame.marshal(method, 0))
    assert method.name.split(".")[0].lower() in described
    assert "hunter2" not in described


@given(st.binary(max_size=40), st.sampled_from([b"", b"\x01\x00\x01\x00\x00\x00\x08", b"\x02\x00\x01\x00\x00\x00\x08"]))
def test_any_frame_can_be_described(data: bytes, head: bytes) -> None:
    assert describe_frame(head + data + b"\xce").isprintable()
