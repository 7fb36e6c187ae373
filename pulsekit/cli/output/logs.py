"""What the library logs while a command runs: warnings on stderr, with the care that all words to a terminal need."""

from __future__ import annotations

import logging

from pulsekit.cli.output.output import warn

__all__ = ["tell_warnings"]


class _Told(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        warn(record.getMessage() if error is None else f"{record.getMessage()}: {type(error).__name__}: {error}")


_HANDLERS = {
    "pulsekit": _Told(logging.WARNING),
    "asyncio": _Told(logging.WARNING),
    # What matters of theirs comes as an error of ours; without a handler they would write to stderr themselves.
    "aiormq": logging.NullHandler(),
    "aio_pika": logging.NullHandler(),
}


def tell_warnings() -> None:
    """Tell on stderr what is logged as a warning or worse. Doing it again is fine."""
    for name, handler in _HANDLERS.items():
        logging.getLogger(name).addHandler(handler)
