"""The command line: parse, call the library, render through `output`.

Each command lives in a module of its own, which is imported when the command is called.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, one of `exits.ExitCode`.

    No exception leaves it but SystemExit: an error ends as a line on stderr. Output that could not be written is an
    error too; a reader that went away deserves its status, but no words.

    Args:
        argv: arguments without the program's name. Without them, those of the process, which then is the command's own:
            garbage is not looked for until the command begins, nor when all has ended. That is a sixth of a short life.
    """
    own = argv is None
    if own:
        gc.disable()  # `app` enables it
    if sys.stderr is None:  # closed by the caller; printing to None would print to stdout
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - it stays open to the end
    try:
        from pulsekit.cli.app import run

        code = run(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - nothing above can do better
        from pulsekit.cli.exit_codes import report

        code = int(report(error))
    _let_go()
    if own:
        gc.enable()
        if not sys.warnoptions:  # those who ask for warnings want to hear of what was left open
            gc.freeze()
    return code


def _let_go() -> None:
    """Keep the interpreter from failing once more, aloud and with a status of its own, on what could not be written."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
