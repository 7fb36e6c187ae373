"""The files that commands write. A write either completes or leaves no partial file."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from pulsekit.recordings.links import end_of_links

__all__ = ["write_new", "write_whole"]


def write_new(path: Path, text: str) -> None:
    """Write a new file.

    Raises:
        FileExistsError: Raised when the file exists. The file is unchanged.
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
    target = end_of_links(path)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        write_new(beside, text)
        with suppress(FileNotFoundError):
            beside.chmod(target.stat().st_mode)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # on a read-only disk, this is an error even if the file does not exist
            beside.unlink(missing_ok=True)
