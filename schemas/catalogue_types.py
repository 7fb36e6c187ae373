"""Make `pulsekit/catalogue/types.py`: a type for each message of the catalogue. `refresh_catalogue.py` calls it."""

from __future__ import annotations

import json
import keyword
import posixpath
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = '''"""The messages of known exchanges as types for type checkers, made by `schemas/refresh_catalogue.py`.

    from pulsekit.catalogue.types import TaskFailedMessage

    failed: TaskFailedMessage = message.payload
    print(failed["status"]["taskId"], failed["runId"])

A type says what the schema of a message says about names and types. It does not validate a payload: the schema does.
"""

from typing import Any, Literal, NotRequired, TypedDict

__all__ = [
%s]
'''
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def types_module(messages: Path, catalogue: dict[str, Any]) -> str:
    """Return the source of the module.

    Args:
        messages: the folder of the schemas.
        catalogue: see `refresh_catalogue.compact`.
    """
    types = _Types(messages)
    for service in catalogue["services"]:
        for exchange in service["exchanges"]:
            if exchange["schema"].endswith(".json"):
                types.add_message(exchange["schema"], exchange["alias"])
    return types.module()


class _Types:
    """The classes made so far. A class comes behind the classes of its members."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._documents: dict[str, Any] = {}
        self._classes: dict[str, str] = {}
        self._carriers: dict[str, list[str]] = {}  # the aliases of the exchanges of each message

    def add_message(self, file: str, exchange: str) -> None:
        name = _class_name(file).removesuffix("Message") + "Message"
        self._carriers.setdefault(name, []).append(exchange)
        self._reference("#", file, name)

    def module(self) -> str:
        parts = [_HEAD % "".join(f'    "{name}",\n' for name in sorted(self._classes))]
        for name, body in self._classes.items():
            carriers = self._carriers.get(name, [])
            about = f"A message of {_joined(carriers)}." if carriers else "A part of messages."
            parts.append(body.replace("%ABOUT%", about))
        return "\n\n".join(parts)

    def _reference(self, reference: str, file: str, hint: str) -> str:
        """Return the type of what a `$ref` in a file names."""
        name, _, pointer = reference.partition("#")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(file), name)) if name else file
        if file not in self._documents:
            self._documents[file] = json.loads((self._folder / file).read_bytes())
        schema = self._documents[file]
        for token in pointer.split("/")[1:]:
            schema = schema[token]
        if not pointer:
            hint = hint if hint.endswith("Message") else _class_name(file)
        elif pointer.startswith("/definitions/"):
            hint = _camel(posixpath.dirname(file)) + _camel(pointer.rpartition("/")[2])
        return self._type(schema, file, hint)

    def _type(self, schema: Any, file: str, hint: str) -> str:
        """Return the type of a value; `hint` is the name of a class for it."""
        if "$ref" in schema:
            return self._reference(schema["$ref"], file, hint)
        if "enum" in schema:
            return f"Literal[{', '.join(json.dumps(value) for value in schema['enum'])}]"
        if "anyOf" in schema and "type" not in schema:
            return _union(self._type(branch, file, f"{hint}{number}") for number, branch in enumerate(schema["anyOf"]))
        kind = schema.get("type", "any")
        if isinstance(kind, list):
            return _union(self._type({**schema, "type": one}, file, hint) for one in kind)
        if kind == "array":
            return (
                f"list[{self._type(schema['items'], file, hint.removesuffix('s'))}]"
                if "items" in schema
                else "list[Any]"
            )
        if kind == "object" and "properties" in schema:
            return self._class(schema, file, hint)
        if kind == "object":
            values = schema.get("additionalProperties")
            return f"dict[str, {self._type(values, file, hint)}]" if isinstance(values, dict) else "dict[str, Any]"
        return _PLAIN.get(kind, "Any")

    def _class(self, schema: Any, file: str, name: str) -> str:
        if name in self._classes:
            return name
        prefix = name.removesuffix("Message")
        members = {}
        for member, inner in schema["properties"].items():
            kind = self._type(inner, file, prefix + _camel(member))
            members[member] = kind if member in schema.get("required", ()) else f"NotRequired[{kind}]"
        if all(member.isidentifier() and not keyword.iskeyword(member) for member in members):
            lines = "".join(f"    {member}: {kind}\n" for member, kind in members.items())
            self._classes[name] = f'class {name}(TypedDict):\n    """%ABOUT%"""\n\n{lines}'
        else:
            lines = "".join(f"        {member!r}: {kind},\n" for member, kind in members.items())
            self._classes[name] = f"# %ABOUT%\n{name} = TypedDict(\n    {name!r},\n    {{\n{lines}    }},\n)\n"
        return name


def _class_name(file: str) -> str:
    """Return the name of the class for a file: `queue/v1/task-status.json` becomes TaskStatus."""
    folder, _, stem = file.removesuffix(".json").rpartition("/")
    return ("" if folder.endswith("/v1") else _camel(folder)) + _camel(stem.removeprefix("pulse-"))


def _camel(text: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", text))


def _union(kinds: Any) -> str:
    return " | ".join(dict.fromkeys(kinds))


def _joined(names: list[str]) -> str:
    return " or ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), names[-1]])
