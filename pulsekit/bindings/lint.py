"""Find mistakes in bindings before a queue is bound: bindings that can never match, or that other bindings cover."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from pulsekit._documents.suggestions import counted
from pulsekit.bindings.coverage import covers, matches_everything, sample_key, word_limit
from pulsekit.bindings.names import owner
from pulsekit.bindings.registration import Binding, Rule, joined_names
from pulsekit.bindings.table import BindingTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pulsekit.bindings.matching import RoutedMessage
    from pulsekit.bindings.registration import Registration

__all__ = ["BindingFinding", "KeyLayouts", "Severity", "fewest_words", "lint"]

_JOB_WORDS = 3  # <destination>.<project>._, as in the documentation and from `publish`
_SHORT_JOB_WORDS = 2  # <project>.<destination> of 2015
# The smallest number of words of a key, by the owner of exchanges whose messages are not jobs. Taskcluster's CC keys
# are `route.<route>`, and the keys of hgpushes are names of repositories.
_OTHER_WORDS = {"taskcluster": 2, "hgpushes": 1}
_REPOSITORY = re.compile(r"[\w-]*\Z")  # `origin.project` in the job schema; empty for a `Binding`, which has no project


class Severity(StrEnum):
    """The importance of a finding.

    Attributes:
        WRONG: the binding can never match the messages that it is meant for.
        COSMETIC: without the binding, the same messages would arrive.
        NOTE: the binding may be intended.
    """

    WRONG = "wrong"
    COSMETIC = "cosmetic"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class BindingFinding:
    """One finding about one binding.

    Attributes:
        rule: `position`, `too-short`, `half-wildcard`, `separator`, `no-repository`, `duplicate`, `shadowed` or
            `everything`.
        severity: the importance.
        message: one sentence that describes the finding.
        hint: what to write instead, or empty.
    """

    rule: str
    severity: Severity
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class KeyLayouts(Protocol):
    """The fields of routing keys, by exchange. `pulsekit.catalogue.KnownLayouts` has the fields of known exchanges."""

    def has(self, exchange: str) -> bool:
        """Return whether the fields of an exchange are known."""

    def mismatch(self, exchange: str, pattern: str) -> tuple[str, str] | None:
        """Return why a pattern can match no key of an exchange, and a hint. Return None if it can match a key."""


@dataclass(slots=True)
class _Place:
    """The number of occurrences of a binding, the smallest number of words of its keys, and its project."""

    times: int
    least: int
    given: bool
    project: str


def lint(
    registrations: Iterable[Registration | Binding],
    *,
    least: Mapping[str, int] | None = None,
    layouts: KeyLayouts | None = None,
) -> dict[Binding, tuple[BindingFinding, ...]]:
    """Return the findings of each binding, with the most severe first. The bindings are in the order of expansion.

    Args:
        registrations: the registrations before their expansion, which removes duplicates.
        least: the number of words of the shortest key, by exchange. The empty name means every exchange. For an
            exchange without a number, keys have the form of a job's key, `<destination>.<project>._`.
        layouts: the fields of keys. A pattern for one of these exchanges is compared with them, field by field.
    """
    places = _places(registrations, least or {})
    tables: dict[str, BindingTable[str]] = {}
    for binding in places:
        tables.setdefault(binding.exchange, BindingTable()).add(binding.pattern, binding.pattern)
    order = {binding: number for number, binding in enumerate(places)}
    found: dict[Binding, tuple[BindingFinding, ...]] = {}
    for binding, place in places.items():
        wider = _shadow(binding, tables[binding.exchange], order)
        half = _half_wildcard(binding.pattern)
        if layouts is not None and layouts.has(binding.exchange):
            findings = [
                half or _position(binding, layouts),
                _too_short(binding.pattern, place) if place.given else None,
            ]
        else:
            findings = [_too_short(binding.pattern, place), half, _no_repository(place)]
        findings += [BindingFinding("separator", Severity.WRONG, text) for _, text in joined_names(binding)]
        findings += [_duplicate(place), _shadowed(binding.pattern, wider), _everything(binding.pattern)]
        found[binding] = tuple(finding for finding in findings if finding)
    return found


def fewest_words(messages: Iterable[RoutedMessage]) -> dict[str, int]:
    """Return the number of words of the shortest key of each exchange, for `lint`. CC keys count too."""
    fewest: dict[str, int] = {}
    for message in messages:
        for key in message.keys:
            words = key.count(".") + 1 if key else 0
            fewest[message.exchange] = min(words, fewest.get(message.exchange, words))
    return fewest


def _places(registrations: Iterable[Registration | Binding], least: Mapping[str, int]) -> dict[Binding, _Place]:
    places: dict[Binding, _Place] = {}
    for one in registrations:
        known = [least[name] for name in (one.exchange, "") if name in least]
        words = min(known) if known else _least(one)
        patterns = [one.pattern] if isinstance(one, Binding) else one.patterns()
        projects = [""] if isinstance(one, Binding) else one.projects
        for number, pattern in enumerate(patterns):
            project = projects[number % len(projects)]
            place = places.setdefault(Binding(one.exchange, pattern), _Place(0, words, bool(known), project))
            place.times += 1
            place.least = min(place.least, words)
    return places


def _least(one: Registration | Binding) -> int:
    if not isinstance(one, Binding):
        return _JOB_WORDS if one.rule is Rule.DESTINATION_PROJECT else _SHORT_JOB_WORDS
    family = (owner(one.exchange) or "").partition("-")[0]
    return _OTHER_WORDS.get(family, _JOB_WORDS)


def _shadow(binding: Binding, table: BindingTable[str], order: Mapping[Binding, int]) -> str | None:
    """Return the widest other pattern that covers the pattern of the binding.

    If two patterns match the same keys, the first counts as wider.
    """
    widest: str | None = None
    for other in table.matches(sample_key(binding.pattern)):
        if other == binding.pattern or not covers(other, binding.pattern):
            continue
        if covers(binding.pattern, other) and order[Binding(binding.exchange, other)] > order[binding]:
            continue
        if widest is None or not covers(widest, other):
            widest = other
    return widest


def _too_short(pattern: str, place: _Place) -> BindingFinding | None:
    most = word_limit(pattern)
    if most is None or most >= place.least:
        return None
    words = counted(most, "word")
    if place.given or place.least != _JOB_WORDS:
        keys = "every key given" if place.given else "every key"
        message = f"can never match: it has {words}, and {keys} has {place.least} or more"
        return BindingFinding("too-short", Severity.WRONG, message)
    # The third word is a convention of Treeherder's documentation. A publisher need not follow it.
    message = f"matches only keys of {words}, and the usual key of a job has three, <destination>.<project>._"
    hint = ""
    if most == _JOB_WORDS - 1:
        hint = f"if your keys have three words, use project {(place.project or pattern.rpartition('.')[2]) + '._'!r}"
    return BindingFinding("too-short", Severity.NOTE, message, hint)


def _position(binding: Binding, layouts: KeyLayouts) -> BindingFinding | None:
    found = layouts.mismatch(binding.exchange, binding.pattern)
    return None if found is None else BindingFinding("position", Severity.WRONG, *found)


def _half_wildcard(pattern: str) -> BindingFinding | None:
    for word in pattern.split("."):
        if len(word) > 1 and not {"*", "#"}.isdisjoint(word):
            message = f"the word {word!r} matches only itself: * and # are wildcards only as complete words"
            return BindingFinding("half-wildcard", Severity.WRONG, message)
    return None


def _no_repository(place: _Place) -> BindingFinding | None:
    name = place.project.partition(".")[0]
    if place.given or _REPOSITORY.match(name) or not {"*", "#"}.isdisjoint(name):
        return None
    message = (
        f"can never match a job: {name!r} is not the name of a repository, which has only letters, digits, - and _"
    )
    return BindingFinding("no-repository", Severity.WRONG, message)


def _duplicate(place: _Place) -> BindingFinding | None:
    if place.times == 1:
        return None
    times = "twice" if place.times == 2 else f"{place.times} times"
    return BindingFinding("duplicate", Severity.COSMETIC, f"is listed {times}; the broker binds it once")


def _shadowed(pattern: str, wider: str | None) -> BindingFinding | None:
    if wider is None:
        return None
    if covers(pattern, wider):
        return BindingFinding("shadowed", Severity.COSMETIC, f"matches the same keys as {wider!r}")
    return BindingFinding("shadowed", Severity.COSMETIC, f"{wider!r} matches every key that this binding matches")


def _everything(pattern: str) -> BindingFinding | None:
    if not matches_everything(pattern):
        return None
    message = "matches every message of the exchange, whatever its key"
    if pattern == "#.#":
        message += ", as '#' does; Treeherder's documentation recommends it for all jobs"
    elif pattern != "#":
        message += ", as '#' does"
    return BindingFinding("everything", Severity.NOTE, message)
