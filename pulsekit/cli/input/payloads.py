"""The payloads a command is given: JSON, NDJSON or YAML, from files that may be large or a pipe that may not end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, Protocol

from pulsekit._documents.document import iter_ndjson, parse_documents, parse_json
from pulsekit.cli.input.files import MAX_FILE, MAX_LINE, STDIN, bounded_lines, is_piped, read_input, stdin
from pulsekit.errors import ConfigurationError, DocumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from pulsekit._documents.document import Document

__all__ = ["Reader", "check_given", "documents_in", "is_ndjson", "piped_documents", "read_all", "read_pipe"]

_CHUNK = 256 * 1024  # bytes read at once; a pipe gives what it has


class Reader(Protocol):
    """Take the payloads of files one after the other.

    Attributes:
        payloads: how many counted.
    """

    payloads: int

    def begin(self) -> None:
        """Begin a file."""

    def add(self, document: Document | DocumentError) -> None:
        """Take a payload, or the error of one that cannot be read."""

    def flush(self) -> None:
        """Show what is known, before more is waited for."""


def check_given(files: Sequence[str] | None, doing: str) -> None:
    """Let pass when there are files or a pipe to read.

    Raises:
        ConfigurationError: there are none.
    """
    if not files and not is_piped():
        raise ConfigurationError(f"nothing to {doing}: name a file or pipe jobs in, as in 'pulsekit {doing} job.yml'")


def read_all(files: Sequence[str] | None, reader: Reader, doing: str) -> None:
    """Give a reader the payloads of files, or of standard input.

    Raises:
        ConfigurationError: one holds no payload.
        OSError: one cannot be read.
    """
    for name in files or ["-"]:
        before = reader.payloads
        reader.begin()
        try:
            for document in piped_documents(reader.flush) if name == "-" else documents_in(name):
                reader.add(document)
        except DocumentError as error:
            reader.add(error)
        if reader.payloads == before:
            raise ConfigurationError(f"nothing to {doing}: {STDIN if name == '-' else name} is empty")


def documents_in(name: str) -> Iterator[Document | DocumentError]:
    """Yield the payloads of a file; NDJSON in the memory of a line, however many there are.

    A line of NDJSON that cannot be read is yielded as its error, and the next one follows.

    Raises:
        OSError: the file cannot be read.
        DocumentError: the text is not JSON or YAML, or too large to be read whole.
    """
    with open(name, "rb") as file:  # noqa: PTH123 - messages show the name as it was given
        if not is_ndjson(file, name):
            yield from parse_documents(read_input(name)[0], source=name)
            return
        file.seek(0)
        documents = iter_ndjson(bounded_lines(file, name), source=name)
        while True:
            try:
                yield from documents
            except DocumentError as error:
                yield error
            else:
                return


def piped_documents(before_waiting: Callable[[], object]) -> Iterator[Document | DocumentError]:
    """Yield the payloads of standard input: of NDJSON as they come, else when it has ended.

    A line of NDJSON that cannot be read is yielded as its error, and the next one follows.

    Args:
        before_waiting: called each time before more is read, which may take for ever.

    Raises:
        DocumentError: the text is not JSON or YAML, or too large to be read whole.
    """
    pipe = _Pipe()
    for line in _lines(stdin().fileno(), before_waiting):
        document = pipe.take(line)
        if document is not None:
            yield document
    yield from pipe.rest()


async def read_pipe() -> tuple[list[Document], AsyncIterator[Document | DocumentError] | None]:
    """Read standard input beside the event loop: everything there is, or for NDJSON the payloads as they come.

    Returns:
        All payloads and None, or an empty list and a stream, in which a line that cannot be read is its error.

    Raises:
        DocumentError: the text is not JSON or YAML, or too large to be read whole.
    """
    from pulsekit.cli.output.streams import read_lines

    pipe = _Pipe()
    lines = read_lines(stdin(), limit=MAX_LINE)
    async for line in lines:
        first = pipe.take(line)
        if first is not None:
            return [], _stream(first, pipe, lines)
    return pipe.rest(), None


async def _stream(
    first: Document | DocumentError, pipe: _Pipe, lines: AsyncIterator[bytes]
) -> AsyncIterator[Document | DocumentError]:
    yield first
    async for line in lines:
        document = pipe.take(line)
        if document is not None:
            yield document


class _Pipe:
    """Tell NDJSON by its first line that is not blank, and read its lines as they come; keep all other text."""

    def __init__(self) -> None:
        self._is_ndjson: bool | None = None  # not known yet
        self._number = 0
        self._index = 0
        self._kept: list[bytes] = []
        self._size = 0

    def take(self, line: bytes) -> Document | DocumentError | None:
        """Take the next line, and return its payload if it is known to be one.

        Raises:
            DocumentError: there is too much text to be kept.
        """
        self._number += 1
        blank = not line or line.isspace()
        if self._is_ndjson is None and not blank:
            self._is_ndjson = _is_value(line)
        if not self._is_ndjson:
            self._kept.append(line)
            self._size += len(line) + 1
            if self._size > MAX_FILE:
                raise DocumentError(f"more than {MAX_FILE >> 20} MiB that are not NDJSON", source=STDIN)
            return None
        if blank:
            return None
        index = self._index
        self._index += 1
        if len(line) > MAX_LINE:
            return DocumentError(f"the line has more than {MAX_LINE >> 20} MiB", source=STDIN, line=self._number)
        try:
            return parse_json(line, source=STDIN, first_line=self._number, index=index)
        except DocumentError as error:
            return error

    def rest(self) -> list[Document]:
        """Return the payloads of the text that was kept, now that it has ended.

        Raises:
            DocumentError: it is not JSON or YAML.
        """
        return [] if self._is_ndjson else parse_documents(b"\n".join(self._kept), source=STDIN)


def _lines(descriptor: int, before_waiting: Callable[[], object]) -> Iterator[bytes]:
    """Yield the lines of a pipe without their ends; one that is too long is the last, and cut."""
    rest = b""
    before_waiting()
    while chunk := os.read(descriptor, _CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > MAX_LINE:
            break
        before_waiting()
    if rest:
        yield rest


def is_ndjson(file: BinaryIO, name: str) -> bool:
    """Tell by its name, else by its first lines, whether a file is to be read line by line; it must be rewound then."""
    if name.lower().endswith((".ndjson", ".jsonl")):
        return True
    if name.lower().endswith((".yml", ".yaml")):
        return False
    lines = iter(lambda: file.readline(MAX_LINE + 1), b"")
    first = next((line for line in lines if line.strip()), b"")
    return any(line.strip() for line in lines) and _is_value(first)


def _is_value(line: bytes) -> bool:
    """Tell whether a line is an object by itself."""
    if not line.lstrip(b"\xef\xbb\xbf \t").startswith(b"{"):
        return False
    try:
        parse_json(line)
    except DocumentError:
        return False
    return True
