"""Forms of registrations around other text: settings in Python, files of variables, and fenced blocks of Markdown.

Each function returns plain text or values that `parsing` reads, with the lines in their places.
Source: the history of `treeherder/config/settings.py` and `treeherder/services/pulse/` of Treeherder.
"""

from __future__ import annotations

import re
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pulsekit.errors import DocumentError, InvalidRegistration, place_text

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterator

__all__ = [
    "ONE_VARIABLE",
    "THREE_VARIABLES",
    "fenced_blocks",
    "find_joined_texts",
    "from_variables",
    "is_settings",
    "read_settings",
    "variables",
]

# What only a module has: another statement, an assignment with a type, or one of the result of a call.
_SETTINGS = re.compile(
    r"^(?:import|from|class|def|if) "
    r"|^[ \t]*[A-Z][A-Z0-9_]*(?:[ \t]*:[ \t]*[A-Za-z_][\w.\[\], ]*=|[ \t]*=[ \t]*[A-Za-z_][\w.]*\()",
    re.MULTILINE,
)
_ASSIGNMENT = re.compile(r"^[A-Z][A-Z0-9_]*[ \t]*=", re.MULTILINE)
_NAMED = ("exchange", "name")  # a dict with one of these keys can be a registration
THREE_VARIABLES = ("PULSE_JOB_EXCHANGES", "PULSE_JOB_DESTINATIONS", "PULSE_JOB_PROJECTS")  # of 2018
ONE_VARIABLE = ("PULSE_DATA_INGESTION_SOURCES", "PULSE_JOB_SOURCES")
_VARIABLE = re.compile(r"(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*(.*)")
_MOST_PYTHON = 1 << 19  # characters; a syntax tree of them needs seconds
_FENCE = re.compile(r"[ \t]*(```+|~~~+)")


def is_settings(text: str) -> bool:
    """Return whether a text is a module: it has a call, such as `X = env.json("X", default=[…])`, or two statements."""
    if _SETTINGS.search(text) is not None:
        return True
    return len(_ASSIGNMENT.findall(text)) > 1 and not variables(text)


def read_settings(text: str, *, source: str, on_warning: Callable[[str], None]) -> list[tuple[Any, int]]:
    """Return the lists of registrations in a settings module, in order, each with its line. Nothing is executed.

    Such a list is the value of an assignment, a term of its sum, or an argument of a call in it, such as the `default`
    of `env.json`. A term of a sum with such a list that is not a literal has a warning.

    Raises:
        DocumentError: Raised when the text is not Python, or has no list of registrations.
    """
    import ast  # slow to import, and few texts are Python
    import warnings

    if len(text) > _MOST_PYTHON:
        raise DocumentError(f"more than {_MOST_PYTHON:,} characters of Python: write JSON instead", source=source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # for example, of an unknown escape in a string
            module = ast.parse(text)
    except SyntaxError as error:
        reason = f"this is not Python: {error.msg}"
        raise DocumentError(reason, source=source, line=error.lineno, column=error.offset) from None
    except (ValueError, MemoryError, RecursionError):
        raise DocumentError("this is not Python that can be read", source=source) from None
    found: list[tuple[Any, int]] = []
    for statement in ast.walk(module):
        if not isinstance(statement, ast.Assign | ast.AnnAssign):
            continue
        before, unread = len(found), []
        for node, is_term in _candidates(statement.value):
            if isinstance(node, ast.Constant) and not isinstance(node.value, str):
                continue
            try:
                literal = ast.literal_eval(node)
            except (ValueError, TypeError, MemoryError, RecursionError):
                name = node.id if isinstance(node, ast.Name) else "a term of this sum"
                unread += [f"{place_text(source, node.lineno)}: {name} is not read"] if is_term else []
                continue
            if _has_registration(literal):
                found.append((literal, node.lineno))
        if len(found) > before:
            for warning in dict.fromkeys(unread):
                on_warning(warning)
    found.sort(key=itemgetter(1))
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


def variables(text: str) -> dict[str, tuple[str, int]]:
    """Return the variables with registrations from lines `NAME=VALUE`, each with its value and line.

    Return nothing if a line is different, or if the only line has JSON, which can continue on further lines. Other
    variables are left out.
    """
    found: dict[str, tuple[str, int]] = {}
    others = 0
    for number, line in enumerate(map(str.strip, text.split("\n")), 1):
        match = _VARIABLE.fullmatch(line)
        if match is None and line and not line.startswith("#"):
            return {}
        if match is not None and match[1] in {*THREE_VARIABLES, *ONE_VARIABLE}:
            found[match[1]] = (match[2].strip(), number)
        others += match is not None and match[1] not in THREE_VARIABLES
    return found if others != 1 or len(found) > 1 else {}


def from_variables(values: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the registrations of the three variables of 2018, or None if the keys are others.

    Every exchange is bound with every combination of destinations and projects.

    Raises:
        InvalidRegistration: Raised when one of the variables is missing.
    """
    if not values or not values.keys() <= set(THREE_VARIABLES):
        return None
    for name in THREE_VARIABLES:
        if not values.get(name):
            raise InvalidRegistration(f"{name} is missing: the variables {', '.join(THREE_VARIABLES)} belong together")
    exchanges, destinations, projects = (
        [part.strip() for part in str(values[name]).split(",")] for name in THREE_VARIABLES
    )
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


def _candidates(value: ast.expr | None, *, is_term: bool = False) -> Iterator[tuple[ast.expr, bool]]:
    """Yield the expressions that can be a list of registrations, and whether each is a term of a sum."""
    import ast

    if isinstance(value, ast.BinOp):
        yield from _candidates(value.left, is_term=True)
        yield from _candidates(value.right, is_term=True)
    elif isinstance(value, ast.Call) and not is_term:
        for argument in (*value.args, *(keyword.value for keyword in value.keywords)):
            yield from _candidates(argument)
    elif value is not None:
        yield value, is_term


def _has_registration(value: Any) -> bool:
    if isinstance(value, dict):
        return any(isinstance(value.get(name), str) and "/" in value[name] for name in _NAMED)
    if isinstance(value, str):
        return value.startswith("exchange/")
    return isinstance(value, list | tuple) and any(map(_has_registration, value))
