"""Read times as Treeherder does: leniently, in UTC if they have no zone, and in whole seconds.

Treeherder's parser, dateutil, fills missing parts with today's date, so the same text means another time tomorrow. Such
a text is refused here, and so is a text that dateutil only guesses at.
Source: `treeherder/etl/job_loader.py`, https://dateutil.readthedocs.io/en/stable/parser.html.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

__all__ = ["FIELDS", "Moment", "read_time"]

# The times of a job in the order in which they happen, and Treeherder's names for them.
FIELDS = {"timeScheduled": "submit_timestamp", "timeStarted": "start_timestamp", "timeCompleted": "end_timestamp"}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62135596800, 253402300799  # in seconds, the years 1 to 9999

_MAX_LENGTH = 100  # characters; longer ones are no times, and looking would only take long

# What nearly every job has (RFC 3339), which the standard library reads the same way; from 3.14 on also the hour 24.
_USUAL = re.compile(r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:[0-5]\d)\Z", re.ASCII)

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMES = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?"
)
_DAYS = "mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?"

_YEAR, _MONTH, _NAME, _DAY = r"(?P<year>[1-9]\d{3})", r"(?P<month>\d{1,2})", f"(?P<name>{_NAMES})", r"(?P<day>\d{1,2})"
_WEEKDAY = rf"(?:(?:{_DAYS})[,.]?\s+)?"
_TIGHT_DATE = rf"{_YEAR}(?P<month>\d\d)(?P<day>\d\d)"
_DATES = (
    rf"{_YEAR}(?P<dash>[-/.]){_MONTH}(?P=dash){_DAY}",
    _TIGHT_DATE,
    rf"(?P<first>\d{{1,2}})(?P<dash>[-/.])(?P<other>\d{{1,2}})(?P=dash){_YEAR}",
    rf"{_WEEKDAY}{_DAY}(?:-|\s+){_NAME}(?:-|,?\s+){_YEAR}",
    rf"{_WEEKDAY}{_NAME}\s+{_DAY},?\s+{_YEAR}",
    rf"{_YEAR}[\s-]{_NAME}[\s-]{_DAY}",
)
_GAP = r"(?:\s*T\s*|,?\s+)"
_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?:\.\d+|(?<=\d\d),\d+)?)?"
    r"(?:\s*(?P<half>[ap])m(?![A-Z]))?"
)
_TIGHT_CLOCK = r"(?P<hour>\d\d)(?:(?P<minute>\d\d)(?:(?P<second>\d\d)(?:[.,]\d+)?)?)?"
# Of names, UTC's alone are known; others, such as CET, are passed over.
_ZONE = (
    r"(?:\s*(?:(?P<utc>(?-i:[Zz]|UTC|GMT))|(?P<sign>[+-])(?P<hours>\d\d)(?::?(?P<minutes>\d\d))?"
    rf"|(?!{_NAMES})(?-i:[A-Z]{{3,5}})))?"
)
# Each is for a whole text, whatever its case. A date without a clock is midnight.
_LENIENT = (
    *(rf"{date}(?:{_GAP}{_CLOCK}{_ZONE})?" for date in _DATES),
    *(rf"{date}{_GAP}{_TIGHT_CLOCK}{_ZONE}" for date in _DATES),
    rf"{_TIGHT_DATE}(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)?{_ZONE}",
    *(rf"{_WEEKDAY}{day}\s+{_CLOCK}{_ZONE}\s+{_YEAR}" for day in (rf"{_NAME}\s+{_DAY}", rf"{_DAY}\s+{_NAME}")),
)


class Moment(NamedTuple):
    """Hold a time that was read.

    Attributes:
        seconds: since 1970 in UTC; a fraction is cut off.
        zoned: whether the text names a zone; without one it counts as UTC.
    """

    seconds: int
    zoned: bool


def read_time(text: str) -> Moment | None:
    """Read a time, or return None when Treeherder cannot read it, or not the same way every day.

    Read are RFC 3339 and its relatives in ISO 8601, the dates of mails and of C's `ctime`, and American dates. Not read
    are leap seconds, the hour 24, weeks, seconds since 1970, and what lacks a year, month or day.
    """
    if _USUAL.match(text):
        try:
            return _moment(datetime.fromisoformat(text), zoned=True)
        except ValueError:
            return None
    if len(text) > _MAX_LENGTH:
        return None
    if not text.isascii():  # digits of any script count
        text = "".join(str(int(character)) if character.isdecimal() else character for character in text)
    for pattern in _LENIENT:
        if match := re.fullmatch(pattern, text.strip(), re.IGNORECASE | re.ASCII):
            try:
                return _put_together(match.groupdict())
            except ValueError:
                return None
    return None


def _put_together(parts: dict[str, str | None]) -> Moment:
    def number(part: str) -> int:
        return int(parts.get(part) or 0)

    month, day, hour = number("month"), number("day"), number("hour")
    if name := parts.get("name"):
        month = _MONTHS.index(name[:3].lower()) + 1
    elif parts.get("first"):  # the American way, unless only the other one makes sense
        month, day = number("first"), number("other")
        if month > 12:
            month, day = day, month
    if half := parts.get("half"):
        if not hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    zone: timezone | None = UTC if parts.get("utc") else None
    if sign := parts.get("sign"):
        offset = timedelta(hours=number("hours"), minutes=number("minutes"))
        zone = timezone(-offset if sign == "-" else offset)
    when = datetime(number("year"), month, day, hour, number("minute"), number("second"), tzinfo=zone or UTC)
    return _moment(when, zoned=zone is not None)


def _moment(when: datetime, *, zoned: bool) -> Moment:
    since = when - _EPOCH
    seconds = since.days * 86400 + since.seconds
    if not _FIRST <= seconds <= _LAST:  # in UTC it has no year that Python can write
        raise ValueError(seconds)
    return Moment(seconds, zoned)
