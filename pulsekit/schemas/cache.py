"""Cache compiled schemas for later processes, in a folder that only the user can write.

Entries are executed as code, so an entry is used only if no other user can have written it: each folder above the cache
belongs to the user or root, and is not writable by other users unless it is sticky, such as `/tmp`; the cache and the
entry belong to the user, and other users have no access; neither is a link; and the digest of the entry is correct.
Other entries are ignored. Caching never causes an error: without a home, or on a full or read-only disk, schemas are
compiled again.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_ENTRIES", "MAX_SIZE", "VARIABLE", "remembered"]

VARIABLE = "PULSEKIT_NO_CACHE"  # any value disables the cache
MAX_ENTRIES = 64  # entries; above this number, the oldest are deleted
MAX_SIZE = 1024 * 1024  # bytes of an entry; Treeherder's schema needs a fortieth

_DIGEST = 32  # bytes of SHA-256


def remembered(make: Callable[[], bytes], *inputs: bytes) -> bytes:
    """Return the result of `make`, or its cached result for the same inputs in another process of this user.

    Args:
        make: computes the result. If it raises an exception, the exception propagates, and no result is cached.
        inputs: all values that the result depends on.
    """
    folder = _open_folder()
    if folder is None:
        return make()
    try:
        name = _digest(*(b"%d:%b" % (len(part), part) for part in inputs)).hex()
        content = _read(folder, name)
        if content is None:
            content = make()
            _write(folder, name, content)
        return content
    finally:
        os.close(folder)


def _open_folder() -> int | None:
    """Return a descriptor of the folder, and create it if necessary. Return None if the folder is not safe."""
    if os.environ.get(VARIABLE) or not hasattr(os, "geteuid"):  # without it, the owner of a file is unknown
        return None
    home, base = os.environ.get("HOME", ""), Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # ignore a relative path, as the XDG Base Directory Specification requires
        base = Path(home, ".cache")
    if not base.is_absolute():
        return None
    try:
        path = (base / "pulsekit").resolve()
        for step in (*reversed(path.parents), path):
            if not step.exists():
                step.mkdir(0o700, exist_ok=True)
            if not _is_safe(step.lstat()):
                return None
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (OSError, RuntimeError):  # the latter for links that lead in a circle
        return None
    if _is_private(os.fstat(folder)):
        return folder
    os.close(folder)
    return None


def _is_safe(found: os.stat_result) -> bool:
    """Return whether this is a folder in which no other user can replace files of this user."""
    closed = not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or found.st_mode & stat.S_ISVTX
    return bool(stat.S_ISDIR(found.st_mode) and found.st_uid in {0, os.geteuid()} and closed)


def _is_private(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def _read(folder: int, name: str) -> bytes | None:
    try:
        # Do not block if the entry is a pipe.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            found = os.fstat(file)
            fit = stat.S_ISREG(found.st_mode) and _is_private(found) and found.st_size <= _DIGEST + MAX_SIZE
            data = os.read(file, found.st_size) if fit else b""
        finally:
            os.close(file)
    except OSError:
        return None
    content = data[_DIGEST:]
    return content if data[:_DIGEST] == _digest(name.encode(), content) else None


def _write(folder: int, name: str, content: bytes) -> None:
    """Write an entry under another name and rename it, so that no process reads a partial entry."""
    if len(content) > MAX_SIZE:
        return
    unfinished = f"{name}.{os.urandom(8).hex()}"
    with suppress(OSError):
        _make_room(folder)
        try:
            file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            with open(file, "wb") as stream:  # noqa: PTH123 - a descriptor
                stream.write(_digest(name.encode(), content) + content)
            os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(unfinished, dir_fd=folder)


def _make_room(folder: int) -> None:
    """Remove the oldest entries, including partial entries of killed processes."""
    names = os.listdir(folder)
    if len(names) < MAX_ENTRIES:
        return
    ages = {}
    for name in names:
        with suppress(FileNotFoundError):  # another process removes entries, too
            ages[name] = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime_ns
    for name in sorted(ages, key=ages.__getitem__)[: len(ages) - MAX_ENTRIES + 1]:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def _digest(*parts: bytes) -> bytes:
    from hashlib import sha256  # loads OpenSSL

    return sha256(b"".join(parts)).digest()
