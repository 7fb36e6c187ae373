from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from pulsekit._documents.suggestions import Guesses, brief, counted, described, either, how_to_match


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("é\n", '"é\\n"'),
        ({"a": [1, None, True]}, '{"a": [1, null, true]}'),
        ("\ud800", '"\\ud800"'),
        (float("nan"), "NaN"),
        (datetime(2026, 1, 1, tzinfo=UTC), '"datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)"'),
    ],
)
def test_a_value_is_shown_as_json(value: Any, text: str) -> None:
    assert brief(value) == text


def test_a_large_deep_or_endless_value_is_truncated() -> None:
    deep: Any = []
    deep.append(deep)
    for value in ("x" * 10_000_000, list(range(1_000_000)), deep, {"a" * 500: 1}):
        begin = time.process_time()
        assert len(brief(value)) == 80
        assert brief(value, limit=20) == brief(value)[:19] + "…"
        assert time.process_time() - begin < 0.5


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1", 'the string "1"'),
        (1, "1"),
        (True, "true"),
        (None, "null"),
        ([1], "a list"),
        ([], "an empty list"),
        ({}, "an empty object"),
    ],
)
def test_a_value_is_described_by_its_type(value: Any, text: str) -> None:
    assert described(value) == text


def test_alternatives_are_joined_with_commas_and_or() -> None:
    assert either([]) == "nothing"
    assert either(["a"]) == "a"
    assert either(["a", "b"]) == "a or b"
    assert either(["a", "b", "c"]) == "a, b or c"
    assert either(list("abcdef"), limit=2) == "a, b or one of 4 more"


def test_numbers_agree_with_their_nouns() -> None:
    assert [counted(1, "item"), counted(2, "item"), counted(0, "property")] == ["1 item", "2 items", "0 properties"]


@pytest.mark.parametrize(
    ("word", "guess"),
    [
        ("Completed", "completed"),
        ("complete", "completed"),
        ("run-ning", "running"),
        ("x", None),
        ("", None),
        (3, None),
    ],
)
def test_a_misspelt_word_is_guessed(word: Any, guess: str | None) -> None:
    assert Guesses().nearest(word, ["pending", "running", "completed", 1, None]) == guess


def test_guessing_stops_before_it_is_slow() -> None:
    guesses = Guesses(limit=2)
    assert [guesses.nearest("aa", ["aa"]) for _ in range(3)] == ["aa", "aa", None]
    assert Guesses().nearest("a" * 101, ["a" * 101]) is None


@pytest.mark.parametrize(
    ("pattern", "text", "hint"),
    [
        ("^[a-z]+$", "abc\n\n", "remove the space or line break around it"),
        ("^[0-9a-f]+$", "ABC1", "write it in lower case"),
        (r"^[\w-]+$", "linux/64 bit", 'it cannot have "/" or " "'),
        ("^a+$", "abcdefg", 'it cannot have "b", "c", "d", "e", "f" or one of 1 more'),
        ("^ab$", "ba", ""),
        ("^a+$", "", ""),
    ],
)
def test_a_text_that_does_not_match_has_a_correction(pattern: str, text: str, hint: str) -> None:
    assert how_to_match(pattern, text) == hint
