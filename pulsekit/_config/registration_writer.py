"""Write registrations into a user's `pulsekit.yml`, without changing its comments and other lines."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from io import StringIO
from typing import TYPE_CHECKING, Any

from pulsekit._config.file_schema import find_problem
from pulsekit._config.settings import registrations_in
from pulsekit._config.target import Target
from pulsekit._config.targets import TargetSettings, read_targets
from pulsekit._documents.document import parse_yaml
from pulsekit.bindings.registration import Registration, Rule
from pulsekit.errors import ConfigurationError, DocumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["store"]

_ITEM = re.compile(r"^( *)-( +)[^\s#]", re.MULTILINE)
_NESTED = re.compile(r"^[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n( +)[^\s#-]", re.MULTILINE)
_SHORT = 60  # characters; a longer list is written on several lines


def store(text: str, registrations: Mapping[Target, Registration], *, source: str) -> str:
    """Return the text of a `pulsekit.yml` with the registration of each target.

    The registration of production replaces the entry of its exchange under `registrations`. Each target gets its
    exchange and destinations under `targets`. If the projects of staging differ, `targets` also gets these projects. If
    the file has no exchange or destinations, they are added. Comments and all other lines do not change. `text` is
    empty if the file does not exist.

    Raises:
        ConfigurationError: Raised when the file is not a mapping, a value has a wrong type, or the file has a form that
            cannot be changed automatically.
        DocumentError: Raised when the file is not YAML that pulsekit supports.
    """
    body = text.removeprefix("\ufeff").replace("\r\n", "\n")
    has_text = any(line.strip() and not line.lstrip().startswith("#") for line in body.splitlines())
    document = parse_yaml(body, source=source) if has_text else None
    value = document.value if document else None
    if not isinstance(value, dict | None):
        raise ConfigurationError(f"{source}: write a mapping, such as `exchange: exchange/me/v1/jobs`")
    if document and value and (problem := find_problem(document, user=False, quoting=True)):
        raise ConfigurationError(problem)
    yaml = _form_of(body)
    tree: Any = yaml.map() if value is None else yaml.load(body)
    before = _dumped(yaml, tree)
    _Change(yaml, tree, value or {}, source).put(registrations)
    after = _dumped(yaml, tree)
    if value is None:
        attempts = [f"{body.rstrip()}\n\n{after.removeprefix('---')}".lstrip("\n")]
    else:
        merged = _merged(body, before, after)
        attempts = [attempt for one in (merged, after) for attempt in (_with_comments(one, body), one)]
    changed = next((attempt for attempt in attempts if _parses_to(attempt, tree)), None)
    if changed is None:
        raise ConfigurationError(f"{source} has a form that cannot be changed automatically: add `targets` yourself")
    return changed.replace("\n", "\r\n") if "\r\n" in text else changed


def _form_of(text: str) -> Any:
    """Return a YAML parser and emitter with the indentation of the text."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # do not wrap lines
    yaml.explicit_start = bool(re.search(r"^---\s", text, re.MULTILINE))
    nested, item = _NESTED.search(text), _ITEM.search(text)
    offset, gap = (len(item[1]), len(item[2])) if item else (2, 1)
    yaml.indent(mapping=len(nested[1]) if nested else 2, sequence=offset + 1 + gap, offset=offset)
    return yaml


def _dumped(yaml: Any, tree: Any) -> str:
    stream = StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


def _merged(text: str, before: str, after: str) -> str:
    """Apply the change to the original text, because the emitter can lose spacing and move comments.

    `before` and `after` are the emitted texts without and with the change.
    """
    ours, theirs, changed = text.splitlines(), before.splitlines(), after.splitlines()
    pieces = _pieces(ours, theirs)
    merged: list[str] = []
    for kind, start, end, first, last in SequenceMatcher(None, theirs, changed, autojunk=False).get_opcodes():
        if kind != "equal":
            merged += changed[first:last]
            continue
        at = start
        while at < end:
            piece = pieces[at]
            whole = piece.start >= start and piece.end <= end
            merged += piece.lines if whole else theirs[at : at + 1]
            at = piece.end if whole else at + 1
    return "\n".join(merged) + "\n"


def _with_comments(text: str, original: str) -> str:
    """Restore lost lines of comments, each before the line that followed it originally."""
    lines, ours = text.splitlines(), original.splitlines()
    left = Counter(line.strip() for line in lines)
    at = 0
    waiting: list[str] = []
    for line in ours:
        bare = line.strip()
        if left[bare]:
            left[bare] -= 1
            found = next((place for place in range(at, len(lines)) if lines[place].strip() == bare), None)
            if found is not None:
                lines[found:found] = waiting
                at = found + len(waiting) + 1
                waiting = []
        elif bare.startswith("#"):
            waiting.append(line)
    return "\n".join([*lines, *waiting]) + "\n"


def _parses_to(text: str, tree: Any) -> bool:
    """Return whether a text parses to the values of the tree. Some comments make the emitter write wrong values."""
    try:
        return bool(parse_yaml(text).value == json.loads(json.dumps(tree, default=str)))
    except DocumentError:
        return False


@dataclass(frozen=True, slots=True)
class _Piece:
    """Original lines, and their range in the emitted text."""

    lines: tuple[str, ...]
    start: int
    end: int


def _pieces(ours: Sequence[str], theirs: Sequence[str]) -> dict[int, _Piece]:
    """Return the original lines for ranges of emitted lines."""
    bare, anew = (["".join(line.split()) for line in lines] for lines in (ours, theirs))
    pieces: dict[int, _Piece] = {}
    for kind, first, last, start, end in SequenceMatcher(None, bare, anew, autojunk=False).get_opcodes():
        for at in range(start, end):
            if kind == "equal":
                pieces[at] = _Piece((ours[first + at - start],), at, at + 1)
            else:
                pieces[at] = _Piece(tuple(ours[first:last]), start, end)
    return pieces


class _Change:
    """A change of a file that inserts registrations into its tree. `value` has the same values as plain objects."""

    def __init__(self, yaml: Any, tree: Any, value: dict[str, Any], source: str) -> None:
        self._yaml = yaml
        self._tree = tree
        self._value = value
        self._source = source

    def put(self, registrations: Mapping[Target, Registration]) -> None:
        main = registrations.get(Target.PRODUCTION)
        head = main or next(iter(registrations.values()))
        targets = self._targets()
        if not self._tree.get("exchange"):
            self._tree["exchange"] = head.exchange  # at the end: the first key may have a comment above it
        if not self._tree.get("destinations"):
            self._set_list(self._tree, "destinations", head.destinations)
        if main:
            self._replace(main)
            for target in targets.keys() - registrations.keys():
                self._keep(target, targets[target], main)
        for target, one in registrations.items():
            self._set_target(target, one, own=one != main)

    def _targets(self) -> Mapping[Target, TargetSettings]:
        found = registrations_in(self._value.get("registrations") or None, source=self._source)
        whole = TargetSettings(self._value.get("exchange"), tuple(self._value.get("destinations") or ()), found)
        return read_targets(self._value.get("targets"), whole, source=self._source)

    def _keep(self, target: Target, settings: TargetSettings, main: Registration) -> None:
        """Write the project's old values to a target that used them, because the project's values change."""
        shared = [one for one in settings.registrations if one.exchange == main.exchange and one != main]
        for one in shared:
            if isinstance(one, Registration) and one.rule is Rule.DESTINATION_PROJECT and len(shared) == 1:
                self._set_target(target, one, own=True)

    def _replace(self, main: Registration) -> None:
        """Replace the first registration of the same exchange, and remove the others."""
        entries = self._tree.get("registrations")
        if not isinstance(entries, list):
            entries = self._yaml.seq([] if entries is None else [entries])
            self._tree["registrations"] = entries
        values = self._value.get("registrations")
        values = values if isinstance(values, list) else [] if values is None else [values]
        old = [at for at, value in enumerate(values) if self._is_of(value, main.exchange)]
        objects = [at for at in old if isinstance(values[at], dict) and "projects" in values[at]]
        place = next(iter(objects or old), None)
        if place is None:
            entries.append(self._fill(self._yaml.map(), main, own=True))
        elif objects:
            entries[place].pop("rule", None)
            self._fill(entries[place], main, own=True)
        else:
            entries.ca.items.pop(place, None)  # otherwise, a comment below the text would move into the object
            entries[place] = self._fill(self._yaml.map(), main, own=True)
        for at in reversed(old):
            if at != place:
                del entries[at]

    def _is_of(self, value: Any, exchange: str) -> bool:
        return any(one.exchange == exchange for one in registrations_in(value, source=self._source))

    def _set_target(self, target: Target, one: Registration, *, own: bool) -> None:
        targets = self._tree.get("targets")
        if targets is None:
            targets = self._tree["targets"] = self._yaml.map()
        section = targets.get(target.value)
        if section is None:
            section = targets[target.value] = self._yaml.map()
        self._fill(section, one, own=own)

    def _fill(self, section: Any, one: Registration, *, own: bool) -> Any:
        if "exchange" not in section:
            section.insert(0, "exchange", one.exchange)
        elif section["exchange"] != one.exchange:
            section["exchange"] = one.exchange
        self._set_list(section, "destinations", one.destinations)
        if own:
            self._set_list(section, "projects", one.projects)
        else:
            section.pop("projects", None)
        return section

    def _set_list(self, section: Any, key: str, texts: Sequence[str]) -> None:
        """Set the texts of a list. Existing texts keep their place and their comments."""
        entries = section.get(key)
        if not isinstance(entries, list):
            entries = section[key] = self._yaml.seq()
            if sum(map(len, texts)) + 2 * len(texts) < _SHORT:
                entries.fa.set_flow_style()
        missing = [text for text in dict.fromkeys(texts) if text not in entries]
        free = [at for at, entry in enumerate(entries) if entry not in texts]
        for at, text in zip(free, missing, strict=False):
            entries[at] = text
        for at in reversed(free[len(missing) :]):
            del entries[at]
        entries.extend(missing[len(free) :])
