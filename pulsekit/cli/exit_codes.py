"""The exit codes, and the error message before the exit."""

from __future__ import annotations

import os
import re
from enum import IntEnum

import typer

from pulsekit.cli.output.output import fail, quote
from pulsekit.errors import (
    BrokerRefused,
    ConfigurationError,
    HandlerFailed,
    InvalidInput,
    NetworkError,
    NotFound,
    PulsekitError,
)

__all__ = ["MEANINGS", "ExitCode", "exit_code", "report"]


class ExitCode(IntEnum):
    """The exit code of a command. Scripts depend on the numbers; `MEANINGS` describes them."""

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


# The same texts as in the table of README.md.
MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.NEGATIVE: "a negative answer: invalid, no match, a handler failed",
    ExitCode.USAGE: "usage or configuration",
    ExitCode.PARTLY: "partly done: some messages returned, refused or unknown",
    ExitCode.NETWORK: "network or timeout",
    ExitCode.REFUSED: "the broker refused: login, permission, not found, precondition",
    ExitCode.BUG: "a bug in pulsekit",
    ExitCode.FILE: "local file or disk",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
    ExitCode.CLOSED_PIPE: "the reader of stdout closed the pipe",
}


def exit_code(error: BaseException) -> ExitCode:
    """Return the exit code of an error."""
    from pulsekit.publisher.receipts import PublishError, PublishTimeout  # imported only if a command fails

    # The first class that matches decides, so subclasses precede their base classes.
    codes: tuple[tuple[type[BaseException], ExitCode], ...] = (
        (ConfigurationError, ExitCode.USAGE),
        (typer.TyperException, ExitCode.USAGE),
        (InvalidInput, ExitCode.NEGATIVE),
        (HandlerFailed, ExitCode.NEGATIVE),
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
    """Print the error on stderr and return its exit code.

    After Ctrl-C, or if the pipe is closed, print nothing. With `PULSEKIT_DEBUG=1`, print the traceback first.
    """
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:  # a task group with one failure
        error = error.exceptions[0]
    code = exit_code(error)
    if os.environ.get("PULSEKIT_DEBUG"):
        import traceback

        quote("".join(traceback.format_exception(error)))
    if code not in {ExitCode.INTERRUPTED, ExitCode.CLOSED_PIPE}:
        fail(*_words(error, code))
    return code


def _words(error: BaseException, code: ExitCode) -> tuple[str, str]:
    """Return the message, and a hint for the next line, which may be empty."""
    if code is ExitCode.BUG:
        hint = "please report it, with what PULSEKIT_DEBUG=1 adds to this message"
        return f"this is a bug in pulsekit: {type(error).__name__}: {error}", hint
    if isinstance(error, typer.TyperException):
        from pulsekit.cli.topics import TOPICS

        context = getattr(error, "ctx", None)  # a usage error has its command
        hint = f"try '{context.command_path} --help'" if context else ""
        if (unknown := re.match("No such command '(.*?)'", error.format_message())) and unknown[1] in TOPICS:
            hint = f"try 'pulsekit help {unknown[1]}'"
        return error.format_message(), hint
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        name = repr(error.filename) if error.filename == "" else error.filename
        return f"{name}: {reason}" if name else reason, ""
    return str(error), _meant(error.text) if isinstance(error, NotFound) else ""


def _meant(text: str) -> str:
    """Return `did you mean …?` with the configured exchange most similar to the missing one, or an empty text."""
    from pulsekit._config.settings import load_settings
    from pulsekit._documents.suggestions import Guesses

    missing = re.search("no exchange '(.*?)' in vhost", text)
    try:
        near = Guesses().nearest(missing[1], load_settings().exchanges) if missing else None
    except PulsekitError:
        return ""
    return f"did you mean {near}?" if near else ""
