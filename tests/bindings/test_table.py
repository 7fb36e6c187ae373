from __future__ import annotations

import gc
import random
import sys
import tracemalloc
import weakref
from functools import partial
from itertools import pairwise, product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.traced import held_by

from pulsekit.bindings import matching as topics
from pulsekit.bindings import table as routing
from pulsekit.bindings.matching import topic_matches
from pulsekit.bindings.table import BindingTable
from pulsekit.errors import InvalidPattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

texts = st.lists(st.sampled_from(["a", "b", "", "*", "#", "A", "a "]), max_size=7).map(".".join)


def table_of(patterns: Iterable[str]) -> BindingTable[str]:
    """Bind each pattern to itself."""
    table = BindingTable[str]()
    for pattern in patterns:
        table.add(pattern, pattern)
    return table


def steps(call: Callable[[], object]) -> int:
    """Count the lines of pulsekit that a call runs."""
    count = 0

    def trace(frame, event: str, _):
        nonlocal count
        count += event == "line"
        return trace if frame.f_globals["__name__"].startswith("pulsekit.") else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def memory_of(make: Callable[[], object]) -> int:
    """Return the bytes that this test and its tables have allocated while the result of `make` exists."""
    gc.collect()
    tracemalloc.start()
    try:
        made = make()
        size = held_by(routing.__file__, topics.__file__, __file__)
    finally:
        tracemalloc.stop()
    del made
    return size


# answers


@settings(max_examples=60)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_a_table_answers_like_the_matcher_through_additions_and_removals(data, seed: int) -> None:
    pool = data.draw(st.lists(texts, min_size=1, max_size=12))
    keys = data.draw(st.lists(texts, min_size=1, max_size=6))
    chance = random.Random(seed)
    table = BindingTable[int]()
    model: dict[tuple[str, int], None] = {}
    for turn in range(60):
        entry = (chance.choice(pool), chance.randrange(7))
        if chance.random() < (0.7 if turn < 40 else 0.2):
            assert table.add(*entry) is (entry not in model)
            model[entry] = None
        else:
            assert table.remove(*entry) is (entry in model)
            model.pop(entry, None)
        assert list(table) == list(model)
        assert len(table) == len(model)
        assert (entry in table) is (entry in model)
        for key in keys:
            expected = dict.fromkeys(value for pattern, value in model if topic_matches(pattern, key))
            assert table.matches(key) == list(expected)


@given(patterns=st.lists(texts, max_size=30, unique=True), key=texts)
def test_any_table_returns_the_patterns_that_match_a_key(patterns: list[str], key: str) -> None:
    assert table_of(patterns).matches(key) == [pattern for pattern in patterns if topic_matches(pattern, key)]


SHORT = sorted({".".join(words) for size in range(5) for words in product(["a", "", "*", "#"], repeat=size)})


def test_every_short_pattern_is_right_about_every_short_key() -> None:
    tables = [(pattern, table_of([pattern])) for pattern in SHORT]
    wrong = [
        (pattern, key)
        for pattern, table in tables
        for key in SHORT
        if bool(table.matches(key)) is not topic_matches(pattern, key)
    ]
    assert wrong == []


def test_removing_patterns_one_by_one_keeps_all_answers_right() -> None:
    patterns = random.Random(3).sample(SHORT, len(SHORT))
    keys = [text for text in SHORT if "#" not in text]
    table = table_of(patterns)
    while patterns:
        wrong = [key for key in keys if table.matches(key) != [one for one in patterns if topic_matches(one, key)]]
        assert wrong == []
        for pattern in patterns[::3]:
            assert table.remove(pattern, pattern)
        del patterns[::3]
    assert not any(map(table.matches, keys))


@pytest.mark.parametrize(
    ("patterns", "key", "taken"),
    [
        # runs of `#`
        (["#", "#.#", "#.#.#"], "", ["#", "#.#", "#.#.#"]),
        (["#.#.a", "#.#.b", "#.#"], "x.b", ["#.#.b", "#.#"]),
        (["a.#.#", "a.#.#.b", "a.#.*.#"], "a", ["a.#.#"]),
        (["a.#.#", "a.#.#.b", "a.#.*.#"], "a.b", ["a.#.#", "a.#.#.b", "a.#.*.#"]),
        (["#.a.#", "#.a.#.a.#", "#.a.#.a.#.a"], "a.x.a", ["#.a.#", "#.a.#.a.#"]),
        # words that are empty
        (["", ".", "..", "*", "*.*"], "", [""]),
        (["", ".", "..", "*", "*.*"], ".", [".", "*.*"]),
        (["a.", "a", "a.*", "a.#", ".a"], "a.", ["a.", "a.*", "a.#"]),
        (["a..b", "a.*.b", "a.b", "a.#.b", "a..#"], "a..b", ["a..b", "a.*.b", "a.#.b", "a..#"]),
        # wildcards in a key are words like any other
        (["*", "#", "a"], "*", ["*", "#"]),
        (["*", "#", "a"], "#", ["*", "#"]),
        (["a.*", "a.b", "a.#.b"], "a.#", ["a.*"]),
        # a branch of one pattern, which a second pattern then shares up to the last word
        (["a.b.c.d.#", "a.b.c.d.*", "a.b.c.d", "a.b.c.#"], "a.b.c.d", ["a.b.c.d.#", "a.b.c.d", "a.b.c.#"]),
        (["a.*.c.*", "a.*.c.d", "a.b.*.d"], "a.b.c.d", ["a.*.c.*", "a.*.c.d", "a.b.*.d"]),
        (["#.b.c", "#.b.d", "#.b.*", "#.*.c"], "a.b.c", ["#.b.c", "#.b.*", "#.*.c"]),
        (["#.b.c"], "c", []),
    ],
)
def test_patterns_that_share_words_do_not_disturb_each_other(patterns, key, taken) -> None:
    assert table_of(patterns).matches(key) == taken
    alone = [pattern for pattern in patterns if table_of([pattern]).matches(key)]
    assert alone == taken


def test_a_table_gives_each_value_once_in_the_order_of_addition() -> None:
    table = BindingTable[str]()
    for pattern, value in [("a.*", "second"), ("#", "first"), ("a.b", "second"), ("*.b", "third")]:
        table.add(pattern, value)
    assert table.matches("a.b") == ["second", "first", "third"]
    table.remove("a.*", "second")
    assert table.matches("a.b") == ["first", "second", "third"]


def test_a_value_that_is_added_again_is_last() -> None:
    table = BindingTable[int]()
    for value in range(5):
        table.add("a.#", value)
    table.remove("a.#", 1)
    table.add("a.#", 1)
    assert table.matches("a") == [0, 2, 3, 4, 1]
    assert list(table) == [("a.#", value) for value in (0, 2, 3, 4, 1)]


def test_a_removal_keeps_patterns_that_share_its_words() -> None:
    table = table_of(["a.b.c", "a.b", "a.b.*", "a.#", "a.b.c.#"])
    table.add("a.b.c", "another")
    for pattern, left in [
        ("a.b", ["a.b.c", "a.b.*", "a.#", "a.b.c.#", "another"]),
        ("a.#", ["a.b.c", "a.b.*", "a.b.c.#", "another"]),
        ("a.b.c", ["a.b.*", "a.b.c.#", "another"]),
        ("a.b.*", ["a.b.c.#", "another"]),
    ]:
        assert table.remove(pattern, pattern)
        assert table.matches("a.b.c") == left


def test_removing_a_missing_pattern_changes_nothing() -> None:
    table = table_of(["a.b.c", "#.b"])
    for pattern in ("a.b", "a.b.c.d", "a", "", "#", "x"):
        assert not table.remove(pattern, pattern)
    assert not table.remove("a.b.c", "#.b")
    assert list(table) == [("a.b.c", "a.b.c"), ("#.b", "#.b")]
    assert table.matches("a.b.c") == ["a.b.c"]


def test_the_returned_list_belongs_to_the_caller() -> None:
    table = BindingTable[int]()
    table.add("#", 1)
    table.matches("a").clear()
    assert table.matches("a") == [1]


def test_a_refused_pattern_does_not_change_the_table() -> None:
    table = BindingTable[int]()
    with pytest.raises(InvalidPattern):
        table.add("x" * 256, 1)
    assert len(table) == 0
    assert table.matches("x" * 256) == []


# the memo


@pytest.mark.parametrize("change", ["a.b", "a.*", "#.b", "a.#", "#", "*.b.#"])
def test_a_cached_answer_is_dropped_when_the_table_changes(change: str) -> None:
    table = table_of(["a.*", "x"])
    before = table.matches("a.b")
    table.add(change, "new")
    assert table.matches("a.b") == [*before, "new"]
    table.remove(change, "new")
    assert table.matches("a.b") == before


def test_a_repeated_key_is_answered_from_the_memo() -> None:
    table = table_of(["a.*.#", "#.c", "*.b"])
    first, second = steps(partial(table.matches, "a.b.c")), steps(partial(table.matches, "a.b.c"))
    assert second < 6 < first


def test_the_memory_for_answers_is_bounded_for_any_keys() -> None:
    table = BindingTable[int]()
    table.add("#", 1)

    def ask(keys: Iterable[str]) -> None:
        for key in keys:
            table.matches(key)

    assert memory_of(lambda: ask(f"key.{number}" for number in range(30_000))) < 4_000_000  # 200 bytes a key
    assert memory_of(lambda: ask("x" * 100_000 + str(number) for number in range(100))) < 100_000
    for value in range(2, 2_000):
        table.add("#", value)
    assert memory_of(lambda: ask(f"key.{number}" for number in range(1_000))) < 4_000_000  # 16,000 bytes a key
    ask(["one.more", "another"])
    assert steps(partial(table.matches, "one.more")) < 6


# cost


def test_the_work_for_a_key_is_that_of_the_words_it_touches() -> None:
    few, many = (table_of(f"treeherder.{number}.#" for number in range(size)) for size in (10, 10_000))
    for key in ("treeherder.5._", "treeherder.x._", "elsewhere"):
        assert steps(partial(few.matches, key)) == steps(partial(many.matches, key))


def test_a_change_costs_the_same_in_a_large_table() -> None:
    few, many = (table_of(f"treeherder.{number}.#" for number in range(size)) for size in (10, 10_000))
    binding = ("treeherder.x.#", "new")
    assert steps(partial(few.add, *binding)) == steps(partial(many.add, *binding))
    assert steps(partial(few.remove, *binding)) == steps(partial(many.remove, *binding))


def test_many_hashes_do_not_multiply_the_work() -> None:
    key = ".".join(["a"] * 40 + ["b"])
    tables = [table_of([".".join(["#.a"] * size)]) for size in (4, 8, 16, 32)]
    costs = [steps(partial(table.matches, key)) for table in tables]
    assert all(longer < 2.5 * shorter for shorter, longer in pairwise(costs))


@pytest.mark.parametrize("words", ["a*", "a#", "*#"])
def test_no_key_costs_more_than_its_words_times_the_table(words: str) -> None:
    """Every node of the trie is reached at every word, and none of the patterns matches the key."""
    patterns = [".".join(pattern) + ".end" for pattern in product(words, repeat=6)]
    table = table_of(patterns)
    key = ".".join(["a"] * 64)
    assert steps(partial(table.matches, key)) < 64 * 2 * len(patterns) * 20
    assert table.matches(key + ".end") == [one for one in patterns if topic_matches(one, key + ".end")]


def test_stars_in_a_key_do_not_multiply_the_work() -> None:
    table = BindingTable[int]()
    table.add(".".join(["*"] * 30 + ["a"]), 1)
    table.add(".".join(["*"] * 30 + ["b"]), 2)
    assert table.matches(".".join(["*"] * 30 + ["a"])) == [1]


def test_patterns_of_as_many_words_as_fit_can_be_added_and_removed() -> None:
    long = ["." * 254 + "a", "." * 255, ".".join(["*"] * 128), ".".join(["#"] * 128), ".".join(["#"] * 127) + ".a"]
    table = table_of(long)
    for pattern in long:
        assert table.matches("." * 255) == [one for one in long if topic_matches(one, "." * 255)]
        assert table.matches(".".join(["a"] * 128)) == [one for one in long if topic_matches(one, "a." * 127 + "a")]
        table.remove(pattern, pattern)
        long = long[1:]


def pulse_like(number: int) -> str:
    forms = (
        "treeherder.project-{}._",
        "primary.{:022x}.#",
        "primary.*.*.*.*.gcp-{}.gecko-t-linux.#",
        "primary.{:022x}.0.*.*.gecko-t.*.gecko-level-3.#",
        "#.project-{}",
        "route.index.gecko.v2.autoland.revision.{:040x}.#",
        "route.index.gecko.v2.autoland.revision.{:040x}.firefox.linux64-debug",
    )
    return forms[number % len(forms)].format(number)


def bind(table: BindingTable[int], patterns: Iterable[str], values: Iterable[int]) -> BindingTable[int]:
    values = list(values)
    for pattern in patterns:
        for value in values:
            table.add(pattern, value)
    return table


@pytest.mark.parametrize("values", [1, 2, 5])
def test_a_binding_needs_under_600_bytes_besides_its_texts(values: int) -> None:
    patterns = [pulse_like(number) for number in range(20_000 // values)]
    size = memory_of(lambda: bind(BindingTable[int](), patterns, range(values)))
    assert size < 600 * len(patterns) * values


def test_a_second_value_of_a_pattern_needs_no_more_of_the_trie() -> None:
    patterns = [f"route.index.{number:040x}.firefox.linux64-debug" for number in range(1_000)]
    first = memory_of(lambda: bind(BindingTable[int](), patterns, [1]))
    assert memory_of(lambda: bind(BindingTable[int](), patterns, [1, 2])) < 3 * first


def test_an_emptied_table_has_no_nodes() -> None:
    patterns = [pulse_like(number) for number in range(2_000)] + ["a.b.c", "a.b", "#.b", "", "a.b.c.d", "#.#", "*.b"]
    patterns += [f"{number}.x" for number in range(2_000)]
    table = BindingTable[int]()

    def fill_and_empty() -> None:
        bind(table, patterns, (1, 2, 3)).matches("a.b")
        for value in (2, 1, 3):
            for pattern in patterns:
                assert table.remove(pattern, value)

    assert memory_of(fill_and_empty) < 2_000
    assert [table.matches(key) for key in ("", "a.b.c", "a.b")] == [[], [], []]


def test_an_emptied_table_frees_its_memory() -> None:
    def fill_and_remove(values: int) -> BindingTable[int]:
        table = bind(BindingTable[int](), ["a.#"], range(values))
        for value in range(values - 1):
            table.remove("a.#", value)
        return table

    assert memory_of(lambda: fill_and_remove(10_000)) < 3_000
    assert fill_and_remove(100).matches("a") == [99]


class Queue:
    """A value whose deletion is visible."""


def test_a_removed_value_is_not_referenced() -> None:
    table = BindingTable[Queue]()
    queues = [Queue() for _ in range(3)]
    for queue in queues:
        table.add("a.#", queue)
    assert table.matches("a.b") == queues
    reference = weakref.ref(queues[0])
    table.remove("a.#", queues.pop(0))
    gc.collect()
    assert reference() is None
    assert table.matches("a.b") == queues
