from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit._documents.document import parse_documents, parse_yaml
from pulsekit.errors import DocumentError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-23", "2026-11-23"),
        ("2026-11-23T18:00:00Z", "2026-11-23T18:00:00Z"),
        ("12:30:45", "12:30:45"),
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("~", None),
        ("null", None),
        ("", None),
        ("nUll", "nUll"),
        ("True", True),
        ("false", False),
        ("tRue", "tRue"),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("+5", 5),
        ("-0", 0),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("'1'", "1"),
        ('"true"', "true"),
        ('"\\u00e9\\n"', "é\n"),
        ('"\\ud83d\\ude00 \\ud83d"', "😀 \ud83d"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_unquoted_words_have_the_meaning_of_yaml_1_2(text: str, value: object) -> None:
    read = parse_yaml(f"a: {text}\n").value
    assert read == {"a": value}
    assert isinstance(read, dict)
    assert type(read["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\nb: *x\n", (2, 4), r"alias \*x"),
        ("a: &x 1\n", (1, 4), "anchor &x"),
        ("a: &x [*x]\n", (1, 4), "anchor"),
        ("&x a: 1\n", (1, 1), "anchor"),
        ("a: !!python/object/apply:os.system [ls]\n", (1, 4), "tags"),
        ("a: !local 1\n", (1, 4), "tags"),
        ("a: ! 1\n", (1, 4), "tags"),
        ("!!map {a: 1}\n", (1, 1), "tags"),
        ("b: 1\n<<: {a: 1}\n", (2, 1), "merge keys"),
        ("a: 1\nb: 2\na: 3\n", (3, 1), "the key 'a' occurs twice in one object, first on line 1"),
        ("{a: 1, 'a': 2}\n", (1, 8), "occurs twice"),
        ("1: 2\n", (1, 1), "put 1 in quotes"),
        ("true: 2\n", (1, 1), "put true in quotes"),
        ("? [a]\n: 1\n", (1, 3), "a key must be text"),
        (": 1\n", (1, 1), "a key must be text"),
        ("a: .inf\n", (1, 4), "JSON cannot represent"),
        ("a: -.INF\n", (1, 4), "JSON cannot represent"),
        ("a: .NaN\n", (1, 4), "JSON cannot represent"),
        ("a: 1e999\n", (1, 4), "out of the range of numbers"),
        (f"a: {'1' * 5000}\n", (1, 4), "more digits"),
        ("a: 1\n---\nb: 1\n", (3, 1), "2 YAML documents"),
        ("%YAML 1.1\n---\na: 1\n", (2, 1), "YAML 1.1"),
        ("a: b: c\n", (1, 5), "not YAML"),
        ("a:\n\t- 1\n", (2, 1), "not YAML"),
        ("a: [1, 2\n", (2, 1), "not YAML"),
        ("a: @x\n", (1, 4), "not YAML"),
        ("a: x\x00\n", (1, 5), r"U\+0000"),
        ("a: x\n b\x1b\n", (2, 3), r"U\+001B"),
        ("# nothing\n", (1, 1), "no YAML document"),
    ],
)
def test_ambiguous_yaml_is_refused_with_its_position(text: str, place: tuple[int, int], words: str) -> None:
    with pytest.raises(DocumentError, match=words) as caught:
        parse_yaml(text, source="job.yml")
    assert (caught.value.source, caught.value.line, caught.value.column) == ("job.yml", *place)


def test_a_quoted_key_can_be_any_text() -> None:
    assert parse_yaml('"<<": 1\n"1": 2\n"": 3\n"null": 4\n').value == {"<<": 1, "1": 2, "": 3, "null": 4}


def test_an_escape_beyond_unicode_is_refused() -> None:
    with pytest.raises(DocumentError, match="not YAML"):
        parse_yaml('a: "\\UFFFFFFFF"')


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        "{a: " * 300_000,
        "- " * 500_000,
        "? " * 500_000,
        "a: &a [x]\n" + "".join(f"b{n}: &b{n} [{'*a, ' * 10}]\n" for n in range(1000)),
        "!" * 1_000_000,
        "%" * 1_000_000,
        '"' + "a" * 1_000_000,
        "a: 1\n" * 100_000,
        "x" * 1_100_000,
    ],
)
def test_hostile_text_is_refused_at_once(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(DocumentError):
        parse_yaml(text)
    assert time.process_time() - begin < 5  # seconds; less than one, except when coverage is measured


@pytest.mark.parametrize(
    "text",
    [
        "[" + "1," * 500_000 + "]",
        "- - - -\n" * 120_000,
        "".join(f"a{n}: 1\n" for n in range(90_000)),
        "---\n" * 250_000,
    ],
)
def test_dense_text_is_refused_above_the_limit(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(DocumentError, match="more than 50,000 keys and values of YAML") as caught:
        parse_documents(text, source="x.yml")
    assert caught.value.line
    assert time.process_time() - begin < 10  # usually one or two seconds; to read the whole file takes more than ten


def test_three_thousand_small_jobs_are_read() -> None:
    job = "- {name: a, list: [1, 2, 3], more: {x: y}}\n"
    assert len(parse_documents(job * 3_000, source="x.yml")) == 3_000


_FRAGMENTS = [
    "a", "b: ", "- ", "? ", ": ", "{", "}", "[", "]", ",", '"', "'", "\n", "  ", "\t", "\r", "&a ", "*a ", "!", "|\n",
    ">\n", "%", "#", "---\n", "...\n", "\\", "\\x", "\\U", "1", "~", "\x85", "\u2028", "\ufeff", "\ud800", "😀",
    "%YAML 1.2\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(_FRAGMENTS), max_size=25).map("".join))
def test_any_text_is_read_or_refused_with_a_known_error(text: str) -> None:
    for source in ("x.yml", "x.json", "x.ndjson", "x"):
        try:
            documents = parse_documents(text, source=source)
        except DocumentError:
            continue
        assert all(document.locate("/a/0") for document in documents)


def test_shared_yaml_has_anchors_and_merge_keys_as_pyyaml_reads_them() -> None:
    text = """\
a: &a {x: 1, y: [1, &s two]}
own-member: {x: 2, <<: *a}
first-of-list:
  <<: [*a, {z: 3, x: 9}]
  w: *s
nested: &n
  <<: *a
  q: yes
merged-twice: {<<: *n, q: Off}
in-a-list: [{<<: *a}, *s]
*s : v
"""
    document = parse_yaml(text, shared=True)
    a = {"x": 1, "y": [1, "two"]}
    assert document.value == {
        "a": a,
        "own-member": a | {"x": 2},
        "first-of-list": a | {"z": 3, "w": "two"},
        "nested": a | {"q": True},
        "merged-twice": a | {"q": False},
        "in-a-list": [a, "two"],
        "two": "v",
    }
    assert document.locate("/own-member/y") == (1, 17)  # the position of the anchor
    assert document.locate("/own-member/x") == (2, 17)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &a [*a]", r"1:8: the alias \*a contains itself"),
        ("a: *b", r"1:4: the alias \*b has no anchor"),
        ("a: &a {<<: *a}", "contains itself"),
        ("a: {<<: 3}", "1:9: a merge key"),
        ("a: {<<: [3]}", "1:10: a merge key"),
        ("s: &s x\na: {<<: *s}", "2:9: a merge key"),
        *((f"a: {word}", "put it in quotes") for word in ("012", "1_000", "1:30", "1e3", "2026-11-23", "0o7", "0b1")),
        ("a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 250)), "more than 200 levels"),
    ],
)
def test_shared_yaml_refuses_ambiguous_text(text: str, words: str) -> None:
    with pytest.raises(DocumentError, match=words):
        parse_yaml(text, shared=True)


def test_aliases_that_multiply_are_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    with pytest.raises(DocumentError, match="aliases of this text stand for more than 50,000"):
        parse_yaml("\n".join(lines), shared=True)
