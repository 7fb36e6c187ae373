"""The recording of `--save`: check its file before the command connects."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit.bindings.registration import Binding
    from pulsekit.recordings.writer import RecordingWriter

__all__ = ["new_recording"]


def new_recording(path: str, bindings: Sequence[Binding], *, replace: bool) -> RecordingWriter:
    """Return a writer for a recording. Detect errors of the file before the connection is opened.

    Raises:
        ConfigurationError: Raised when the file exists and `replace` is False, or its suffix is not one of a recording.
        OSError: Raised when the file cannot be created.
    """
    from pulsekit.recordings.recorder import Recorder
    from pulsekit.recordings.writer import RecordingWriter

    recorder = Recorder(path, bindings=[str(binding) for binding in bindings], replace=replace)
    if recorder.path.exists() and not replace:
        raise ConfigurationError(f"{path} already exists: use another name, or add --force to replace it")
    if not recorder.path.exists() and not os.access(recorder.path.parent, os.W_OK):
        reason = errno.EACCES if recorder.path.parent.is_dir() else errno.ENOENT
        raise OSError(reason, os.strerror(reason), path)
    return RecordingWriter(recorder)
