"""Registrations inside other text: settings in Python, files of variables, and code in Markdown.

Each function returns plain text or values for `parsing`, and keeps the line numbers.
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
    "check_keys",
    "code_blocks",
    "find_joined_texts",
    "find_variable",
    "from_variables",
    "is_settings",
    "missing_comma",
    "read_settings",
    "variables",
]

# What only a module has: another statement, an assignment with a type, or an assignment of the result of a call.
_SETTINGS = re.compile(
    r"^(?:import|from|class|def|if) "
    r"|^[ \t]*[A-Z][A-Z0-9_]*(?:[ \t]*:[ \t]*[A-Za-z_][\w.\[\], ]*=|[ \t]*=[ \t]*[A-Za-z_][\w.]*\()",
    re.MULTILINE,
)
_ASSIGNMENT = re.compile(r"^[A-Z][A-Z0-9_]*[ \t]*=", re.MULTILINE)
_NAMED = ("exchange", "name")  # a dict with one of these keys can be a registration
THREE_VARIABLES = ("PULSE_JOB_EXCHANGES", "PULSE_JOB_DESTINATIONS", "PULSE_JOB_PROJECTS")  # of 2018
ONE_VARIABLE = ("PULSE_DATA_INGESTION_SOURCES", "PULSE_JOB_SOURCES")
# A value and the comment after it, as in a shell. A `#` without text can be a key.
_COMMENT = re.compile(r"""((?:'[^']*'|"(?:\\.|[^"\\])*"|[^'"])*?)[ \t]#[ \t].*""")
_VARIABLE = re.compile(r"(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*(.*)")
_LITERALS = "texts, lists and dicts"
_MOST_PYTHON = 1 << 19  # characters; parsing more takes seconds
_FENCE = re.compile(r"[ \t]*(```+|~~~+)")
_INDENTED = re.compile(r" {4}|\t")
# The first line that is not a comment, in a text that is JSON, Python, YAML, a string or a variable as a whole.
_DATA = re.compile(
    r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*(?:[\[({'\"]|-|exchange/|[rub]{1,2}['\"]|(?:export[ \t]+)?[\w.-]+[ \t]*[:=])"
)
_NAMES = re.compile(rf"\b({'|'.join((*THREE_VARIABLES, *ONE_VARIABLE))})\b")


def is_settings(text: str) -> bool:
    """Return whether a text is a module: it has a call, such as `X = env.json("X", default=[…])`, or two statements."""
    if _SETTINGS.search(text) is not None:
        return True
    return len(_ASSIGNMENT.findall(text)) > 1 and not variables(text)


def read_settings(text: str, *, source: str, on_warning: Callable[[str], None]) -> list[tuple[Any, int]]:
    """Return the lists of registrations in a settings module, in order, each with its line. Nothing is executed.

    Such a list is the value of an assignment, a term of a sum, or an argument of a call, such as the `default` of
    `env.json`. If a value mentions an exchange and is not a literal, a warning is logged. If a term of a sum is such a
    list, a warning is logged for each other term.

    Raises:
        DocumentError: Raised when the text is not Python, or has no list of registrations.
    """
    import ast  # imported late: few texts are Python
    import warnings

    if len(text) > _MOST_PYTHON:
        raise DocumentError(f"more than {_MOST_PYTHON:,} characters of Python: write JSON instead", source=source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as the warning about an unknown escape in a string
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
        check_keys(statement, source, 1)
        before, unread = len(found), []
        for node, is_term in _candidates(statement.value):
            if isinstance(node, ast.Constant) and not isinstance(node.value, str):
                continue
            try:
                literal = ast.literal_eval(node)
            except (ValueError, TypeError, MemoryError, RecursionError):
                name = node.id if isinstance(node, ast.Name) else "a term of this sum"
                unread += [f"{place_text(source, node.lineno)}: {name} is not read"] if is_term else []
                if "exchange/" in (ast.get_source_segment(text, node) or ""):
                    on_warning(f"{place_text(source, node.lineno)}: not read, because it has more than {_LITERALS}")
                continue
            if _has_registration(literal):
                found.append((literal, node.lineno))
                if isinstance(literal, str) and not literal.startswith("exchange/"):
                    continue  # JSON, which can be written as several texts
                for first, second, line in find_joined_texts(ast.get_source_segment(text, node) or ""):
                    on_warning(missing_comma(first, second, place_text(source, node.lineno - 1 + line)))
        if len(found) > before:
            for warning in dict.fromkeys(unread):
                on_warning(warning)
    found.sort(key=itemgetter(1))
    if not found:
        reason = f"this Python code has no list of registrations that is assigned to a name and has only {_LITERALS}"
        raise DocumentError(reason, source=source)
    return found


def check_keys(tree: ast.AST, source: str, first_line: int) -> None:
    """Check that no dict of Python code has a key twice. Python would drop the first value.

    Raises:
        DocumentError: Raised when a key occurs twice.
    """
    import ast

    for node in ast.walk(tree):
        seen: set[Any] = set()
        for key in (one for one in getattr(node, "keys", ()) if isinstance(one, ast.Constant)):
            if key.value in seen:
                reason = f"the key {key.value!r:.40} occurs twice in one object"
                raise DocumentError(reason, source=source, line=first_line - 1 + key.lineno)
            seen.add(key.value)


def missing_comma(first: str, second: str, place: str) -> str:
    """Return the warning about two texts of `find_joined_texts`."""
    return f"{place}: a comma is missing between {first} and {second}: Python joins the two texts"


def find_joined_texts(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield each pair of texts in Python code without a comma between them, and the line of the first text.

    The texts are returned as written. Python joins such texts. The code need not be complete.
    """
    import io
    import tokenize  # imported late: few texts are Python

    neutral = (tokenize.NL, tokenize.COMMENT, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    last: tokenize.TokenInfo | None = None
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in neutral:
                continue
            if last is not None and last.type == token.type == tokenize.STRING:
                yield last.string, token.string, last.start[0]
            last = token
    except (tokenize.TokenError, SyntaxError, UnicodeDecodeError):  # the code is incomplete, or not Python
        return


def variables(text: str) -> dict[str, tuple[str, int]]:
    """Return the variables with registrations from lines `NAME=VALUE`, each with its value and line.

    Other variables are ignored. Return an empty dict if a line has another form, or if the only line has JSON, which
    can continue on the next lines.
    """
    found: dict[str, tuple[str, int]] = {}
    others = 0
    for number, line in enumerate(map(str.strip, text.split("\n")), 1):
        match = _VARIABLE.fullmatch(line)
        if match is None and line and not line.startswith("#"):
            return {}
        if match is not None and match[1] in {*THREE_VARIABLES, *ONE_VARIABLE}:
            value = _COMMENT.fullmatch(match[2])
            found[match[1]] = ((value[1] if value else match[2]).strip(), number)
        others += match is not None and match[1] not in THREE_VARIABLES
    return found if others != 1 or len(found) > 1 else {}


def from_variables(values: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the registrations of the three variables of 2018, or None if there are other keys.

    Every exchange is bound with every combination of destinations and projects.

    Raises:
        InvalidRegistration: Raised when one of the variables is missing, or is not text.
    """
    if not values or not values.keys() <= set(THREE_VARIABLES):
        return None
    named: list[list[str]] = []
    for name in THREE_VARIABLES:
        value = values.get(name) or ""
        if isinstance(value, list | tuple | dict) or str(value).startswith("["):
            raise InvalidRegistration(f"{name}: {value!s:.40} is not text; write names with commas between them")
        named.append([part.strip() for part in str(value).split(",") if part.strip()])
        if not named[-1]:
            raise InvalidRegistration(f"{name} is missing: the variables {', '.join(THREE_VARIABLES)} belong together")
    exchanges, destinations, projects = named
    return [{"exchange": name, "destinations": destinations, "projects": projects} for name in exchanges]


def find_variable(text: str) -> tuple[str, int] | None:
    """Return a variable with registrations inside another text, such as a script, and its line, or None."""
    match = _NAMES.search(text)
    if match is None:
        return None
    is_first = re.fullmatch(r"\s*(?:#[^\n]*\n\s*)*(?:export[ \t]+)?[{\"']*", text[: match.start()])
    if is_first and not re.match(r"=([\"'])[\[{].*\1[ \t]+[^\s#]", text[match.end() :]):  # a command follows the value
        return None
    return match[1], text.count("\n", 0, match.start()) + 1


def code_blocks(text: str) -> list[str]:
    """Return the blocks of code in Markdown that mention an exchange. Empty lines precede each, for its line number.

    A block is fenced, or indented after an empty line (CommonMark §4.4, §4.5). A block that begins with other words,
    such as a command, is ignored. A text without a fence is read as Markdown unless it begins with data or Python.
    """
    lines = text.split("\n")
    if not any(map(_FENCE.match, lines)) and (_DATA.match(text) or is_settings(text)):
        return []
    blocks: list[str] = []
    number = 0
    while number < len(lines):
        begun, number = number, number + 1
        if fence := _FENCE.match(lines[begun]):
            begun = number
            while number < len(lines) and not _closes(lines[number], fence[1]):
                number += 1
        elif _INDENTED.match(lines[begun]) and (begun == 0 or not lines[begun - 1].strip()):
            while number < len(lines) and (_INDENTED.match(lines[number]) or not lines[number].strip()):
                number += 1
        else:
            continue
        block = "\n".join(lines[begun:number])
        if "exchange" in block and _DATA.match(block):
            blocks.append("\n" * begun + block)
        number += fence is not None
    return blocks


def _closes(line: str, fence: str) -> bool:
    match = _FENCE.match(line)
    return match is not None and match[1].startswith(fence)


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
        return value.startswith("exchange/") or (value.lstrip().startswith(("[", "{")) and "exchange" in value)
    return isinstance(value, list | tuple) and any(map(_has_registration, value))
