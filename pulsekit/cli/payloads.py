"""The payloads a command is given: JSON, NDJSON or YAML, from files that may be large or a pipe that may not end."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from pulsekit.cli.inputs import MAX_FILE, MAX_LINE, STDIN, bounded_lines, read_input, stdin
from pulsekit.documents import iter_ndjson, parse_documents, parse_json
from pulsekit.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pulsekit.documents import Document

__all__ = ["documents_in", "read_pipe"]


def documents_in(name: str) -> Iterator[Document | DocumentError]:
    """Yield the payloads of a file; NDJSON in the memory of a line, however many there are.

    A line of NDJSON that cannot be read is yielded as its error, and the next one follows.

    Raises:
        OSError: the file cannot be read.
        DocumentError: the text is not JSON or YAML, or too large to be read whole.
    """
    with open(name, "rb") as file:  # noqa: PTH123 - messages show the name as it was given
        if not _is_ndjson(file, name):
            yield from parse_documents(read_input(name)[0], source=name)
            return
        file.seek(0)
        documents = iter_ndjson(bounded_lines(file, name), source=name)
        while True:
            try:
                yield next(documents)
            except StopIteration:
                return
            except DocumentError as error:
                yield error


async def read_pipe() -> tuple[list[Document], AsyncIterator[Document | DocumentError] | None]:
    """Read standard input: everything there is, or for NDJSON the payloads as they come.

    Returns:
        All payloads and None, or an empty list and a stream, in which a line that cannot be read is its error.

    Raises:
        DocumentError: the text is not JSON or YAML, or too large to be read whole.
    """
    from pulsekit.cli.streams import read_lines

    lines = read_lines(stdin(), limit=MAX_LINE)
    seen: list[bytes] = []
    size = 0
    async for line in lines:
        if line.strip() and not any(map(bytes.strip, seen)) and _is_value(line):
            return [], _stream(line, len(seen) + 1, lines)
        seen.append(line)
        size += len(line) + 1
        if size > MAX_FILE:
            raise DocumentError(f"more than {MAX_FILE >> 20} MiB that are not NDJSON", source=STDIN)
    return parse_documents(b"\n".join(seen), source=STDIN), None


async def _stream(first: bytes, number: int, lines: AsyncIterator[bytes]) -> AsyncIterator[Document | DocumentError]:
    yield parse_json(first, source=STDIN, first_line=number)
    index = 1
    async for line in lines:
        number += 1
        if not line.strip():
            continue
        if len(line) > MAX_LINE:
            yield DocumentError(f"the line has more than {MAX_LINE >> 20} MiB", source=STDIN, line=number)
            return
        try:
            yield parse_json(line, source=STDIN, first_line=number, index=index)
        except DocumentError as error:
            yield error
        index += 1


def _is_ndjson(file: BinaryIO, name: str) -> bool:
    if name.lower().endswith((".ndjson", ".jsonl")):
        return True
    if name.lower().endswith((".yml", ".yaml")):
        return False
    lines = iter(lambda: file.readline(MAX_LINE + 1), b"")
    first = next((line for line in lines if line.strip()), b"")
    return _is_value(first) and any(line.strip() for line in lines)


def _is_value(line: bytes) -> bool:
    """Tell whether a line is an object by itself."""
    if not line.lstrip(b"\xef\xbb\xbf \t").startswith(b"{"):
        return False
    try:
        parse_json(line)
    except DocumentError:
        return False
    return True
