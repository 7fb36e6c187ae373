"""What commands read: files and pipes, with limits.

An error of the operating system passes through with the name of the file in it, and ends as exit status 74.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from pulsekit.bindings import Binding, Registration, Rule, read_registrations
from pulsekit.errors import DocumentError, InvalidRegistration

__all__ = [
    "MAX_FILE",
    "MAX_LINE",
    "STDIN",
    "VARIABLE",
    "RuleOption",
    "bounded_lines",
    "configured_registrations",
    "is_piped",
    "read_input",
    "registrations_from",
    "stdin",
    "under_rule",
]

STDIN = "<stdin>"  # how messages name it
VARIABLE = "PULSE_DATA_INGESTION_SOURCES"  # Treeherder's own, "Registration and binding expansion" of the facts
MAX_FILE = 64 * 1024 * 1024  # bytes of a file that is read whole
MAX_LINE = 16 * 1024 * 1024  # bytes of a line that is read alone

RuleOption = Annotated[
    Rule | None,
    typer.Option(
        metavar="RULE",
        help=f"Expand registrations by {', '.join(Rule)} instead of their own rule.",
        show_default=False,
    ),
]


def is_piped() -> bool:
    """Tell whether stdin is a pipe, a socket or a file: something that was meant to be read.

    A terminal is not, and neither is `/dev/null`, which schedulers and CI give to what should read nothing.
    """
    if sys.stdin is None:
        return False
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def stdin() -> BinaryIO:
    """Return stdin as bytes."""
    return sys.stdin.buffer


def read_input(name: str) -> tuple[bytes, str]:
    """Read a file whole, or stdin for `-`; return its bytes and its name for messages.

    Raises:
        OSError: it cannot be read.
        DocumentError: it has more than 64 MiB.
    """
    source = STDIN if name == "-" else name
    if name == "-":
        data = stdin().read(MAX_FILE + 1)
    else:
        with Path(name).open("rb") as file:
            data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise DocumentError(f"more than {MAX_FILE >> 20} MiB", source=source)
    return data, source


def bounded_lines(stream: BinaryIO, source: str = STDIN) -> Iterator[bytes]:
    """Yield lines as they come, in the memory of one line.

    Raises:
        DocumentError: a line has more than 16 MiB.
    """
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise DocumentError(f"the line has more than {MAX_LINE >> 20} MiB", source=source, line=number)
        yield line


def registrations_from(name: str) -> tuple[Registration | Binding, ...]:
    """Read the registrations of a file, or of stdin for `-`.

    Raises:
        OSError: it cannot be read.
        InvalidInput: it holds no registrations that can be expanded.
    """
    data, source = read_input(name)
    return read_registrations(data, source=source)


def configured_registrations() -> tuple[tuple[Registration | Binding, ...], str]:
    """Return the registrations of the environment or a configuration file, and where they are from.

    Raises:
        ConfigurationError: a configuration file cannot be read.
        InvalidInput: the registrations cannot be.
    """
    if text := os.environ.get(VARIABLE):
        return read_registrations(text, source=f"${VARIABLE}"), f"${VARIABLE}"
    from pulsekit.settings import load_settings

    settings = load_settings()
    return settings.registrations, settings.source


def under_rule(
    registrations: Iterable[Registration | Binding], rule: Rule | None
) -> tuple[Registration | Binding, ...]:
    """Return the registrations with their rule replaced, when there is one to replace it; bindings have none.

    Raises:
        InvalidRegistration: one lacks what the rule needs.
    """
    changed: list[Registration | Binding] = []
    for one in registrations:
        try:
            changed.append(one if rule is None or isinstance(one, Binding) else replace(one, rule=rule))
        except InvalidRegistration as error:
            raise InvalidRegistration(f"the registration of {one.exchange} cannot follow {rule}: {error}") from error
    return tuple(changed)
