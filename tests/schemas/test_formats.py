from __future__ import annotations

import re
import time

import pytest

from pulsekit.schemas.formats import FORMATS
from pulsekit.schemas.schema import load_schema

GOOD = {
    "date-time": [
        "1985-04-12T23:20:50.52Z",
        "1996-12-19T16:39:57-08:00",
        "1990-12-31T23:59:60Z",
        "1937-01-01T12:00:27.87+00:20",
        "2024-02-29t00:00:00z",
        "2000-02-29T00:00:00Z",
        "0000-01-01T00:00:00-23:59",
    ],
    "uri": [
        "ftp://ftp.is.co.za/rfc/rfc1808.txt",
        "http://www.ietf.org/rfc/rfc2396.txt",
        "ldap://[2001:db8::7]/c=GB?objectClass?one",
        "mailto:John.Doe@example.com",
        "news:comp.infosystems.www.servers.unix",
        "tel:+1-816-555-1212",
        "telnet://192.0.2.16:80/",
        "urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
        "https://u:p@example.com:443/a/../b;c=1?d=$&e=%C3%A9#f/?g",
        "file:///tmp/x",
        "a:",
        "x://",
    ],
}
BAD = {
    "date-time": [
        ("2026-02-29T00:00:00Z", ""),
        ("1900-02-29T00:00:00Z", ""),
        ("2026-04-31T00:00:00Z", ""),
        ("2026-13-01T00:00:00Z", ""),
        ("2026-11-23T24:00:00Z", ""),
        ("2026-11-23T18:60:00Z", ""),
        ("2026-11-23T18:00:61Z", ""),
        ("2026-11-23T18:00Z", ""),
        ("2026-11-23T18:00:00.Z", ""),
        ("٢٠٢٦-11-23T18:00:00Z", ""),
        ("yesterday", ""),
        ("", ""),
        ("2026-11-23T18:00:00Z\n", "remove the space"),
        ("2026-11-23 18:00:00Z", "write a T"),
        ("2026-11-23T18:00:00", "add the time zone"),
        ("2026-11-23T18:00:00.5", "add the time zone"),
        ("2026-11-23T18:00:00+0100", "with a colon"),
        ("2026-11-23", "add the time"),
        ("1764000000", "seconds since 1970"),
    ],
    "uri": [
        ("", "begin with the scheme"),
        ("example.com/log", "begin with the scheme"),
        ("//example.com/log", "begin with the scheme"),
        ("/log", "begin with the scheme"),
        ("1a:b", ""),
        ("https://example.com/a b", "percent-encode spaces"),
        ("https://example.com/{x}", "percent-encode spaces"),
        ("https://example.com/[x]", "percent-encode spaces"),
        ("https://example.com/é", "percent-encode all characters that are not ASCII"),
        ("https://example.com/\n", "remove the space"),
        ("https://example.com/100%", "as %25"),
        ("https://example.com:port/", ""),
        ("é:x", "percent-encode all characters that are not ASCII"),
        ("https://a@b@c/", ""),
        ("https://example.com/#a#b", ""),
    ],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in GOOD for text in GOOD[name]])
def test_everything_that_the_rfc_allows_is_accepted(name: str, text: str) -> None:
    assert re.search(FORMATS[name].pattern, text)
    assert load_schema({"format": name}).is_valid(text)


@pytest.mark.parametrize(("name", "text", "hint"), [(name, *bad) for name in BAD for bad in BAD[name]])
def test_an_invalid_text_is_refused_with_a_hint(name: str, text: str, hint: str) -> None:
    (problem,) = load_schema({"format": name}).problems(text)
    assert problem.rule == "format"
    assert problem.allowed == FORMATS[name].allowed
    assert hint in problem.hint
    assert bool(hint) is bool(problem.hint)


@pytest.mark.parametrize("name", FORMATS)
def test_only_the_strict_profile_checks_formats_and_only_of_text(name: str) -> None:
    schema = load_schema({"format": name})
    assert schema.is_valid(1)
    assert not schema.is_valid("no")
    assert schema.is_valid("no", "treeherder")


@pytest.mark.parametrize(
    "text", ["a:" + "b" * 1_000_000 + " ", "a://" + "%41" * 300_000 + "{", "a://" + "b" * 500_000 + "@@"]
)
def test_long_texts_need_linear_time(text: str) -> None:
    begin = time.process_time()
    assert not load_schema({"format": "uri"}).is_valid(text)
    assert time.process_time() - begin < 1
