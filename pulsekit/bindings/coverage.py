"""Compare two topic patterns for all routing keys at once (AMQP 0-9-1 §3.1.3.3).

The plan of `covers`: of the keys that the narrower pattern matches, choose the one that is hardest to match. If the
wider pattern matches this key, it covers the narrower pattern. The key is not built: its words are read one by one, as
by a nondeterministic automaton. `states` are the positions in the wider pattern that the words so far can reach, and
`_step` advances them by one word. The hardest words are: for a literal, the literal; for `*`, a word that occurs in no
pattern; for `#`, either no word, or more of these words than the wider pattern can match without a `#`.

Example: does `a.#.c` cover `a.*.c`? After a: positions 1 and 2 (after the `#`). After an unknown word, which the `#`
matches: again 1 and 2. After c: position 3, the end. So the answer is yes. Does `a.*` cover `a.#`? The `#` becomes
three unknown words, of which `a.*` matches one. Then no position is left, so the answer is no.

The invariant: if only stars are between two positions and the next `#`, the later position matches every key that the
earlier one matches. So `_settled` keeps only the last of such positions, and the set stays small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit.bindings.matching import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["covers", "matches_everything", "sample_key", "word_limit"]


def covers(wider: str, narrower: str) -> bool:
    """Return whether the wider pattern matches every key that the narrower pattern matches.

    The result is exact for keys of any length, even for keys longer than AMQP's 255 bytes. For n words in the narrower
    and w words in the wider pattern, the number of steps is at most n · w².
    """
    wants = _ordered(words_of(wider))
    return all(_covers(wants, _ordered(has)) for has in _without_the_empty_key(words_of(narrower)))


def matches_everything(pattern: str) -> bool:
    """Return whether a pattern matches every key, including the empty key. Examples: `#` and `#.#`."""
    return covers(pattern, "#")


def word_limit(pattern: str) -> int | None:
    """Return the largest number of words of a matching key, or None if there is no limit."""
    words = words_of(pattern)
    return None if "#" in words else len(words)


def sample_key(pattern: str) -> str:
    """Return one of the shortest keys that the pattern matches. Every pattern that covers this pattern matches the key.

    A `*` of the pattern is the word `*` in the key. No pattern can contain this word as a literal.
    """
    return ".".join(word for word in _without_the_empty_key(words_of(pattern))[0] if word != "#")


def _ordered(words: Iterable[str]) -> list[str]:
    """Sort each run of wildcards: first the stars, then one `#`, because `#.*` and `*.#` match the same keys."""
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
    """Return patterns that together match the same keys, without a pattern for a key of exactly one empty word.

    Such a key does not exist, because the empty key has no words. So `#.` becomes `*.#.`.
    """
    if [word for word in words if word != "#"] != [""]:
        return [words]
    at = words.index("")
    before, after = words[:at], words[at + 1 :]
    return [["*", *words]] * bool(before) + [[*words, "*"]] * bool(after)


def _covers(wants: Sequence[str], has: Sequence[str]) -> bool:
    """Return whether `wants` matches the hardest key of `has`, see the module."""
    region = _regions(wants)
    states = _settled({0}, wants, region)
    for word in has:
        if word != "#":
            states = _settled(_step(states, word, wants), wants, region)
        elif min(states, default=0) not in region or _is_many(min(states), wants):
            # After enough unknown words, only positions after a `#` are left.
            for _ in range(len(wants) + 1):
                states = _settled(_step(states, "*", wants), wants, region)
        # Only stars are between these positions and the next `#` of `wants`, so the fewest words are the hardest.
        if not states:
            return False
    return len(wants) in states


def _regions(wants: Sequence[str]) -> frozenset[int]:
    """Return the positions of each `#`, and of the run of stars directly before it."""
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
    """Return the positions after one more word of the key. The word `*` stands for a word that occurs in no pattern."""
    ahead: set[int] = set()
    for at in states:
        want = wants[at] if at < len(wants) else None
        if want == "#":
            ahead.add(at)
        elif want in ("*", word):
            ahead.add(at + 1)
    return ahead


def _settled(states: set[int], wants: Sequence[str], region: frozenset[int]) -> set[int]:
    """Add the position after each `#`, which may match no word. Remove positions that a later one replaces."""
    states |= {at + 1 for at in states if _is_many(at, wants)}
    furthest = max((at for at in states if at in region), default=0)
    return {at for at in states if at >= furthest}
