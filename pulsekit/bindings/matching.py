"""Match a topic pattern with a routing key, and explain the result (AMQP 0-9-1 §3.1.3.3).

A key and a pattern are words between dots. In a pattern, `*` matches exactly one word, `#` matches zero or more words,
and any other word matches itself. Words may be empty: `a..b` has three words. The empty key has no words, as in
RabbitMQ's rabbit_exchange_type_topic, so `*` does not match it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pulsekit.errors import InvalidMessage, InvalidPattern

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Explanation", "RoutedMessage", "check_key", "check_pattern", "explain_match", "topic_matches", "words_of"]

_WILD = frozenset("*#")
_MAX_BYTES = 255  # a short string, AMQP 0-9-1 §4.2.5.3


class RoutedMessage(NamedTuple):
    """The parts of a message that a broker uses for routing.

    Attributes:
        keys: the routing key, then the keys of CC.
        exchange: the exchange of the message, or empty if it is unknown.
    """

    keys: tuple[str, ...]
    exchange: str = ""


def topic_matches(pattern: str, key: str) -> bool:
    """Return whether a topic exchange would route the key to a queue bound with the pattern.

    Two positions, `at` in the pattern and `here` in the key, advance together. At a `#`, the pattern advances alone; if
    a later word does not match, matching resumes after the last `#`, which then matches one more word. Backtracking to
    the last `#` is enough: it can match anything an earlier one could. So the steps are at most words of the pattern
    times words of the key. For `a.#.c` and `a.x.c`: a matches, `#` matches nothing, c is not x, so `#` matches x, and c
    matches.
    """
    wants, has = words_of(pattern), words_of(key)
    at, here, end, size = 0, 0, len(wants), len(has)
    many, resume = -1, 0
    while here < size:
        want = wants[at] if at < end else None
        if want == "#":
            many, resume = at, here
            at += 1
            if at == end:
                return True
        elif want is not None and want in ("*", has[here]):
            at += 1
            here += 1
        elif many >= 0:
            resume += 1
            at, here = many + 1, resume
        else:
            return False
    return all(want == "#" for want in wants[at:])


def check_key(key: str) -> str:
    """Return the routing key if AMQP can carry it.

    Raises:
        InvalidMessage: Raised when the key is longer than 255 bytes, or not Unicode text.
    """
    fault = _fault(key)
    if fault:
        raise InvalidMessage(f"routing key {fault}")
    return key


def check_pattern(pattern: str) -> str:
    """Return the pattern if a broker can bind with it.

    Raises:
        InvalidPattern: Raised when the pattern is longer than 255 bytes, or not Unicode text.
    """
    fault = _fault(pattern)
    if fault:
        raise InvalidPattern(f"pattern {fault}")
    return pattern


@dataclass(frozen=True, slots=True)
class Explanation:
    """The reason why a pattern matches a key, or the place where it does not.

    Attributes:
        matched: the result of `topic_matches`.
        reason: the explanation, on one line.
        words: each pattern word with the key words that it matched. Without a match, those of the furthest attempt.
        word: the number, from 1, of the first key word that did not match. None if the key matched.
        wanted: the pattern word at this place. None after the end of the pattern.
        found: the key word at this place. None after the end of the key.
    """

    matched: bool
    reason: str
    words: tuple[tuple[str, tuple[str, ...]], ...]
    word: int | None = None
    wanted: str | None = None
    found: str | None = None

    def __bool__(self) -> bool:
        return self.matched


def explain_match(pattern: str, key: str) -> Explanation:
    """Return why the pattern matches the key, or the first word that does not match.

    `_attempts` computes all states that matching can reach: state (2, 3) means that two words of the pattern have
    matched three words of the key. The key matches if the state at both ends is reached. Otherwise, the reason
    describes the attempt that used most words of the pattern. If there are several, an attempt that stops at a word
    that differs only in case, spaces or dashes is preferred, and then an attempt for which the two ends align.
    """
    wants, has = words_of(pattern), words_of(key)
    came_from = _attempts(wants, has)
    goal = (len(wants), len(has))
    if goal in came_from:
        words = _alignment(goal, came_from, wants, has)
        return Explanation(matched=True, reason=_match_reason(words), words=words)
    at, here = _parting(came_from, wants, has)
    return Explanation(
        matched=False,
        reason=_mismatch_reason(wants, has, at, here),
        words=_alignment((at, here), came_from, wants, has),
        word=here + 1,
        wanted=wants[at] if at < len(wants) else None,
        found=has[here] if here < len(has) else None,
    )


def words_of(text: str) -> list[str]:
    """Return the words of a key or pattern."""
    return text.split(".") if text else []


def _fault(text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return f"{text!r} is not valid Unicode text: it contains half of a surrogate pair"
    return f"'{text[:40]}…' has {size} bytes; AMQP allows {_MAX_BYTES}" if size > _MAX_BYTES else ""


# explain

_State = tuple[int, int]  # the numbers of words used, of the pattern and of the key


def _attempts(wants: Sequence[str], has: Sequence[str]) -> dict[_State, _State | None]:
    """Return each state that can be reached, with one of its predecessors for `_alignment`."""
    came_from: dict[_State, _State | None] = {(0, 0): None}
    for at, want in enumerate(wants):
        for here in range(len(has) + 1):
            state = (at, here)
            if state not in came_from:
                continue
            if want == "#":
                came_from.setdefault((at + 1, here), state)
                for further in range(here, len(has)):
                    came_from.setdefault((at + 1, further + 1), state)
                break  # continuing this `#` from here reaches no new state
            if here < len(has) and want in ("*", has[here]):
                came_from.setdefault((at + 1, here + 1), state)
    return came_from


def _alignment(
    state: _State, came_from: dict[_State, _State | None], wants: Sequence[str], has: Sequence[str]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    pairs: list[tuple[str, tuple[str, ...]]] = []
    previous = came_from[state]
    while previous is not None:
        pairs.append((wants[previous[0]], tuple(has[previous[1] : state[1]])))
        state, previous = previous, came_from[previous]
    return tuple(reversed(pairs))


def _parting(came_from: dict[_State, _State | None], wants: Sequence[str], has: Sequence[str]) -> _State:
    furthest = max(at for at, _ in came_from)
    ends_level = len(has) - (len(wants) - furthest)

    def rank(here: int) -> tuple[bool, bool, int]:
        near = furthest < len(wants) and here < len(has) and bool(_likeness(wants[furthest], has[here]))
        return near, here == ends_level, here

    return furthest, max((here for at, here in came_from if at == furthest), key=rank)


def _match_reason(words: Sequence[tuple[str, tuple[str, ...]]]) -> str:
    wild = [f"{want} matches {_quote('.'.join(took)) if took else 'nothing'}" for want, took in words if want in _WILD]
    return ", ".join(wild) if wild else "the same words"


def _mismatch_reason(wants: Sequence[str], has: Sequence[str], at: int, here: int) -> str:
    if at == len(wants):
        rest = _quote(".".join(has[here:]))
        return (
            f"pattern ends after word {here}, key continues with {rest}"
            if wants
            else "the empty pattern matches only the empty key"
        )
    if here == len(has):
        rest = _quote(".".join(wants[at:]))
        return (
            f"key ends after word {here}, pattern continues with {rest}" if has else f"key is empty, pattern has {rest}"
        )
    likeness = _likeness(wants[at], has[here])
    if not likeness and sorted(wants) == sorted(has):
        likeness = "the same words in another order"
    hint = f" ({likeness})" if likeness else ""
    return f"word {here + 1}: pattern has {_quote(wants[at])}, key has {_quote(has[here])}{hint}"


def _likeness(want: str, word: str) -> str:
    if want.casefold() == word.casefold():
        return "they differ only in case"
    if want.strip() == word.strip():
        return "they differ only in spaces around the word"
    if want.replace("_", "-") == word.replace("_", "-"):
        return "they differ only in - and _"
    return ""


def _quote(text: str) -> str:
    return (repr(text) if len(text) <= 80 else repr(text[:79] + "…")) if text else "an empty word"
