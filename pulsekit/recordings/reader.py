"""Read a recording, with at most one message in memory. `recorder` describes the format.

    for entry in read_recording("jobs.ndjson.gz"):   # a Record or a Gap
        ...

The plan: bytes of the file become chunks (`_unpacked` decompresses gzip), chunks become lines (`_lines`), and
`_Check` turns each line into an entry. Every stage yields everything before the first damage, so the caller gets
all complete messages, and then `DamagedRecording` with the number of the line. No line is read ahead.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from codecs import BOM_UTF8
from pathlib import Path
from typing import TYPE_CHECKING

from pulsekit._documents.payloads import load_json
from pulsekit.errors import DamagedRecording, InvalidMessage
from pulsekit.records.record import is_metadata, is_record, read_gap, read_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from typing import Any, BinaryIO

    from pulsekit.messages import Gap
    from pulsekit.records.record import Record

__all__ = ["is_gzip", "read_recording"]

_MAX_LINE = 512 * 1024 * 1024  # bytes: RabbitMQ's largest message has 128 MiB, and a record contains it once or twice
_CHUNK = 64 * 1024
_FIRST = 256  # bytes of a gzip member that zlib gets first
_MAGIC = b"\x1f\x8b"  # of gzip (RFC 1952 §2.3.1)
_GZIP = 31  # the widest window, and gzip's header and check around it (zlib.h, inflateInit2)
_CUT = "the recording is truncated, or is still being written"


def read_recording(path: str | Path) -> Iterator[Record | Gap]:
    """Yield messages and gaps in the order of the file. `isinstance(entry, Record)` selects the messages.

    NDJSON without a header, such as the output of `tail`, is also accepted, but a missing end is not detected. A
    download of Pulse Inspector, which is a JSON list of records, is also accepted. The first bytes of the file decide
    whether it is compressed.

    Raises:
        DamagedRecording: Raised when the file was truncated, damaged or changed, once all entries before the damage
            were yielded.
        OSError: Raised when the file cannot be read.
    """
    check = _Check(str(path))
    with Path(path).open("rb") as file:
        try:
            lines = _lines(_unpacked(file) if _begins_with_magic(file) else iter(lambda: file.read(_CHUNK), b""))
            for line in _one_record_a_line(lines):
                entry = check.read(line)
                del line  # a large one would stay in memory while the caller uses the entry
                if entry is not None:
                    yield entry
            check.end()
        except zlib.error as error:
            raise check.damage(f"the gzip data is damaged here ({error})") from error
        except (EOFError, ValueError, InvalidMessage) as error:
            raise check.damage(str(error)) from error


def is_gzip(path: str | Path) -> bool:
    """Return whether a file is gzip, by its first bytes.

    Raises:
        OSError: Raised when the file cannot be read.
    """
    with Path(path).open("rb") as file:
        return _begins_with_magic(file)


def _begins_with_magic(file: BufferedReader) -> bool:
    return file.peek(len(_MAGIC)).startswith(_MAGIC)


class _Check:
    """A parser of lines, which also checks a recording by its trailer.

    States: no recording so far (`_recorded` is false: any record is accepted), inside a recording (after a header), and
    after a trailer (`_ended`: only the header of another recording may follow). `_count` and `_digest` cover the lines
    since the last header, so `header record record trailer` ends when the trailer has count 2 and the digest of the
    three lines before it.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._lines = 0
        self._messages = 0
        self._count = 0  # messages since the last header
        self._digest = hashlib.sha256()
        self._recorded = self._ended = False

    def read(self, line: bytes) -> Record | Gap | None:
        """Return the entry of a line, or None for a header, a trailer or a blank line.

        Raises:
            EOFError: Raised when the file ends within the line.
            ValueError: Raised when the line is not a record, or cannot follow the previous lines.
            InvalidMessage: Raised when the record cannot be read.
        """
        entry = self._entry(_read_json(line)) if line.strip() else None
        self._digest.update(line)
        self._lines += 1
        return entry

    def end(self) -> None:
        """Check that the last recording has a trailer.

        Raises:
            EOFError: Raised when the last recording has no trailer.
        """
        if self._recorded and not self._ended:
            raise EOFError(f"the trailer is missing: {_CUT}")

    def damage(self, reason: str) -> DamagedRecording:
        """Return the error for the next line."""
        return DamagedRecording(reason, source=self._source, line=self._lines + 1, count=self._messages)

    def _entry(self, value: Any) -> Record | Gap | None:
        kind = value["type"] if is_metadata(value) else "message" if is_record(value) else None
        if kind is None:
            raise ValueError("this line is JSON, but not a record of a message")
        if kind == "header":
            if self._recorded and not self._ended:
                raise ValueError("a recording begins here, but the previous one has no trailer")
            self._recorded, self._ended = True, False
            self._count, self._digest = 0, hashlib.sha256()
        elif self._ended:
            raise ValueError("this line is after the trailer")
        if kind == "trailer":
            self._compare(value)
            self._ended = True
        if kind == "gap":
            return read_gap(value)
        if kind != "message":
            return None
        record = read_record(value)
        self._count += 1
        self._messages += 1
        return record

    def _compare(self, trailer: dict[str, Any]) -> None:
        if trailer.get("count") != self._count:
            raise ValueError(
                f"the trailer has the count {trailer.get('count')}, but the recording has {self._count} messages"
            )
        if trailer.get("sha256") != self._digest.hexdigest():
            raise ValueError("the lines before the trailer were changed (SHA-256)")


def _read_json(line: bytes) -> Any:
    try:
        return load_json(line)
    except RecursionError:
        raise ValueError("this line is nested too deeply") from None
    except ValueError as error:
        if not line.endswith(b"\n"):
            raise EOFError(f"the file ends within this line: {_CUT}") from None
        raise ValueError(f"this line is not JSON: {error}") from error


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
    """Decompress gzip (RFC 1952), and yield every byte before the first damage.

    A file may contain several gzip members, as `cat a.gz b.gz` produces. zlib copies all input after the end of a
    member. So a decompressor first gets a short piece of the chunk, and then pieces of doubled size. So the time is
    linear in the size of the file, even if it has many short members.

    If a piece is damaged, zlib returns none of its data. So each decompressor is copied before a call. After an error,
    the copy decompresses the piece byte by byte, up to the damaged byte.
    """
    unpacker, step = None, _FIRST
    while data := file.read(_CHUNK):
        at = 0
        while at < len(data):
            if unpacker is None:
                unpacker, step = zlib.decompressobj(_GZIP), _FIRST
            piece = data[at : at + step]
            before = unpacker.copy()
            try:
                yield unpacker.decompress(piece, _CHUNK)
            except zlib.error:
                for one in range(len(piece)):
                    yield before.decompress(piece[one : one + 1])
                raise
            at += len(piece) - len(unpacker.unused_data) - len(unpacker.unconsumed_tail)
            step = min(2 * step, _CHUNK)
            if unpacker.eof:
                unpacker = None
    if unpacker is not None:
        raise EOFError(f"the gzip data has no end: {_CUT}")


def _one_record_a_line(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines without a byte order mark, or the elements of a JSON list on the first line that is not blank.

    Raises:
        ValueError: Raised when the list is not JSON, or is larger than the longest line.
    """
    first = next(lines, b"").removeprefix(BOM_UTF8)  # of an editor
    while first.isspace():
        yield first
        first = next(lines, b"")
    if not first.lstrip().startswith(b"["):
        yield first
        yield from lines
        return
    size, parts = 0, [first]
    for line in lines:
        parts.append(line)
        size = _checked_size(size + len(line), "list")
    listed = _read_json(b"".join(parts))
    yield from (json.dumps(item).encode() + b"\n" for item in (listed if isinstance(listed, list) else [listed]))


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    r"""Yield lines with their line ends. The last line may have none.

    `begun` has the pieces of the current line, without a newline. They are joined once, when the line ends, so the time
    is linear in the size of a line. Example: b'{"a"' and b':1}\n{"b"' yield b'{"a":1}\n', and b'{"b"' is kept.
    """
    begun: list[bytes] = []
    size = 0
    for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for end in whole:
            begun += (end, b"\n")
            line = b"".join(begun)
            begun.clear()
            size = 0
            yield line
            del line
        if rest:
            begun.append(rest)
            size = _checked_size(size + len(rest), "line")
    if begun:
        yield b"".join(begun)


def _checked_size(size: int, what: str) -> int:
    if size > _MAX_LINE:
        raise ValueError(f"this {what} has more than {_MAX_LINE >> 20} MiB")
    return size
