"""Known exchanges, and the contents of the catalogue for each of them.

The catalogue is one file of JSON, `schemas/catalogue.json`, made from the YAML files in `schemas/catalogue/`. It is
parsed once in a process, in less than a millisecond.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from pulsekit._documents.suggestions import Guesses
from pulsekit.bindings.names import owner
from pulsekit.errors import InvalidName
from pulsekit.schemas.schema import load_shipped_schema, shipped_folder

if TYPE_CHECKING:
    from pulsekit.schemas.schema import Schema

__all__ = [
    "KeyField", "KnownExchange", "find_exchange", "full_name", "known_exchanges", "message_schema", "misspelt",
    "nearest",
]  # fmt: skip

NO_VALUE = "_"  # the word of a field without a value, as Taskcluster writes it
ROUTE = "route"  # the first word of a CC key, which is route.<route>


@dataclass(frozen=True, slots=True)
class KeyField:
    """A field of a routing key: one word, or all remaining words.

    Attributes:
        name: such as `taskId`.
        about: its description.
        constant: the only word that the field can have, or None.
        optional: whether the field may have no value, which is written `_`.
        many: whether the field has one word or more. Only the last field of a key can have several words.
        form: a regular expression for its values, or empty.
        form_words: a description of the values that match `form`, or empty.
        dots: the character that stands for a dot in a value, or empty.
        example: a value for examples, or empty.
    """

    name: str
    about: str
    constant: str | None = None
    optional: bool = False
    many: bool = False
    form: str = ""
    form_words: str = ""
    dots: str = ""
    example: str = ""

    def refusal(self, word: str) -> str:
        """Return why the field can never have this word, or an empty text if it can."""
        if self.constant is not None:
            return "" if word == self.constant else f"{self.name} is always {self.constant!r}"
        if word == NO_VALUE:
            return "" if self.optional or self.many else f"{self.name} always has a value"
        if self.form and not re.fullmatch(self.form, word):
            return f"{self.name} is {self.form_words}"
        return ""


@dataclass(frozen=True, slots=True)
class KnownExchange:
    """An exchange of the catalogue.

    Attributes:
        name: such as `exchange/taskcluster-queue/v1/task-failed`.
        alias: its short name, such as `task-failed`.
        title: a description of its messages.
        service: the service that publishes to it.
        fields: the fields of its routing keys, in their order.
        schema: the schema of its messages: a path below `schemas/messages/`, or the name of a shipped schema.
        separator: the separator between two fields: `.`, unless all fields are parts of one word.
        routes: whether messages have CC keys, `route.<route>`.
        source: the URL of the source of this description.
        as_of: the month of the source, such as `2026-08`.
    """

    name: str
    alias: str
    title: str
    service: str
    fields: tuple[KeyField, ...]
    schema: str
    separator: str
    routes: bool
    source: str
    as_of: str

    @property
    def layout(self) -> str:
        """The form of its routing keys, such as `primary.<taskId>.<runId>`."""
        words = [field.constant or f"<{field.name}>" + ("…" if field.many else "") for field in self.fields]
        return self.separator.join(words)

    def record(self) -> dict[str, Any]:
        """Return the exchange as JSON."""
        return {
            "exchange": self.name,
            "alias": self.alias,
            "title": self.title,
            "service": self.service,
            "routing_key": self.layout,
            "fields": [
                {"name": field.name, "about": field.about, "optional": field.optional, "many": field.many}
                | ({"constant": field.constant} if field.constant else {})
                | ({"pattern": field.form} if field.form else {})
                for field in self.fields
            ],
            "routes": self.routes,
            "schema": self.schema,
            "source": self.source,
            "as_of": self.as_of,
        }

    def examples(self) -> list[str]:
        """Return example commands for this exchange."""
        commands = [f"pulsekit tail {self.alias} --schema auto"]
        named = [field for field in self.fields if field.constant is None and field.example]
        if named and self.separator == ".":
            commands.append(f"pulsekit tail {self.alias} --field {named[0].name}={named[0].example}")
        if named:
            commands.append(f"pulsekit tail {self.alias} --filter \"key.{named[0].name} == '{named[0].example}'\"")
        if self.routes:
            commands.append(f"pulsekit tail {self.alias} --route 'index.gecko.v2.#'")
        return commands

    def read_key(self, key: str) -> dict[str, str] | None:
        """Return the fields of a routing key that have a value, except constants; None if the key has another form."""
        words = key.split(self.separator)
        count = len(self.fields)
        last = self.fields[-1]
        if last.many and len(words) >= count:
            words[count - 1 :] = [self.separator.join(words[count - 1 :])]
        if len(words) != count:
            return None
        values = {}
        for field, word in zip(self.fields, words, strict=True):
            if field.constant is not None:
                if word != field.constant:
                    return None
            elif word != NO_VALUE:
                values[field.name] = word.replace(field.dots, ".") if field.dots else word
        return values


def known_exchanges() -> tuple[KnownExchange, ...]:
    """Return all exchanges of the catalogue, service by service."""
    return tuple(_by_name().values())


def find_exchange(name: str) -> KnownExchange | None:
    """Return the exchange with a name, or None.

    Args:
        name: the full name, the name without `exchange/`, or the alias, such as `task-failed`.
    """
    return _by_name().get(name) or _by_alias().get(name) or _by_name().get(f"exchange/{name}")


def full_name(name: str) -> str:
    """Return the full name of an exchange of the catalogue. Any other name is returned unchanged.

    Args:
        name: see `find_exchange`.

    Raises:
        InvalidName: Raised when Pulse cannot have the name, and the catalogue has a similar one.
    """
    if name.startswith("exchange/"):
        return name
    found = find_exchange(name)
    if found is not None:
        return found.name
    if near := nearest(name):
        raise InvalidName(name, "is not an exchange of the catalogue, see pulsekit exchange list", near)
    return name


def nearest(name: str) -> str | None:
    """Return the name or alias of the catalogue that is most similar to a misspelt name, or None."""
    names = [*_by_name(), *(full.removeprefix("exchange/") for full in _by_name()), *_by_alias()]
    return Guesses().nearest(name, names)


def misspelt(exchange: str) -> str | None:
    """Return the exchange that a full name probably means, if the catalogue has exchanges of its user, or None."""
    user = owner(exchange)
    others = [name for name in _by_name() if owner(name) == user]
    return None if exchange in others else Guesses().nearest(exchange, others)


def message_schema(name: str) -> Schema | None:
    """Return the schema of the messages of an exchange, or None if the catalogue does not have the exchange.

    Args:
        name: see `find_exchange`.
    """
    exchange = find_exchange(name)
    return None if exchange is None else load_shipped_schema(exchange.schema)


@lru_cache(maxsize=1)
def _by_name() -> dict[str, KnownExchange]:
    catalogue: dict[str, Any] = orjson.loads((shipped_folder() / "catalogue.json").read_bytes())
    forms, services = catalogue["forms"], catalogue["services"]
    return {one["name"]: _exchange(one, service, forms) for service in services for one in service["exchanges"]}


@lru_cache(maxsize=1)
def _by_alias() -> dict[str, KnownExchange]:
    return {exchange.alias: exchange for exchange in _by_name().values()}


def _exchange(one: dict[str, Any], service: dict[str, Any], forms: dict[str, Any]) -> KnownExchange:
    return KnownExchange(
        name=one["name"],
        alias=one["alias"],
        title=one["title"],
        service=service["name"],
        fields=tuple(_field(field, forms.get(field.get("form"), {})) for field in one["fields"]),
        schema=one["schema"],
        separator=service.get("separator", "."),
        routes=one.get("routes", service.get("routes", False)),
        source=service["source"],
        as_of=service["as_of"],
    )


def _field(field: dict[str, Any], form: dict[str, str]) -> KeyField:
    return KeyField(**field | {"form": form.get("pattern", ""), "form_words": form.get("words", "")})
