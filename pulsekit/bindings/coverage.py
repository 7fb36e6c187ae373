"""What one routing-key pattern says against another, whatever the key.

Source: "Routing" of the facts about Pulse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["covers", "sample_key", "takes_everything", "word_limit"]


def covers(wider: str, narrower: str) -> bool:
    """Tell whether every key that the narrower pattern takes is taken by the wider one.

    Exact for keys of any length; that AMQP ends them at 255 bytes is left aside. The steps it takes are bounded by the
    words of the narrower pattern times the square of those of the wider.
    """
    wants = _ordered(_words(wider))
    return all(_covers(wants, _ordered(has)) for has in _without_the_empty_key(_words(narrower)))


def takes_everything(pattern: str) -> bool:
    """Tell whether a pattern takes every key, the empty one included: `#`, `#.#` and their like."""
    return covers(pattern, "#")


def word_limit(pattern: str) -> int | None:
    """Return how many words a key can have at most that the pattern takes; None when there is no limit."""
    words = _words(pattern)
    return None if "#" in words else len(words)


def sample_key(pattern: str) -> str:
    """Return one of the shortest keys that the pattern takes; whatever covers the pattern takes it, too.

    A `*` of the pattern is one in the key, where it is a word like any other, and one that no pattern can spell out.
    """
    return ".".join(word for word in _without_the_empty_key(_words(pattern))[0] if word != "#")


def _words(pattern: str) -> list[str]:
    return pattern.split(".") if pattern else []


def _ordered(words: Iterable[str]) -> list[str]:
    """Put the stars of each run of wildcards first and one `#` after them, which takes the same: `#.*` is `*.#`."""
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
    """Return patterns that together take the same keys, and a single empty word never: the empty key has no words."""
    if [word for word in words if word != "#"] != [""]:
        return [words]
    at = words.index("")
    before, after = words[:at], words[at + 1 :]
    return [["*", *words]] * bool(before) + [[*words, "*"]] * bool(after)


def _covers(wants: Sequence[str], has: Sequence[str]) -> bool:
    """Let an opponent spell out a key of `has` that `wants` does not take, in the one way that is best for him.

    For a `*` that is a word nobody names. For a `#` it is either no word at all or a great many; see below.
    """
    region = _regions(wants)
    states = _settled({0}, wants, region)
    for word in has:
        if word != "#":
            states = _settled(_step(states, word, wants), wants, region)
        elif min(states, default=0) not in region or _is_many(min(states), wants):
            # More unnamed words kill every attempt but the one that waits in a `#`, so as many as it takes.
            for _ in range(len(wants) + 1):
                states = _settled(_step(states, "*", wants), wants, region)
        # Else only stars are left before the next `#`: the fewer words it gets, the harder.
        if not states:
            return False
    return len(wants) in states


def _regions(wants: Sequence[str]) -> frozenset[int]:
    """Return the places from which stars alone, or nothing, lead to a `#`."""
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
    """Take one word of a key; a `*` stands for one that no pattern names."""
    ahead: set[int] = set()
    for at in states:
        want = wants[at] if at < len(wants) else None
        if want == "#":
            ahead.add(at)
        elif want in ("*", word):
            ahead.add(at + 1)
    return ahead


def _settled(states: set[int], wants: Sequence[str], region: frozenset[int]) -> set[int]:
    """Add what a `#` reaches by taking nothing, and drop each attempt that another one can do all the same.

    From a place in a region, every key is taken that would be taken from any place before it: its stars and its `#`
    can take what the earlier attempt has to spell out.
    """
    states |= {at + 1 for at in states if _is_many(at, wants)}
    furthest = max((at for at in states if at in region), default=0)
    return {at for at in states if at >= furthest}
