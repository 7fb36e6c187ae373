"""The formats that the strict profile checks: `date-time` by RFC 3339 and `uri` by RFC 3986.

Each is one regular expression with linear time. The formats of fastjsonschema are not used: they accept digits of any
script, offsets without a colon, and almost any text as a URI. Other formats are not checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["FORMATS", "SECONDS", "Format"]

SECONDS = r"\A[0-9]{9,13}(?:\.[0-9]+)?\Z"  # since 1970, and not a year


@dataclass(frozen=True, slots=True)
class Format:
    """One format, with the messages for texts that violate it.

    Attributes:
        pattern: the pattern, anchored at both ends, with every literal dollar sign escaped.
        allowed: a description of the allowed texts, with an example.
        hints: pairs of a pattern to search in the text, and a hint. The first pattern that matches determines the hint.
    """

    pattern: str
    allowed: str
    hints: tuple[tuple[str, str], ...] = ()

    def hint(self, text: str) -> str:
        """Return a hint for a text that violates the format, or an empty text."""
        return next((advice for pattern, advice in self.hints if re.search(pattern, text)), "")


# RFC 3339 §5.6 and §5.7: the day must exist, the second may be a leap second.
_DAY = (
    r"[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_LEAP_DAY = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_DATE_TIME = rf"\A(?:{_DAY}|{_LEAP_DAY})[Tt]{_CLOCK}:(?:[0-5][0-9]|60)(?:\.[0-9]+)?(?:[Zz]|[+-]{_CLOCK})\Z"

# RFC 3986, appendix A. With possessive repetition, the time is linear.
_PLAIN = r"A-Za-z0-9\-._~!\$&'()*+,;="
_ESCAPED = "%[0-9A-Fa-f]{2}"
_USER = rf"(?:[{_PLAIN}:]++|{_ESCAPED})*+@"
_HOST = rf"(?:\[[{_PLAIN}:]++\]|(?:[{_PLAIN}]++|{_ESCAPED})*+)"
_PATH = rf"(?:[{_PLAIN}:@/]++|{_ESCAPED})*+"
_REST = rf"(?:[{_PLAIN}:@/?]++|{_ESCAPED})*+"
_URI = (
    r"\A[A-Za-z][A-Za-z0-9+.-]*+:"
    rf"(?://(?:{_USER})?{_HOST}(?::[0-9]*+)?(?:/{_PATH})?|(?!//){_PATH})"
    rf"(?:\?{_REST})?(?:#{_REST})?\Z"
)

FORMATS = {
    "date-time": Format(
        _DATE_TIME,
        "a date and time by RFC 3339, such as 2026-11-23T18:00:00Z",
        (
            (r"\s\Z|\A\s", "remove the space around it"),
            (rf"\A{_DAY} {_CLOCK}:[0-9.]+\Z", "write a T between date and time, and Z after it for UTC"),
            (rf"\A{_DAY} {_CLOCK}", "write a T between date and time"),
            (rf"\A{_DAY}[Tt]{_CLOCK}:[0-9.]+\Z", "add the time zone: Z, or an offset such as +00:00"),
            (rf"\A{_DAY}[Tt]{_CLOCK}:[0-9.]+[+-][0-9]{{4}}\Z", "write the offset with a colon, such as +00:00"),
            (rf"\A{_DAY}\Z", "add the time, such as T18:00:00Z"),
            (SECONDS, "write the seconds since 1970 as a date and time"),
        ),
    ),
    "uri": Format(
        _URI,
        "an absolute URI, such as https://example.com/log.txt",
        (
            (r"\s\Z|\A\s", "remove the space around it"),
            (r"\A(?:www\.|/|[^:/?#]*(?:[/?#]|\Z))", "begin with the scheme, such as https://"),
            (r"[^\x00-\x7f]", "percent-encode all characters that are not ASCII"),
            (r"[\s\"<>\\^`{|}\[\]]", 'percent-encode spaces and the characters " < > \\ ^ ` { | } [ ]'),
            (r"%(?![0-9A-Fa-f]{2})", "write a percent sign as %25"),
        ),
    ),
}
