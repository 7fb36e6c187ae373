from __future__ import annotations

import json

import pytest

from pulsekit.bindings.matching import RoutedMessage
from pulsekit.errors import DocumentError
from pulsekit.records.routing import read_routed

JOBS = "exchange/me/v1/jobs"


def read(*lines: str | bytes) -> list[RoutedMessage]:
    return list(read_routed([line if isinstance(line, bytes) else line.encode() for line in lines], source="keys.txt"))


def test_keys_are_one_per_line() -> None:
    assert read("treeherder.try._\n", "\n", "a b\r\n", "last") == [
        RoutedMessage(("treeherder.try._",)),
        RoutedMessage(("a b",)),
        RoutedMessage(("last",)),
    ]


def test_all_keys_and_the_exchange_of_a_record_are_used() -> None:
    record = {"v": 1, "exchange": JOBS, "routing_key": "primary.a", "cc": ["route.b"], "payload": {}}
    assert read(json.dumps(record)) == [RoutedMessage(("primary.a", "route.b"), JOBS)]
    assert read('{"routing_key": ""}') == [RoutedMessage(("",))]


def test_the_payload_of_a_record_may_be_anything() -> None:
    payloads = ["NaN", '{"a": 1, "a": 2}', "9" * 5000, '"\\ud800"']
    lines = [f'{{"routing_key": "a", "payload": {payload}}}' for payload in payloads]
    assert read(*lines) == [RoutedMessage(("a",))] * 4


def test_metadata_lines_of_a_recording_are_skipped() -> None:
    assert read('{"v":1,"type":"gap","from":"x","to":"y","lossy":true}', '{"v":1,"type":"trailer"}') == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"\xff", "keys.txt:2:1: byte 0xff at offset 0 is not UTF-8"),
        ("x" * 256, "keys.txt:2: routing key 'xxx"),
        ("{}", "keys.txt:2: the record has no text `routing_key`"),
        ("{", "keys.txt:2:2: this is not JSON: "),
        (
            '{"routing_key": "a", "payload": ' + "[" * 100_000,
            "keys.txt:2:232: this JSON is nested too deeply: ",
        ),
        ('{"routing_key": "a", "cc": "b"}', "keys.txt:2: `exchange` of a record must be text, and `cc` a list"),
        ('{"v": 2, "routing_key": "a"}', "keys.txt:2: a record of version 2"),
        ('{"routing_key": "a", "cc": [1]}', "keys.txt:2: `cc` of a record must be a list of keys"),
    ],
)
def test_a_line_that_is_not_a_key_is_reported(line, words) -> None:
    with pytest.raises(DocumentError) as caught:
        read("fine", line)
    assert str(caught.value).startswith(words)


def test_a_byte_order_mark_is_no_part_of_a_key() -> None:
    assert read(b"\xef\xbb\xbfa.b", "c") == read("a.b", "c")
    assert read(b'\xef\xbb\xbf{"routing_key": "a.b"}') == read('{"routing_key": "a.b"}')
