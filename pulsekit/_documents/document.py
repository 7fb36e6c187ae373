"""Read JSON, NDJSON and YAML strictly into plain values, and find the position of each value in the text.

`json_reader` reads JSON, `yaml_reader` YAML. This module selects the reader, and has the parts that both share.
Positions in JSON are computed on request. No function here opens a file.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from pulsekit._documents.json_reader import read_json
from pulsekit._documents.lines import check_line
from pulsekit._documents.values import pointer_tokens
from pulsekit.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pulsekit._documents.values import JSON

    # Tokens of a JSON pointer → (line, column) of the value, or of the nearest existing value around it; None for
    # a value that is not from the text.
    Locate: TypeAlias = Callable[[Sequence[str]], tuple[int, int] | None]

__all__ = [
    "Document",
    "decode_text",
    "iter_ndjson",
    "parse_documents",
    "parse_documents_of_yaml",
    "parse_json",
    "parse_yaml",
]


@dataclass(frozen=True, slots=True)
class Document:
    """A value that was parsed from text, with the position of each of its parts.

    Attributes:
        value: the value: dict, list, str, int, float, bool or None.
        source: the file name, or `<stdin>`.
        index: the number of the document in its source, from 0.
    """

    value: JSON
    source: str
    index: int
    _locate: Locate
    _base: tuple[str, ...] = ()

    def locate(self, pointer: str) -> tuple[int, int] | None:
        """Return line and column (from 1, in characters) of the value at a JSON pointer (RFC 6901).

        If the value does not exist, return the position of the nearest value that encloses the pointer. If the text is
        not a pointer, return None.
        """
        tokens = pointer_tokens(pointer)
        return None if tokens is None else self._locate([*self._base, *tokens])

    def place(self, pointer: str) -> tuple[int, int] | tuple[None, None]:
        """Return the result of `locate`, or (None, None)."""
        return self.locate(pointer) or (None, None)

    def child(self, key: str | int) -> Document:
        """Return one member of this object or list as a document with its positions.

        Raises:
            KeyError, IndexError: Raised when the member does not exist.
            TypeError: Raised when the value is a number, a boolean or None, or when it is a list and the key is a name.
        """
        value: Any = self.value
        return Document(value[key], self.source, self.index, self._locate, (*self._base, str(key)))

    def changed(self, value: JSON, made: Callable[[Sequence[str]], bool]) -> Document:
        """Return the document with another value.

        `made` gets the tokens of a pointer, and returns whether the value there has no position because it is not from
        the text.
        """
        base, locate = len(self._base), self._locate

        def place(tokens: Sequence[str]) -> tuple[int, int] | None:
            return None if made(tokens[base:]) else locate(tokens)

        return replace(self, value=value, _locate=place)


def parse_json(text: str | bytes, *, source: str = "", first_line: int = 1, index: int = 0) -> Document:
    """Parse one JSON value as Treeherder does: see `json_reader`.

    Args:
        text: the text; bytes are UTF-8, with or without a byte order mark.
        source: the file name, for errors.
        first_line: the number of the first line of `text` in its file.
        index: the number of the document in its file, from 0.

    Raises:
        DocumentError: Raised when the text is not JSON, not UTF-8, is nested too deeply, or has a duplicate key or an
            integer that is too long.
    """
    value, places = read_json(decode_text(text, source, first_line), source=source, first_line=first_line)
    return Document(value, source, index, places.locate)


def parse_yaml(text: str | bytes, *, source: str = "", shared: bool = False) -> Document:
    """Parse one YAML 1.2 document strictly: see `yaml_reader`.

    Args:
        text: the text; bytes are UTF-8.
        source: the file name, for errors.
        shared: allow anchors, aliases and merge keys, and read words such as `yes` as PyYAML does.

    Raises:
        DocumentError: Raised when the text is not such YAML, or does not have exactly one document.
    """
    documents = _parse_yaml_stream(decode_text(text, source), source, shared=shared)
    if not documents:
        raise DocumentError("the text contains no YAML document", source=source, line=1, column=1)
    if len(documents) > 1:
        line, column = documents[1].place("")
        reason = f"the text contains {len(documents)} YAML documents; write exactly one"
        raise DocumentError(reason, source=source, line=line, column=column)
    return documents[0]


def parse_documents_of_yaml(text: str | bytes, *, source: str = "") -> list[Document]:
    """Return the documents of a text in YAML 1.2, or none if it has no values. `yaml_reader` describes the limits.

    Raises:
        DocumentError: Raised when the text is not such YAML.
    """
    return _parse_yaml_stream(decode_text(text, source), source)


def parse_documents(text: str | bytes, *, source: str = "") -> list[Document]:
    """Parse the complete content of a file or a pipe: one value, a list of values, NDJSON, or YAML.

    The suffix of `source` decides the format (`.json`, `.ndjson`, `.jsonl`, `.yml`, `.yaml`). With another suffix, a
    text that begins with a brace or a bracket is JSON, and any other text is YAML. If the first line is a complete
    value and more lines follow, JSON is read as NDJSON. A list at the top gives one document for each element, with
    positions in the complete text. A blank text gives no document.

    Raises:
        DocumentError: Raised when a part of the text cannot be parsed. No document is returned.
    """
    text = decode_text(text, source)
    if not text.strip():
        return []
    suffix = source[source.rfind(".") :].lower() if "." in source else ""
    if suffix in {".ndjson", ".jsonl"}:
        return list(iter_ndjson(text.split("\n"), source=source))
    if suffix in {".yml", ".yaml"} or (suffix != ".json" and not text.lstrip().startswith(("{", "["))):
        found = _parse_yaml_stream(text, source)
    elif _is_ndjson(text):
        return list(iter_ndjson(text.split("\n"), source=source))
    else:
        found = [parse_json(text, source=source)]
    if len(found) == 1 and isinstance(found[0].value, list):
        found = [found[0].child(position) for position in range(len(found[0].value))]
    return [replace(one, index=index) for index, one in enumerate(found)]


def iter_ndjson(lines: Iterable[bytes | str], *, source: str = "") -> Iterator[Document]:
    """Parse NDJSON as it arrives: one document for each line that is not blank.

    At most one line is in memory. After an error, the iterator continues with the next line.

    Args:
        lines: the lines, such as a file opened in binary mode.
        source: the file name, for errors.

    Raises:
        DocumentError: Raised by `next` when a line cannot be parsed. The error has the number of the line.
    """

    def parse(numbered: tuple[int, tuple[int, bytes | str]]) -> Document:
        index, (number, line) = numbered
        check_line(line, source, number)
        return parse_json(line, source=source, first_line=number, index=index)

    # Unlike a generator, map continues after the exception of one line.
    return map(parse, enumerate((number, line) for number, line in enumerate(lines, 1) if line.strip()))


_HINTS = dict.fromkeys((b"\xff\xfe", b"\xfe\xff"), "; it looks like UTF-16: save it as UTF-8")
_HINTS[b"\x1f\x8b"] = "; it is gzip: pipe the output of 'gunzip -c FILE', or use replay"  # RFC 1952 §2.3.1


def decode_text(text: str | bytes, source: str, first_line: int = 1) -> str:
    """Return a text, or decode UTF-8, without a byte order mark.

    Raises:
        DocumentError: Raised when the bytes are not UTF-8. The error has the position, and a hint for UTF-16 and gzip.
    """
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    data = text.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        hint = _HINTS.get(text[:2], "")
        raise DocumentError(
            f"byte 0x{data[error.start]:02x} at offset {error.start + len(text) - len(data)} is not UTF-8{hint}",
            source=source,
            line=first_line + before.count("\n"),
            column=len(before) - before.rfind("\n"),
        ) from None


def _is_ndjson(text: str) -> bool:
    """Return whether the first line is a complete value and more lines follow."""
    first, _, rest = text.lstrip().partition("\n")
    if not rest.strip():
        return False
    try:
        parse_json(first)
    except DocumentError:
        return False
    return True


def _parse_yaml_stream(text: str, source: str, *, shared: bool = False) -> list[Document]:
    from pulsekit._documents.yaml_reader import read_yaml  # imported late: ruamel.yaml takes 30 ms

    found = read_yaml(text, source=source, shared=shared)
    return [Document(value, source, index, place.locate) for index, (value, place) in enumerate(found)]
