"""Recordings: what `tail --save` writes, `replay` reads, and anybody can, in the memory of one message.

A recording is NDJSON, in a file ending in `.ndjson` or `.ndjson.gz`. It begins with a header, which says since when
which bindings were listened to; then come messages, as records with their exact bodies, and the gaps between them; at
the end stands a trailer with the number of messages and the SHA-256 of all bytes before it, uncompressed. So what was
cut off, damaged or changed is not taken for whole. Recordings may stand one behind the other in one file.

    with Recorder("jobs.ndjson.gz") as recorder:
        recorder.write([message])
        recorder.sync()                              # from here on the message may be acknowledged

    for entry in read_recording("jobs.ndjson.gz"):   # a Record or a Gap
        ...

Nothing here knows asyncio: beside an event loop, call it in a thread, one call after the other.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pulsekit._documents.nesting import is_deeper_text
from pulsekit.errors import ConfigurationError, DamagedRecording, InvalidMessage, NotOpen
from pulsekit.messages import Gap
from pulsekit.records.record import (
    dump_line,
    gap_record,
    header_record,
    is_metadata,
    is_record,
    read_gap,
    read_record,
    record_line,
    trailer_record,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import FileIO
    from types import TracebackType
    from typing import Any, BinaryIO, Literal, Self

    from pulsekit.messages import Message
    from pulsekit.records.record import Record

__all__ = ["Recorder", "read_recording"]

_MAX_LINE = 512 * 1024 * 1024  # bytes: RabbitMQ's largest message has 128 MiB, and stands in a record once or twice
_CHUNK = 64 * 1024
_MAGIC = b"\x1f\x8b"  # of gzip (RFC 1952 §2.3.1)
_GZIP = 31  # the widest window, and gzip's header and check around it (zlib.h, deflateInit2)
_LEVEL = 3  # half the work of the usual 6, for a file a quarter larger
_CUT = "the recording was cut off, or is still being written"
_NO_DISK = {errno.EINVAL, errno.ENOTSUP}  # what a pipe or a device says when it is to be synced


class Recorder:
    """Write a recording. Its `with` block, or `open` and `close`, is where it can be written to.

    What `write` was given survives the end of this process, packed by gzip only once `sync` was called; then it
    survives the end of the machine as well. When the disk is full or fails, OSError is raised and the file is closed:
    it ends with a whole line, all that was synced is in it, and if it is not packed and there is room, the trailer.

    Attributes:
        path: where it is written.
        count: messages written.
    """

    def __init__(self, path: str | Path, *, bindings: Iterable[str] = (), replace: bool = False) -> None:
        """Choose the file; nothing is touched before `open`.

        Args:
            path: ends in `.ndjson` or `.ndjson.gz`.
            bindings: what is listened to, for the header.
            replace: whether a file that is there already is written anew; else it is an error.

        Raises:
            ConfigurationError: the name ends in something else.
        """
        self.path: Path = Path(path)
        self.count: int = 0
        if not self.path.name.endswith((".ndjson", ".ndjson.gz")):
            raise ConfigurationError(f"{path}: the name of a recording ends in .ndjson or .ndjson.gz")
        self._bindings = list(bindings)
        self._mode: Literal["wb", "xb"] = "wb" if replace else "xb"
        self._packer = zlib.compressobj(_LEVEL, wbits=_GZIP) if self.path.suffix == ".gz" else None
        self._file: FileIO | None = None
        self._digest = hashlib.sha256()
        self._whole = 0  # bytes of the file that end where it may be cut off

    @property
    def closed(self) -> bool:
        """Whether it cannot be written to: not yet, not any more, or because the disk failed."""
        return self._file is None

    def open(self) -> None:
        """Make the file, and write the header.

        Raises:
            FileExistsError: it is there already, and is not to be replaced.
            OSError: it cannot be made or written.
        """
        self._file = open(self.path, self._mode, buffering=0, opener=_privately)  # noqa: SIM115 - `close` does
        self._append(_line(header_record(datetime.now(UTC), self._bindings)))
        with suppress(OSError):  # not every file system can; the name of a new file lives in its folder
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def write(self, entries: Iterable[Message | Gap]) -> None:
        """Append messages and gaps, all of them or none.

        Raises:
            OSError: the disk is full or failed; the recording is closed.
            NotOpen: it is closed already.
        """
        lines, count = [], 0
        for entry in entries:
            if isinstance(entry, Gap):
                lines.append(_line(gap_record(entry)))
            else:
                lines.append(record_line(entry, exact=True))
                count += 1
        self._append(b"".join(lines))
        self.count += count

    def sync(self) -> None:
        """Return once the disk has everything that was written; then it may be acknowledged.

        Raises:
            OSError: the disk is full or failed; the recording is closed.
            NotOpen: it is closed already.
        """
        file = self._opened()
        if self._packer is not None:
            self._put(self._packer.flush(zlib.Z_SYNC_FLUSH))
            self._whole = file.tell()
        try:
            self._reach_disk(file)
        except OSError:
            self._give_up()
            raise

    def close(self) -> None:
        """Write the trailer, sync, and close. Closing twice is fine.

        Raises:
            OSError: the disk is full or failed; what was synced before is in the file.
        """
        if self._file is None:
            return
        self._append(self._trailer())
        if self._packer is not None:
            self._put(self._packer.flush())
        file, self._file = self._file, None
        with file:
            self._reach_disk(file)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> FileIO:
        if self._file is None:
            raise NotOpen(f"the recording {self.path} is not open: use it inside its `with` block")
        return self._file

    def _append(self, lines: bytes) -> None:
        self._opened()
        self._put(lines if self._packer is None else self._packer.compress(lines))
        self._digest.update(lines)
        if self._packer is None:
            self._whole += len(lines)

    def _put(self, data: bytes) -> None:
        file, rest = self._opened(), memoryview(data)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            self._give_up()
            raise self._named(error) from error
        except BaseException:  # an interruption leaves a part of a line
            self._give_up()
            raise

    def _reach_disk(self, file: FileIO) -> None:
        try:
            os.fsync(file)
        except OSError as error:
            if error.errno not in _NO_DISK:
                raise self._named(error) from error

    def _give_up(self) -> None:
        """Cut off what is not whole, end with the trailer what can be read without it, and close."""
        file, self._file = self._opened(), None
        with suppress(OSError), file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return
            file.seek(file.truncate(self._whole))
            trailer = self._trailer()
            if self._packer is None and file.write(trailer) < len(trailer):
                file.truncate(self._whole)

    def _trailer(self) -> bytes:
        return _line(trailer_record(self.count, self._digest.hexdigest()))

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, error.strerror, str(self.path))


def read_recording(path: str | Path) -> Iterator[Record | Gap]:
    """Read messages and gaps, one after the other, in the order they were written.

    NDJSON that was not written by a `Recorder`, such as the output of `tail`, is read as well; that it is whole cannot
    be known. Whether the file is compressed is seen from its first bytes.

    Raises:
        DamagedRecording: where it was cut off, damaged or changed, after everything before that place.
        OSError: it cannot be read.
    """
    check = _Check(str(path))
    with Path(path).open("rb") as file:
        packed = file.peek(len(_MAGIC)).startswith(_MAGIC)
        try:
            for line in _lines(_unpacked(file) if packed else iter(lambda: file.read(_CHUNK), b"")):
                entry = check.read(line)
                if entry is not None:
                    yield entry
            check.end()
        except zlib.error as error:
            raise check.damage(f"what gzip packed is damaged here ({error})") from error
        except (EOFError, ValueError, InvalidMessage) as error:
            raise check.damage(str(error)) from error


class _Check:
    """Read the lines of a recording, and hold it to its trailer."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._lines = 0
        self._messages = 0
        self._count = 0  # messages since the last header
        self._digest = hashlib.sha256()
        self._recorded = self._ended = False

    def read(self, line: bytes) -> Record | Gap | None:
        """Return what is on a line, None when it is neither a message nor a gap.

        Raises:
            ValueError: the line cannot be, or not at this place.
            InvalidMessage: the record cannot be read.
        """
        entry = self._entry(_read_json(line)) if line.strip() else None
        self._digest.update(line)
        self._lines += 1
        return entry

    def end(self) -> None:
        """Hold a recording to having a trailer.

        Raises:
            EOFError: it has none.
        """
        if self._recorded and not self._ended:
            raise EOFError(f"the trailer is missing: {_CUT}")

    def damage(self, reason: str) -> DamagedRecording:
        """Return the error for the next line."""
        return DamagedRecording(reason, source=self._source, line=self._lines + 1, count=self._messages)

    def _entry(self, value: Any) -> Record | Gap | None:
        kind = value["type"] if is_metadata(value) else "message" if is_record(value) else None
        if kind is None:
            raise ValueError("this line is JSON, but no record of a message")
        if kind == "header":
            if self._recorded and not self._ended:
                raise ValueError("a recording begins here, but the one before has no trailer")
            self._recorded, self._ended = True, False
            self._count, self._digest = 0, hashlib.sha256()
        elif self._ended:
            raise ValueError("this line stands behind the trailer")
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
            raise ValueError(f"the trailer counts {trailer.get('count')} messages, but {self._count} are there")
        if trailer.get("sha256") != self._digest.hexdigest():
            raise ValueError("the lines before the trailer are not those that were recorded (SHA-256)")


def _read_json(line: bytes) -> Any:
    if is_deeper_text(line):
        raise ValueError("this line is nested too deeply")
    try:
        return json.loads(line.decode())
    except ValueError as error:
        if not line.endswith(b"\n"):
            raise EOFError(f"the file ends within this line: {_CUT}") from None
        raise ValueError(f"this line is not JSON: {error}") from error


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
    """Yield what gzip packed, up to the very byte where it is damaged."""
    unpacker = None
    while data := file.read(_CHUNK):
        while data:
            unpacker = unpacker or zlib.decompressobj(_GZIP)
            before = unpacker.copy()
            try:
                yield unpacker.decompress(data, _CHUNK)
            except zlib.error:
                for at in range(len(data)):
                    yield before.decompress(data[at : at + 1])
                raise
            data, unpacker = (unpacker.unused_data, None) if unpacker.eof else (unpacker.unconsumed_tail, unpacker)
    if unpacker is not None:
        raise EOFError(f"what gzip packed has no end: {_CUT}")


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines with their ends; the last may lack it."""
    begun: list[bytes] = []
    for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for end in whole:
            yield b"".join((*begun, end, b"\n"))
            begun.clear()
        begun.append(rest)
        if sum(map(len, begun)) > _MAX_LINE:
            raise ValueError(f"this line has more than {_MAX_LINE >> 20} MiB")
    if last := b"".join(begun):
        yield last


def _privately(path: str, flags: int) -> int:
    """Make a file for its owner alone: what a message says may not be for everybody on this machine."""
    file = os.open(path, flags, 0o600)
    if stat.S_ISREG(os.fstat(file).st_mode):
        with suppress(OSError):  # one that is replaced may be somebody else's
            os.fchmod(file, 0o600)
    return file


def _line(value: Any) -> bytes:
    return dump_line(value).encode() + b"\n"
