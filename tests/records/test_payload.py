from __future__ import annotations

from typing import Any

import pytest

from pulsekit._documents.document import parse_json
from pulsekit.errors import InvalidPayload
from pulsekit.records.payload import may_be_record, open_document, open_payload

RECORD = '{"routing_key": "k", "properties": {"message_id": "m"}, %s}'


def opened(text: str) -> tuple[Any, Any, str | None]:
    document = parse_json(text)
    found = open_document(document)
    assert found is not None
    payload, record = found
    return payload.value, payload.locate("/a"), record and record.routing_key


def test_a_bare_payload_is_its_own_document() -> None:
    assert opened('{"a": 1}') == ({"a": 1}, (1, 7), None)
    assert opened('{"type": "job", "a": 1}') == ({"type": "job", "a": 1}, (1, 22), None)


def test_the_payload_of_a_record_keeps_its_positions() -> None:
    text = RECORD % '"payload": {"a": 1}'
    assert opened(text) == ({"a": 1}, (1, text.index("1}") + 1), "k")


def test_the_exact_body_decides_and_the_payload_has_the_positions() -> None:
    text = RECORD % '"payload": {"a": 1}, "body": "{\\"a\\": 2}"'
    assert opened(text) == ({"a": 2}, (1, text.index("1}") + 1), "k")
    text = RECORD % '"body": "{\\"a\\": 2}"'
    assert opened(text) == ({"a": 2}, (1, text.index('"{') + 1), "k")


def test_a_metadata_line_of_a_recording_has_no_payload() -> None:
    document = parse_json('{"v": 1, "type": "gap"}')
    assert may_be_record(document.value)
    assert open_document(document) is None
    assert open_payload(document.value) is None


@pytest.mark.parametrize(
    ("part", "words"),
    [('"cc": 1, "payload": 2', "`cc` of a record must be a list"), ('"cc": [], "body": "no"', "this is not JSON")],
)
def test_an_unreadable_record_is_refused_at_its_payload(part: str, words: str) -> None:
    text = RECORD % part
    with pytest.raises(InvalidPayload, match=words) as caught:
        open_document(parse_json(text))
    problem = caught.value.problems[0]
    assert (problem.rule, problem.line, problem.column) == ("record", 1, len(text) - len(text.split()[-1]) + 1)
