"""Forms of registrations around other text: settings in Python, three variables, and fenced blocks of Markdown.

Each function returns plain text or values that `parsing` reads, with the lines in their places.
Source: the history of `treeherder/config/settings.py` and `treeherder/services/pulse/` of Treeherder.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pulsekit.errors import DocumentError, InvalidRegistration

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator

__all__ = ["fenced_blocks", "find_joined_texts", "from_variables", "is_settings", "read_settings", "variables"]

_SETTINGS = re.compile(r"^[A-Z][A-Z0-9_]*[ \t]*=[ \t]*[A-Za-z_][\w.]*\(", re.MULTILINE)
_NAMED = ("exchange", "name")  # a dict with one of these keys can be a registration
_VARIABLES = ("PULSE_JOB_EXCHANGES", "PULSE_JOB_DESTINATIONS", "PULSE_JOB_PROJECTS")  # of 2018
_VARIABLE = re.compile(rf"(?:export[ \t]+)?({'|'.join(_VARIABLES)})[ \t]*=[ \t]*(.*)")
_FENCE = re.compile(r"[ \t]*(```+|~~~+)")


def is_settings(text: str) -> bool:
    """Return whether a text assigns the result of a call, such as `X = env.json("X", default=[…])`."""
    return _SETTINGS.search(text) is not None


def read_settings(text: str, *, source: str) -> list[tuple[Any, int]]:
    """Return the lists of registrations in a settings module, in order, each with its line. Nothing is executed.

    Such a list is the value of an assignment, or an argument of a call in it, such as the `default` of `env.json`.

    Raises:
        DocumentError: Raised when the text is not Python, or has no list of registrations.
    """
    import ast  # slow to import, and few texts are Python
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # for example, of an unknown escape in a string
            module = ast.parse(text)
    except SyntaxError as error:
        reason = f"this is not Python: {error.msg}"
        raise DocumentError(reason, source=source, line=error.lineno, column=error.offset) from None
    except (ValueError, MemoryError, RecursionError):
        raise DocumentError("this is not Python that can be read", source=source) from None
    found = []
    for statement in module.body:
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        for node in _candidates(value):
            try:
                literal = ast.literal_eval(node)
            except (ValueError, TypeError, MemoryError, RecursionError):
                continue
            if _has_registration(literal):
                found.append((literal, node.lineno))
    if not found:
        raise DocumentError("this Python code has no list of registrations", source=source)
    return found


def find_joined_texts(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield two texts of Python code, as written, without a comma between them, and the line of the first.

    Python joins such texts. The code need not be complete.
    """
    import io
    import tokenize  # slow to import, and few texts are Python

    neutral = (tokenize.NL, tokenize.COMMENT, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    last: tokenize.TokenInfo | None = None
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in neutral:
                continue
            if last is not None and last.type == token.type == tokenize.STRING:
                yield last.string, token.string, last.start[0]
            last = token
    except (tokenize.TokenError, SyntaxError):  # the end of an incomplete text
        return


def variables(text: str) -> dict[str, str]:
    """Return the three variables of 2018 from lines `NAME=VALUE`, or nothing if a line is different."""
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.split("\n"))):
        match = _VARIABLE.fullmatch(line)
        if match is None and not line.startswith("#"):
            return {}
        if match is not None:
            found[match[1]] = match[2].strip().strip("'\"")
    return found


def from_variables(values: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the registrations of the three variables of 2018, or None if the keys are others.

    Every exchange is bound with every combination of destinations and projects.

    Raises:
        InvalidRegistration: Raised when one of the variables is missing.
    """
    if not values or not values.keys() <= set(_VARIABLES):
        return None
    for name in _VARIABLES:
        if not values.get(name):
            raise InvalidRegistration(f"{name} is missing: the variables {', '.join(_VARIABLES)} belong together")
    exchanges, destinations, projects = ([part.strip() for part in str(values[name]).split(",")] for name in _VARIABLES)
    return [{"exchange": name, "destinations": destinations, "projects": projects} for name in exchanges]


def fenced_blocks(text: str) -> list[str]:
    """Return the fenced blocks of Markdown that mention an exchange, each with empty lines up to its place."""
    blocks: list[str] = []
    fence, begun, lines = "", 0, text.split("\n")
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if match is None:
            continue
        if not fence:
            fence, begun = match[1], number + 1
        elif match[1].startswith(fence):
            block = "\n".join(lines[begun:number])
            if "exchange" in block:
                blocks.append("\n" * begun + block)
            fence = ""
    return blocks


def _candidates(value: ast.expr | None) -> Iterator[ast.expr]:
    import ast

    if isinstance(value, ast.Call):
        yield from value.args
        yield from (keyword.value for keyword in value.keywords)
    elif value is not None:
        yield value


def _has_registration(value: Any) -> bool:
    if isinstance(value, dict):
        return any(isinstance(value.get(name), str) and "/" in value[name] for name in _NAMED)
    if isinstance(value, str):
        return value.startswith("exchange/")
    return isinstance(value, list | tuple) and any(map(_has_registration, value))
