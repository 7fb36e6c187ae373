r"""The payloads in the input of a command: JSON, NDJSON or YAML, from large files or an endless pipe.

Plan: a line of NDJSON is one payload, which is yielded before the next line is read. So the memory use does not depend
on the size of the input. JSON and YAML are read to the end before they are parsed. A file is recognized as NDJSON by
its suffix or, without a known suffix, by its first lines. A pipe is recognized by its first line that is not blank.

Example: the pipe `{"a": 1}\n{"a": 2}\n` is NDJSON, because its first line is a JSON object. The pipe `{\n"a": 1}` is
read to its end, because `{` alone is not.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Protocol

from pulsekit._documents.document import iter_ndjson, parse_documents, parse_json
from pulsekit.cli.input.files import MAX_FILE, MAX_LINE, STDIN, bounded_lines, is_piped, read_input, stdin
from pulsekit.errors import ConfigurationError, DocumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from pulsekit._documents.document import Document

__all__ = ["Reader", "check_given", "documents_in", "is_ndjson", "piped_documents", "read_all", "read_pipe"]

_CHUNK = 256 * 1024  # bytes of a read; a pipe returns the bytes that are available


class Reader(Protocol):
    """A consumer of the payloads of one or more files."""

    payloads: int  # the number of payloads so far, without lines that are not messages

    def begin(self) -> None:
        """Begin the next file."""

    def add(self, document: Document | DocumentError) -> None:
        """Handle a payload, or the parse error of a payload."""

    def flush(self) -> None:
        """Show all results so far. It is called before a read that may block."""


def check_given(files: Sequence[str] | None, doing: str) -> None:
    """Check that the command has files or a pipe as input.

    Raises:
        ConfigurationError: Raised when the command has neither files nor a pipe.
    """
    if not files and not is_piped():
        raise ConfigurationError(f"nothing to {doing}: add a file, or pipe jobs, as in 'pulsekit {doing} job.yml'")


def read_all(files: Sequence[str] | None, reader: Reader, doing: str) -> None:
    """Pass the payloads of files, or of stdin, to a reader.

    Raises:
        ConfigurationError: Raised when a file has no payload.
        OSError: Raised when a file cannot be read.
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
    """Yield the payloads of a file or a named pipe. If it is NDJSON, at most one line is in memory.

    If a line of NDJSON is malformed, yield its error and continue with the next line.

    Raises:
        OSError: Raised when the file cannot be read.
        DocumentError: Raised when the text is not JSON or YAML, or is larger than the limit.
    """
    with open(name, "rb") as file:  # noqa: PTH123 - an OSError shows the name as the user wrote it
        if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):  # such as a shell's <(…)
            yield from _piped(file.fileno(), name, lambda: None)
            return
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
    """Yield the payloads of stdin: for NDJSON when a line arrives, otherwise after the end of the input.

    If a line of NDJSON is malformed, yield its error and continue with the next line. `before_waiting` is called before
    each read, because a read may block forever.

    Raises:
        DocumentError: Raised when the text is not JSON or YAML, or is larger than the limit.
    """
    return _piped(stdin().fileno(), STDIN, before_waiting)


def _piped(descriptor: int, source: str, before_waiting: Callable[[], object]) -> Iterator[Document | DocumentError]:
    pipe = _Pipe(source)
    for line in _lines(descriptor, before_waiting, pipe):
        document = pipe.take(line)
        if document is not None:
            yield document
    yield from pipe.rest()


async def read_pipe() -> tuple[list[Document], AsyncIterator[Document | DocumentError] | None]:
    """Read stdin in a thread, without blocking the event loop.

    Returns:
        For JSON and YAML, all payloads and None. For NDJSON, an empty list and a stream, which yields each payload as
        its line arrives, and the error of each malformed line.

    Raises:
        DocumentError: Raised when the text is not JSON or YAML, or is larger than the limit.
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
    """A parser for the lines of a pipe. It parses each line of NDJSON at once, and buffers all other text."""

    def __init__(self, source: str = STDIN) -> None:
        self._source = source
        self._is_ndjson: bool | None = None  # None until the first line that is not blank
        self._number = 0
        self._index = 0
        self._kept: list[bytes] = []
        self._size = 0

    @property
    def limit(self) -> int:
        """The maximum number of bytes of a line. It is larger for JSON, because a task graph can be one long line."""
        return MAX_LINE if self._is_ndjson else MAX_FILE

    def take(self, line: bytes) -> Document | DocumentError | None:
        """Add the next line. For NDJSON, return its payload or its parse error, otherwise None.

        Raises:
            DocumentError: Raised when the buffered text is larger than the limit.
        """
        self._number += 1
        blank = not line or line.isspace()
        if self._is_ndjson is None and not blank:
            self._is_ndjson = len(line) <= MAX_LINE and _is_value(line)
        if not self._is_ndjson:
            self._kept.append(line)
            self._size += len(line) + 1
            if self._size > MAX_FILE:
                reason = f"more than {MAX_FILE >> 20} MiB that are not NDJSON; select a part of it, such as with jq"
                raise DocumentError(reason, source=self._source)
            return None
        if blank:
            return None
        index = self._index
        self._index += 1
        if len(line) > MAX_LINE:
            return DocumentError(f"the line has more than {MAX_LINE >> 20} MiB", source=self._source, line=self._number)
        try:
            return parse_json(line, source=self._source, first_line=self._number, index=index)
        except DocumentError as error:
            return error

    def rest(self) -> list[Document]:
        """Return the payloads of the buffered text after the end of the input.

        Raises:
            DocumentError: Raised when the text is not JSON or YAML.
        """
        return [] if self._is_ndjson else parse_documents(b"\n".join(self._kept), source=self._source)


def _lines(descriptor: int, before_waiting: Callable[[], object], pipe: _Pipe) -> Iterator[bytes]:
    """Yield the lines of a pipe without line ends. Truncate a line that exceeds the limit, and stop after it.

    `begun` has the parts of the current line. They are joined once, so the time is linear in the size of a line.
    """
    begun: list[bytes] = []
    size = 0
    before_waiting()
    while chunk := os.read(descriptor, _CHUNK):
        end, *lines = chunk.split(b"\n")
        begun.append(end)
        size += len(end)
        if lines:
            yield b"".join(begun)
            *whole, rest = lines
            yield from whole
            begun, size = [rest], len(rest)
        if size > pipe.limit:
            break
        before_waiting()
    if size:
        yield b"".join(begun)


def is_ndjson(file: BinaryIO, name: str) -> bool:
    """Return whether a file is NDJSON, by its suffix or its first lines. This changes the position in the file."""
    if name.lower().endswith((".ndjson", ".jsonl")):
        return True
    if name.lower().endswith((".yml", ".yaml")):
        return False
    lines = iter(lambda: file.readline(MAX_LINE + 1), b"")
    first = next((line for line in lines if line.strip()), b"")
    return len(first) <= MAX_LINE and any(line.strip() for line in lines) and _is_value(first)


def _is_value(line: bytes) -> bool:
    """Return whether a line is a complete JSON object."""
    if not line.lstrip(b"\xef\xbb\xbf \t").startswith(b"{"):
        return False
    try:
        parse_json(line)
    except DocumentError:
        return False
    return True
