"""Times as Treeherder reads them with dateutil: the usual forms, which are not read with it, are compared with it."""

from __future__ import annotations

import random
import warnings
from calendar import timegm
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit.treeherder.times import read_time

if TYPE_CHECKING:
    from collections.abc import Iterator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its older versions use functions that are deprecated in the standard library
    from dateutil import parser

NOON = 1795435200  # 2026-11-23T12:00:00Z


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T12:00:00Z",
        "2026-11-23t12:00:00z",
        "2026-11-23T12:00:00.999999999Z",
        "2026-11-23T13:00:00+01:00",
        "2026-11-23T04:00:00-0800",
        "2026-11-23 12:00 UTC",
        "20261123T120000Z",
        " 2026-11-23T12:00:00Z\n",
        "٢٠٢٦-11-23T12:00:00Z",
        "Mon, 23 Nov 2026 13:00:00 +0100",
        "Mon Nov 23 12:00:00 UTC 2026",
        "11/23/2026 12:00 pm +00:00",
    ],
)
def test_a_time_with_a_zone_is_read_in_whole_seconds(text: str) -> None:
    assert read_time(text) == (NOON, True, True)


@pytest.mark.parametrize(
    "text", ["2026-11-23T12:00:00", "2026-11-23 12:00", "23-Nov-2026 12:00:00", "2026-11-23 12:00 PST"]
)
def test_a_time_without_a_known_zone_is_utc(text: str) -> None:
    assert read_time(text) == (NOON, False, True)


def test_a_date_without_a_time_is_midnight() -> None:
    assert read_time("2026-11-23") == (NOON - 12 * 3600, False, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "soon",
        "null",
        "1764000000",
        "1764000000000",
        "2026-11-23T24:00:00Z",
        "2026-11-23T12:00:60Z",
        "2026-02-29T12:00:00Z",
        "2026-11-23T12:00:00+24:00",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "2026-W48-1",
        "2026-11-23T12:00:00Z and more",
        "2026-11-23T12:00:00+01:00[Europe/Berlin]",
        "2026-11-23 13:00 am",
    ],
)
def test_a_time_that_treeherder_cannot_read_is_not_read(text: str) -> None:
    assert _oracle(text) is None
    assert read_time(text) is None


def test_a_very_long_text_is_not_a_time() -> None:
    assert read_time("2" * 1_000_000) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12:00", "2026-11-29T12:00:00Z"),
        ("12:00:00Z", "2026-11-29T12:00:00Z"),
        ("Monday", "2026-11-30T00:00:00Z"),
        ("2025", "2025-11-29T00:00:00Z"),
        ("2025-02", "2025-02-28T00:00:00Z"),
        ("-1", "2026-11-01T00:00:00Z"),
        ("29", "2026-11-29T00:00:00Z"),
        ("Nov 2026", "2026-11-29T00:00:00Z"),
        ("23 Nov", "2026-11-23T00:00:00Z"),
    ],
)
def test_missing_parts_are_those_of_the_day_of_reading(text: str, expected: str) -> None:
    moment = read_time(text, date(2026, 11, 29))
    assert moment is not None
    assert (moment.text, moment.complete) == (expected, False)


def test_a_day_that_this_month_does_not_have_cannot_be_read() -> None:
    assert read_time("31", date(2026, 11, 29)) is None
    assert read_time("31", date(2026, 12, 29)) is not None


def test_a_full_time_is_complete_on_every_day() -> None:
    for day in (date(2000, 2, 1), date(2026, 1, 31), date(2026, 11, 29), date(2028, 2, 29)):
        for text in ("2026-11-23 12:00", "Mon, 23 Nov 2026 12:00:00 GMT", "20261123T12"):
            assert read_time(text, day) == (NOON, "GMT" in text, True)


@given(
    st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),  # noqa: DTZ001 - hypothesis adds the zone
    st.integers(-1439, 1439),
    st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]),
)
def test_every_time_the_standard_library_writes_is_read(when: datetime, minutes: int, precision: str) -> None:
    moment = when.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    whole = moment.replace(microsecond=0) - datetime(1970, 1, 1, tzinfo=UTC)
    assert read_time(moment.isoformat(timespec=precision)) == (whole // timedelta(seconds=1), True, True)


def test_usual_and_unusual_forms_are_read_as_treeherder_does() -> None:
    read = 0
    for text in _texts(random.Random(20261123), 2000):
        expected, found = _oracle(text), read_time(text)
        assert (text, found and found[:2]) == (text, expected)
        read += expected is not None
    assert 300 < read < 1800


def test_damaged_forms_are_read_as_treeherder_does() -> None:
    rng, day = random.Random(20261124), datetime(2026, 11, 29)  # noqa: DTZ001 - as dateutil has it
    read = 0
    for text in _texts(rng, 2000):
        at = rng.randrange(len(text) + 1)
        damaged = text[:at] + rng.choice(["", *"0123456789:-+.,/TZ aApPmM"]) + text[at + rng.choice([0, 1]) :]
        found = read_time(damaged, day.date())
        assert (damaged, found and found[:2]) == (damaged, _on(damaged, day))
        read += found is not None
    assert read > 300


def _oracle(text: str) -> tuple[int, bool] | None:
    """Read a text as Treeherder does; None if it cannot."""
    return _on(text, None)


def _on(text: str, day: datetime | None) -> tuple[int, bool] | None:
    """Read a text as Treeherder would on some day."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zones it does not know
        try:
            when = parser.parse(text, default=day)
            return timegm(when.utctimetuple()), when.tzinfo is not None
        except (ValueError, OverflowError):
            return None


def _texts(rng: random.Random, count: int) -> Iterator[str]:
    for _ in range(count):
        gap = rng.choice(["T", "T", "t", " ", "  ", ", "])
        yield f"{_date(rng)}{gap}{_clock(rng)}{_zone(rng)}" if rng.random() < 0.95 else _date(rng)


def _date(rng: random.Random) -> str:
    year, month, day = rng.randint(1970, 2035), rng.randint(1, 13), rng.randint(1, 32)
    dash = rng.choice("-/.")
    weekday = rng.choice(["", "", "Mon, ", "Tue ", "Monday, ", "fri, "])
    name = rng.choice(["Jan", "Feb", "mar", "APR", "May", "June", "Jul", "August", "Sep", "Sept", "Oct", "December"])
    return rng.choice(
        [
            f"{year}-{month:02}-{day:02}",
            f"{year}{dash}{month}{dash}{day}",
            f"{year}{month:02}{day:02}",
            f"{month}{dash}{day}{dash}{year}",
            f"{day}{dash}{month}{dash}{year}",
            f"{weekday}{day} {name} {year}",
            f"{day}-{name}-{year}",
            f"{weekday}{name} {day}, {year}",
            f"{name} {day} {year}",
            f"{year}-{name}-{day}",
        ]
    )


def _clock(rng: random.Random) -> str:
    hour, minute, second = rng.randint(0, 25), rng.randint(0, 61), rng.randint(0, 61)
    fraction = rng.choice(["", "", ".5", ".123456", ".123456789", ",25"])
    half = rng.choice(["am", " am", "pm", " PM"])
    return rng.choice(
        [
            f"{hour:02}:{minute:02}:{second:02}{fraction}",
            f"{hour:02}:{minute:02}",
            f"{hour}:{minute:02}:{second:02}",
            f"{hour:02}{minute:02}{second:02}{fraction}",
            f"{hour:02}{minute:02}",
            f"{hour:02}",
            f"{hour % 14}:{minute:02}{half}",
        ]
    )


def _zone(rng: random.Random) -> str:
    hours, minutes = rng.randint(0, 25), rng.choice([0, 30, 59, 75])
    return rng.choice(
        [
            "",
            *("Z", "z", " UTC", " GMT", " EST", " CET"),
            f"+{hours:02}:{minutes:02}",
            f"-{hours:02}:{minutes:02}",
            f"+{hours:02}{minutes:02}",
            f"-{hours:02}",
            f" +{hours:02}:{minutes:02}",
        ]
    )
