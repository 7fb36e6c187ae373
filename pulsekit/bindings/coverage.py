"""Compare two topic patterns for all routing keys at once (AMQP 0-9-1 §3.1.3.3).

The plan of `covers`: build one key that the narrower pattern matches and that is the hardest for the wider one; the
wider pattern covers the narrower if it matches that key. The key is never written out. `states` are the places in the
wider pattern that can be reached with the words so far, as in a nondeterministic automaton, and `_step` advances them
by one word. The hardest words are: for a literal, the literal; for `*`, a word that no pattern names; for `#`, either
no word, or more unnamed words than any attempt outside a `#` can match.

Example: does `a.#.c` cover `a.*.c`? After a: places 1 and 2 (after the `#`). After an unnamed word: the `#` matches
it, so again 1 and 2. After c: place 3, the end. So it does. Does `a.*` cover `a.#`? The `#` becomes three unnamed
words, of which `a.*` matches one. Then no place is left, so it does not.

The invariant: of two places from which only stars lead to a `#`, the later one matches every key that the earlier one
does. So `_settled` keeps only the last of them, and the set stays small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit.bindings.matching import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["covers", "matches_everything", "sample_key", "word_limit"]


def covers(wider: str, narrower: str) -> bool:
    """Return whether the wider pattern matches every key that the narrower one matches.

    The result is exact for keys of any length, also beyond the 255 bytes of AMQP. The number of steps is at most the
    number of words of the narrower pattern times the square of that of the wider one.
    """
    wants = _ordered(words_of(wider))
    return all(_covers(wants, _ordered(has)) for has in _without_the_empty_key(words_of(narrower)))


def matches_everything(pattern: str) -> bool:
    """Return whether a pattern matches every key, the empty one included, as `#` and `#.#` do."""
    return covers(pattern, "#")


def word_limit(pattern: str) -> int | None:
    """Return the largest number of words of a matching key, or None if there is no limit."""
    words = words_of(pattern)
    return None if "#" in words else len(words)


def sample_key(pattern: str) -> str:
    """Return one of the shortest keys that the pattern matches. Each pattern that covers this pattern matches the key.

    A `*` of the pattern is a `*` in the key, where it is an ordinary word that no pattern can name.
    """
    return ".".join(word for word in _without_the_empty_key(words_of(pattern))[0] if word != "#")


def _ordered(words: Iterable[str]) -> list[str]:
    """Sort each run of wildcards: first the stars, then one `#`. `#.*` and `*.#` match the same keys."""
    ordered: list[str] = []
    many = False
    for word in words:
        if word == "#":
            many = True
            continue
        if many and word != "*":
            ordered.append("#")
            many = False
        ordered.append(word)
    return [*ordered, "#"] if many else ordered


def _without_the_empty_key(words: list[str]) -> list[list[str]]:
    """Return patterns that together match the same keys, and of which none requires exactly one, empty word.

    A key of one empty word does not exist: the empty key has no words. So `#.` becomes `*.#.`.
    """
    if [word for word in words if word != "#"] != [""]:
        return [words]
    at = words.index("")
    before, after = words[:at], words[at + 1 :]
    return [["*", *words]] * bool(before) + [[*words, "*"]] * bool(after)


def _covers(wants: Sequence[str], has: Sequence[str]) -> bool:
    """Match the hardest key of `has` with `wants`, and return whether it reaches the end."""
    region = _regions(wants)
    states = _settled({0}, wants, region)
    for word in has:
        if word != "#":
            states = _settled(_step(states, word, wants), wants, region)
        elif min(states, default=0) not in region or _is_many(min(states), wants):
            # Enough unnamed words stop every attempt but those inside a `#`.
            for _ in range(len(wants) + 1):
                states = _settled(_step(states, "*", wants), wants, region)
        # Otherwise only stars come before the next `#` of `wants`: the fewest words are the hardest.
        if not states:
            return False
    return len(wants) in states


def _regions(wants: Sequence[str]) -> frozenset[int]:
    """Return the position of each `#`, and of each `*` directly before a `#` or before such a `*`."""
    region: set[int] = set()
    inside = False
    for at in range(len(wants) - 1, -1, -1):
        inside = wants[at] == "#" or (inside and wants[at] == "*")
        if inside:
            region.add(at)
    return frozenset(region)


def _is_many(at: int, wants: Sequence[str]) -> bool:
    return at < len(wants) and wants[at] == "#"


def _step(states: set[int], word: str, wants: Sequence[str]) -> set[int]:
    """Return the places after one more word of the key; a `*` is a word that no pattern names."""
    ahead: set[int] = set()
    for at in states:
        want = wants[at] if at < len(wants) else None
        if want == "#":
            ahead.add(at)
        elif want in ("*", word):
            ahead.add(at + 1)
    return ahead


def _settled(states: set[int], wants: Sequence[str], region: frozenset[int]) -> set[int]:
    """Add the places behind each `#`, which may match no word, and remove the places that a later one replaces."""
    states |= {at + 1 for at in states if _is_many(at, wants)}
    furthest = max((at for at in states if at in region), default=0)
    return {at for at in states if at >= furthest}
