"""A table of bindings, which finds the patterns that match a routing key. Its results equal those of `topic_matches`.

The plan: patterns share a tree of words. `a.b`, `a.*` and `a.#.c` make

    root ─a─ node ─b─ _Bound(a.b)
                  ├*─ _Bound(a.*)
                  └#─ _Bound(a.#.c)     one word left: c

A lookup reads the key word by word, with a list of all nodes that it has reached (`_walk`). From each node, it follows
the branches of the word, of `*`, and of `#`. A `#` can also match no word.

The invariants:
- For each word, a node is in the list at most once, even if several paths lead to it. So for any patterns, the cost of
  a key is at most its number of words times the number of nodes. A node after a `#` stays in the list until the key
  ends.
- A branch that only one pattern uses is a `_Bound` without further nodes; a second pattern with the same beginning
  turns it into a node (`_shared`). In the rest of a `_Bound`, a `#` is always the last word: one comparison is enough.
- Removing a pattern removes each node that no other pattern uses.
- The memo has results for the current table. It is cleared when the table changes, and when it reaches `_MEMO_KEYS` or
  `_MEMO_VALUES`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from pulsekit.bindings.matching import check_pattern, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BindingTable"]

T = TypeVar("T", bound=Hashable)
K = TypeVar("K")
V = TypeVar("V")

_MEMO_KEYS = 8192
_MEMO_VALUES = 1 << 18  # in all results together; one result can have all values of the table
_MEMO_LENGTH = 255  # bytes of the longest routing key (AMQP 0-9-1 §4.2.5.3)


class BindingTable(Generic[T]):
    """A table of (pattern, value) pairs, which finds the values whose patterns match a key.

    The cost of a lookup depends on the number of nodes that the words of the key reach. The cost of adding or removing
    a pair depends on the number of words of its pattern. A bounded number of results is cached until the table changes.
    The table is not thread-safe.
    """

    __slots__ = ("_count", "_entries", "_memo", "_memo_values", "_most", "_root")

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._entries: dict[tuple[str, T], int] = {}  # the number by which results are sorted
        self._most = 0  # the largest number of entries since the dict was last copied
        self._count = 0
        self._memo: dict[str, list[T]] = {}
        self._memo_values = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        """Yield the pairs in the order they were added."""
        return iter(self._entries)

    def __contains__(self, entry: object) -> bool:
        return entry in self._entries

    def add(self, pattern: str, value: T) -> bool:
        """Add a pair, or return False if the table already has it.

        Raises:
            InvalidPattern: Raised when a broker cannot bind with the pattern.
        """
        entry = (check_pattern(pattern), value)
        if entry in self._entries:
            return False
        self._count += 1
        self._entries[entry] = self._count
        self._most = max(self._most, len(self._entries))
        _insert(self._root, pattern, (self._count, value))
        self._forget()
        return True

    def remove(self, pattern: str, value: T) -> bool:
        """Remove a pair, or return False if the table does not have it."""
        number = self._entries.pop((pattern, value), None)
        if number is None:
            return False
        _delete(self._root, pattern, number)
        self._entries, self._most = _compact(self._entries, self._most)
        self._forget()
        return True

    def matches(self, key: str) -> list[T]:
        """Return each value whose pattern matches the key once, in the order of addition."""
        values = self._memo.get(key)
        if values is None:
            values = _ordered(_walk(self._root, words_of(key)))
            self._remember(key, values)
        return values.copy()

    def _remember(self, key: str, values: list[T]) -> None:
        if len(key) > _MEMO_LENGTH:
            return
        if len(self._memo) >= _MEMO_KEYS or self._memo_values + len(values) > _MEMO_VALUES:
            self._forget()
        self._memo[key] = values
        self._memo_values += len(values)

    def _forget(self) -> None:
        self._memo.clear()
        self._memo_values = 0


def _compact(items: dict[K, V], most: int) -> tuple[dict[K, V], int]:
    """Copy a dict if it lost half of its items, because a dict never shrinks, and iterating over it stays slow."""
    if 2 * len(items) >= most:
        return items, most
    return items.copy(), len(items)


class _Bound(Generic[T]):
    """A pattern and the values bound with it. It is also the branch of the tree that only this pattern uses.

    Attributes:
        pattern: the complete pattern.
        left: the number of its words after this node of the tree, negative if the last of them is a `#`.
        entries: one number and its value, or a dict of ascending numbers and their values.
        most: the largest number of values since the dict was last copied.
    """

    __slots__ = ("entries", "left", "most", "pattern")

    def __init__(self, pattern: str, left: int, entry: tuple[int, T]) -> None:
        self.pattern = pattern
        self.left = left
        self.entries: tuple[int, T] | dict[int, T] = entry
        self.most = 1

    def add(self, number: int, value: T) -> None:
        if isinstance(self.entries, tuple):
            self.entries = dict([self.entries])
        self.entries[number] = value
        self.most = max(self.most, len(self.entries))

    def drop(self, number: int) -> bool:
        """Remove a value, and return whether it was the last one."""
        if isinstance(self.entries, tuple):
            return True
        del self.entries[number]
        self.entries, self.most = _compact(self.entries, self.most)
        return not self.entries

    def matches(self, words: list[str], here: int) -> bool:
        """Return whether the rest of the pattern matches the words of the key, starting at `here`."""
        left = self.left
        if left < 0:
            end = here - left - 1
            return end <= len(words) and _alike(self.pattern.rsplit(".", -left)[left:-1], words[here:end])
        return left == len(words) - here and (not left or _alike(self.pattern.rsplit(".", left)[-left:], words[here:]))

    def matches_end(self, words: list[str], here: int) -> bool:
        """Return whether the rest of the pattern, which follows a `#`, matches the last words of the key."""
        left = self.left
        return left <= len(words) - here and (not left or _alike(self.pattern.rsplit(".", left)[-left:], words[-left:]))


class _Node(Generic[T]):
    """All patterns that begin with the words from the root to this node."""

    __slots__ = ("bound", "many", "one", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Branch[T]] = _NO_WORDS
        self.one: _Branch[T] | None = None  # for `*`
        self.many: _Branch[T] | None = None  # for `#`
        self.bound: _Bound[T] | None = None  # the pattern that ends here

    def get(self, word: str) -> _Branch[T] | None:
        if word == "*":
            return self.one
        return self.many if word == "#" else self.words.get(word)

    def put(self, word: str, branch: _Branch[T]) -> None:
        if word == "*":
            self.one = branch
        elif word == "#":
            self.many = branch
        elif self.words:
            self.words[word] = branch
        else:
            self.words = {word: branch}

    def drop(self, word: str) -> None:
        if word == "*":
            self.one = None
        elif word == "#":
            self.many = None
        elif len(self.words) > 1:
            del self.words[word]
        else:
            self.words = _NO_WORDS

    def is_empty(self) -> bool:
        return not (self.words or self.one or self.many or self.bound)


_Branch: TypeAlias = "_Node[T] | _Bound[T]"
_NO_WORDS: dict[str, Any] = {}  # shared by all nodes without words; never changed


def _insert(node: _Node[T], pattern: str, entry: tuple[int, T]) -> None:
    words = words_of(pattern)
    for at, word in enumerate(words, 1):
        branch = node.get(word)
        if isinstance(branch, _Bound):
            if branch.pattern == pattern:
                branch.add(*entry)
                return
            branch = _shared(branch)
            node.put(word, branch)
        elif branch is None:
            rest = words[at:]
            if _is_plain(word, rest):
                node.put(word, _Bound(pattern, -len(rest) if rest[-1:] == ["#"] else len(rest), entry))
                return
            branch = _Node()
            node.put(word, branch)
        node = branch
    if node.bound is None:
        node.bound = _Bound(pattern, 0, entry)
    else:
        node.bound.add(*entry)


def _is_plain(word: str, rest: list[str]) -> bool:
    """Return whether a branch for the word can be a `_Bound` with the remaining words."""
    return "#" not in rest or (rest.index("#") == len(rest) - 1 and word != "#")


def _shared(bound: _Bound[T]) -> _Node[T]:
    """Return a node that replaces the branch, and has it as a child, so that a second pattern can be added."""
    node: _Node[T] = _Node()
    left = abs(bound.left)
    if left:
        node.put(bound.pattern.rsplit(".", left)[-left], bound)
        bound.left += 1 if bound.left < 0 else -1
    else:
        node.bound = bound
    return node


def _delete(root: _Node[T], pattern: str, number: int) -> None:
    """Remove an existing entry, and each node that no other entry uses."""
    branch: _Branch[T] | None = root
    way: list[tuple[_Node[T], str]] = []
    for word in words_of(pattern):
        if isinstance(branch, _Bound):
            break
        assert branch is not None
        way.append((branch, word))
        branch = branch.get(word)
    bound = branch.bound if isinstance(branch, _Node) else branch
    assert bound is not None
    if not bound.drop(number):
        return
    if isinstance(branch, _Node):
        branch.bound = None
    else:
        node, word = way.pop()
        node.drop(word)
        branch = node
    while way and branch.is_empty():
        branch, word = way.pop()
        branch.drop(word)


def _walk(root: _Node[T], words: list[str]) -> list[_Bound[T]]:
    """Return the patterns that match the words, some of them possibly twice."""
    found: list[_Bound[T]] = []
    level = [root]
    stay: dict[_Node[T], None] = {}  # nodes after a `#`, which stay in the list for all further words
    for here, word in enumerate((*words, None)):
        ahead: list[_Node[T]] = []
        for node in level:
            branch = node.many
            if branch is not None:  # a `#` may match no word: the node after it receives the same word
                if isinstance(branch, _Bound):
                    if branch.matches_end(words, here):
                        found.append(branch)
                elif branch not in stay:
                    stay[branch] = None
                    level.append(branch)
            if word is None:
                if node.bound is not None:
                    found.append(node.bound)
                continue
            branch = node.words.get(word)
            if branch is not None:
                if isinstance(branch, _Node):
                    ahead.append(branch)
                elif branch.matches(words, here + 1):
                    found.append(branch)
            branch = node.one  # not a loop over both branches, which would be 10 to 20 % slower
            if branch is not None:
                if isinstance(branch, _Node):
                    ahead.append(branch)
                elif branch.matches(words, here + 1):
                    found.append(branch)
        if stay:
            ahead += stay
        level = ahead
    return found


def _alike(wants: list[str], has: list[str]) -> bool:
    return wants == has or ("*" in wants and all(want in ("*", word) for want, word in zip(wants, has, strict=True)))


def _ordered(found: list[_Bound[T]]) -> list[T]:
    """Return each value once, in the order of addition."""
    entries: dict[int, T] = {}
    for bound in found:
        if isinstance(bound.entries, tuple):
            entries[bound.entries[0]] = bound.entries[1]
        else:
            entries.update(bound.entries)
    if len(entries) > 1:
        return list(dict.fromkeys([entries[number] for number in sorted(entries)]))
    return list(entries.values())
