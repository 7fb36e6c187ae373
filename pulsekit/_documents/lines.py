"""The maximum length of a line of NDJSON or of a routing key, so that an endless line does not fill the memory."""

from __future__ import annotations

from pulsekit.errors import DocumentError

__all__ = ["MAX_LINE", "check_line"]

MAX_LINE = 16 * 1024 * 1024  # bytes: more than any message of Pulse, and less than the memory of a CI machine


def check_line(line: bytes | str, source: str, number: int) -> None:
    """Check the length of a line.

    Raises:
        DocumentError: Raised when the line has more than 16 MiB.
    """
    if len(line) > MAX_LINE:
        raise DocumentError(f"the line has more than {MAX_LINE >> 20} MiB", source=source, line=number)
