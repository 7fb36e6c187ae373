"""Files that commands write: whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["write_new", "write_whole"]


def write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet.

    Raises:
        FileExistsError: it does; it is left as it is.
        OSError: it cannot be written.
    """
    with path.open("x", encoding="utf-8", newline="") as file:
        try:
            file.write(text)
            file.flush()
        except BaseException:
            path.unlink()
            raise


def write_whole(path: Path, text: str) -> None:
    """Write a file, or put a new one in place of the old at once: nobody ever reads half of it.

    A link is followed, and the permissions of the old file are kept.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_new(beside, text)
        with suppress(FileNotFoundError):
            beside.chmod(path.stat().st_mode)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
