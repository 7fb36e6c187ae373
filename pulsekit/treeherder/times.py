"""Read times as Treeherder does: in any form, in UTC if they have no time zone, and in whole seconds.

Treeherder parses times with dateutil, which takes missing parts from the current day: `10:00` is 10:00 of this day.
For the usual forms, the standard library returns the same result, and dateutil parses all other forms.
Source: `treeherder/etl/job_loader.py`, https://dateutil.readthedocs.io/en/stable/parser.html.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple

__all__ = ["FIELDS", "Moment", "read_time"]

# The times of a job in the order in which they happen, and Treeherder's names for them.
FIELDS = {"timeScheduled": "submit_timestamp", "timeStarted": "start_timestamp", "timeCompleted": "end_timestamp"}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62135596800, 253402300799  # in seconds, the years 1 to 9999
_MAX_LENGTH = 1000  # characters without surrounding white space; dateutil needs 5 ms for this length

# RFC 3339, with or without time zone. The standard library reads other forms too, such as hour 24 since Python 3.14.
_USUAL = re.compile(r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d+)?(Z|[+-]\d\d:[0-5]\d)?\Z", re.ASCII)


class Moment(NamedTuple):
    """A time as Treeherder reads it.

    Attributes:
        seconds: the seconds since 1970 in UTC, without a fraction.
        zoned: whether the text has a time zone. Without it, the time is UTC.
        complete: whether the text has year, month and day. Missing parts are from the day on which the time is read.
    """

    seconds: int
    zoned: bool
    complete: bool = True

    @property
    def text(self) -> str:
        """The time as RFC 3339, in UTC."""
        return (_EPOCH + timedelta(seconds=self.seconds)).isoformat().replace("+00:00", "Z")


def read_time(text: str, today: date | None = None) -> Moment | None:
    """Return a time, or None if Treeherder cannot read it.

    Args:
        text: the time.
        today: the day on which Treeherder reads the time; the default is today in UTC.
    """
    if match := _USUAL.match(text):
        return _usual_time(text, zoned=match[1] is not None)
    if len(text) > _MAX_LENGTH and len(text := text.strip()) > _MAX_LENGTH:
        return None
    day = datetime.combine(today or datetime.now(UTC).date(), datetime.min.time())
    moment = _parse(text, day)
    if moment is None:
        return None
    # If the result differs on a day with another year, month and day, the text lacks one of them.
    other = datetime(2000 + (day.year == 2000), day.month % 12 + 1, 1 + (day.day == 1))  # noqa: DTZ001 - as `day`
    return moment if moment == _parse(text, other) else moment._replace(complete=False)


@lru_cache(1024)  # the linter and the stored form read each time, and so does every message about a task
def _usual_time(text: str, *, zoned: bool) -> Moment | None:
    try:
        return _moment(datetime.fromisoformat(text), zoned=zoned)
    except ValueError:
        return None


def _parse(text: str, day: datetime) -> Moment | None:
    from dateutil import parser  # its import takes longer than most commands

    try:
        when = parser.parse(text, default=day, tzinfos=_zone)
        return _moment(when, zoned=when.tzinfo is not None)
    except Exception:  # noqa: BLE001 - whatever dateutil raises, Treeherder drops the job
        return None


def _zone(_: str | None, offset: int | None) -> timezone | None:
    """Return the time zone of an offset in seconds, or None for a name without offset, such as CET."""
    return None if offset is None else timezone(timedelta(seconds=offset))


def _moment(when: datetime, *, zoned: bool) -> Moment:
    since = (when if zoned else when.replace(tzinfo=UTC)) - _EPOCH
    seconds = since.days * 86400 + since.seconds
    if not _FIRST <= seconds <= _LAST:  # Python cannot represent its year in UTC
        raise ValueError(seconds)
    return Moment(seconds, zoned)
