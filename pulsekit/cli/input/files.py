"""Files and pipes that commands read, with limits.

An error of the operating system passes through with the name of the file in it, and ends as exit status 74.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pulsekit.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_FILE", "MAX_LINE", "STDIN", "bounded_lines", "is_piped", "read_input", "stdin"]

STDIN = "<stdin>"  # how messages name it
MAX_FILE = 64 * 1024 * 1024  # bytes of a file that is read whole
_MAX_YAML = 4 * 1024 * 1024  # bytes: more have more characters than are read of YAML
MAX_LINE = 16 * 1024 * 1024  # bytes of a line that is read alone


def is_piped() -> bool:
    """Tell whether stdin is a pipe, a socket or a file: something that was meant to be read.

    A terminal is not, and neither is `/dev/null`, which schedulers and CI give to what should read nothing.
    """
    if sys.stdin is None:
        return False
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def stdin() -> BinaryIO:
    """Return stdin as bytes."""
    return sys.stdin.buffer


def read_input(name: str) -> tuple[bytes, str]:
    """Read a file whole, or stdin for `-`; return its bytes and its name for messages.

    Raises:
        OSError: it cannot be read.
        DocumentError: it has more than 64 MiB, or 4 MiB where its name says that it is YAML.
    """
    source = STDIN if name == "-" else name
    is_yaml = name.lower().endswith((".yml", ".yaml"))
    most = _MAX_YAML if is_yaml else MAX_FILE
    if name == "-":
        data = stdin().read(most + 1)
    else:
        with Path(name).open("rb") as file:
            data = file.read(most + 1)
    if len(data) > most:
        what = " of YAML; write JSON or NDJSON" if is_yaml else ""
        raise DocumentError(f"more than {most >> 20} MiB{what}", source=source)
    return data, source


def bounded_lines(stream: BinaryIO, source: str = STDIN) -> Iterator[bytes]:
    """Yield lines as they come, in the memory of one line.

    Raises:
        DocumentError: a line has more than 16 MiB.
    """
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise DocumentError(f"the line has more than {MAX_LINE >> 20} MiB", source=source, line=number)
        yield line
