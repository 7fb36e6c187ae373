"""The schema `schemas/configuration.json`, which defines the keys of `config.yml` and of `pulsekit.yml`.

`config.yml` may have all keys, and `pulsekit.yml` all keys except those of a login.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pulsekit.errors import place_text
from pulsekit.schemas.schema import Schema, shipped_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulsekit._documents.document import Document

__all__ = ["PROJECT_FILE", "USER_FILE", "find_problem", "login_keys", "project_keys", "read_schema", "schema_text"]

PROJECT_FILE, USER_FILE = "pulsekit.yml", "config.yml"
_ALSO_LOGIN = ("host", "port", "vhost")  # keys of a login that users may write beside `user`


@lru_cache(maxsize=2)
def read_schema(*, user: bool) -> dict[str, Any]:
    """Return the schema of `config.yml`, or of `pulsekit.yml`. The caller must not change it.

    The names of the lint rules are added to the schema, so that an editor completes them.
    """
    from pulsekit.treeherder.rule_list import RULES

    schema: dict[str, Any] = json.loads((shipped_folder() / "configuration.json").read_text(encoding="utf-8"))
    schema["properties"]["lint_off"]["items"] = {"enum": [rule.name for rule in RULES]}
    if user:
        return schema
    login = {*schema["definitions"].pop("login")["properties"], "logins"}
    return schema | {
        "title": PROJECT_FILE,
        "description": "What a project publishes on Mozilla Pulse.",
        "properties": {key: about for key, about in schema["properties"].items() if key not in login},
    }


def schema_text(*, user: bool) -> str:
    """Return the schema as a file for an editor."""
    return json.dumps(read_schema(user=user), indent=2) + "\n"


def project_keys() -> Mapping[str, Any]:
    """Return the keys of `pulsekit.yml` with their schemas."""
    keys: dict[str, Any] = read_schema(user=False)["properties"]
    return keys


def login_keys() -> Mapping[str, Any]:
    """Return the keys of a login with their schemas."""
    keys: dict[str, Any] = read_schema(user=True)["definitions"]["login"]["properties"]
    return keys


def find_problem(document: Document, *, user: bool, quoting: bool) -> str | None:
    """Return the first violation of the schema with its position, or None if the file is valid.

    Registrations are not checked here, because the parser of their many forms describes problems better.

    Args:
        document: the document of the file, an object.
        user: whether the file is `config.yml`.
        quoting: whether a message may contain values and unknown keys of the file, which can be secret.
    """
    schema = read_schema(user=user)
    found = Schema(json.dumps(schema), schema["title"]).problems(document, "treeherder", most=1000)
    problem = next((one for one in found if one.pointer.split("/")[1:2] != ["registrations"]), None)
    if problem is None:
        return None
    place = place_text(document.source, problem.line, problem.column)
    *outer, name = problem.pointer.replace("~1", "/").replace("~0", "~").split("/")[1:]
    if problem.rule != "additionalProperties":
        message = (problem.message if quoting else f"must be {problem.allowed}").replace(" or null", "", 1)
        if problem.rule == "enum" and problem.hint and quoting:  # instead of the long list of all values
            message = f"unknown value {problem.found}"
        hint = f" ({problem.hint})" if problem.hint and quoting else ""
        return f"{place}: {'.'.join((*outer, name))}: {message}{hint}"
    if not outer and not user and (name in read_schema(user=True)["properties"] or name in _ALSO_LOGIN):
        return f"{place}: {name!r} is not allowed in a project's file: set it in PULSE_URL or in the user's config.yml"
    within = f"{'.'.join(outer)}: " if outer else ""
    what = f"unknown key {name!r:.40}" if quoting or user else "a key in it is unknown"
    hint = f"{problem.hint} " if quoting and problem.hint.startswith("did you mean") else ""
    keys = problem.allowed.replace('"', "").replace(" or ", " and ")
    return f"{place}: {within}{what}; {hint}the keys are {keys}"
