"""The output of commands: data on stdout, messages on stderr, and control characters escaped in both."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import cache
from io import TextIOWrapper
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TypeAlias

from pulsekit.cli.output.theme import color_system, paint, rich_styles, sgr, wants_colours

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Cell", "Format", "Output", "clean", "columns", "console", "fail", "flush_in_time", "note", "quote", "warn"]

Cell: TypeAlias = str | tuple[str, str]  # a text, or a text and its style

# C0, DEL and C1, bidi controls, line separators, and surrogates, which UTF-8 cannot encode. None of them is printable.
_UNSAFE_RANGES = (
    (0, 0x1F), (0x7F, 0x9F), (0x61C, 0x61C), (0x200E, 0x200F), (0x2028, 0x202E), (0x2066, 0x2069), (0xD800, 0xDFFF),
)  # fmt: skip
# The user and the password of a URL, up to its last @. A password can contain `:`, `/` and `@` unescaped. A URL that
# was parsed as a path has only one slash.
_PASSWORD = re.compile(r"(:/{1,2}[^\s:/@]*:).*", re.DOTALL)
_GAP = "  "
_MOST_MARKS = 8  # characters per column, which limits lines of combining characters
_PATIENCE = 2.0  # seconds to flush stdout after a signal stopped the command
_LEAST_ROOM = 40  # minimum width of the last column of a table


class Format(StrEnum):
    """The format of data on stdout."""

    PRETTY = "pretty"
    NDJSON = "ndjson"


class Output:
    """A writer of data to stdout, as text for users or as NDJSON.

    Args:
        chosen: the format. The default is `pretty` on a terminal, else NDJSON.
        live: flush each line. Otherwise, lines are buffered.
        dump: returns a record as NDJSON without the line end. The default is `dump_line`.

    Raises:
        OSError: Raised when stdout is closed.
    """

    def __init__(
        self, chosen: Format | None = None, *, live: bool = False, dump: Callable[[Any], str] | None = None
    ) -> None:
        if sys.stdout is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), "<stdout>")
        self._stream = sys.stdout
        self._live = live
        self._dump = dump
        terminal = self._stream.isatty()
        self._terminal = terminal
        self._coloured = wants_colours(self._stream)
        self._width = get_terminal_size().columns if terminal else None
        self.pretty = chosen is Format.PRETTY or (chosen is None and terminal)
        if isinstance(self._stream, TextIOWrapper):
            self._stream.reconfigure(errors="backslashreplace")  # the locale's encoding may lack characters

    def record(self, value: Any) -> None:
        """Write one line of NDJSON, in UTF-8 for every locale.

        Raises:
            ValueError: Raised when the value contains NaN or infinity, which JSON cannot encode. The caller must not
                pass such a value.
        """
        if self._dump is None:
            from pulsekit._documents.ndjson import dump_line  # imported late: text output does not need it

            self._dump = dump_line
        self._stream.buffer.write(self._dump(value).encode() + b"\n")
        if self._live:
            self._stream.buffer.flush()

    def lines(self, data: bytes) -> None:
        """Write complete, encoded lines of NDJSON, and flush them."""
        self._stream.buffer.write(data)
        self._stream.buffer.flush()

    def flush(self) -> None:
        """Flush stdout."""
        self._stream.flush()

    def line(self, *cells: Cell) -> None:
        """Write cells side by side on one line."""
        # While a progress bar is drawn, rich replaces sys.stdout, to write lines above the bar.
        stream = sys.stdout if self._terminal else self._stream
        stream.write("".join(self._paint(_styled(cell)) for cell in cells).rstrip() + "\n")
        if self._live:
            self._stream.flush()

    def fitted(self, *cells: Cell) -> None:
        """Write cells on one line. On a terminal, truncate the line to the width of the terminal."""
        if not self._terminal:
            self.line(*cells)
            return
        width = get_terminal_size().columns
        most = _MOST_MARKS * width  # truncate first, because a text may have megabytes
        kept = [_styled((text[:most], style)) for text, style in map(_split, cells)]
        whole = all(len(text) <= most for text, _ in map(_split, cells))
        if not whole or sum(columns(text) for text, _ in kept) > width:
            room = width - 1  # the last column is for the ellipsis
            for number, (text, style) in enumerate(kept):
                shown = _cut(text, room)
                room -= columns(shown)
                if len(shown) < len(text) or number == len(kept) - 1:
                    kept[number:] = [(f"{shown}…", style)]
                    break
        self.line(*kept)

    def wrapped(self, *cells: Cell, hang: int = 4, dots: bool = False) -> None:
        """Write cells on one line. On a terminal, wrap the line, and indent the following lines by `hang` columns.

        A word is not divided, so that the user can copy it. With `dots`, it can be divided after a dot.
        """
        styled = [_styled(cell) for cell in cells]
        if self._width is None or sum(columns(text) for text, _ in styled) <= self._width:
            self.line(*styled)
            return
        pieces = r" +|[^ .]*\.|[^ .]+" if dots else " +|[^ ]+"
        line: list[Cell] = []
        used = 0
        begun = False  # whether the current line has a word
        for piece, style in ((piece, style) for text, style in styled for piece in re.findall(pieces, text)):
            if used + columns(piece) > self._width and not piece.isspace() and begun:
                while _split(line[-1])[0].isspace():
                    line.pop()
                self.line(*line)
                line, used = [" " * hang], hang
            line.append((piece, style))
            used += columns(piece)
            begun = begun or not piece.isspace()
        self.line(*line)

    def table(self, rows: Iterable[Sequence[Cell]], *, least: Sequence[int] = ()) -> None:
        """Write rows of equal length in aligned columns.

        On a terminal, the last column is wrapped. If it would be narrow, it begins on the next line in all rows. In a
        pipe, a row is one line, so that `grep` finds the complete row. `least` has the minimum widths of the first
        columns.
        """
        table = [[_styled(cell) for cell in row] for row in rows]
        widths = [max(columns(text) for text, _ in column) for column in zip(*table, strict=True)]
        widths[: len(least)] = map(max, widths, least)
        hanging = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
        narrow = self._width is not None and hanging + min(widths[-1], _LEAST_ROOM) > self._width
        for *cells, (whole, style) in table:
            last = whole.rstrip()  # `textwrap.wrap` returns no line for spaces
            head: list[Cell] = [
                (text + " " * (width - columns(text)) + _GAP, style)
                for (text, style), width in zip(cells, widths, strict=False)
            ]
            if self._width is None or not last or (columns(last) <= self._width - hanging and not narrow):
                self.line(*head, (last, style))
                continue
            import textwrap

            if not narrow:
                first, *rest = textwrap.wrap(last, self._width - hanging, break_on_hyphens=False)
                self.line(*head, (first, style))
                indent = " " * hanging
            else:
                self.line(*head)
                rest, indent = textwrap.wrap(last, max(self._width, _LEAST_ROOM) - 4, break_on_hyphens=False), " " * 4
            for text in rest:
                self.line(indent, (text, style))

    def _paint(self, cell: tuple[str, str]) -> str:
        text, style = cell
        return sgr(text, style) if self._coloured and style and text else text


def clean(text: str) -> str:
    r"""Return an untrusted text with its control characters escaped for a terminal, as in `\x1b` or `\u202e`."""
    return text if text.isprintable() else text.translate(_escapes())


def flush_in_time() -> bool:
    """Flush stdout after a signal, and return whether this did not block."""
    import threading

    flushed = threading.Event()

    def flush() -> None:
        with suppress(OSError, AttributeError):  # `main` reports an error; stdout may be closed
            sys.stdout.flush()
        flushed.set()

    # A daemon thread, because the process must exit even if a stopped terminal or a full pipe blocks writes.
    threading.Thread(target=flush, daemon=True).start()
    with suppress(KeyboardInterrupt):  # another Ctrl-C
        flushed.wait(_PATIENCE)
    return flushed.is_set()


def note(text: str) -> None:
    """Print a note on stderr."""
    _say("", "", text)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    _say("warning: ", "warn", text)


def fail(text: str, hint: str = "") -> None:
    """Print an error on stderr, and a hint on the next line."""
    _say("error: ", "bad", text)
    if hint:
        _say("", "", hint)


def quote(text: str) -> None:
    """Print lines on stderr without wrapping them, such as a traceback."""
    with suppress(OSError):
        sys.stderr.writelines(f"{clean(_redacted(line))}\n" for line in text.rstrip("\n").split("\n"))
        sys.stderr.flush()


def console(*, stderr: bool = False) -> Console:
    """Return a rich console with the theme of pulsekit, for progress bars, tables and drawings of jobs."""
    from rich.console import Console  # importing rich doubles the start-up time
    from rich.theme import Theme

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704 - rich calls this in its handler of the error, and would exit with 1

    stream = sys.stderr if stderr else sys.stdout
    return Piped(
        theme=Theme(rich_styles()),
        # Without a colour system, rich also omits bold, so NO_COLOR produces plain text.
        color_system=color_system(stream),
        force_terminal=stream.isatty(),  # with FORCE_COLOR, rich would move the cursor in a pipe
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
    )


def _say(prefix: str, style: str, text: str) -> None:
    text = prefix + clean(_redacted(text))
    with suppress(OSError):  # if stderr is closed, only the exit code shows the error
        if sys.stderr.isatty():
            import textwrap

            text = textwrap.fill(text, get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)
        sys.stderr.write(paint(prefix, style, sys.stderr) + text[len(prefix) :] + "\n")
        sys.stderr.flush()


def _split(cell: Cell) -> tuple[str, str]:
    return (cell, "") if isinstance(cell, str) else cell


def _styled(cell: Cell) -> tuple[str, str]:
    text, style = _split(cell)
    return clean(text), style


def _redacted(text: str) -> str:
    """Return the text with the passwords of URLs hidden. An error message can quote a URL from any argument."""
    return re.sub(r"\S+", _redacted_word, text) if "@" in text else text


def _redacted_word(match: re.Match[str]) -> str:
    if "://USER:PASSWORD@" in match[0] and match[0].count("@") == 1:  # the placeholder in pulsekit's messages
        return match[0]
    before, at, behind = match[0].rpartition("@")
    return _PASSWORD.sub(r"\1***", before, count=1) + at + behind  # linear time in the length of the word


@cache
def _escapes() -> dict[int, str]:
    unsafe = (code for first, last in _UNSAFE_RANGES for code in range(first, last + 1))
    return {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in unsafe}


def _cut(text: str, room: int) -> str:
    """Return as much of the beginning of a text as fits into `room` columns."""
    if text.isascii():
        return text[:room]
    for end, character in enumerate(text):
        room -= columns(character)
        if room < 0:
            return text[:end]
    return text


def columns(text: str) -> int:
    """Return the width of a text in columns of a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(character) else 1 + (east_asian_width(character) in "WF") for character in text)
