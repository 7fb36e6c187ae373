"""Write a recording: a file of messages and gaps, which `tail --save` writes and `replay` reads.

A recording is NDJSON, in a file ending in `.ndjson` or `.ndjson.gz`. Its lines are

    {"v":1,"type":"header","began":"2026-11-23T18:00:00.000Z","bindings":["exchange/me/v1/jobs:#"]}
    {"v":1,"exchange":"exchange/me/v1/jobs","routing_key":"treeherder.try._",…,"payload":{…},"body":"…"}
    {"v":1,"type":"gap","from":"…","to":"…","seconds":2.0,"lossy":true,"epoch":2}
    {"v":1,"type":"trailer","count":1,"sha256":"…"}

The trailer has the number of messages and the SHA-256 of all uncompressed bytes before it, so a reader detects a
truncated, damaged or changed recording. A file may contain several recordings.

    with Recorder("jobs.ndjson.gz") as recorder:
        recorder.write([message])
        recorder.sync()                              # from here on the message may be acknowledged

All calls block. In a program with an event loop, make them in a thread, one after the other.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pulsekit.errors import ConfigurationError, NotOpen
from pulsekit.messages import Gap
from pulsekit.records.record import dump_line, gap_record, header_record, record_line, trailer_record

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import FileIO
    from types import TracebackType
    from typing import Any, Literal, Self

    from pulsekit.messages import Message

__all__ = ["Recorder"]

_GZIP = 31  # the widest window, and gzip's header and check around it (zlib.h, deflateInit2)
_LEVEL = 3  # half the time of the default 6, for a file that is a quarter larger
_NO_DISK = {errno.EINVAL, errno.ENOTSUP}  # errors of fsync on a pipe or a device


class Recorder:
    """A writer of a recording, inside its `with` block or between `open` and `close`.

    After `write`, messages survive the end of this process; in a compressed file only after `sync`. After `sync`, they
    also survive the end of the machine. If the disk is full or fails, OSError is raised and the file is closed. It then
    ends with a complete line, has all synced messages and, if it is not compressed and there is space, the trailer.

    The invariant: the first `_whole` bytes of the file can be read. They end with a complete line, in a compressed file
    with a flushed block. `_give_up` truncates the file there.

    Attributes:
        path: the file.
        count: the number of messages.
    """

    def __init__(self, path: str | Path, *, bindings: Iterable[str] = (), replace: bool = False) -> None:
        """Create a recorder. `open` creates the file.

        Args:
            path: the file, which ends in `.ndjson` or `.ndjson.gz`.
            bindings: the bindings of the subscription, for the header.
            replace: whether an existing file is overwritten; otherwise it is an error.

        Raises:
            ConfigurationError: Raised when the name has another suffix.
        """
        self.path: Path = Path(path)
        self.count: int = 0
        if not self.path.name.endswith((".ndjson", ".ndjson.gz")):
            raise ConfigurationError(f"{path}: the name of a recording must end in .ndjson or .ndjson.gz")
        self._bindings = list(bindings)
        self._mode: Literal["wb", "xb"] = "wb" if replace else "xb"
        self._packer = zlib.compressobj(_LEVEL, wbits=_GZIP) if self.path.suffix == ".gz" else None
        self._file: FileIO | None = None
        self._digest = hashlib.sha256()
        self._whole = 0  # bytes up to which the file is complete

    @property
    def closed(self) -> bool:
        """Whether the recording is closed: before `open`, after `close`, or because the disk failed."""
        return self._file is None

    def open(self) -> None:
        """Create the file, and write the header.

        Raises:
            FileExistsError: Raised when the file exists, and is not to be replaced.
            OSError: Raised when the file cannot be created or written.
        """
        self._file = open(self.path, self._mode, buffering=0, opener=_privately)  # noqa: SIM115 - `close` does
        self._append(_line(header_record(datetime.now(UTC), self._bindings)))
        with suppress(OSError):  # some file systems cannot sync the folder, which has the name of the new file
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def write(self, entries: Iterable[Message | Gap]) -> None:
        """Append messages and gaps, all of them or none.

        Raises:
            OSError: Raised when the disk is full or failed. The recording is closed.
            NotOpen: Raised when the recording is closed.
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
        """Sync the file. Afterwards, all written messages are on the disk and may be acknowledged.

        Raises:
            OSError: Raised when the disk is full or failed. The recording is closed.
            NotOpen: Raised when the recording is closed.
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
            OSError: Raised when the disk is full or failed. All synced messages are in the file.
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
        except BaseException:  # an interruption can leave a partial line
            self._give_up()
            raise

    def _reach_disk(self, file: FileIO) -> None:
        try:
            os.fsync(file)
        except OSError as error:
            if error.errno not in _NO_DISK:
                raise self._named(error) from error

    def _give_up(self) -> None:
        """Truncate the file where it is complete, write the trailer if it is not compressed, and close it."""
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


def _privately(path: str, flags: int) -> int:
    """Create a file that only its owner can read, because messages may be confidential."""
    file = os.open(path, flags, 0o600)
    if stat.S_ISREG(os.fstat(file).st_mode):
        with suppress(OSError):  # a replaced file may belong to another user
            os.fchmod(file, 0o600)
    return file


def _line(value: Any) -> bytes:
    return dump_line(value).encode() + b"\n"
