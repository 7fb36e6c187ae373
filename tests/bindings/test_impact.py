from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from pulsekit.bindings.impact import BindingImpact
from pulsekit.bindings.matching import RoutedMessage, topic_matches
from pulsekit.bindings.registration import Binding

JOBS = "exchange/me/v1/jobs"
OTHER = "exchange/you/v1/jobs"


def arrivals(old: list[str], new: list[str], *messages: RoutedMessage) -> BindingImpact:
    result = BindingImpact([Binding(JOBS, key) for key in old], [Binding(JOBS, key) for key in new])
    for message in messages:
        result.count(message)
    return result


def told(result: BindingImpact) -> list[tuple[str, str, int, int, list[str]]]:
    return [(count.change, count.binding.pattern, count.takes, count.moves, count.examples) for count in result.counts]


def test_a_message_starts_to_arrive_if_only_a_new_binding_matches() -> None:
    result = arrivals(
        ["th.a"], ["th.a", "th.b"], RoutedMessage(("th.b",)), RoutedMessage(("th.a",)), RoutedMessage(("th.c",))
    )
    assert (result.messages, result.starts, result.stops, result.stays) == (3, 1, 0, 1)
    assert told(result) == [("added", "th.b", 1, 1, ["th.b"]), ("kept", "th.a", 1, 0, ["th.a"])]


def test_a_message_that_another_binding_matches_does_not_move() -> None:
    result = arrivals(["th.#", "th.a"], ["th.#", "*.a"], RoutedMessage(("th.a",)))
    assert (result.starts, result.stops, result.stays) == (0, 0, 1)
    assert told(result) == [
        ("removed", "th.a", 1, 0, []),
        ("added", "*.a", 1, 0, []),
        ("kept", "th.#", 1, 0, ["th.a"]),
    ]


def test_a_message_that_a_replacement_binding_matches_stays() -> None:
    result = arrivals(["th.a"], ["th.*"], RoutedMessage(("th.a",)), RoutedMessage(("th.b",)))
    assert (result.starts, result.stops, result.stays) == (1, 0, 1)
    assert told(result) == [("removed", "th.a", 1, 0, []), ("added", "th.*", 2, 1, ["th.b"])]


def test_the_deploy_of_2018_is_visible_in_the_messages_it_would_lose() -> None:
    result = arrivals(["#.autoland._", "#.try._"], ["autoland._", "try._"], RoutedMessage(("treeherder.try._",)))
    assert (result.starts, result.stops, result.stays) == (0, 1, 0)
    assert ("removed", "#.try._", 1, 1, ["treeherder.try._"]) in told(result)


def test_a_message_arrives_once_by_any_of_its_keys() -> None:
    result = arrivals([], ["route.#", "primary.#"], RoutedMessage(("primary.x", "route.a", "route.b")))
    assert result.starts == 1
    assert [(count.takes, count.moves) for count in result.counts] == [(1, 1), (1, 1)]


def test_a_message_is_counted_only_on_its_own_exchange() -> None:
    result = BindingImpact([Binding(JOBS)], [Binding(OTHER)])
    result.count(RoutedMessage(("a",), JOBS))
    result.count(RoutedMessage(("a",), "exchange/nobody/jobs"))
    assert (result.messages, result.starts, result.stops, result.stays) == (2, 0, 1, 0)


def test_a_key_without_an_exchange_is_counted_for_every_exchange() -> None:
    result = BindingImpact([Binding(JOBS)], [Binding(OTHER)])
    result.count(RoutedMessage(("a",)))
    assert (result.messages, result.starts, result.stops, result.stays) == (1, 1, 1, 0)


def test_a_few_examples_are_kept_each_once() -> None:
    result = arrivals([], ["#"], *[RoutedMessage((key,)) for key in ("a", "a", "b", "c", "d")])
    assert result.counts[0].examples == ["a", "b", "c"]
    assert result.counts[0].moves == 5


def test_counting_uses_memory_only_for_the_bindings() -> None:
    result = arrivals(["th.#"], ["#"])
    for number in range(10_000):
        result.count(RoutedMessage((f"th.{number}",), JOBS))
    tracemalloc.start()
    try:
        for number in range(10_000, 40_000):
            result.count(RoutedMessage((f"th.{number}",), JOBS))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.messages == 40_000
    assert kept < 4_000_000


words = st.sampled_from(["a", "b", "*", "#"])
patterns = st.lists(st.lists(words, min_size=1, max_size=3).map(".".join), max_size=4)
messages = st.lists(st.lists(st.lists(st.sampled_from("ab"), max_size=3).map(".".join), min_size=1, max_size=3))


@given(old=patterns, new=patterns, sent=messages)
def test_the_impact_equals_a_comparison_message_by_message(old, new, sent) -> None:
    result = arrivals(old, new, *[RoutedMessage(tuple(keys)) for keys in sent])

    def taken(keys: list[str], by: list[str]) -> bool:
        return any(topic_matches(pattern, key) for pattern in by for key in keys)

    before, after = [taken(keys, old) for keys in sent], [taken(keys, new) for keys in sent]
    assert result.messages == len(sent)
    assert result.starts == sum(now and not then for then, now in zip(before, after, strict=True))
    assert result.stops == sum(then and not now for then, now in zip(before, after, strict=True))
    assert result.stays == sum(then and now for then, now in zip(before, after, strict=True))
    assert result.misses == sum(not then and not now for then, now in zip(before, after, strict=True))
    for count in result.counts:
        assert count.takes == sum(taken(keys, [count.binding.pattern]) for keys in sent)
