"""The files that commands write. A write either completes or leaves no partial file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pulsekit.recordings.links import end_of_links

__all__ = ["write_new", "write_whole"]


def write_new(path: Path, text: str) -> None:
    """Write a new file.

    Raises:
        FileExistsError: Raised when the file exists. It is unchanged.
        OSError: Raised when the file cannot be written.
    """
    with path.open("x", encoding="utf-8", newline="") as file:
        try:
            file.write(text)
            file.flush()
        except BaseException:
            path.unlink()
            raise


def write_whole(path: Path, text: str) -> None:
    """Write a new file, or replace an existing file atomically, so that no reader sees a partial file.

    If the path is a link, replace its target. The new file has the permissions of the old file.

    Raises:
        OSError: Raised when the file cannot be written. An existing file is unchanged.
    """
    path = end_of_links(path)
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
