"""Registrations, and the bindings that they expand to. `parsing` reads the forms of registrations.

A publisher registers an exchange with destinations and projects. Treeherder binds its queue once for every combination.
Source: `docs/submitting_data.md` of Treeherder, and the history of `treeherder/services/pulse/`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulsekit.bindings.former_forms import find_variable
from pulsekit.bindings.matching import check_pattern
from pulsekit.bindings.names import check_exchange, joined_name
from pulsekit.bindings.parsing import EXAMPLE, PROPERTIES, read_entries
from pulsekit.bindings.rules import Rule
from pulsekit.errors import InvalidInput, InvalidName, InvalidPattern, InvalidRegistration, place_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pulsekit._documents.document import Document

__all__ = ["Binding", "BindingDiff", "Registration", "Rule", "diff", "expand", "joined_names", "read_registrations"]

_SEPARATOR = re.compile(r"[\s,;]+(?=exchange/)")
_EXCHANGE = re.compile(r"exchange/[a-zA-Z][\w.-]*/[\w/-]+")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")
_MAX_BINDINGS = 100_000  # bindings of one registration; far fewer on one queue already slow down a broker


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding to an exchange for the routing keys that a pattern matches.

    Attributes:
        exchange: such as `exchange/me/v1/jobs`.
        pattern: such as `treeherder.#`.
    """

    exchange: str
    pattern: str = "#"

    def __post_init__(self) -> None:
        check_exchange(self.exchange)
        check_pattern(self.pattern)

    @classmethod
    def parse(cls, text: str, full_name: Callable[[str], str] = str) -> Binding:
        """Parse `EXCHANGE:PATTERN`, split at the first `:`. Without a `:`, the pattern is `#`.

        Args:
            text: the binding.
            full_name: a function that returns the full name for EXCHANGE, which may be a short name.

        Raises:
            InvalidName: Raised when the exchange cannot exist on Pulse.
            InvalidPattern: Raised when a broker cannot bind with the pattern.
            TypeError: Raised when the text is not a `str`.
        """
        if not isinstance(text, str):
            raise TypeError(f"a binding is a str, such as 'exchange/me/v1/jobs:#', or a Binding, not {text!r:.40}")
        exchange, colon, pattern = text.partition(":")
        return cls(full_name(exchange), pattern) if colon else cls(full_name(exchange))

    def __str__(self) -> str:
        return f"{self.exchange}:{self.pattern}"


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration of the jobs of an exchange with Treeherder.

    Attributes:
        exchange: such as `exchange/me/v1/jobs`.
        destinations: first parts of the keys, such as `treeherder`; wildcards are allowed.
        projects: last parts of the keys, such as `mozilla-inbound._`; wildcards are allowed.
        rule: how a destination and a project form a pattern. `any.project` uses no destinations.

    Raises:
        InvalidRegistration: Raised when the registration cannot be expanded. The message names the part, and how to
            correct it.
    """

    exchange: str
    destinations: Sequence[str]
    projects: Sequence[str]
    rule: Rule = Rule.DESTINATION_PROJECT

    def __post_init__(self) -> None:
        if not isinstance(self.exchange, str):
            raise InvalidRegistration(
                f"exchange: {self.exchange!r:.40} is not text; write one registration for each exchange"
            )
        try:
            check_exchange(self.exchange)
            object.__setattr__(self, "rule", Rule(self.rule))
        except InvalidName as error:
            raise InvalidRegistration(f"exchange: {error}") from error
        except ValueError:
            raise InvalidRegistration(f"rule: {self.rule!r} is not one of {', '.join(Rule)}") from None
        destinations, projects = _listed("destinations", self.destinations), _listed("projects", self.projects)
        if not projects:
            raise InvalidRegistration("projects: the list is empty; write ['#'] for every project")
        if not destinations and self.rule is not Rule.ANY_PROJECT:
            raise InvalidRegistration(
                f"destinations: the list is empty; write ['#'] for every destination, or the rule {Rule.ANY_PROJECT}"
            )
        if len(destinations) * len(projects) > _MAX_BINDINGS:
            raise InvalidRegistration(f"the registration expands to more than {_MAX_BINDINGS:,} bindings; split it")
        try:
            longest = [
                max(texts, key=lambda text: len(text.encode()), default="#") for texts in (destinations, projects)
            ]
            check_pattern(".".join(longest))
        except InvalidPattern as error:
            raise InvalidRegistration(f"destination and project together: {error}") from error
        object.__setattr__(self, "destinations", destinations)
        object.__setattr__(self, "projects", projects)

    def patterns(self) -> list[str]:
        """Return the pattern of each destination and project, ordered by destination, with duplicates."""
        if self.rule is Rule.ANY_PROJECT:
            return [f"#.{project}" for project in self.projects]
        pairs = [(target, project) for target in self.destinations for project in self.projects]
        if self.rule is Rule.PROJECT_DESTINATION:
            return [f"{project}.{target}" for target, project in pairs]
        return [f"{target}.{project}" for target, project in pairs]

    def expand(self) -> tuple[Binding, ...]:
        """Return one binding for each destination and project, ordered by destination, without duplicates."""
        return tuple(Binding(self.exchange, pattern) for pattern in dict.fromkeys(self.patterns()))


@dataclass(frozen=True, slots=True)
class BindingDiff:
    """The bindings that a deployment would add, remove and keep.

    In 2018, a deployment compared `project` with `#.project` when it pruned bindings, and unbound all of them.

    Attributes:
        added: bindings that are only in `new`, in the order of `new`.
        removed: bindings that are only in `old`, in the order of `old`.
        kept: bindings that are in both, in the order of `new`.
    """

    added: tuple[Binding, ...]
    removed: tuple[Binding, ...]
    kept: tuple[Binding, ...]


def expand(registrations: Iterable[Registration | Binding]) -> tuple[Binding, ...]:
    """Return the bindings of all registrations in order, without duplicates. A `Binding` expands to itself."""
    bindings: dict[Binding, None] = {}
    for registration in registrations:
        bindings.update(dict.fromkeys([registration] if isinstance(registration, Binding) else registration.expand()))
    return tuple(bindings)


def diff(old: Iterable[Binding], new: Iterable[Binding]) -> BindingDiff:
    """Compare two sets of bindings as a broker does: exchanges and patterns as exact texts."""
    before, after = dict.fromkeys(old), dict.fromkeys(new)
    return BindingDiff(
        added=tuple(binding for binding in after if binding not in before),
        removed=tuple(binding for binding in before if binding not in after),
        kept=tuple(binding for binding in after if binding in before),
    )


def read_registrations(
    text: str | bytes | Document,
    *,
    source: str,
    on_warning: Callable[[str], None] | None = None,
    full_name: Callable[[str], str] = str,
) -> tuple[Registration | Binding, ...]:
    """Read registrations in any form that configurations use.

    The forms are:

    - YAML or JSON: one object or a list, at the top or under a key `registrations`, `sources` or an upper-case key.
    - Python, as in Treeherder's documentation: alone, as an assignment, in a settings module, or in a block of code in
      Markdown.
    - The value of `PULSE_DATA_INGESTION_SOURCES`, with or without `export`.
    - The variables `PULSE_JOB_EXCHANGES`, `PULSE_JOB_DESTINATIONS` and `PULSE_JOB_PROJECTS` of 2018.
    - Strings `exchange.key:key`: one, a list, one per line, or several with commas.

    Such strings, `EXCHANGE:PATTERN`, and objects with `exchange` and `pattern` or `routing_keys` are bindings. An
    object with `projects` but without `destinations` is a form of 2018 and means the rule `any.project`. An object with
    `name` instead of `exchange` is a form of 2015 and means the rule `project.destination`.

    Args:
        text: the text, in UTF-8 if it is bytes; or a `Document`.
        source: the name of the source, for messages.
        on_warning: called with each warning: a missing comma between two Python texts, a name that looks like several,
            an exchange in the text without a registration that was read. By default, warnings are logged.
        full_name: a function that returns the full name of an exchange, which may be a short name.

    Raises:
        DocumentError: Raised when the text has none of these forms. The error is from the form parsed furthest.
        InvalidRegistration: Raised when a property of a registration is unknown, missing, or of a wrong type.
    """
    on_warning = on_warning or (lambda text: logging.getLogger("pulsekit").warning("%s", text))
    found: list[Registration | Binding] = []
    whole = text.decode(errors="replace") if isinstance(text, bytes) else text
    try:
        for entry in read_entries(text, source=source, on_warning=on_warning):
            try:
                read = _read_entry(entry.value, full_name)
            except (InvalidRegistration, InvalidName, InvalidPattern) as error:
                raise InvalidRegistration(f"{entry.place}{error}") from error
            for pointer, warning in dict.fromkeys(found for one in read for found in joined_names(one)):
                on_warning(f"{entry.place_of(pointer)}{warning}")
            found += read
    except InvalidInput as error:
        if isinstance(whole, str) and (within := find_variable(whole)):
            name, line = within
            raise InvalidRegistration(
                f"{place_text(source, line)}: {name} is within another text, such as a script or a docker-compose "
                f"file: only lines {name}=VALUE can be read, or the value alone"
            ) from error
        raise
    if isinstance(whole, str):
        for name, line in _unread(whole, {one.exchange for one in found}):
            on_warning(f"{place_text(source, line)}: {name} is here, but in no form that is read as a registration")
    return tuple(found)


def joined_names(one: Registration | Binding) -> Iterator[tuple[str, str]]:
    """Yield a JSON pointer and a warning for each name that looks like several names joined.

    For example, a dash is missing in a YAML list. The pointer is the position of the name in the registration.
    """
    names = [("/exchange", one.exchange)]
    if isinstance(one, Binding):
        names.append(("/pattern", one.pattern))
    else:
        for key, texts in (("destinations", one.destinations), ("projects", one.projects)):
            names += [(f"/{key}/{at}", text) for at, text in enumerate(texts)]
    for pointer, name in names:
        if warning := joined_name(name):
            yield pointer, warning


def _unread(text: str, known: set[str]) -> Iterator[tuple[str, int]]:
    """Yield each exchange in a text that is not in `known`, and its first line. Comments are ignored."""
    seen = {match[0] for name in known for match in _EXCHANGE.finditer(name)}
    for number, line in enumerate(text.split("\n"), 1):
        for match in _EXCHANGE.finditer(_COMMENT.sub("", line)):
            if match[0] not in seen:
                seen.add(match[0])
                yield match[0], number


def _read_entry(value: Any, full_name: Callable[[str], str]) -> list[Registration | Binding]:
    if isinstance(value, str):
        return _from_string(value, full_name)
    if not isinstance(value, dict):
        raise _no_registration(value)
    if isinstance(exchange := value.get("exchange"), str):
        value = value | {"exchange": full_name(exchange)}
    if value.keys() == {"exchange", "pattern"} and all(isinstance(text, str) for text in value.values()):
        return [Binding(**value)]
    if value.keys() == {"exchange", "routing_keys"}:
        keys = _listed("routing_keys", value["routing_keys"])
        return [Binding(_text("exchange", value["exchange"]), key) for key in keys]
    implied = Rule.DESTINATION_PROJECT if "destinations" in value else Rule.ANY_PROJECT
    if "name" in value and "exchange" not in value:  # the form of 2015
        implied = Rule.PROJECT_DESTINATION
        value = {"exchange" if name == "name" else name: part for name, part in value.items()}
    if "taskId" in value:
        raise InvalidRegistration("this is a job, not a registration; 'pulsekit validate FILE' checks jobs")
    for name in [name for name in value if name not in PROPERTIES]:
        near = next((known for known in PROPERTIES if str(name).lower()[:5] == known[:5]), None)
        hint = f"did you mean {near!r}?" if near else f"the properties are {', '.join(PROPERTIES)}"
        raise InvalidRegistration(f"unknown property {name!r:.40}; {hint}")
    for name in ("exchange", "projects"):
        if name not in value:
            raise InvalidRegistration(f"{name} is missing; the form of a registration is {EXAMPLE}")
    rule = value.get("rule", implied)
    return [Registration(value["exchange"], value.get("destinations", ()), value["projects"], rule)]


def _from_string(text: str, full_name: Callable[[str], str]) -> list[Registration | Binding]:
    """Parse strings with commas, semicolons or spaces between them, see `_from_one`.

    If one of these characters does not precede `exchange/`, it belongs to a key.
    """
    return [binding for one in _SEPARATOR.split(text.strip().rstrip(",;")) for binding in _from_one(one, full_name)]


def _from_one(text: str, full_name: Callable[[str], str]) -> list[Registration | Binding]:
    """Parse `exchange.key:key`, in which the exchange ends at the first dot, or `EXCHANGE:PATTERN`."""
    exchange, dot, keys = text.partition(".")
    if ":" in exchange and not (dot and joined_name(exchange.partition(":")[0])):
        return [Binding.parse(text, full_name)]
    if not exchange.startswith("exchange/") and (not dot or joined_name(exchange)):
        raise _no_registration(text)
    if not dot:
        raise InvalidRegistration(f"{text!r:.80} has no key; write '{text:.80}.#' to match every key")
    patterns = keys.split(":")
    if "" in patterns:
        raise InvalidRegistration(f"{text!r:.80} has an empty key; keys are separated by single colons")
    try:
        return [Binding(full_name(exchange), pattern) for pattern in patterns]
    except InvalidName as error:
        hint = '; for an exchange with a dot in its name write {"exchange": …, "pattern": …}' if "/" in keys else ""
        raise InvalidRegistration(f"{text!r:.80} is split at its first dot, and {error}{hint}") from error


def _no_registration(value: Any) -> InvalidRegistration:
    shown = "nothing" if value is None else f"{value!r:.40}"
    return InvalidRegistration(f"{shown} is not a registration; the form is {EXAMPLE}")


def _listed(name: str, value: object) -> tuple[str, ...]:
    """Check a list of texts, and return it as a tuple."""
    if isinstance(value, str):
        raise InvalidRegistration(f"{name}: {value!r:.80} is text, not a list; write [{value!r:.80}]")
    if not isinstance(value, Sequence):
        raise InvalidRegistration(f"{name}: {value!r:.40} is not a list of texts")
    for number, item in enumerate(value, 1):
        if item is None:
            hint = "in YAML, a '#' without quotes begins a comment"
            raise InvalidRegistration(f"{name}: item {number} is empty; {hint}")
        if not isinstance(item, str):
            raise InvalidRegistration(f"{name}: item {number}, {item!r:.40}, is not text; put it in quotes")
        if not item:
            raise InvalidRegistration(f"{name}: item {number} is an empty text; write '#' to match everything")
        try:
            check_pattern(item)
        except InvalidPattern as error:
            raise InvalidRegistration(f"{name}: item {number}: {error}") from error
    return tuple(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidRegistration(f"{name}: {value!r:.40} is not text; write one registration for each")
    return value
