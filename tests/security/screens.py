"""A terminal that stores its input, and the search for control sequences in it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from typing import TYPE_CHECKING, Self

from support.children import Child
from support.command import environment
from support.terminal import read_part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["HOSTILE", "Screen", "raw_characters"]

# The title of the window, a cleared screen, the clipboard, queries that a terminal answers as keyboard input; text that
# blinks, hides, or has its colour by C1; text that runs backwards; rich's markup; all that ends or deletes a line.
HOSTILE = (
    "\x1b]0;title\x07", "\x1b[2J", "\x1b]52;c;ZXZpbA==\x1b\\", "\x1b[6n", "\x1bP+q544e\x1b\\", "\x1b[5m", "\x1b[8m",
    "\x9b31m", "\x9d0;t\x9c", "\u202e", "\u2066", "\u200f", "\u061c", "[bold red]x[/]", "[link=http://h]y[/link]",
    "[/nothing]", "\r\n", "\n", "\r", "\x00", "\x07", "\x08", "\x7f", "\x85", "\u2028", "\u2029", "\t",
)  # fmt: skip

# Only colours, as pulsekit writes them, and the count of a slow command: it hides the cursor, and clears its own line.
# pulsekit never writes blinking or hidden text.
_OURS = re.compile("\x1b\\[(?![58]m)[0-9;]*m|\r?\x1b\\[(?:\\?25[lh]|2K|1A)")
_RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def raw_characters(shown: str) -> list[str]:
    """Return the control sequences of a text, except line ends and our own colours."""
    return _RAW.findall(_OURS.sub("", shown))


class Screen:
    """A command on a terminal that is read all the time.

    Args:
        arguments: the arguments of the command.
        folder: the current folder and the home.
        url: the URL of the configured broker.
        apart: whether stderr is a separate pipe.
        columns: the width of the terminal.
    """

    def __init__(
        self,
        *arguments: str,
        folder: Path,
        url: str | None = None,
        apart: bool = False,
        columns: int = 100,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        settings = environment(folder, url, {"TERM": "xterm-256color", **(extra or {})})
        settings.pop("COLUMNS")
        self.process = Child(
            (sys.executable, "-m", "pulsekit", *arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE if apart else theirs,
            env=settings,
            cwd=folder,
        )
        os.close(theirs)
        self._shown: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while part := read_part(self._ours):
            self._shown.append(part)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._ours)
        if self.process.stderr is not None:
            self.process.stderr.close()

    def heard(self) -> str:
        """Return the next line of stderr, on which tail reports that it is subscribed."""
        assert self.process.stderr is not None
        return self.process.stderr.readline().decode()

    def end(self) -> tuple[int, str]:
        """Wait for the end of the command; return its status and what was shown, with plain ends of lines."""
        status = self.process.wait(timeout=200)
        self._reader.join()
        return status, b"".join(self._shown).decode().replace("\r\n", "\n")
