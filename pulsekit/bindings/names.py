"""Names of exchanges, queues and users on Pulse, and their owners.

A Pulse user owns the names `exchange/<user>/…` and `queue/<user>/…`. Other names cannot exist on Pulse, so pulsekit
refuses them before anything is sent.
Source: `pulseguardian/management.py` and `pulseguardian/model/pulse_user.py` of PulseGuardian.
"""

from __future__ import annotations

import re

from pulsekit.errors import InvalidName

__all__ = [
    "check_exchange",
    "check_own_exchange",
    "check_queue",
    "check_user",
    "joined_name",
    "owner",
    "queue_name",
]

_USER = re.compile(r"[a-zA-Z][a-zA-Z0-9._-]*\Z")
_VERSION = re.compile(r"v\d+\Z")  # after the user in most names, as in taskcluster-queue/v1/task-completed
_MAX_BYTES = 255  # a short string, AMQP 0-9-1 §4.2.5.3


def check_user(user: str) -> str:
    """Return the user name if PulseGuardian allows it.

    Raises:
        InvalidName: Raised when the name does not begin with a letter, or has a character other than letters, digits,
            `.`, `_` and `-`.
    """
    if not _USER.match(user):
        raise InvalidName(user, "is not a Pulse user name: a letter, then letters, digits, '.', '_' or '-'")
    return user


def check_exchange(name: str, user: str | None = None) -> str:
    """Return the exchange name if it can exist on Pulse.

    Args:
        name: such as `exchange/me/v1/jobs`.
        user: the user name for a suggestion.

    Raises:
        InvalidName: Raised when the name is not `exchange/<user>/<name>`. The error suggests a valid name.
    """
    return _check("exchange", name, user)


def check_own_exchange(name: str, user: str) -> str:
    """Return the exchange name if the user may declare the exchange and publish to it.

    Raises:
        InvalidName: Raised when the name cannot exist on Pulse, or belongs to another user.
    """
    theirs = owner(check_exchange(name, user))
    if theirs != user:
        reason = f"belongs to {theirs!r}; PulseGuardian permits {user!r} to publish only to exchange/{user}/…"
        raise InvalidName(name, reason, f"exchange/{user}/{name.split('/', 2)[2]}")
    return name


def check_queue(name: str, user: str | None = None) -> str:
    """Return the queue name if it can exist on Pulse.

    Raises:
        InvalidName: Raised when the name is not `queue/<user>/<name>`. The error suggests a valid name.
    """
    return _check("queue", name, user)


def queue_name(user: str, name: str) -> str:
    """Return `queue/<user>/<name>`.

    Raises:
        InvalidName: Raised when the result cannot exist on Pulse.
    """
    return check_queue(f"queue/{user}/{name}", user)


def owner(name: str) -> str | None:
    """Return the user in the name of an exchange or a queue, or None if the name contains no user."""
    parts = name.split("/", 2)
    return parts[1] if len(parts) == 3 and parts[0] in {"exchange", "queue"} else None


def joined_name(name: str) -> str:
    """Return the reason why a name looks like several names, or an empty text.

    Such a name has a comma, a semicolon or white space. A broker permits these characters in exchanges, keys and
    patterns, but no known name has one of them.
    """
    match = re.search(r"[\s,;]", name)
    if match is None:
        return ""
    what = {",": "a comma", ";": "a semicolon"}.get(match[0], "white space")
    return f"{name!r:.80} has {what}, but is one name; give several names as several items or options"


def _check(kind: str, name: str, user: str | None) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the name of an {kind} is a str, such as '{kind}/me/jobs', not {type(name).__name__}")
    if "\0" in name:
        raise InvalidName(name, "contains a zero byte, which is not allowed")
    if "\n" in name or "\r" in name:
        raise InvalidName(name, "contains a line break, which RabbitMQ removes when it creates the name")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidName(name, "is not valid Unicode text") from None
    if size > _MAX_BYTES:
        raise InvalidName(name[:40] + "…", f"has {size} bytes; a name can have at most {_MAX_BYTES}")
    parts = name.split("/", 2)
    if len(parts) == 3 and parts[0] == kind and _USER.match(parts[1]):
        return name  # PulseGuardian's permission is ^exchange/<user>/.*, so the third part may be empty
    raise InvalidName(name, f"is not a Pulse {kind} name: {kind}/<user>/<name>", _suggest(kind, name, user))


def _suggest(kind: str, name: str, user: str | None) -> str | None:
    """Return the name that was probably meant, if the prefix is missing, incomplete or misspelt."""
    owner_, rest = user, [part for part in name.split("/") if part]
    if rest and rest[0].lower().rstrip("s") in {"exchange", "queue", "exchnage", "excahnge"}:
        del rest[0]
        if len(rest) > 1 and _USER.match(rest[0]):
            owner_ = rest.pop(0)
    elif rest and user and rest[0] == user:
        del rest[0]
    elif len(rest) > 2 and (not user or _VERSION.match(rest[1])) and _USER.match(rest[0]):
        owner_ = rest.pop(0)
    if not rest or re.search(r"[\s\"'<>{}\[\]]", name):  # not a name
        return None
    return f"{kind}/{owner_ or '<user>'}/{'/'.join(rest)}"
