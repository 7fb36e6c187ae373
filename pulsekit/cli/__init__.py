"""The command line: parse the arguments, call the library, print the result with `output`.

Each command is a separate module, which is imported when the user calls the command.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_INTERRUPTED = 130  # `ExitCode.INTERRUPTED`


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code, one of `exit_codes.ExitCode`.

    `main` raises no exception except SystemExit. It prints any other exception as a line on stderr, including write
    errors of stdout. If the reader of stdout closed the pipe, it prints nothing.

    Args:
        argv: the arguments without the program's name. The default is the arguments of the process. With the default,
            garbage collection is disabled before the command begins and after it ends, which saves a sixth of the time
            of a short command.
    """
    own = argv is None
    if own:
        gc.disable()  # `app` enables it
    if sys.stderr is None:  # closed by the parent process; print(file=None) would write to stdout
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - stays open until the exit
    try:
        from pulsekit.cli.app import run

        code = run(argv)
        if sys.stdout is not None and code != _INTERRUPTED:
            sys.stdout.flush()
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - no caller handles exceptions
        from pulsekit.cli.exit_codes import report

        code = int(report(error))
    if code == _INTERRUPTED:
        from pulsekit.cli.output.output import flush_in_time

        if not flush_in_time():
            os._exit(code)  # otherwise, the interpreter would wait for stdout
    _discard_output()
    if own:
        gc.enable()
        if not sys.warnoptions:  # with warnings enabled, the collector must report unclosed resources
            gc.freeze()
    return code


def _discard_output() -> None:
    """Discard unwritten output. Otherwise, the interpreter may fail to write it at exit, and change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
