"""Read all forms of registrations as plain values with positions. `registration` interprets the values.

Source: `treeherder/services/pulse/` and its history.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pulsekit.bindings.former_forms import (
    ONE_VARIABLE,
    THREE_VARIABLES,
    check_keys,
    code_blocks,
    find_joined_texts,
    from_variables,
    is_settings,
    missing_comma,
    read_settings,
    variables,
)
from pulsekit.errors import DocumentError, InvalidRegistration, place_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pulsekit._documents.document import Document

__all__ = ["EXAMPLE", "PROPERTIES", "Entry", "read_entries"]

PROPERTIES = ("exchange", "destinations", "projects", "rule")
EXAMPLE = '{"exchange": "exchange/me/v1/jobs", "destinations": ["treeherder"], "projects": ["mozilla-inbound._"]}'

_ASSIGNMENT = r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*(?:export[ \t]+)?[A-Za-z_]\w*[ \t]*=(?!=)"
_MAX_LITERAL = 1 << 18  # characters; a syntax tree needs a few hundred times the memory of its text
_MAX_NESTING = 8  # levels of lists and keys around a registration


@dataclass(frozen=True, slots=True)
class Entry:
    """A value where a registration is expected. It may be invalid.

    Attributes:
        value: a text or an object, or another value, which is invalid.
        place: the beginning of messages about it, such as `jobs.yml:3:1: registration 2: `.
        place_of: returns the position of the value at a JSON pointer within this value.
    """

    value: Any
    place: str
    place_of: Callable[[str], str] = field(default=str, compare=False, repr=False)


def read_entries(text: str | bytes | Document, *, source: str, on_warning: Callable[[str], None]) -> Iterator[Entry]:
    """Yield the values where registrations are expected, in order. See `registration.read_registrations` for the forms.

    Raises:
        DocumentError: Raised when the text has none of these forms. The error is from the form parsed furthest.
        InvalidRegistration: Raised when the text is empty.
    """
    if not isinstance(text, str | bytes):
        yield from _items(text, text.value, "", on_warning)
        return
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise DocumentError(f"byte 0x{text[error.start]:02x} is not UTF-8", source=source) from None
    text = text.removeprefix("\ufeff")
    if blocks := code_blocks(text):
        for block in blocks:
            yield from read_entries(block, source=source, on_warning=on_warning)
        return
    if is_settings(text):
        for value, line in read_settings(text, source=source, on_warning=on_warning):
            yield from _items(_Parsed(value, source, line), value, "", on_warning)
        return
    if values := variables(text):
        three = {name: value.strip("'\"") for name, (value, _) in values.items() if name in THREE_VARIABLES}
        if three:
            yield from _items(_Parsed(three, source, 1), three, "", on_warning)
        for value, line in (one for name, one in values.items() if name not in THREE_VARIABLES):
            yield from read_entries("\n" * (line - 1) + _unquoted(value), source=source, on_warning=on_warning)
        return
    if assignment := re.match(_ASSIGNMENT, text):
        text = "\n" * assignment[0].count("\n") + _unquoted(text[assignment.end() :])
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise InvalidRegistration(f"{source} contains no registration; the form is {EXAMPLE}")
    if all(map(_is_complete, [line for _, line in lines])):
        for number, single in lines:
            is_object = single.startswith("{")
            document = _parse(single, source, number, on_warning) if is_object else _Parsed(single, source, number)
            yield from _items(document, document.value, "", on_warning)
    else:
        document = _parse(text, source, 1, on_warning)
        yield from _items(document, document.value, "", on_warning)


class _Parsed(NamedTuple):
    """A value that is not a `Document`, with the number of its first line."""

    value: Any
    source: str
    line: int

    def locate(self, pointer: str) -> tuple[int, int] | None:
        return None if pointer else (self.line, 1)


def _is_complete(line: str) -> bool:
    """Return whether a line is a complete registration: an object, or a string without quotes."""
    if line.startswith("{"):
        return line.endswith("}")
    return not (line[0] in "-[('\"" or (line.endswith(":") and "/" not in line) or any(map(str.isspace, line)))


def _unquoted(text: str) -> str:
    """Remove the shell's quotes from a value that contains JSON."""
    bare = text.strip().removesuffix(";")
    quote = bare[:1]
    if not quote or quote not in "'\"" or not bare.endswith(quote) or not bare[1:].lstrip().startswith(("[", "{")):
        return text
    return bare[1:-1].replace(r"'\''", "'") if quote == "'" else re.sub(r'\\(["\\$`])', r"\1", bare[1:-1])


def _parse(text: str, source: str, line: int, on_warning: Callable[[str], None]) -> Document | _Parsed:
    """Parse a value as JSON, Python or YAML. If all fail, raise the error of the form that could be parsed furthest."""
    from pulsekit._documents.document import parse_json, parse_yaml  # slow to import, and only registrations need it

    attempts: list[Callable[[], Document | _Parsed]] = [lambda: parse_yaml("\n" * (line - 1) + text, source=source)]
    if text.lstrip().startswith(("{", "[", "(", "'", '"', "#")):
        attempts = [
            lambda: parse_json(text, source=source, first_line=line),
            lambda: _parse_python(text, source, line, on_warning),
            *attempts,
        ]
    errors: list[DocumentError] = []
    for attempt in attempts:
        try:
            return attempt()
        except DocumentError as error:
            errors.append(error)
    errors = errors[:2]  # a text that begins with a bracket is probably not YAML
    if "use double quotes" in str(errors[0]):  # a text with single quotes is probably Python
        raise errors[1]
    raise max(errors, key=lambda error: (error.line or 0, error.column or 0))


def _parse_python(text: str, source: str, line: int, on_warning: Callable[[str], None]) -> _Parsed:
    """Parse one Python literal, or several with commas between them, as in Treeherder's documentation."""
    import ast  # imported late: few texts are Python
    import warnings

    text = text.rstrip()
    if len(text) > _MAX_LITERAL:
        reason = f"more than {_MAX_LITERAL:,} characters of Python: write JSON instead"
        raise DocumentError(reason, source=source, line=line)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as the warning about an unknown escape in a string
            tree = ast.parse(f"[{text}\n]", mode="eval")
            value = ast.literal_eval(tree)
    except SyntaxError as error:
        at, column, words = error.lineno or 1, error.offset, error.msg
        if at > text.count("\n") + 1:  # the error is at the bracket that is added above
            at, column = text.count("\n") + 1, len(text) - text.rfind("\n")
            words = "a bracket, brace or quote is never closed"
        for first, second, number in find_joined_texts(text):
            at, column, words = number, None, f"a comma is missing between {first} and {second}"
            break
        reason = f"this is not a Python literal: {words}"
        raise DocumentError(reason, source=source, line=line - 1 + at, column=column) from None
    except (ValueError, TypeError, MemoryError, RecursionError):
        raise DocumentError("this is not a Python literal: use only texts, lists and dicts", source=source) from None
    check_keys(tree, source, line)
    for first, second, number in find_joined_texts(text):
        on_warning(missing_comma(first, second, place_text(source, line - 1 + number)))
    blank = text[: len(text) - len(text.lstrip())]
    return _Parsed(value[0] if len(value) == 1 else value, source, line + blank.count("\n"))


def _items(
    document: Document | _Parsed, value: Any, pointer: str, on_warning: Callable[[str], None]
) -> Iterator[Entry]:
    """Yield the values where registrations are expected. The pointer is the position in the document."""
    if isinstance(value, list | tuple) and pointer.count("/") < _MAX_NESTING:
        for at, item in enumerate(value):
            yield from _items(document, item, f"{pointer}/{at}", on_warning)
    elif isinstance(value, dict) and (registrations := from_variables(value)) is not None:
        yield from _items(document, registrations, pointer, on_warning)
    elif isinstance(value, dict) and (key := _wrapper(value)) is not None:
        yield from _items(document, value[key], f"{pointer}/{key}", on_warning)
    elif isinstance(value, str) and value.lstrip().startswith(("[", "{")):  # the variable's value, as a YAML text
        yield from read_entries(value, source=f"{document.source}, in the quoted text", on_warning=on_warning)
    else:
        number = next((f"registration {int(token) + 1}: " for token in pointer.split("/") if token.isdecimal()), "")

        def place_of(inner: str) -> str:
            place = document.locate(pointer + inner) or document.locate(pointer) or ()
            return f"{place_text(document.source, *place)}: {number}"

        yield Entry(value, place_of(""), place_of)


def _wrapper(value: dict[Any, Any]) -> str | None:
    """Return the key that contains the registrations, or None if the object is a registration itself."""
    for name in ("registrations", *ONE_VARIABLE):
        if name in value:
            return name
    only = next(iter(value)) if len(value) == 1 else None
    return only if isinstance(only, str) and (only == "sources" or re.fullmatch(r"[A-Z][A-Z0-9_]*", only)) else None
