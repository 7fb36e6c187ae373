"""Schemas: what a payload has to be, by name, from a file, or as a mapping.

    schema = load_schema("pulse-job")
    schema.check(job)               # raises InvalidPayload with every problem
    schema.problems(document)       # the same as values, with line and column when the payload came from text

There are two profiles. `treeherder` is the verdict of Python's `jsonschema` on the job as given, without a format
checker: what Treeherder itself would say. `strict` holds the formats `date-time` and `uri` besides.
Source: "Schemas" of the design, "Treeherder's job schema" of the facts about Pulse.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pulsekit.documents import Document, parse_json, parse_yaml
from pulsekit.errors import DocumentError, InvalidPayload, Problem, SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulsekit.compiler import Validator
    from pulsekit.documents import JSON

__all__ = ["PROFILES", "Profile", "Schema", "load_schema", "schema_names"]

Profile: TypeAlias = Literal["strict", "treeherder"]
PROFILES: tuple[Profile, ...] = ("strict", "treeherder")

# What fastjsonschema's code, or the walk that explains, can raise over a value they did not think of: integers beyond
# floats, NaN, keys that are no text, deep nesting.
_SURPRISES = (ArithmeticError, LookupError, NameError, RecursionError, TypeError, ValueError)


class Schema:
    """Validate payloads against one schema. Made by `load_schema`; may be shared by everything in the process.

    Nothing here changes a payload. Validators are compiled when they are first needed.

    Attributes:
        name: the name of a shipped schema, the path of a file, or the title of a mapping.
    """

    def __init__(self, definition: JSON, name: str) -> None:
        from pulsekit.drafts import check_schema

        self.name = name
        self._checked = check_schema(definition)
        self._validators: dict[str, Validator] = {}

    def __repr__(self) -> str:
        return f"<Schema {self.name!r}>"

    def check(self, payload: Any, profile: Profile = "strict") -> None:
        """Return when the payload is valid.

        Args:
            payload: plain JSON or a `Document`.
            profile: `strict` or `treeherder`.

        Raises:
            InvalidPayload: with every problem.
            SchemaError: the schema cannot be compiled, or there is no such profile.
        """
        if not self.is_valid(payload, profile):
            raise InvalidPayload(self.problems(payload, profile), self.name)

    def is_valid(self, payload: Any, profile: Profile = "strict") -> bool:
        """Tell whether the payload is valid.

        Raises:
            SchemaError: the schema cannot be compiled, or there is no such profile.
        """
        value = payload.value if isinstance(payload, Document) else payload
        validator = self._validators.get(profile) or self._compile(profile)
        try:
            validator(value)
        except _SURPRISES as error:
            # Refused, or too much for the compiled code: then the walk that explains decides.
            return not _is_refusal(error) and not self._explain(value, profile)
        return True

    def problems(self, payload: Any, profile: Profile = "strict") -> tuple[Problem, ...]:
        """Return every problem of the payload, in its own order; none when it is valid.

        Those of a `Document` carry line and column.

        Raises:
            SchemaError: the schema cannot be compiled, or there is no such profile.
        """
        if self.is_valid(payload, profile):
            return ()
        if not isinstance(payload, Document):
            return self._explain(payload, profile) or _UNEXPLAINED
        found = self._explain(payload.value, profile) or _UNEXPLAINED
        return tuple(problem.at(*(payload.locate(problem.pointer) or (None, None))) for problem in found)

    def _explain(self, value: Any, profile: Profile) -> tuple[Problem, ...]:
        from pulsekit.problems import explain

        try:
            return tuple(explain(self._checked, value, formats=profile == "strict"))
        except RecursionError:
            return (Problem("", "depth", "is nested too deeply to be checked"),)
        except _SURPRISES as error:
            return (Problem("", "json", f"holds something that JSON does not have: {error}"),)

    def _compile(self, profile: Profile) -> Validator:
        from pulsekit.compiler import compile_schema

        if profile not in PROFILES:
            raise SchemaError(f"there is no profile {profile!r}; it is one of {', '.join(PROFILES)}")
        validator = compile_schema(self._checked, formats=profile == "strict")
        return self._validators.setdefault(profile, validator)


_UNEXPLAINED = (Problem("", "schema", "does not fit the schema"),)


def load_schema(source: str | Path | Mapping[str, JSON]) -> Schema:
    """Return a schema, the same object for the same text.

    Args:
        source: the name of a shipped schema (see `schema_names`), the path of a file of JSON (`.json`) or YAML, or the
            schema itself, which is copied.

    Raises:
        SchemaError: there is no such schema, it cannot be read, or it is not a schema of draft 4, 6 or 7.
    """
    if isinstance(source, str) and source in schema_names():
        return _load_shipped(source)
    if isinstance(source, str | Path):
        return _load_file(str(source))
    try:
        text = json.dumps(source)
    except (RecursionError, TypeError, ValueError) as error:
        raise SchemaError(f"a schema is plain JSON: {error}") from error
    title = source.get("title")
    return _load_text(text, title if isinstance(title, str) else "schema")


@lru_cache(maxsize=1)
def schema_names() -> tuple[str, ...]:
    """Return the names of the shipped schemas."""
    return tuple(sorted(path.stem for path in _shipped_folder().glob("*.yml")))


def _shipped_folder() -> Path:
    """Return the folder of the shipped schemas: within the package when installed, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "_schemas"
    return installed if installed.is_dir() else package.parent / "schemas"


@lru_cache
def _load_shipped(name: str) -> Schema:
    path = _shipped_folder() / f"{name}.yml"
    return _load_text(json.dumps(parse_yaml(path.read_bytes(), source=str(path)).value), name)


def _load_file(name: str) -> Schema:
    try:
        text = Path(name).read_bytes()
    except FileNotFoundError:
        known = ", ".join(schema_names())
        raise SchemaError(f"there is no schema {name!r}: it is neither a file nor one of {known}") from None
    except (OSError, ValueError) as error:
        raise SchemaError(f"the schema {name!r} cannot be read: {error}") from error
    try:
        document = (parse_json if name.lower().endswith(".json") else parse_yaml)(text, source=name)
    except DocumentError as error:
        raise SchemaError(f"the schema cannot be read: {error}") from error
    try:
        return _load_text(json.dumps(document.value), name)
    except SchemaError as error:
        raise SchemaError(f"{name}: {error}") from None


@lru_cache
def _load_text(text: str, name: str) -> Schema:
    return Schema(json.loads(text), name)


def _is_refusal(error: Exception) -> bool:
    from fastjsonschema import JsonSchemaValueException

    return isinstance(error, JsonSchemaValueException)
