"""Check the recording of `--save` before the command connects. Show the fields of records that are not sent."""

from __future__ import annotations

import errno
import os
from collections import Counter
from typing import TYPE_CHECKING

from pulsekit._documents.suggestions import counted
from pulsekit.cli.output.output import note
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from pulsekit.bindings.registration import Binding
    from pulsekit.cli.output.output import Output
    from pulsekit.recordings.acknowledging import RecordingWriter

__all__ = ["DroppedFields", "new_recording", "show_options"]


def show_options(out: Output, indent: int, sent: Mapping[str, Any], dropped: Mapping[str, Any]) -> None:
    """Show CC and BCC keys, expiration and `reply_to` of a message, one per line."""
    for options, suffix in ((sent, ""), (dropped, "  (not sent)")):
        for name, value in options.items():
            shown = ", ".join(value) if isinstance(value, list) else value
            out.line(" " * indent, (f"{name} ", "dim"), shown, (suffix, "dim"))


class DroppedFields:
    """A count of the fields of records that are not sent."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, names: Iterable[str]) -> None:
        """Count the fields of one record."""
        self._counts.update(iter(names))

    def print_all(self) -> None:
        """Print which fields are not sent, and which options send them."""
        if self._counts:
            fields = ", ".join(f"{name} of {counted(number, 'record')}" for name, number in self._counts.items())
            note(f"not sent: {fields}; to send them, add {' '.join(f'--also {name}' for name in self._counts)}")


def new_recording(path: str, bindings: Sequence[Binding], *, replace: bool) -> RecordingWriter:
    """Return a writer for a recording. Detect errors of the file before the connection is opened.

    Raises:
        ConfigurationError: Raised when the file exists and `replace` is False, is a FIFO, or has another suffix.
        OSError: Raised when the file cannot be created.
    """
    from pulsekit.recordings.acknowledging import RecordingWriter
    from pulsekit.recordings.links import end_of_links
    from pulsekit.recordings.recorder import Recorder

    recorder = Recorder(path, bindings=[str(binding) for binding in bindings], replace=replace)
    recorder.check()
    if recorder.path.exists() and not replace:
        raise ConfigurationError(f"{path} already exists: use another name, or add --force to replace it")
    folder = end_of_links(recorder.path).parent  # replacing a file changes its folder, too; a device is not replaced
    if (recorder.path.is_file() or not recorder.path.exists()) and not os.access(folder, os.W_OK):
        reason = errno.ENOENT
        if folder.is_dir():
            reason = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(reason, os.strerror(reason), path)
    return RecordingWriter(recorder)
