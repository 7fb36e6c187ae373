"""The files and pipes that commands read, with size limits.

An OSError propagates with the name of the file. Its exit code is 74.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pulsekit._documents.lines import MAX_LINE
from pulsekit.errors import ConfigurationError, DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_FILE", "STDIN", "bounded_lines", "check_seekable", "is_piped", "read_input", "stdin"]

STDIN = "<stdin>"  # the name of stdin in messages
# Bytes of a file that is read into memory. The task graph of a push to Firefox can have more than 100 MiB, and needs
# six times as much memory.
MAX_FILE = 256 * 1024 * 1024
_MAX_YAML = 4 * 1024 * 1024  # bytes; a larger file exceeds the parser's limit of characters


def is_piped() -> bool:
    """Return whether stdin is a pipe, a socket or a file, and therefore meant as input.

    Return False for a terminal, and for `/dev/null`, which is the stdin of commands in schedulers and CI.
    """
    if sys.stdin is None:
        return False
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def stdin() -> BinaryIO:
    """Return stdin as bytes.

    Raises:
        OSError: Raised when stdin is closed.
    """
    if sys.stdin is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), STDIN)
    return sys.stdin.buffer


def check_seekable(name: str, *, reads_stdin: bool) -> None:
    """Refuse stdin and a pipe, because the command reads its file twice.

    Raises:
        ConfigurationError: Raised when the file is `-`, or a pipe, such as a FIFO or `<(…)` of a shell.
        OSError: Raised when there is no such file.
    """
    if name == "-" or stat.S_ISFIFO(os.stat(name).st_mode):  # noqa: PTH116 - an OSError shows the name as the user wrote it
        pipe, ways = (STDIN, "") if name == "-" else (name, ", or to the stdin of the command" if reads_stdin else "")
        raise ConfigurationError(f"{pipe} is a pipe, which can be read only once: write it to a file first{ways}")


def read_input(name: str) -> tuple[bytes, str]:
    """Return the bytes of a file, or of stdin for `-`, and its name for messages.

    Raises:
        OSError: Raised when the file cannot be read.
        DocumentError: Raised when the file is larger than 256 MiB, or a YAML file is larger than 4 MiB.
    """
    source = STDIN if name == "-" else name
    is_yaml = name.lower().endswith((".yml", ".yaml"))
    most = _MAX_YAML if is_yaml else MAX_FILE
    large = False
    if name == "-":
        data = stdin().read(most + 1)
    else:
        with Path(name).open("rb") as file:
            large = os.fstat(file.fileno()).st_size > most  # refused before it is read
            data = b"" if large else file.read(most + 1)
    if large or len(data) > most:
        what = (
            " of YAML; write JSON or NDJSON" if is_yaml else "; write NDJSON, or select a part of it, such as with jq"
        )
        raise DocumentError(f"more than {most >> 20} MiB{what}", source=source)
    return data, source


def bounded_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield each line as soon as it arrives. At most one line is in memory.

    A line of more than 16 MiB is truncated, but still exceeds this limit, so that its parser can refuse it.
    """
    while line := stream.readline(MAX_LINE + 1):
        yield line
        while len(line) > MAX_LINE and not line.endswith(b"\n"):  # discard the rest of the line
            line = stream.readline(MAX_LINE + 1)
