from __future__ import annotations

import random
import re
import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit.bindings.matching import check_key, check_pattern, explain_match, topic_matches
from pulsekit.errors import InvalidMessage, InvalidPattern

topics = st.lists(st.sampled_from(["a", "b", "", "*", "#", "A", "a "]), max_size=7).map(".".join)


def oracle(pattern: str, key: str) -> bool:
    """Match by plain recursion over the two lists of words, as the protocol describes it."""
    wants, has = (text.split(".") if text else [] for text in (pattern, key))

    def match(i: int, j: int) -> bool:
        if i == len(wants):
            return j == len(has)
        if wants[i] == "#":
            return any(match(i + 1, k) for k in range(j, len(has) + 1))
        return j < len(has) and wants[i] in ("*", has[j]) and match(i + 1, j + 1)

    return match(0, 0)


@pytest.mark.parametrize(
    ("pattern", "key", "taken"),
    [
        # the empty key has no words, yet the empty pattern and `#` match it
        ("", "", True),
        ("#", "", True),
        ("#.#", "", True),
        ("*", "", False),
        ("*.#", "", False),
        ("", "a", False),
        # one dot is two empty words, and `*` matches an empty word
        (".", ".", True),
        ("*.*", ".", True),
        ("*", ".", False),
        ("a.*", "a.", True),
        ("a.*.b", "a..b", True),
        ("a..b", "a..b", True),
        ("a..b", "a.x.b", False),
        ("a.b", "a..b", False),
        ("a.#.b", "a..b", True),
        # `#` matches no word, one word, or several, anywhere
        ("a.#", "a", True),
        ("#.a", "a", True),
        ("a.#.b", "a.b", True),
        ("a.#.b", "a.x.y.b", True),
        ("a.#.b", "a.x.y", False),
        ("#.a.#", "x.y", False),
        ("#.*", "a.b.c", True),
        ("#.*.#.*", "a", False),
        # * and # are wildcards only as whole words
        ("_", "_", True),
        ("_", "x", False),
        ("a*", "ab", False),
        ("a#", "a.b", False),
        ("a*", "a*", True),
        ("*", "*", True),
        ("*", "#", True),
        ("a.b", "a.*", False),
        ("A", "a", False),
        ("é", "é", True),
        # the keys of the documentation
        ("treeherder.mozilla-inbound._", "treeherder.mozilla-inbound._", True),
        ("#.autoland", "treeherder.autoland._", False),
        ("*.autoland._", "treeherder.autoland._", True),
        ("primary.*.*.*.*.*.*.gecko.#", "primary.t.0.g.w.p.x.gecko.g._", True),
    ],
)
def test_a_pattern_matches_the_keys_that_rabbitmq_routes(pattern: str, key: str, taken: bool) -> None:
    assert topic_matches(pattern, key) is taken
    assert oracle(pattern, key) is taken


def test_every_short_pattern_and_key_agrees_with_the_reference_matcher() -> None:
    texts = [".".join(words) for size in range(5) for words in product(["a", "", "*", "#"], repeat=size)]
    keys = [text for text in texts if "#" not in text]
    wrong = [
        (pattern, key) for pattern in texts for key in keys if topic_matches(pattern, key) is not oracle(pattern, key)
    ]
    assert wrong == []


@given(pattern=topics, key=topics)
def test_any_pattern_and_key_agree_with_the_reference_matcher(pattern: str, key: str) -> None:
    assert topic_matches(pattern, key) is oracle(pattern, key)


def test_many_hashes_against_a_long_key_are_fast() -> None:
    pattern, key = ".".join(["#.a"] * 6), ".".join(["a"] * 39 + ["b"])
    began = time.process_time()
    assert not topic_matches(pattern, key)
    assert not explain_match(pattern, key)
    assert time.process_time() - began < 0.05  # about a millisecond; plain backtracking would take minutes


def test_a_key_of_255_bytes_is_the_longest() -> None:
    assert check_key("é" * 127 + "x") == "é" * 127 + "x"
    with pytest.raises(InvalidMessage, match=r"routing key 'ééé.*256 bytes; AMQP allows 255"):
        check_key("é" * 128)


def test_a_pattern_of_255_bytes_is_the_longest() -> None:
    assert check_pattern("#" * 255) == "#" * 255
    with pytest.raises(InvalidPattern, match=r"pattern '###.*256 bytes; AMQP allows 255"):
        check_pattern("#" * 256)


@pytest.mark.parametrize(("check", "error"), [(check_key, InvalidMessage), (check_pattern, InvalidPattern)])
def test_half_a_surrogate_pair_is_refused_with_a_printable_message(check, error) -> None:
    with pytest.raises(error) as caught:
        check("a.\ud800")
    assert "not valid Unicode" in str(caught.value).encode().decode()


@given(pattern=topics, key=topics)
def test_an_explanation_agrees_with_the_matcher(pattern: str, key: str) -> None:
    explanation = explain_match(pattern, key)
    assert explanation.matched is bool(explanation) is topic_matches(pattern, key)
    used = [word for _, took in explanation.words for word in took]
    wants, has = (text.split(".") if text else [] for text in (pattern, key))
    assert used == has[: len(used)]
    assert [want for want, _ in explanation.words] == wants[: len(explanation.words)]
    for want, took in explanation.words:
        assert want == "#" or (len(took) == 1 and want in ("*", took[0]))
    if explanation.matched:
        assert (len(used), len(explanation.words)) == (len(has), len(wants))
        assert (explanation.word, explanation.wanted, explanation.found) == (None, None, None)
    else:
        assert explanation.word == len(used) + 1
        assert explanation.found == (has[len(used)] if len(used) < len(has) else None)
        assert explanation.wanted != explanation.found


@pytest.mark.parametrize(
    ("pattern", "key", "reason"),
    [
        (
            "treeherder.mozilla-inbound._",
            "treeherder.autoland._",
            "word 2: pattern has 'mozilla-inbound', key has 'autoland'",
        ),
        ("treeherder.autoland._", "treeherder.autoland", "key ends after word 2, pattern continues with '_'"),
        ("treeherder.autoland", "treeherder.autoland._", "pattern ends after word 2, key continues with '_'"),
        ("#.autoland", "treeherder.autoland._", "pattern ends after word 2, key continues with '_'"),
        ("a.#.b", "a.c.d", "word 3: pattern has 'b', key has 'd'"),
        ("#.a.b.c", "x.a.b.d", "word 4: pattern has 'c', key has 'd'"),
        ("a.*.c", "a", "key ends after word 1, pattern continues with '*.c'"),
        ("a.x", "a.", "word 2: pattern has 'x', key has an empty word"),
        ("a.", "a.x", "word 2: pattern has an empty word, key has 'x'"),
        ("a", "a.", "pattern ends after word 1, key continues with an empty word"),
        ("*", "", "key is empty, pattern has '*'"),
        ("", "a", "the empty pattern matches only the empty key"),
        (
            "Treeherder.*",
            "treeherder.x",
            "word 1: pattern has 'Treeherder', key has 'treeherder' (they differ only in case)",
        ),
        ("#.try", "x.Try.y", "word 2: pattern has 'try', key has 'Try' (they differ only in case)"),
        ("try ", "try", "word 1: pattern has 'try ', key has 'try' (they differ only in spaces around the word)"),
        ("a_b", "a-b", "word 1: pattern has 'a_b', key has 'a-b' (they differ only in - and _)"),
        ("try._.th", "th.try._", "word 1: pattern has 'try', key has 'th' (the same words in another order)"),
        ("a.b", "a.b", "the same words"),
        ("*.b.#", "a.b", "* matches 'a', # matches nothing"),
        ("#", "a.b", "# matches 'a.b'"),
        ("a\u202eb", "a", "word 1: pattern has 'a\\u202eb', key has 'a'"),
    ],
)
def test_an_explanation_names_the_first_difference(pattern: str, key: str, reason: str) -> None:
    assert explain_match(pattern, key).reason == reason


def test_an_explanation_of_long_words_stays_short() -> None:
    assert len(explain_match("a" * 255, "b" * 255).reason) < 220


def test_patterns_read_as_regular_expressions_agree() -> None:
    """A second reference matcher, written independently of the first."""
    chance = random.Random(2)
    for _ in range(3000):
        pattern = ".".join(chance.choices(["a", "b", "*", "#", ""], k=chance.randrange(1, 6)))
        key = ".".join(chance.choices(["a", "b", ""], k=chance.randrange(1, 6)))
        if not pattern or not key:
            continue  # each word ends with a dot, so an empty text is one empty word
        parts = {"*": r"[^.]*\.", "#": r"(?:[^.]*\.)*"}
        regex = "".join(parts.get(word, re.escape(word) + r"\.") for word in pattern.split("."))
        assert topic_matches(pattern, key) is bool(re.fullmatch(regex, key + "."))
