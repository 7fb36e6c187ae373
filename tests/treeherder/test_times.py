"""dateutil is the oracle: Treeherder reads times with it."""

from __future__ import annotations

import random
import warnings
from calendar import timegm
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit.treeherder.times import read_time

if TYPE_CHECKING:
    from collections.abc import Iterator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its older versions use what the standard library has given up
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
    assert read_time(text) == (NOON, True)


@pytest.mark.parametrize(
    "text", ["2026-11-23T12:00:00", "2026-11-23 12:00", "23-Nov-2026 12:00:00", "2026-11-23 12:00 PST"]
)
def test_a_time_without_a_zone_that_is_known_counts_as_utc(text: str) -> None:
    assert read_time(text) == (NOON, False)


def test_a_date_alone_is_midnight() -> None:
    assert read_time("2026-11-23") == (NOON - 12 * 3600, False)


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
def test_what_treeherder_cannot_read_is_not_read(text: str) -> None:
    assert _oracle(text) is None
    assert read_time(text) is None


def test_a_very_long_text_is_no_time() -> None:
    assert read_time("2" * 1_000_000) is None


@pytest.mark.parametrize("text", ["12:00", "12:00:00Z", "2026-11", "Nov 2026", "Monday", "2026", "10"])
def test_what_would_mean_something_else_tomorrow_is_not_read(text: str) -> None:
    assert _on(text, datetime(2004, 2, 3)) != _on(text, datetime(2001, 5, 17))  # noqa: DTZ001 - what lacks a zone
    assert read_time(text) is None


@given(
    st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),  # noqa: DTZ001 - hypothesis adds the zone
    st.integers(-1439, 1439),
    st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]),
)
def test_every_time_the_standard_library_writes_is_read(when: datetime, minutes: int, precision: str) -> None:
    moment = when.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    whole = moment.replace(microsecond=0) - datetime(1970, 1, 1, tzinfo=UTC)
    assert read_time(moment.isoformat(timespec=precision)) == (whole // timedelta(seconds=1), True)


def test_usual_and_unusual_forms_are_read_as_treeherder_does() -> None:
    read = 0
    for text in _texts(random.Random(20261123), 6000):
        expected = _oracle(text)
        assert (text, read_time(text)) == (text, expected)
        read += expected is not None
    assert 1000 < read < 5500


def test_nothing_is_read_as_another_time_than_treeherder_does() -> None:
    rng = random.Random(20261124)
    read = 0
    for text in _texts(rng, 6000):
        at = rng.randrange(len(text) + 1)
        damaged = text[:at] + rng.choice(["", *"0123456789:-+.,/TZ aApPmM"]) + text[at + rng.choice([0, 1]) :]
        if (found := read_time(damaged)) is not None:
            assert (damaged, found) == (damaged, _oracle(damaged))
            read += 1
    assert read > 500


def _oracle(text: str) -> tuple[int, bool] | None:
    """Read a text as Treeherder does; None when it cannot."""
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
