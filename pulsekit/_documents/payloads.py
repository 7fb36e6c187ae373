"""Decode and encode the JSON of message bodies: fast, and with the results of Python's `json`.

orjson is used if it gives the same result as `json`. Otherwise `json` is used, because kombu and Treeherder use it. The
differences: orjson writes NaN as null, reads integers of more than 64 bits as floats, and refuses lone surrogates, NaN
and numbers larger than any float.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from typing import Any

import orjson

from pulsekit._documents.nesting import MAX_DEPTH, is_deeper_text
from pulsekit.errors import InvalidMessage, Problem

__all__ = ["ONLY_JSON", "decode_body", "encode_payload", "exact_payload", "load_json", "unwritable"]

# Types that orjson would write as text, although JSON cannot represent them: the standard library refuses them.
ONLY_JSON = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS

# Without one of these, each number of a body can be written as JSON again.
_ODD_NUMBER = re.compile(rb"NaN|Infinity|[eE]\+?\d{3}")

_PLAIN = bytes.maketrans(b"123456789{", b"000000000[")
_TOO_DEEP = f"it is nested too deeply, more than {MAX_DEPTH} levels"
_UNWRITABLE = "the payload cannot be written as JSON"
_PART = 1024 * 1024  # bytes of a text that are searched at once
_MANY_DIGITS = b"0" * 19  # the shortest integer that may not fit into 64 bits
_BEFORE_NUMBER = b"-:,[ \t\n\r"


def decode_body(body: bytes) -> Any:
    """Decode a JSON body the way Treeherder's reader does.

    Raises:
        DocumentError: Raised when the body is not UTF-8 JSON, or has too many levels or digits.
    """
    try:
        return load_json(body)
    except (ValueError, RecursionError):
        pass
    from pulsekit._documents.document import parse_json  # only parse_json finds the position of the error

    return parse_json(body, source="body").value


def load_json(text: bytes) -> Any:
    """Return the value of UTF-8 JSON. `json.loads` has the same result, and takes three times as long.

    Raises:
        RecursionError: Raised when the nesting exceeds `MAX_DEPTH`.
        ValueError: Raised when the text is not UTF-8 JSON.
    """
    try:
        if not _needs_json(text):
            return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass  # json.loads accepts more, or has a better message
    # Decoded here, because json.loads would also accept bytes in UTF-16 or UTF-32, which consumers do not expect.
    return json.loads(text.removeprefix(BOM_UTF8).decode())


def _needs_json(text: bytes) -> bool:
    """Check the nesting, and return whether a number may be too long for orjson.

    Both checks search one copy of the text: two copies cost 0.7 µs more for a job. A large text is copied in parts.

    Raises:
        RecursionError: Raised when the nesting exceeds `MAX_DEPTH`.
    """
    if len(text) > _PART:
        if is_deeper_text(text):
            raise RecursionError(_TOO_DEEP)
        step = _PART - len(_MANY_DIGITS)  # two parts overlap, so that each number is complete in one of them
        return any(_has_long_number(text[at : at + _PART].translate(_PLAIN)) for at in range(0, len(text), step))
    plain = text.translate(_PLAIN)
    if plain.count(b"[") > MAX_DEPTH and is_deeper_text(text):
        raise RecursionError(_TOO_DEEP)
    return _has_long_number(plain)


def _has_long_number(plain: bytes) -> bool:
    """Return whether many digits begin where a number can begin, and not after a quote or a letter.

    A record with a `message_id` of digits is read in half of the time that `json` takes.
    """
    at = plain.find(_MANY_DIGITS)
    while at > 0 and plain[at - 1] not in _BEFORE_NUMBER:
        at = plain.find(_MANY_DIGITS, at + len(_MANY_DIGITS))
    return at >= 0


def encode_payload(payload: Any) -> bytes:
    """Encode a payload as UTF-8 JSON.

    Raises:
        InvalidMessage: Raised when JSON cannot represent the payload: NaN, infinity, a set or a loop, or too deep.
    """
    try:
        body = orjson.dumps(payload, option=ONLY_JSON)
    except (orjson.JSONEncodeError, RecursionError):
        pass  # json.dumps accepts more, or has a better message
    else:
        if b"null" not in body and not is_deeper_text(body):  # orjson writes NaN as null
            return body
    try:
        text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise InvalidMessage(f"{_UNWRITABLE}: {_TOO_DEEP}") from None
    except (TypeError, ValueError) as error:
        raise InvalidMessage(f"{_UNWRITABLE}: {error}") from error
    try:
        body = text.encode()
    except UnicodeEncodeError:  # lone surrogates, which can only be written as escapes
        body = json.dumps(payload, allow_nan=False, separators=(",", ":")).encode()
    if is_deeper_text(body):
        raise InvalidMessage(f"{_UNWRITABLE}: {_TOO_DEEP}")
    return body


def unwritable(payload: Any, body: bytes | None = None) -> tuple[Problem, ...]:
    """Return a problem if JSON cannot represent a payload, for example because Python's reader accepted NaN.

    With `body`, the text from which the payload was read, most payloads need not be encoded.
    """
    if body is not None and not _ODD_NUMBER.search(body):
        return ()
    try:
        encode_payload(payload)
    except InvalidMessage as error:
        return (Problem("", "json", str(error)),)
    return ()


def exact_payload(content: Any) -> Any:
    """Return the payload for a publisher. If it is a string, encode it as JSON.

    Otherwise, a publisher would refuse a string that contains JSON, because the caller may have encoded the payload.
    """
    return encode_payload(content) if isinstance(content, str) else content
