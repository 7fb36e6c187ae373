"""Recordings: files of records, compressed or not. Record a subscription, read a recording, replay it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.recordings.acknowledging import RecordingWriter
    from pulsekit.recordings.follow import Follower, Until
    from pulsekit.recordings.reader import read_recording
    from pulsekit.recordings.recorder import Recorder
    from pulsekit.recordings.replay import KeyMap, Replay

__all__ = ["Follower", "KeyMap", "Recorder", "RecordingWriter", "Replay", "Until", "read_recording"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "follow": "Follower Until",
        "reader": "read_recording",
        "recorder": "Recorder",
        "replay": "KeyMap Replay",
        "acknowledging": "RecordingWriter",
    },
)
