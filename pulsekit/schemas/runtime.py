"""The names that compiled schemas import: the exception of a refusal, and the table of regular expressions.

Compiled code is a module, shipped or cached, that imports only this one. For a valid payload, neither fastjsonschema
nor the schema itself is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from types import CodeType

__all__ = ["ENTRY", "Patterns", "Refused", "Validator", "bind"]

# Takes a payload and raises `Refused` when it is not valid; over what JSON does not have it may raise anything else.
Validator: TypeAlias = Callable[[Any], object]

ENTRY = "validate"  # the function of compiled code that takes the payload


class Refused(Exception):
    """Raised by a compiled validator if a payload is not valid; `explain` produces the details."""


class Patterns(dict[str, re.Pattern[str]]):
    """Hold regular expressions by their text, each compiled when it is first looked for."""

    __slots__ = ()

    def __missing__(self, pattern: str) -> re.Pattern[str]:
        return self.setdefault(pattern, re.compile(pattern))


def bind(code: CodeType) -> Validator:
    """Run the module that compiled code is, and return its validator."""
    scope: dict[str, Any] = {"__name__": "pulsekit compiled schema"}
    exec(code, scope)  # noqa: S102 - made by `compiler` from a checked schema; a cache is read only where nobody else writes
    validator: Validator = scope[ENTRY]
    return validator
