"""The formats that Taskcluster's hooks service checks, as subschemas without `format`.

    FORMATS["email"]     # {"pattern": …}

The formats have the verdicts of the package ajv-formats in its mode "full", which follows RFC 3339 for times, RFC 3986
for URIs and RFC 4291 for addresses; docs/hooks.md lists the differences. All patterns are those of Python's `re`. See
https://ajv.js.org/packages/ajv-formats.html
"""

from __future__ import annotations

from typing import Any

__all__ = ["FORMATS"]


def _text(pattern: str, flags: str = "ai") -> dict[str, Any]:
    return {"pattern": rf"\A(?{flags}:{pattern})\Z"}


# RFC 3339. An offset may have no colon and no minutes. A leap second is the last second of a day in UTC: with an
# offset, its local time differs. Only offsets of full, half and quarter hours are supported.
_DAY = (
    r"(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_OFFSET = r"(?:Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"
_PART = r"(?:\.[0-9]+)?"


def _leap_seconds() -> str:
    """Return a pattern for a leap second, at the end of a day in UTC: 23:59:60Z is 00:59:60+01:00."""
    found: dict[str, list[str]] = {"23:59": ["Z"]}
    for offset in range(-95, 96):
        hours, quarters = divmod(abs(offset), 4)
        sign = r"\+" if offset > 0 else "-" if offset < 0 else "[+-]"
        minute = (24 * 60 - 1 + offset * 15) % (24 * 60)
        minutes = f":?{quarters * 15:02}" if quarters else "(?::?00)?"
        found.setdefault(f"{minute // 60:02}:{minute % 60:02}", []).append(rf"{sign}{hours:02}{minutes}")
    return "|".join(f"{local}:60{_PART}(?:{'|'.join(offsets)})" for local, offsets in found.items())


_SECOND = rf"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]{_PART}"
_TIME = rf"(?:{_SECOND}{_OFFSET}|{_leap_seconds()})"
_ANY_TIME = rf"(?:{_SECOND}{_OFFSET}?|{_leap_seconds()}|23:59:60{_PART})"
_DURATION = (
    r"P(?:(?=[0-9T])(?:[0-9]+Y)?(?:[0-9]+M)?(?:[0-9]+D)?(?:T(?=[0-9])(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+S)?)?|[0-9]+W)"
)
_SPACE = r"[\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]"

# RFC 3986, appendix A, and RFC 4291 for the address in brackets. In a reference, names and paths may contain a
# quotation mark.
_PLAIN = r"A-Z0-9\-._~!$&'()*+,;="
_ESCAPED = "%[0-9A-F]{2}"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_STRICT_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_GROUP = "[0-9A-F]{1,4}"


def _ipv6(byte: str) -> str:
    """Return a pattern for an IPv6 address: eight groups, or fewer around `::`. The last two may be an IPv4 address."""
    ipv4 = rf"(?:{byte}\.){{3}}{byte}"
    full = [f"(?:{_GROUP}:){{7}}{_GROUP}", f"(?:{_GROUP}:){{6}}{ipv4}"]
    for before in range(8):
        head = f"{_GROUP}(?::{_GROUP}){{{before - 1}}}::" if before else "::"
        rest = 7 - before  # groups after `::`, which replaces one or more groups
        full.append(f"{head}(?:{_GROUP}(?::{_GROUP}){{0,{rest - 1}}})?" if rest else head)
        if rest >= 2:
            full.append(f"{head}(?:{_GROUP}:){{0,{rest - 2}}}{ipv4}")
    return f"(?:{'|'.join(full)})"


def _behind_scheme(more: str, *, empty: bool) -> str:
    """Return a pattern for a URI after its scheme. `more` are other characters that names and paths may contain."""
    chars = rf"(?:[{_PLAIN}{more}:@]|{_ESCAPED})"
    address = rf"\[(?:{_ipv6(_BYTE)}|V[0-9A-F]+\.[{_PLAIN}:]+)\]"
    authority = rf"(?:(?:[{_PLAIN}:]|{_ESCAPED})*@)?(?:{address}|(?:[{_PLAIN}{more}]|{_ESCAPED})*)(?::[0-9]*)?"
    path = rf"(?:/?/{authority}(?:/{chars}*)*|/(?:{chars}+(?:/{chars}*)*)?|{chars}+(?:/{chars}*)*)"
    return rf"{path}{'?' if empty else ''}(?:\?(?:{chars}|[/?])*)?(?:#(?:{chars}|[/?])*)?"


_SCHEME = r"[A-Z][A-Z0-9+\-.]*:"
_URI = _SCHEME + _behind_scheme("", empty=False)
_REFERENCE = f"(?:{_SCHEME})?" + _behind_scheme('"', empty=True)
_NAME = rf"(?:[A-Z0-9_]|{_ESCAPED})+(?::[1-9][0-9]{{0,3}}|\*)?"
_TEMPLATE = rf"(?:[^\x00-\x20\"'<>%\\^`{{|}}]|{_ESCAPED}|\{{[+#./;?&=,!@|]?{_NAME}(?:,{_NAME})*\}})*"

_ATOM = r"[A-Z0-9!#$%&'*+/=?^_`{|}~\-]+"
_LABEL = r"[A-Z0-9](?:[A-Z0-9\-]*[A-Z0-9])?"
_HOST_LABEL = r"[A-Z0-9](?:[A-Z0-9\-]{0,61}[A-Z0-9])?"
_IPV4 = rf"(?:{_STRICT_BYTE}\.){{3}}{_STRICT_BYTE}"
_POINTER = r"(?:/(?:[^~/]|~0|~1)*)*"
_BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
# A URL of the web: not a private address, and a name with a top-level domain.
_LETTER = r"[A-Z0-9\u00a1-\U0010ffff]"
_PUBLIC = (
    r"(?!(?:10|127)(?:\.[0-9]{1,3}){3}|(?:169\.254|192\.168)(?:\.[0-9]{1,3}){2}"
    r"|172\.(?:1[6-9]|2[0-9]|3[01])(?:\.[0-9]{1,3}){2})"
    r"(?:[1-9][0-9]?|1[0-9]{2}|2[01][0-9]|22[0-3])(?:\.(?:1?[0-9]{1,2}|2[0-4][0-9]|25[0-5])){2}"
    r"\.(?:[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-4])"
)
_DOMAIN = rf"(?:{_LETTER}+-)*{_LETTER}+(?:\.(?:{_LETTER}+-)*{_LETTER}+)*\.[A-Z\u00a1-\U0010ffff]{{2,}}"
_NO_SPACE = _SPACE.replace("[", "[^", 1)
_URL = (
    rf"(?:https?|ftp)://(?:{_NO_SPACE}+(?::{_NO_SPACE}*)?@)?(?:{_PUBLIC}|{_DOMAIN})(?::[0-9]{{2,5}})?(?:/{_NO_SPACE}*)?"
)


def _whole(limit: float) -> dict[str, Any]:
    return {"if": {"type": "number"}, "then": {"type": "integer", "minimum": -limit, "maximum": limit - 1}}


FORMATS: dict[str, dict[str, Any]] = {
    "date": _text(_DAY),
    "time": _text(_TIME),
    "date-time": _text(rf"{_DAY}(?:T|{_SPACE}){_TIME}"),
    "iso-time": _text(_ANY_TIME),
    "iso-date-time": _text(rf"{_DAY}(?:T|{_SPACE}){_ANY_TIME}"),
    "duration": _text(_DURATION, "a"),
    "uri": _text(_URI),
    "uri-reference": _text(_REFERENCE),
    "uri-template": _text(_TEMPLATE),
    "url": _text(_URL),
    "email": _text(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}"),
    "hostname": _text(rf"(?=.{{1,253}}\.?\Z){_HOST_LABEL}(?:\.{_HOST_LABEL})*\.?"),
    "ipv4": _text(_IPV4),
    "ipv6": _text(_ipv6(_STRICT_BYTE)),
    "regex": {},
    "uuid": _text("(?:urn:uuid:)?[0-9A-F]{8}-(?:[0-9A-F]{4}-){3}[0-9A-F]{12}"),
    "json-pointer": _text(_POINTER),
    "json-pointer-uri-fragment": _text(rf"#(?:/(?:[A-Z0-9_\-.!$&'()*+,;:=@]|{_ESCAPED}|~0|~1)*)*"),
    "relative-json-pointer": _text(rf"(?:0|[1-9][0-9]*)(?:#|{_POINTER})"),
    "byte": {"pattern": rf"(?:\A|[\n\r\u2028\u2029]){_BASE64}(?:\Z|[\n\r\u2028\u2029])"},  # matches one of the lines
    "int32": _whole(2**31),
    "int64": {"if": {"type": "number"}, "then": {"type": "integer"}},
    "float": {},
    "double": {},
    "password": {},
    "binary": {},
}
