"""A unique password, and the search for any part of it."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pulsekit

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ENCODED", "OF_A_USER", "PASSWORD", "assert_hidden", "everything"]

PASSWORD = "aa7h/bb8i@cc9j:dd1k%ee2l?ff3m ü\"gg4n'hh5o\\ii6p"
ENCODED = quote(PASSWORD, safe="")
OF_A_USER = "p4ss"  # in the password of every user that the fixture `broker` makes

_OURS = str(Path(pulsekit.__file__).parent)


def _pieces(password: str) -> list[str]:
    """Return the parts that are the same in every encoding of the password: plain, in a URL, in a repr."""
    return re.findall("[A-Za-z0-9]{4}", password)


def assert_hidden(text: str | bytes, password: str = PASSWORD) -> None:
    """Check that no part of the password is in a text."""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    for piece in _pieces(password):
        assert piece not in text, [line for line in text.splitlines() if piece in line]


def everything(error: BaseException) -> str:
    """Return all visible parts of an error: its message, its causes, and the variables of pulsekit's frames."""
    return "\n".join(_lines(error, set()))


def _lines(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    for frame in traceback.TracebackException.from_exception(error, capture_locals=True).stack:
        if frame.filename.startswith(_OURS):
            yield from (f"{frame.filename}:{frame.lineno} {name} = {value}" for name, value in _locals(frame))
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for other in (error.__cause__, error.__context__, *inner):
        yield from _lines(other, seen)


def _locals(frame: Any) -> list[tuple[str, str]]:
    return list((frame.locals or {}).items())
