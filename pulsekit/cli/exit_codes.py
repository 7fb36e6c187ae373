"""Exit codes, and the words an error ends with."""

from __future__ import annotations

import os
from enum import IntEnum

import typer

from pulsekit.cli.output.output import fail, quote
from pulsekit.errors import BrokerRefused, ConfigurationError, InvalidInput, NetworkError

__all__ = ["ExitCode", "exit_code", "report"]


class ExitCode(IntEnum):
    """Name what a command's exit status means; scripts rely on the numbers.

    Attributes:
        DONE: done as asked.
        NEGATIVE: a negative answer: invalid data, no match.
        USAGE: usage or configuration.
        PARTLY: partly done: some messages were returned, refused, or are unknown.
        NETWORK: the broker could not be reached, or did not answer in time.
        REFUSED: the broker said no: login, permission, not found, precondition.
        BUG: a bug in pulsekit.
        FILE: a local file or disk.
        INTERRUPTED: Ctrl-C.
        CLOSED_PIPE: the reader of the output went away.
    """

    DONE = 0
    NEGATIVE = 1
    USAGE = 2
    PARTLY = 3
    NETWORK = 4
    REFUSED = 5
    BUG = 70
    FILE = 74
    INTERRUPTED = 130
    CLOSED_PIPE = 141


def exit_code(error: BaseException) -> ExitCode:
    """Return the exit status an error ends the process with."""
    from pulsekit.publisher.receipts import PublishError, PublishTimeout  # not loaded unless a command fails

    # The first class that fits decides.
    codes: tuple[tuple[type[BaseException], ExitCode], ...] = (
        (ConfigurationError, ExitCode.USAGE),
        (typer.TyperException, ExitCode.USAGE),
        (InvalidInput, ExitCode.NEGATIVE),
        (PublishTimeout, ExitCode.NETWORK),
        (PublishError, ExitCode.PARTLY),
        (BrokerRefused, ExitCode.REFUSED),
        (NetworkError, ExitCode.NETWORK),
        (KeyboardInterrupt, ExitCode.INTERRUPTED),
        (typer.Abort, ExitCode.INTERRUPTED),
        (BrokenPipeError, ExitCode.CLOSED_PIPE),
        (ConnectionError, ExitCode.NETWORK),
        (TimeoutError, ExitCode.NETWORK),
        (OSError, ExitCode.FILE),
    )
    return next((code for kind, code in codes if isinstance(error, kind)), ExitCode.BUG)


def report(error: BaseException) -> ExitCode:
    """Say on stderr what went wrong and return the exit status.

    An interruption and a closed pipe need no words. `PULSEKIT_DEBUG=1` adds the traceback.
    """
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:  # a task group around one failure
        error = error.exceptions[0]
    code = exit_code(error)
    if os.environ.get("PULSEKIT_DEBUG"):
        import traceback

        quote("".join(traceback.format_exception(error)))
    if code not in {ExitCode.INTERRUPTED, ExitCode.CLOSED_PIPE}:
        fail(*_words(error, code))
    return code


def _words(error: BaseException, code: ExitCode) -> tuple[str, str]:
    """Return the message and a hint for the next line."""
    if code is ExitCode.BUG:
        hint = "please report it, with what PULSEKIT_DEBUG=1 adds to this message"
        return f"this is a bug in pulsekit: {type(error).__name__}: {error}", hint
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)  # a usage error knows its command
        return error.format_message(), f"try '{context.command_path} --help'" if context else ""
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        return f"{error.filename}: {reason}" if error.filename else reason, ""
    return str(error), ""
