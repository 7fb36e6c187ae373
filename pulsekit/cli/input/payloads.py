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
from pulsekit._documents.lines import MAX_LINE, check_line
from pulsekit.cli.input.files import MAX_FILE, STDIN, bounded_lines, is_piped, read_input, stdin
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
        documents = iter_ndjson(bounded_lines(file), source=name)
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
    before_waiting()
    while chunk := os.read(descriptor, _CHUNK):
        yield from pipe.feed(chunk)
        before_waiting()
    yield from pipe.end()


async def read_pipe() -> tuple[list[Document | DocumentError], AsyncIterator[Document | DocumentError] | None]:
    """Read stdin in a thread, without blocking the event loop.

    Returns:
        For JSON and YAML, all payloads and None. For NDJSON, an empty list and a stream, which yields each payload as
        its line arrives, and the error of each malformed line.

    Raises:
        DocumentError: Raised when the text is not JSON or YAML, or is larger than the limit.
    """
    from pulsekit.recordings.worker import Worker

    pipe = _Pipe()
    worker = Worker("read standard input")  # a daemon, so a wait for the pipe does not block the exit of the command
    descriptor = stdin().fileno()

    async def read() -> AsyncIterator[Document | DocumentError]:
        for document in first:
            yield document
        while chunk := await worker.call(lambda: os.read(descriptor, _CHUNK)):
            for document in pipe.feed(chunk):
                yield document
        for document in pipe.end():
            yield document

    while chunk := await worker.call(lambda: os.read(descriptor, _CHUNK)):
        if first := list(pipe.feed(chunk)):
            return [], read()
    return pipe.end(), None


class _Pipe:
    """A parser for a pipe. It parses each line of NDJSON at once, and buffers all other text.

    `_begun` has the parts of the current line. They are joined once, so the time is linear in the size of a line. The
    rest of a line that exceeds the limit is discarded, and the lines after it are parsed.
    """

    def __init__(self, source: str = STDIN) -> None:
        self._source = source
        self._is_ndjson: bool | None = None  # None until the first line that is not blank
        self._number = 0
        self._index = 0
        self._begun: list[bytes] = []
        self._size = 0  # bytes in `_begun`
        self._discards = False  # until the end of the line
        self._kept: list[bytes] = []
        self._kept_size = 0

    def feed(self, chunk: bytes) -> Iterator[Document | DocumentError]:
        """Yield the payloads or parse errors of the lines of NDJSON that end in the next bytes of the pipe.

        Raises:
            DocumentError: Raised when the buffered text is larger than the limit.
        """
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._begin(end)
            yield from self._end_line()
            self._discards = False
        self._begin(rest)
        if self._size > self._limit:
            yield from self._end_line()
            self._discards = True

    def end(self) -> list[Document | DocumentError]:
        """Return the payloads of the last line and of the buffered text after the end of the input.

        Raises:
            DocumentError: Raised when the text is not JSON or YAML.
        """
        last = list(self._end_line()) if self._size else []
        return last if self._is_ndjson else [*parse_documents(b"\n".join(self._kept), source=self._source)]

    def _begin(self, part: bytes) -> None:
        if not self._discards:
            self._begun.append(part)
            self._size += len(part)

    def _end_line(self) -> Iterator[Document | DocumentError]:
        if not self._discards:
            line = b"".join(self._begun)
            self._begun, self._size = [], 0
            document = self._take(line)
            if document is not None:
                yield document

    @property
    def _limit(self) -> int:
        """The maximum number of bytes of a line. It is larger for JSON, because a task graph can be one long line."""
        return MAX_LINE if self._is_ndjson else MAX_FILE

    def _take(self, line: bytes) -> Document | DocumentError | None:
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
            self._kept_size += len(line) + 1
            if self._kept_size > MAX_FILE:
                reason = f"more than {MAX_FILE >> 20} MiB that are not NDJSON; select a part of it, such as with jq"
                raise DocumentError(reason, source=self._source)
            return None
        if blank:
            return None
        index = self._index
        self._index += 1
        try:
            check_line(line, self._source, self._number)
            return parse_json(line, source=self._source, first_line=self._number, index=index)
        except DocumentError as error:
            return error


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
