"""The questions that commands ask before they delete data."""

from __future__ import annotations

import os
import sys

from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.output.output import clean, note
from pulsekit.errors import ConfigurationError

__all__ = ["agreed", "check_can_ask", "nothing_done"]

_LINE = 4096  # bytes of a read; a terminal returns one line for each read


def check_can_ask(doing: str, *, yes: bool) -> None:
    """Check that `agreed` can get an answer: the flag `--yes` is set, or stdin and stderr are a terminal.

    Args:
        doing: the action that needs agreement, such as "purge queue/me/q".
        yes: the flag.

    Raises:
        ConfigurationError: Raised when the flag is missing and there is no terminal.
    """
    if not yes and not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigurationError(f"not a terminal, cannot ask: add --yes to {doing}")


async def agreed(question: str, *, yes: bool) -> bool:
    """Ask on the terminal, and return whether the answer was yes.

    The event loop runs while the command waits, so that connections send heartbeats.
    """
    if yes:
        return True
    sys.stderr.write(f"{clean(question)} [y/N] ")
    sys.stderr.flush()
    from pulsekit.recordings.worker import Worker  # imports asyncio, which help and completion do not need

    # Not sys.stdin: a thread that waits for it would block the exit of the interpreter.
    answer: bytes = await Worker("ask").call(lambda: os.read(sys.stdin.fileno(), _LINE))
    if not answer.endswith(b"\n"):  # the user pressed Ctrl-D
        sys.stderr.write("\n")
    return answer.strip().lower() in {b"y", b"yes"}


def nothing_done() -> int:
    """Print that the user declined, and return the exit code."""
    note("nothing was done")
    return ExitCode.NEGATIVE
