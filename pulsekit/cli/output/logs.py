"""The log records of the library during a command: warnings on stderr, escaped for the terminal."""

from __future__ import annotations

import logging
import os

from pulsekit.cli.output.output import note, warn

__all__ = ["print_warnings"]


class _Printer(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        warn(record.getMessage() if error is None else f"{record.getMessage()}: {type(error).__name__}: {error}")


class _Frames(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


_HANDLERS = {
    "pulsekit": _Printer(logging.WARNING),
    "asyncio": _Printer(logging.WARNING),
    # pulsekit maps the errors of these libraries. If they had no handler, logging would print their records on stderr.
    "aiormq": logging.NullHandler(),
    "aio_pika": logging.NullHandler(),
}
_FRAMES = _Frames()


def print_warnings() -> None:
    """Print log records of the level WARNING or higher on stderr. Calling this twice is fine.

    With `PULSEKIT_DEBUG=frames`, also print a line for each AMQP frame.
    """
    for name, handler in _HANDLERS.items():
        logging.getLogger(name).addHandler(handler)
    if os.environ.get("PULSEKIT_DEBUG") == "frames":
        logging.getLogger("pulsekit.frames").setLevel(logging.DEBUG)
        logging.getLogger("pulsekit.frames").addHandler(_FRAMES)
