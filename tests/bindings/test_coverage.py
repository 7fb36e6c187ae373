from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit.bindings.coverage import covers, matches_everything, sample_key, word_limit
from pulsekit.bindings.matching import topic_matches

UNNAMED = "z"  # no pattern below has this word


def written(words: tuple[str, ...]) -> str:
    return ".".join(words)


def all_patterns(alphabet: str, most: int) -> list[str]:
    """Every pattern of a number of words, including empty words. A single empty word is the empty pattern."""
    return list(dict.fromkeys(written(words) for size in range(most + 1) for words in product(alphabet, repeat=size)))


def leak(wider: str, narrower: str) -> list[str] | None:
    """Return a key that only the narrower pattern matches, or None, by trying all possible keys.

    This reference for `covers` follows all attempts at once, and tries every word at every place.
    """
    wants, has = (pattern.split(".") if pattern else [] for pattern in (wider, narrower))

    def reached(words: list[str], places: frozenset[int]) -> frozenset[int]:
        found = set(places)
        for at in range(len(words)):
            if at in found and words[at] == "#":
                found.add(at + 1)
        return frozenset(found)

    def stepped(words: list[str], places: frozenset[int], word: str) -> frozenset[int]:
        inner = {at for at in places if at < len(words)}
        stay = {at for at in inner if words[at] == "#"}
        return reached(words, frozenset(stay | {at + 1 for at in inner if words[at] in {"*", word}}))

    alphabet = sorted({*wants, *has, UNNAMED, ""} - {"*", "#"})
    start = reached(has, frozenset({0})), reached(wants, frozenset({0})), "no word"
    ways: dict[object, list[str]] = {start: []}
    queue = [start]
    for theirs, ours, so_far in queue:
        way = ways[theirs, ours, so_far]
        # A key of one empty word would be the empty key, which has no words.
        if len(has) in theirs and len(wants) not in ours and so_far != "one empty word":
            return way
        for word in alphabet:
            size = "words" if way or word else "one empty word"
            after = stepped(has, theirs, word), stepped(wants, ours, word), size
            if after[0] and after not in ways:
                ways[after] = [*way, word]
                queue.append(after)
    return None


@pytest.mark.parametrize(
    ("wider", "narrower"),
    [
        ("#", "treeherder.autoland._"),
        ("#.#", "#"),
        ("#", ""),
        ("treeherder.#", "treeherder"),
        ("treeherder.#", "treeherder.*._"),
        ("treeherder.*._", "treeherder.autoland._"),
        ("#._", "treeherder.#._"),
        ("#.*", "*.#"),
        ("*.#.*", "#.*.*"),
        ("#.a.#", "b.a.*.a"),
        ("*.*", "a.b"),
        ("*.#.", "#."),
        (".*.#", ".#"),
        ("treeherder.autoland._", "treeherder.autoland._"),
    ],
)
def test_a_wider_pattern_matches_all_keys_of_a_narrower_one(wider: str, narrower: str) -> None:
    assert covers(wider, narrower)


@pytest.mark.parametrize(
    ("wider", "narrower"),
    [
        ("treeherder.*", "treeherder.#"),
        ("treeherder.*", "treeherder.autoland._"),
        ("*.#", "#"),
        ("*", ""),
        ("#.a", "a.#"),
        ("#.autoland._", "#.autoland"),
        ("#.a.b.#", "a.#.b"),
        ("", "#"),
        ("treeherder.autoland", "treeherder.Autoland"),
    ],
)
def test_a_pattern_does_not_cover_one_that_matches_another_key(wider: str, narrower: str) -> None:
    assert not covers(wider, narrower)


def test_coverage_of_all_short_patterns_equals_a_search() -> None:
    patterns = all_patterns("a*#", 4)
    wrong = [pair for pair in product(patterns, repeat=2) if covers(*pair) is (leak(*pair) is not None)]
    assert wrong == []


def test_coverage_of_short_patterns_equals_a_search_of_all_keys() -> None:
    patterns = list(
        dict.fromkeys(written(words) for size in range(4) for words in product(("a", "", "*", "#"), repeat=size))
    )
    wrong = [pair for pair in product(patterns, repeat=2) if covers(*pair) is (leak(*pair) is not None)]
    assert wrong == []


longer = st.lists(st.sampled_from(["a", "b", "*", "#", "#", ""]), max_size=7).map(tuple).map(written)


@given(wider=longer, narrower=longer)
def test_coverage_of_longer_patterns_equals_a_search(wider: str, narrower: str) -> None:
    way = leak(wider, narrower)
    assert covers(wider, narrower) is (way is None)
    if way is not None:
        key = written(tuple(way))
        assert topic_matches(narrower, key)
        assert not topic_matches(wider, key)


@given(pattern=longer, data=st.data())
def test_a_narrowed_pattern_stays_covered(pattern: str, data: st.DataObject) -> None:
    """Random pairs rarely cover one another, so these pairs are constructed."""
    words = []
    for word in pattern.split(".") if pattern else []:
        some = st.lists(st.sampled_from(["a", "b", "*", "#"]), max_size=3)
        one = st.sampled_from(["a", "b", "*"])
        words += data.draw(some) if word == "#" else [data.draw(one)] if word == "*" else [word]
    assert covers(pattern, written(tuple(words))) or words == [""]


def test_a_pattern_made_to_be_slow_is_compared_at_once() -> None:
    tail = ".*" * 60
    assert covers("#.a" + tail, "#.b.a" + tail)
    assert not covers("#.a" + tail, "#.a.#" + tail)
    assert covers("#.a.#.b" + ".#.a.#.b" * 30, "#.a.b" + ".a.#.b" * 30)


@pytest.mark.parametrize("pattern", ["#", "#.#", "#.#.#"])
def test_some_spellings_match_everything(pattern: str) -> None:
    assert matches_everything(pattern)


@pytest.mark.parametrize("pattern", ["", "*", "*.#", "#.a", "#."])
def test_a_pattern_that_needs_a_word_does_not_match_everything(pattern: str) -> None:
    assert not matches_everything(pattern)


@pytest.mark.parametrize(("pattern", "most"), [("", 0), ("*", 1), ("treeherder.*", 2), ("a.", 2), ("a.#", None)])
def test_a_pattern_without_a_hash_limits_the_number_of_words(pattern: str, most: int | None) -> None:
    assert word_limit(pattern) == most


@given(wider=longer, narrower=longer)
def test_a_pattern_and_all_that_cover_it_match_its_sample_key(wider: str, narrower: str) -> None:
    assert topic_matches(narrower, sample_key(narrower))
    assert topic_matches(wider, sample_key(narrower)) or not covers(wider, narrower)
