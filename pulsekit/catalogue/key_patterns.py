"""Binding patterns of known exchanges: build a pattern from named fields, and explain why a pattern can never match."""

from __future__ import annotations

import re
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from pulsekit._documents.suggestions import Guesses, counted
from pulsekit.bindings.coverage import word_limit
from pulsekit.bindings.matching import check_pattern, words_of
from pulsekit.bindings.registration import Binding
from pulsekit.catalogue.exchanges import ROUTE, KeyField, KnownExchange, find_exchange, full_name
from pulsekit.errors import ConfigurationError, InvalidName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["KnownLayouts", "bindings", "pattern", "patterns", "read_binding", "read_bindings"]

_MOST = 1000  # patterns of one call; if there are more, the values are probably a mistake
_NOT_GITHUB = re.compile(r"[^A-Za-z0-9._%-]")  # characters that Taskcluster removes from names of GitHub


def pattern(exchange: str, /, *, route: str | None = None, **fields: str) -> str:
    """Return the pattern for messages whose routing key has these fields.

    Args:
        exchange: an exchange of the catalogue: its full name, the name without `exchange/`, or its alias.
        route: the route of a CC key `route.<route>`, instead of fields.
        fields: the value of each field, such as `schedulerId="gecko-level-3"`.

    Raises:
        ConfigurationError: Raised when there is no such exchange or field, a field can never have the value, or both a
            route and fields are given, which need two patterns.
    """
    if route and fields:
        raise ConfigurationError("a route and fields make two patterns: call pulsekit.catalogue.patterns")
    (found,) = patterns(exchange, {name: [value] for name, value in fields.items()}, [route] if route else ())
    return found


def bindings(
    exchange: str, fields: Mapping[str, Sequence[str]] | None = None, routes: Sequence[str] = ()
) -> tuple[Binding, ...]:
    """Return the bindings for messages whose routing key has these fields; see `patterns`."""
    return tuple(Binding(full_name(exchange), found) for found in patterns(exchange, fields or {}, routes))


def read_binding(binding: str | Binding) -> Binding:
    """Return the binding for `EXCHANGE` or `EXCHANGE:PATTERN`. EXCHANGE may be a short name, see `full_name`.

    Raises:
        InvalidName: Raised when Pulse cannot have the exchange.
        TypeError: Raised when the binding is neither text nor a `Binding`.
    """
    return binding if isinstance(binding, Binding) else Binding.parse(binding, full_name)


def read_bindings(
    text: str, fields: Mapping[str, Sequence[str]] | None = None, routes: Sequence[str] = ()
) -> tuple[Binding, ...]:
    """Return the bindings for `EXCHANGE` or `EXCHANGE:PATTERN`.

    EXCHANGE may be a short name, see `full_name`. Without PATTERN, `patterns` uses the fields and routes.

    Raises:
        ConfigurationError: Raised when Pulse cannot have the exchange, and for the reasons that `patterns` lists.
    """
    if ":" not in text and (fields or routes):
        return bindings(text, fields, routes)
    return (read_binding(text),)


def patterns(exchange: str, fields: Mapping[str, Sequence[str]], routes: Sequence[str] = ()) -> tuple[str, ...]:
    """Return patterns that together match the messages that have one of the given values in each field.

    Args:
        exchange: see `pattern`.
        fields: the values of each field. A message must have one of them.
        routes: routes, which are in CC keys. A message with one of the routes also matches.

    Raises:
        ConfigurationError: Raised when there is no such exchange or field, or a field can never have a value.
        TypeError: Raised when the values of a field, or the routes, are a text instead of a list of texts.
    """
    for name, values in (*fields.items(), ("routes", routes)):
        if isinstance(values, str):
            raise TypeError(f"{name}: {values!r:.80} is text, not a list; write [{values!r:.80}]")
        for value in values:
            if not isinstance(value, str):
                raise TypeError(f"{name}: {value!r:.80} is not text; put it in quotes")
    known = find_exchange(exchange)
    if known is None:
        full_name(exchange)  # raises an error with a similar name
        raise InvalidName(exchange, "is not in the catalogue, so its fields have no names; give a pattern instead")
    if routes and not known.routes:
        raise ConfigurationError(f"messages of {known.name} have no routes; see pulsekit exchange show {known.alias}")
    found = [check_pattern(f"{ROUTE}.{route}") for route in routes]
    if fields or not routes:
        found += _from_fields(known, fields)
    return tuple(dict.fromkeys(found))


def _from_fields(exchange: KnownExchange, fields: Mapping[str, Sequence[str]]) -> list[str]:
    names = [field.name for field in exchange.fields]
    listed = ", ".join(names)
    for name in fields:
        if name not in names:
            guess = Guesses().nearest(name, names)
            meant = f"Did you mean {guess!r}? " if guess else ""
            raise ConfigurationError(f"keys of {exchange.name} have no field {name!r}. {meant}The fields are {listed}")
    if not fields:
        return ["#"]
    if exchange.separator != "." and fields.keys() != set(names):
        raise ConfigurationError(
            f"the key of {exchange.name} is one word, {exchange.layout}, of which a pattern cannot match a part: "
            f"give {listed}, or choose messages with --filter \"key.{next(iter(fields))} == '…'\""
        )
    choices = [
        [_word(field, value, exchange.separator) for value in fields[field.name]]
        if field.name in fields
        else [field.constant or ("#" if field.many else "*")]
        for field in exchange.fields
    ]
    count = prod(map(len, choices))
    if count > _MOST:
        raise ConfigurationError(
            f"these fields make {count:,} bindings, more than {_MOST:,}; choose with --filter instead"
        )
    return [check_pattern(_joined(exchange, words)) for words in product(*choices)]


def _joined(exchange: KnownExchange, words: Sequence[str]) -> str:
    """Join words. Stars before a `#` at the end are omitted, because keys always have all fields."""
    kept = list(words)
    if kept[-1] == "#":
        while len(kept) > 1 and kept[-2] == "*":
            del kept[-2]
    return exchange.separator.join(kept)


def _word(field: KeyField, value: str, separator: str) -> str:
    """Return the word of a pattern for the value of a field.

    Raises:
        ConfigurationError: Raised when no key can have the value in this field.
    """
    if separator == "." and (value == "*" or (field.many and value == "#")):
        return value
    if field.dots:
        value = _NOT_GITHUB.sub("", value).replace(".", field.dots)
    reason = field.refusal(value)
    if not value:
        reason = f"{field.name} is empty; a field without a value is written _"
    elif separator in value and not field.many:
        reason = f"{field.name} is one word, and a word has no {separator!r}"
    elif not reason and {"*", "#"} & set(value) and not field.many:
        reason = "* and # are wildcards only as whole words"
    if reason:
        raise ConfigurationError(f"no key has {field.name}={value}: {reason}")
    return value


class KnownLayouts:
    """The fields of routing keys in the catalogue, for `pulsekit.bindings.lint`."""

    def has(self, exchange: str) -> bool:
        """Return whether the catalogue has an exchange of this full name."""
        return find_exchange(exchange) is not None

    def mismatch(self, exchange: str, pattern: str) -> tuple[str, str] | None:
        """Return why a pattern can match no key of an exchange, and a hint. Return None if it can match a key."""
        known = find_exchange(exchange)
        if known is None:
            return None
        words = words_of(pattern)
        fields, keys = known.fields, f"keys are {known.layout}"
        if known.separator != ".":
            fields = (KeyField("key", "", many=True),)
            if {"*", "#"}.isdisjoint(words) and words and known.read_key(pattern) is None:
                return f"can never match: it does not have the form {known.layout}", keys
        if known.routes:
            keys += f", and CC keys are {ROUTE}.<{ROUTE}>…"
        route = (KeyField(ROUTE, "", constant=ROUTE), KeyField("route", "", many=True))
        if _can_match(words, fields) or (known.routes and _can_match(words, route)):
            return None
        return _reason(words, fields, word_limit(pattern)), keys


def _can_match(words: Sequence[str], fields: Sequence[KeyField]) -> bool:
    """Return whether a key of these fields can match the words of a pattern.

    `ahead` has the fields to which the next word of a key can belong, after the words of the pattern so far. The index
    after the last field means the end of the key. A `#` may match any number of words, so it adds all later fields. The
    next word may also belong to the same field if the field can have several words.
    """
    ahead = {0}
    for word in words:
        if word == "#":
            ahead = set(range(min(ahead), len(fields) + 1)) if ahead else ahead
            continue
        following = set()
        for at in ahead:
            if at < len(fields) and (word == "*" or fields[at].many or not fields[at].refusal(word)):
                following.add(at + 1)
            if at and at == len(fields) and fields[at - 1].many:
                following.add(at)
        ahead = following
    return len(fields) in ahead


def _reason(words: Sequence[str], fields: Sequence[KeyField], most: int | None) -> str:
    """Return the first reason why no key with these fields matches."""
    many = fields[-1].many
    if most is not None and most < len(fields):
        more = " or more" if many else ""
        return f"can never match: it has {counted(most, 'word')}, and a key has {len(fields)}{more}"
    for number, word in enumerate(words):
        if word == "#" or number >= len(fields):
            break
        reason = "" if word == "*" or fields[number].many else fields[number].refusal(word)
        if reason:
            return f"can never match: word {number + 1} is {word!r}, and {reason}"
    if not many and sum(word != "#" for word in words) > len(fields):
        return f"can never match: it has {counted(len(words), 'word')}, and a key has {len(fields)}"
    return "can never match: no key has these words after its '#'"
