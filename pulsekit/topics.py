"""Routing-key patterns: match, explain, and the table that finds every pattern for a key.

A key and a pattern are words between dots. In a pattern `*` takes exactly one word, `#` takes zero or more, anything
else takes itself. Words may be empty (`a..b` has three), but the empty key has none at all, as in RabbitMQ: `*` does
not take it.
Source: "Routing" of the facts about Pulse; AMQP 0-9-1 §3.1.3.3; RabbitMQ's rabbit_exchange_type_topic.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Generic, TypeVar

from pulsekit.errors import InvalidMessage, InvalidPattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["BindingTable", "Explanation", "check_key", "check_pattern", "explain", "topic_matches"]

T = TypeVar("T", bound=Hashable)

_WILD = frozenset("*#")
_MAX_BYTES = 255  # a short string, AMQP 0-9-1 §4.2.5.3
_MEMO_KEYS = 8192


def topic_matches(pattern: str, key: str) -> bool:
    """Tell whether a topic exchange would route the key to a queue bound with the pattern.

    Takes at most as many steps as the words of the two multiply to, whatever they look like.
    """
    return _takes(_words(pattern), _words(key), 0, 0)


def check_key(key: str) -> str:
    """Return the routing key if AMQP can carry it.

    Raises:
        InvalidMessage: it is over 255 bytes, or is not Unicode text.
    """
    fault = _fault(key)
    if fault:
        raise InvalidMessage(f"routing key {fault}")
    return key


def check_pattern(pattern: str) -> str:
    """Return the pattern if a broker can bind with it.

    Raises:
        InvalidPattern: it is over 255 bytes, or is not Unicode text.
    """
    fault = _fault(pattern)
    if fault:
        raise InvalidPattern(f"pattern {fault}")
    return pattern


@dataclass(frozen=True, slots=True)
class Explanation:
    """Say why a pattern takes a key, or where the two part.

    Attributes:
        matched: the verdict, always that of `topic_matches`.
        reason: one line for a person.
        words: each pattern word with the key words it took; on a failure, as far as the furthest attempt came.
        word: 1-based index of the key word where the two part, None when matched.
        wanted: the pattern word that found no partner there, None when the pattern had ended.
        found: the key word there, None when the key had ended.
    """

    matched: bool
    reason: str
    words: tuple[tuple[str, tuple[str, ...]], ...]
    word: int | None = None
    wanted: str | None = None
    found: str | None = None

    def __bool__(self) -> bool:
        return self.matched


def explain(pattern: str, key: str) -> Explanation:
    """Match word by word and say what happened.

    Of all the ways to share the key out between the wildcards, a failure tells of the one that used up most of the
    pattern; among those, of a word that differs only in looks, then of the one that lines up the two ends.
    """
    wants, has = _words(pattern), _words(key)
    came_from = _attempts(wants, has)
    goal = (len(wants), len(has))
    if goal in came_from:
        words = _alignment(goal, came_from, wants, has)
        return Explanation(matched=True, reason=_tell_match(words), words=words)
    at, here = _parting(came_from, wants, has)
    return Explanation(
        matched=False,
        reason=_tell_parting(wants, has, at, here),
        words=_alignment((at, here), came_from, wants, has),
        word=here + 1,
        wanted=wants[at] if at < len(wants) else None,
        found=has[here] if here < len(has) else None,
    )


class BindingTable(Generic[T]):
    """Hold (pattern, value) pairs and find the values whose patterns take a key.

    A trie over the patterns' words, walked with the set of nodes that are reachable at each word of the key, so the
    work for a key is bounded by the part of the trie it touches. Answers are remembered until the table changes. Not
    thread-safe.
    """

    __slots__ = ("_count", "_entries", "_memo", "_root")

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._entries: dict[tuple[str, T], int] = {}  # to the number that orders the answers
        self._count = 0
        self._memo: dict[str, list[T]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        """Yield the pairs in the order they were added."""
        return iter(self._entries)

    def __contains__(self, entry: object) -> bool:
        return entry in self._entries

    def add(self, pattern: str, value: T) -> bool:
        """Add a pair; return False, and change nothing, when the table has it already.

        Raises:
            InvalidPattern: no broker can bind with the pattern.
        """
        entry = (check_pattern(pattern), value)
        if entry in self._entries:
            return False
        self._count += 1
        self._entries[entry] = self._count
        _insert(self._root, pattern, (self._count, value))
        self._memo.clear()
        return True

    def remove(self, pattern: str, value: T) -> bool:
        """Remove a pair; return False when the table does not have it."""
        number = self._entries.pop((pattern, value), None)
        if number is None:
            return False
        _delete(self._root, pattern, number)
        self._memo.clear()
        return True

    def matches(self, key: str) -> list[T]:
        """Return the values whose patterns take the key, in the order of addition, each once."""
        values = self._memo.get(key)
        if values is None:
            found = _collect(self._root, _words(key))
            values = list(dict.fromkeys([found[number] for number in sorted(found)]))
            if len(self._memo) >= _MEMO_KEYS:
                self._memo.clear()
            self._memo[key] = values
        return values.copy()


def _words(text: str) -> list[str]:
    return text.split(".") if text else []


def _fault(text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return f"{text!r} is not valid Unicode text: it holds half of a surrogate pair"
    return f"'{text[:40]}…' has {size} bytes, AMQP allows {_MAX_BYTES}" if size > _MAX_BYTES else ""


def _takes(wants: Sequence[str], has: Sequence[str], at: int, here: int) -> bool:
    """Match what is left of both as one matches a glob: only the last `#` ever has to give way, so nothing explodes."""
    end, size = len(wants), len(has)
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


# explain

_State = tuple[int, int]  # words of the pattern and of the key that are used up


def _attempts(wants: Sequence[str], has: Sequence[str]) -> dict[_State, _State | None]:
    """Map every state that can be reached to one it is reached from."""
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
                break  # a later start of this `#` reaches nothing new
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

    def telling(here: int) -> tuple[bool, bool, int]:
        near = furthest < len(wants) and here < len(has) and bool(_likeness(wants[furthest], has[here]))
        return near, here == ends_level, here

    return furthest, max((here for at, here in came_from if at == furthest), key=telling)


def _tell_match(words: Sequence[tuple[str, tuple[str, ...]]]) -> str:
    wild = [f"{want} takes {_quote('.'.join(took)) if took else 'nothing'}" for want, took in words if want in _WILD]
    return ", ".join(wild) if wild else "the same words"


def _tell_parting(wants: Sequence[str], has: Sequence[str], at: int, here: int) -> str:
    if at == len(wants):
        rest = _quote(".".join(has[here:]))
        return (
            f"pattern ends after word {here}, key goes on with {rest}"
            if wants
            else "the empty pattern takes only the empty key"
        )
    if here == len(has):
        rest = _quote(".".join(wants[at:]))
        return (
            f"key ends after word {here}, pattern still wants {rest}" if has else f"key is empty, pattern wants {rest}"
        )
    likeness = _likeness(wants[at], has[here])
    if not likeness and sorted(wants) == sorted(has):
        likeness = "the same words in another order"
    hint = f" ({likeness})" if likeness else ""
    return f"word {here + 1}: pattern wants {_quote(wants[at])}, key has {_quote(has[here])}{hint}"


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


# the trie


class _Leaf(Generic[T]):
    """A branch that one pattern has to itself, from word `at` on: most patterns end in one, and it costs no nodes."""

    __slots__ = ("at", "entries", "pattern")

    def __init__(self, pattern: str, at: int, entries: list[tuple[int, T]]) -> None:
        self.pattern = pattern
        self.at = at
        self.entries = entries


class _Node(Generic[T]):
    """The patterns that begin with the words on the way here; `entries` are those that end here."""

    __slots__ = ("children", "entries", "one")

    def __init__(self) -> None:
        self.children: dict[str, _Branch[T]] = {}
        self.one: _Branch[T] | None = None  # children["*"], which the walk asks for at every word
        self.entries: list[tuple[int, T]] = []

    def put(self, word: str, child: _Branch[T]) -> None:
        self.children[word] = child
        if word == "*":
            self.one = child

    def drop(self, word: str) -> None:
        del self.children[word]
        if word == "*":
            self.one = None


_Branch = _Node[T] | _Leaf[T]


def _insert(node: _Node[T], pattern: str, entry: tuple[int, T]) -> None:
    for at, word in enumerate(_words(pattern), 1):
        child = node.children.get(word)
        if child is None:
            node.put(word, _Leaf(pattern, at, [entry]))
            return
        if isinstance(child, _Leaf):
            if child.pattern == pattern:
                child.entries.append(entry)
                return
            node.put(word, child := _shared(child))
        node = child
    node.entries.append(entry)


def _shared(leaf: _Leaf[T]) -> _Node[T]:
    """Return a node in place of the leaf, for a second pattern to use, with the leaf one word further down."""
    node: _Node[T] = _Node()
    words = leaf.pattern.split(".")
    if leaf.at == len(words):
        node.entries = leaf.entries
    else:
        node.put(words[leaf.at], leaf)
        leaf.at += 1
    return node


def _delete(root: _Node[T], pattern: str, number: int) -> None:
    """Take an entry out that is known to be there, and whatever nothing else uses."""
    place: _Branch[T] = root
    way: list[tuple[_Node[T], str]] = []
    for word in _words(pattern):
        if isinstance(place, _Leaf):
            break
        way.append((place, word))
        place = place.children[word]
    del place.entries[bisect_left(place.entries, number, key=itemgetter(0))]
    while way and not place.entries and (isinstance(place, _Leaf) or not place.children):
        place, word = way.pop()
        place.drop(word)


def _collect(root: _Node[T], words: list[str]) -> dict[int, T]:
    """Return the entries whose patterns take the words, by number."""
    found: dict[int, T] = {}
    level = [root]
    behind_many: dict[_Node[T], None] = {}  # nodes behind a `#`: once reached, they stay reached
    size = len(words)
    for here in range(size + 1):
        for node in level:
            if "#" in node.children:
                _pass_many(node, words, here, found, behind_many)
        if here == size:
            break
        word = words[here]
        literal = word if word not in _WILD else "."  # a wildcard in a key is a plain word, and no pattern has that one
        ahead: list[_Node[T]] = []
        for node in (*level, *behind_many) if behind_many else level:
            for child in (node.children.get(literal), node.one):
                if child is None:
                    continue
                if isinstance(child, _Node):
                    ahead.append(child)
                elif _takes(child.pattern.split("."), words, child.at, here + 1):
                    found.update(child.entries)
        level = ahead
    for node in (*level, *behind_many):
        found.update(node.entries)
    return found


def _pass_many(
    node: _Node[T], words: list[str], here: int, found: dict[int, T], behind_many: dict[_Node[T], None]
) -> None:
    """Go through a `#` that takes nothing yet; behind it may be another."""
    child: _Branch[T] | None = node.children.get("#")
    while isinstance(child, _Node) and child not in behind_many:
        behind_many[child] = None
        child = child.children.get("#")
    if isinstance(child, _Leaf) and _takes(child.pattern.split("."), words, child.at - 1, here):
        found.update(child.entries)
