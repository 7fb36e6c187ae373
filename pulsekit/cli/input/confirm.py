"""Questions before something is gone for good."""

from __future__ import annotations

import os
import sys

from pulsekit.cli.output.output import clean
from pulsekit.errors import ConfigurationError

__all__ = ["agreed", "check_can_ask"]

_LINE = 4096  # bytes; what a terminal gives at once is a line


def check_can_ask(doing: str, *, yes: bool) -> None:
    """Let pass when the answer is given already, or somebody is there to give it.

    Args:
        doing: what there is to agree to, as in "purge queue/me/q".
        yes: the flag.

    Raises:
        ConfigurationError: nobody is.
    """
    if not yes and not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigurationError(f"nobody can be asked here: add --yes to {doing} without a question")


async def agreed(question: str, *, yes: bool) -> bool:
    """Ask on the terminal; anything but yes is no. Meanwhile the event loop goes on, so that no connection is lost."""
    if yes:
        return True
    sys.stderr.write(f"{clean(question)} [y/N] ")
    sys.stderr.flush()
    from pulsekit.recordings.worker import Worker  # loads asyncio, which help and completion do without

    # Not sys.stdin: a thread that waits in it would keep the interpreter from ending.
    answer: bytes = await Worker("ask").call(lambda: os.read(sys.stdin.fileno(), _LINE))
    if not answer.endswith(b"\n"):  # Ctrl-D
        sys.stderr.write("\n")
    return answer.strip().lower() in {b"y", b"yes"}
