"""The names that compiled schemas import: the exception of a refusal, and regular expressions.

Compiled code is a module, shipped or cached, that imports only this one. For a valid payload, neither fastjsonschema
nor the schema itself is loaded.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from types import CodeType

__all__ = ["ENTRY", "Refused", "Validator", "bind", "execute", "searcher", "without_pattern_warnings"]

# A function that raises `Refused` if a payload is invalid. For values that are not JSON, it may raise any exception.
Validator: TypeAlias = Callable[[Any], object]

ENTRY = "validate"  # the name of the function that validates a payload


class Refused(Exception):
    """Raised by a compiled validator if a payload is invalid. `explain` produces the details."""


def searcher(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """Return the function that searches a text for a regular expression."""
    with without_pattern_warnings():
        return re.compile(pattern).search


@contextmanager
def without_pattern_warnings() -> Iterator[None]:
    """Suppress Python's warnings about future syntax in patterns of schemas, such as sets in `[[a]`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def bind(code: CodeType) -> Validator:
    """Execute the compiled code as a module, and return its validator."""
    validator: Validator = execute(code)[ENTRY]
    return validator


def execute(code: CodeType) -> dict[str, Any]:
    """Execute the compiled code as a module, and return its names."""
    scope: dict[str, Any] = {"__name__": "pulsekit compiled schema"}
    exec(code, scope)  # noqa: S102 - made by `compiler` from a checked schema; a cache is read only if no other user can write it
    return scope
