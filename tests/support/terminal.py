"""A terminal for tests: it reads the output of a command as it arrives, and types input."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from support.children import Child, without_stalls
from support.command import environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["CTRL_C", "SGR", "Terminal", "read_part"]

CTRL_C = b"\x03"
SGR = re.compile(r"\x1b\[[0-9;]*m")  # what a painted line has, and all that a plain command may send

_PATIENCE = 40  # seconds; a tenth of one is usual
# The terminal has to be the controlling one of a session of its own, or Ctrl-C would be a character like any other.
_LAUNCH = "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execvp(sys.argv[1], sys.argv[1:])"


def read_part(terminal: int) -> bytes:
    """Return the next output on a terminal, or nothing if its other end is closed.

    Linux can report the closed end before the last output has arrived at this one. A second read returns that output.
    """
    for _ in range(2):
        with suppress(OSError):
            return os.read(terminal, 1 << 16)
    return b""


class Terminal:
    """Run pulsekit, or another program, on a terminal, for input and all output, within the block.

    Attributes:
        process: the command.
        shown: everything it has shown so far.
    """

    def __init__(
        self,
        *arguments: str,
        folder: Path,
        url: str | None = None,
        columns: int = 100,
        extra: Mapping[str, str] | None = None,
        program: Sequence[str] = (sys.executable, "-m", "pulsekit"),
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        settings = environment(folder, url, {"TERM": "xterm-256color", **(extra or {})})
        settings.pop("COLUMNS")
        self.process = Child(
            (sys.executable, "-IS", "-c", _LAUNCH, *program, *arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=settings,
            cwd=folder,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""
        self._raw = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)

    @property
    def plain(self) -> str:
        """The output so far, without colours."""
        return SGR.sub("", self.shown)

    def expect(self, words: str) -> None:
        """Read until the command has shown a text."""
        while words not in self.plain:
            assert self._read(), f"it ended without {words!r}: {self.shown!r}"

    def type(self, keys: bytes) -> None:
        """Type on the keyboard."""
        os.write(self._ours, keys)

    def end(self) -> int:
        """Read until the command has ended, and return its exit code."""
        while self._read():
            pass
        return self.process.wait(timeout=_PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], _PATIENCE)
        assert ready, f"nothing more came after {self.shown!r}"
        chunk = read_part(self._ours)
        self._raw += chunk
        self.shown = without_stalls(self._raw.decode(errors="replace").replace("\r\n", "\n"))
        return bool(chunk)
