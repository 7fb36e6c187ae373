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
import fcntl
import hashlib
import os
import secrets
import stat
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pulsekit.errors import ConfigurationError, NotOpen
from pulsekit.messages import Gap
from pulsekit.recordings.links import end_of_links
from pulsekit.records.record import dump_line, gap_record, header_record, record_parts, trailer_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import FileIO
    from types import TracebackType
    from typing import Any, BinaryIO, Self

    from pulsekit.messages import Message

__all__ = ["Recorder"]

_GZIP = 31  # the widest window, and gzip's header and check around it (zlib.h, deflateInit2)
_LEVEL = 3  # half the time of the default 6, for a file that is a quarter larger
_BLOCK = 1024 * 1024  # bytes of lines that are written at once
_NO_DISK = {errno.EINVAL, errno.ENOTSUP}  # errors of fsync on a pipe or a device


class Recorder:
    """A writer of a recording, inside its `with` block or between `open` and `close`.

    After `write`, messages survive the end of this process, but in a compressed file only after `sync`. After `sync`,
    they also survive a crash of the machine. If the disk is full or fails, OSError is raised and the file is closed.
    The file then ends with a complete line, has all synced messages and, if it is not compressed and there is space,
    the trailer.

    The file is locked (`flock`) until it is closed. A recording is replaced in one step, by a file with a header.
    `sync` and `close` raise OSError if another program deleted, renamed, replaced or changed the file.

    The invariant: the first `_whole` bytes of the file can be read. They end with a complete line, or in a compressed
    file, with a flushed block. `_give_up` truncates the file to these bytes.

    Attributes:
        path: the file.
        count: the number of messages.
        lost: whether another program deleted, renamed, replaced or changed the file.
    """

    def __init__(self, path: str | Path, *, bindings: Iterable[str] = (), replace: bool = False) -> None:
        """Create a recorder. `open` creates the file.

        Args:
            path: the file, which ends in `.ndjson` or `.ndjson.gz`.
            bindings: the bindings of the subscription, for the header.
            replace: whether an existing file is replaced. Otherwise, it is an error.

        Raises:
            ConfigurationError: Raised when the name has another suffix.
        """
        self.path: Path = Path(path)
        self.count: int = 0
        self.lost: bool = False
        if not self.path.name.endswith((".ndjson", ".ndjson.gz")):
            raise ConfigurationError(f"{path}: the name of a recording must end in .ndjson or .ndjson.gz")
        self._bindings = list(bindings)
        self._replace = replace
        self._place = self.path  # absolute from `open` on, because the process can change its folder
        self._packer = zlib.compressobj(_LEVEL, wbits=_GZIP) if self.path.suffix == ".gz" else None
        self._file: FileIO | None = None
        self._digest = hashlib.sha256()
        self._written = 0  # bytes
        self._whole = 0  # bytes up to which the file is complete

    @property
    def closed(self) -> bool:
        """Whether the recording is closed: before `open`, after `close`, or after an error of the disk."""
        return self._file is None

    def check(self) -> None:
        """Check that the path can have a recording.

        Raises:
            ConfigurationError: Raised when the path is a FIFO, which stores nothing, or a link to a missing file.
        """
        if self.path.is_fifo():
            raise ConfigurationError(f"{self.path} is a FIFO, which stores no recording: use 'tail -o ndjson > FIFO'")
        if self.path.is_symlink() and not self.path.exists():
            raise ConfigurationError(f"{self.path} is a link to a file that does not exist: use another name")

    def open(self) -> None:
        """Create the file, and write the header.

        Raises:
            FileExistsError: Raised when the file exists, and is not to be replaced.
            BlockingIOError: Raised when another recorder writes the file.
            PermissionError: Raised when the path is a link that another user has put into a shared folder.
            ConfigurationError: Raised when the path is a FIFO, which stores nothing, or a link to a missing file.
            OSError: Raised when the file cannot be created or written.
        """
        self._place = self.path.absolute()
        self.check()
        if not (self._replace and self.path.exists()):
            self._begin(open(self.path, "xb", buffering=0, opener=_privately))  # noqa: SIM115 - `close` does
        elif not self.path.is_file():  # a device
            self._begin(self.path.open("wb", buffering=0))
        else:
            self._replace_file(end_of_links(self._place))
        with suppress(OSError):  # some file systems cannot sync the folder, which has the name of the new file
            folder = os.open(self._place.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def write(self, entries: Iterable[Message | Gap]) -> None:
        """Append messages and gaps: either all of them, or none.

        Raises:
            OSError: Raised when the disk is full or failed. The recording is closed.
            NotOpen: Raised when the recording is closed.
        """
        entries = list(entries)
        self._append(part for entry in entries for part in _parts(entry))
        self.count += sum(not isinstance(entry, Gap) for entry in entries)

    def sync(self) -> None:
        """Sync the file (fsync). All written messages are then on the disk, and may be acknowledged.

        Raises:
            OSError: Raised when the disk is full or failed, or the file is lost. The recording is closed.
            NotOpen: Raised when the recording is closed.
        """
        file = self._opened()
        if self._packer is not None:
            self._put(self._packer.flush(zlib.Z_SYNC_FLUSH))
            self._whole = self._written
        try:
            self._reach_disk(file)
            self._check_place(file)
        except OSError:
            self._give_up()
            raise

    def close(self) -> None:
        """Write the trailer, sync, and close. Closing twice is fine.

        Raises:
            OSError: Raised when the disk is full or failed, or the file is lost. Otherwise, all synced messages are in
                the file.
        """
        if self._file is None:
            return
        self._append([self._trailer()])
        if self._packer is not None:
            self._put(self._packer.flush())
        file, self._file = self._file, None
        with file:
            self._reach_disk(file)
            self._check_place(file)

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

    def _begin(self, file: FileIO) -> None:
        """Lock a new file, and write the header."""
        self._file = file
        try:
            self._lock(file)
        except OSError:
            self._file = None
            file.close()
            raise
        self._append([_line(header_record(datetime.now(UTC), self._bindings))])

    def _replace_file(self, old: Path) -> None:
        """Replace a recording by a file with only the header, unless another recorder writes the recording."""
        new = old.with_name(f".{old.name}.{secrets.token_hex(4)}")
        try:
            with old.open("rb") as locked:
                self._lock(locked)
                if not os.path.samestat(os.fstat(locked.fileno()), old.stat()):  # replaced before it was locked
                    raise self._in_use()
                self._begin(open(new, "xb", buffering=0, opener=_privately))  # noqa: SIM115 - `close` does
                new.replace(old)
        except OSError as error:
            if self._file is not None:
                self._file.close()
                self._file = None
            raise self._named(error) from error
        finally:
            with suppress(OSError):  # on a read-only disk, this is an error even if the file does not exist
                new.unlink(missing_ok=True)

    def _lock(self, file: BinaryIO | FileIO) -> None:
        """Lock a file. Devices and some file systems cannot be locked.

        Raises:
            BlockingIOError: Raised when another recorder has locked the file.
        """
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._in_use() from None
        except OSError:
            return

    def _in_use(self) -> OSError:
        reason = "another process records to this file: stop it, or use another name"
        return BlockingIOError(errno.EAGAIN, reason, str(self.path))

    def _check_place(self, file: FileIO) -> None:
        """Check that the file has its name and its size.

        Raises:
            OSError: Raised when the file was deleted, renamed, replaced or truncated.
        """
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return
        try:
            same = os.path.samestat(status, self._place.stat())
        except OSError:  # not found, or a folder above was replaced or closed
            same = False
        if not same or status.st_size != self._written:
            self.lost = True
            happened = "truncated or changed" if same else "deleted, renamed or replaced"
            reason = f"another program has {happened} the file; messages since the last sync are not acknowledged"
            raise OSError(errno.ESTALE, reason, str(self.path))

    def _append(self, parts: Iterable[bytes]) -> None:
        """Write the parts of lines, all of them or none. At most one part and `_BLOCK` bytes are in memory."""
        self._opened()
        digest = self._digest.copy()
        try:
            for block in _blocks(parts):
                self._put(block if self._packer is None else self._packer.compress(block))
                digest.update(block)
        except BaseException:
            if self._file is not None:
                self._give_up()
            raise
        self._digest = digest
        if self._packer is None:
            self._whole = self._written

    def _put(self, data: bytes) -> None:
        file, rest = self._opened(), memoryview(data)
        try:
            while rest:
                size = file.write(rest)
                self._written += size
                rest = rest[size:]
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
        """Truncate the file after the last complete line, write the trailer if it is not compressed, and close it."""
        file, self._file = self._opened(), None
        with suppress(OSError), file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size < self._whole:
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
    """Create a file that only its owner can read, because messages may be confidential.

    With `O_APPEND`, the size of a file that another program has truncated differs from the number of written bytes.
    """
    return os.open(path, flags | os.O_APPEND, 0o600)


def _parts(entry: Message | Gap) -> Iterable[bytes]:
    return [_line(gap_record(entry))] if isinstance(entry, Gap) else record_parts(entry, exact=True)


def _blocks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Join small parts, so that many lines are written at once."""
    joined: list[bytes] = []
    size = 0
    for part in parts:
        joined.append(part)
        size += len(part)
        if size >= _BLOCK:
            yield b"".join(joined)
            joined.clear()
            size = 0
    yield b"".join(joined)


def _line(value: Any) -> bytes:
    return dump_line(value).encode() + b"\n"
