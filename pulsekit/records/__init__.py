"""Records: a message as one line of JSON. Read them, write them, select and filter them. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.records.record import Record, message_record, read_record

__all__ = ["Record", "message_record", "read_record"]

__getattr__, __dir__ = lazy_names(__name__, {"record": "Record message_record read_record"})
