"""Write the modules of the shipped schemas anew: `python -m pulsekit.schemas.compiled`, in a checkout."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from pulsekit._documents.document import parse_yaml
from pulsekit.schemas.compiler import generate
from pulsekit.schemas.drafts import check_schema
from pulsekit.schemas.names import FORMER
from pulsekit.schemas.profiles import PROFILES
from pulsekit.schemas.schema import schema_names, shipped_text

__all__ = ["NAMES", "module_path", "module_source"]

# A schema of former jobs is rarely needed; like a user's, it is compiled on first use and cached.
NAMES = tuple(name for name in schema_names() if name != FORMER)

_TEMPLATE = '''\
"""The shipped schema {name!r}, made by `python -m pulsekit.schemas.compiled`; every change is lost."""

{code}

YAML = {yaml}
JSON = {json}

__all__ = ["JSON", "YAML", {profiles}]
'''


def module_path(name: str) -> Path:
    """Return where the module of a schema belongs."""
    return Path(__file__).with_name(f"_{name.replace('-', '_')}.py")


def module_source(name: str) -> str:
    """Return what the module of a schema has to be."""
    text = shipped_text(name)
    schema = parse_yaml(text, source=name).value
    code = generate(check_schema(schema), {profile: profile == "strict" for profile in PROFILES})
    return _TEMPLATE.format(
        name=name,
        code=ast.unparse(code),
        yaml=_literal(text.splitlines(keepends=True)),
        json=_literal([json.dumps(schema)]),
        profiles=", ".join(json.dumps(profile) for profile in PROFILES),
    )


def _literal(parts: list[str]) -> str:
    """Write a text so that a change of one line of it is a change of one line."""
    return "\n".join(["(", *(f"    {part!a}" for part in parts), ")"])


if __name__ == "__main__":
    for schema in NAMES:
        module_path(schema).write_text(module_source(schema), encoding="utf-8")
