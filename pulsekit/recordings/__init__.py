"""Recordings: files of records, compressed or not. Write, read and replay them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.recordings.reader import read_recording
    from pulsekit.recordings.recorder import Recorder
    from pulsekit.recordings.replay import KeyMap, Replay

__all__ = [
    "KeyMap",
    "Recorder",
    "Replay",
    "read_recording",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "pulsekit.recordings.reader": ("read_recording",),
        "pulsekit.recordings.recorder": ("Recorder",),
        "pulsekit.recordings.replay": (
            "KeyMap",
            "Replay",
        ),
    },
)
