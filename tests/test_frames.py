"""Our frames, with pamqp as the judge."""

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

from pulsekit.frames import ACK, NACK, REJECT, encode_publish, encode_settlement, read_header, short_string
from pulsekit.messages import Outgoing, Properties

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
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def frames_of(message: Outgoing, frame_max: int = 131_072) -> list[Any]:
    data, found = b"".join(encode_publish(7, message, frame_max)), []
    while data:
        size, channel, frame = pamqp.frame.unmarshal(data)
        assert channel == 7
        assert size <= frame_max
        found.append(frame)
        data = data[size:]
    return found


@given(SHORT, SHORT, st.binary(max_size=300), PROPERTIES, HEADERS, st.booleans(), st.integers(16, 400))
def test_a_publish_is_read_by_pamqp_as_it_was_meant(
    exchange: str, key: str, body: bytes, properties: Properties, headers: dict[str, Any], mandatory: bool, most: int
) -> None:
    largest = max(most, len(b"".join(encode_publish(7, Outgoing(exchange, key, b"", properties, headers), 4096))))
    message = Outgoing(exchange, key, body, properties, headers, mandatory)
    method, header, *parts = frames_of(message, largest)
    assert isinstance(method, commands.Basic.Publish)
    assert (method.exchange, method.routing_key, method.mandatory) == (exchange, key, mandatory)
    assert header.body_size == len(body)
    assert b"".join(part.value for part in parts) == body
    theirs = header.properties
    for name, value in asdict(properties).items():
        assert getattr(theirs, "message_type" if name == "type" else name) == value
    assert (theirs.headers or {}) == headers


@given(PROPERTIES, HEADERS, st.integers(0, 2**40))
def test_a_header_by_pamqp_is_read_as_it_was_meant(properties: Properties, headers: dict[str, Any], size: int) -> None:
    headers = dict.fromkeys(headers, "text")  # pamqp cuts a float to half its bits
    values = asdict(properties)
    values["message_type"] = values.pop("type")
    # pamqp leaves an empty text out, which is as if it were not there.
    values = {name: value for name, value in values.items() if value != ""}
    theirs = ContentHeader(properties=commands.Basic.Properties(headers=headers or None, **values), body_size=size)
    found_size, found, found_headers = read_header(b"x" + theirs.marshal(), 1)
    assert found_size == size
    assert found_headers == headers
    assert {name: value for name, value in asdict(found).items() if value is not None} == {
        name: value for name, value in asdict(properties).items() if value not in {None, ""}
    }


@pytest.mark.parametrize(
    ("method", "bits", "name", "flags"),
    [
        (ACK, 0, "Basic.Ack", {"multiple": False}),
        (ACK, 1, "Basic.Ack", {"multiple": True}),
        (NACK, 2, "Basic.Nack", {"multiple": False, "requeue": True}),
        (REJECT, 0, "Basic.Reject", {"requeue": False}),
    ],
)
def test_a_settlement_is_read_by_pamqp_as_it_was_meant(
    method: bytes, bits: int, name: str, flags: dict[str, bool]
) -> None:
    _, channel, frame = pamqp.frame.unmarshal(encode_settlement(3, method, 2**40, bits))
    assert (channel, frame.name, frame.delivery_tag) == (3, name, 2**40)
    assert {flag: getattr(frame, flag) for flag in flags} == flags


@given(HEADERS)
def test_headers_come_back_as_they_went(headers: dict[str, Any]) -> None:
    message = Outgoing("x", "k", b"", Properties(), headers)
    _, header, *_ = b"".join(encode_publish(1, message, 131_072)).split(b"\xce\x02\x00\x01", 1)
    _, _, found = read_header(header, 4)
    assert found == headers


@pytest.mark.parametrize(
    "value", [b"\x00\xff", Decimal("-1.50"), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), [{"a": [b""]}]]
)
def test_types_that_json_lacks_come_back_as_they_went(value: Any) -> None:
    test_headers_come_back_as_they_went.hypothesis.inner_test({"h": value})


def test_a_key_that_is_no_text_does_not_end_the_reading() -> None:
    assert short_string(b"\x02\xff\xfeab", 0) == ("\ufffd\ufffd", 3)
