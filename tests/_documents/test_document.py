from __future__ import annotations

import gzip
import json

import pytest

from pulsekit._documents.document import Document, iter_ndjson, parse_documents, parse_json, parse_yaml
from pulsekit.errors import DocumentError

TEXT = '{"a": [1, {"x/y": "é", "b":\n  null}],\n "": {"~": 3}, "0": 4}'


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("", (1, 1)),
        ("/a", (1, 7)),
        ("/a/0", (1, 8)),
        ("/a/1/x~1y", (1, 19)),
        ("/a/1/b", (2, 3)),
        ("//~0", (3, 12)),
        ("/0", (3, 21)),
    ],
)
def test_a_pointer_gives_line_and_column(pointer: str, place: tuple[int, int]) -> None:
    assert parse_json(TEXT).locate(pointer) == place
    assert parse_json(TEXT.encode(), first_line=41).locate(pointer) == (place[0] + 40, place[1])


@pytest.mark.parametrize(
    ("pointer", "around"), [("/nope", ""), ("/a/7", "/a"), ("/a/0/x", "/a/0"), ("/a/1/b/c", "/a/1/b"), ("/a/-", "/a")]
)
def test_a_pointer_to_a_missing_value_gives_its_container(pointer: str, around: str) -> None:
    document = parse_json(TEXT)
    assert document.locate(pointer) == document.locate(around)


def test_text_that_is_not_a_pointer_has_no_position() -> None:
    assert parse_json(TEXT).locate("a") is None


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 7}',
        '{"b": "a", "a" : 7}',
        '{"b": ["a"], "c": {"a": 1, "b": [[]]}, "a": 7}',
        '{"b": "{[", "a": 7}',
        r'{"b": "\"a\": 1", "a": 7}',
        r'{"b": "\"", "\"a": 1, "a": 7}',
        r'{"b": 1, "\u0061": 7}',
        f'{{"b": "{"x" * 9_000}", "a": 7}}',
    ],
)
def test_a_member_is_found_beside_the_same_text_elsewhere(text: str) -> None:
    assert parse_json(text).locate("/a") == (1, text.index("7") + 1)


def test_a_missing_member_is_not_found_in_a_later_object() -> None:
    assert parse_json('[{}, {"a": 1}]').locate("/0/a") == (1, 2)
    assert parse_json('{"b": {}, "c": {"a": 1}}').locate("/b/a") == (1, 7)


def test_positions_in_yaml_are_found_in_the_same_way() -> None:
    document = parse_yaml("# a job\na:\n  - 1\n  - {b: 2,\n     c: x}\n'/': |\n  text\n")
    assert document.value == {"a": [1, {"b": 2, "c": "x"}], "/": "text\n"}
    assert [document.locate(pointer) for pointer in ("", "/a", "/a/0", "/a/1/c", "/~1", "/a/1/d")] == [
        (2, 1),
        (3, 3),
        (3, 5),
        (5, 9),
        (6, 6),
        (4, 5),
    ]


def test_a_member_is_a_document_with_its_positions() -> None:
    document = parse_json(TEXT, source="x.json", index=3).child("a").child(1)
    assert (document.value, document.source, document.index) == ({"x/y": "é", "b": None}, "x.json", 3)
    assert document.locate("/b") == (2, 3)


def test_a_list_of_jobs_gives_one_document_each() -> None:
    for text in ('[{"a": 1},\n {"b": 2}]', "- a: 1\n\n- b: 2\n"):
        documents = parse_documents(text, source="-")
        assert [(one.index, one.value) for one in documents] == [(0, {"a": 1}), (1, {"b": 2})]
    assert [one.locate("/b") for one in documents] == [(1, 3), (3, 6)]


def test_one_job_is_one_document() -> None:
    for text, source in [('{"a": 1}', "x.json"), ("a: 1", "x.yml"), ("{a: 1}", "x.YAML"), ("a: 1", "<stdin>")]:
        assert [one.value for one in parse_documents(text, source=source)] == [{"a": 1}]


def test_several_documents_of_yaml_are_several_jobs() -> None:
    assert [(one.index, one.value) for one in parse_documents("a: 1\n---\na: 2\n", source="x.yml")] == [
        (0, {"a": 1}),
        (1, {"a": 2}),
    ]


@pytest.mark.parametrize("source", ["x.ndjson", "x.jsonl", "x.json", "x", "<stdin>"])
def test_ndjson_is_distinguished_from_one_json_value(source: str) -> None:
    documents = parse_documents(b'\xef\xbb\xbf{"a": 1}\r\n\n{"b": 2}', source=source)
    assert [(one.index, one.value, one.locate("/b")) for one in documents] == [
        (0, {"a": 1}, (1, 1)),
        (1, {"b": 2}, (3, 7)),
    ]


def test_a_line_separator_in_a_string_does_not_end_a_line() -> None:
    assert [one.value for one in parse_documents('{"a": "\u2028\x85"}\n{}', source="x.ndjson")] == [
        {"a": "\u2028\x85"},
        {},
    ]


@pytest.mark.parametrize("text", ["", " \n\t\n", b"", b"\xef\xbb\xbf\n", "\ufeff"])
def test_blank_text_contains_no_documents(text: str | bytes) -> None:
    assert parse_documents(text, source="x.json") == []
    assert parse_documents(text, source="x.yml") == []
    with pytest.raises(DocumentError):
        parse_json(text)
    with pytest.raises(DocumentError):
        parse_yaml(text)


def test_a_stream_of_lines_continues_after_an_invalid_line() -> None:
    documents = iter_ndjson([b'{"a": 1}\n', b"\n", b"{'a': 2}\n", b'{"a": 3}\n'], source="x.ndjson")
    assert next(documents).value == {"a": 1}
    with pytest.raises(DocumentError) as caught:
        next(documents)
    assert (caught.value.source, caught.value.line, caught.value.column) == ("x.ndjson", 3, 2)
    last = next(documents)
    assert (last.value, last.index, last.locate("/a")) == ({"a": 3}, 2, (4, 7))
    with pytest.raises(StopIteration):
        next(documents)


def test_a_stream_is_read_only_as_far_as_requested() -> None:
    def lines() -> object:
        yield b"{}\n"
        raise AssertionError("read too far")

    assert next(iter_ndjson(lines())).value == {}


def test_a_line_without_an_end_is_refused() -> None:
    with pytest.raises(DocumentError, match=r"^<stdin>:2: .*more than 16 MiB") as caught:
        list(iter_ndjson([b"1\n", b"x" * (17 << 20)], source="<stdin>"))
    assert caught.value.line == 2


def test_bytes_that_are_not_utf8_are_refused_with_their_position() -> None:
    for read in (parse_json, parse_yaml):
        with pytest.raises(DocumentError, match=r"byte 0xff at offset 12 is not UTF-8$") as caught:
            read(b'\xef\xbb\xbf{"\xc3\xa9":\n "\xff"}\n  "')
        assert (caught.value.line, caught.value.column) == (2, 3)
    with pytest.raises(DocumentError, match="UTF-16"):
        parse_json(json.dumps({"a": 1}).encode("utf-16"))
    with pytest.raises(DocumentError, match="it is gzip: pipe the output of 'gunzip -c FILE'"):
        parse_json(gzip.compress(b"{}"))


def test_ten_thousand_positions_in_a_long_list_are_found_quickly() -> None:
    document = parse_json("[\n" + ",\n".join(["1"] * 10_000) + "]")
    assert [document.locate(f"/{index}") for index in range(10_000)] == [(index + 2, 1) for index in range(10_000)]


def test_a_deep_position_is_found_or_that_of_its_container() -> None:
    document = parse_json("[" * 200 + "]" * 200)
    assert document.locate("/0" * 199) == (1, 200)
    assert document.locate("/0" * 300) == (1, 200)

    def deeper(levels: int) -> tuple[int, int] | None:
        return deeper(levels - 1) if levels else Document.locate(document, "/0")

    assert deeper(400) == (1, 2)
