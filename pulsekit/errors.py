"""Every exception pulsekit raises on purpose, in one tree.

The branches answer the question a caller has: what can I do about it?

    PulsekitError
    ├── ConfigurationError        fix the configuration or the call
    │   ├── InvalidName           a name Pulse cannot have
    │   ├── InvalidPattern        a binding that no broker would keep
    │   ├── InsecureConnection    clear text to a host that is not this machine
    │   ├── SchemaError           a schema that cannot be compiled
    │   └── NotOpen               used before it was opened, or after it was closed
    ├── InvalidInput              fix the data
    │   ├── DocumentError         text that is not YAML, JSON or NDJSON
    │   ├── DamagedRecording      a recording that was cut off, damaged or changed
    │   ├── InvalidPayload        a payload the schema refuses, with every problem
    │   ├── InvalidRegistration   a registration that cannot be expanded
    │   └── InvalidMessage        a key, header or body AMQP cannot carry
    ├── BrokerRefused             ask for permission, or create what is missing
    │   ├── LoginRefused
    │   ├── VirtualHostRefused
    │   ├── AccessRefused         403
    │   ├── NotFound              404
    │   ├── ResourceLocked        405
    │   ├── PreconditionFailed    406
    │   └── SubscriptionLost      the queue was deleted
    ├── NetworkError              try again later
    │   ├── ConnectTimeout
    │   ├── ConnectionLost
    │   └── Unreachable
    └── PublishError              one message was not confirmed; has the receipt (`pulsekit.publisher.receipts`)
        ├── MessageReturned       no queue is bound to the key
        ├── MessageRefused        the broker sent a negative confirm
        ├── PublishTimeout        no confirm before the deadline
        └── OutcomeUnknown        the connection went before the confirm

`str()` of each is what a user reads: what happened, and what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


__all__ = [
    "AccessRefused",
    "BrokerRefused",
    "ConfigurationError",
    "ConnectTimeout",
    "ConnectionLost",
    "DamagedRecording",
    "DocumentError",
    "InsecureConnection",
    "InvalidInput",
    "InvalidMessage",
    "InvalidName",
    "InvalidPattern",
    "InvalidPayload",
    "InvalidRegistration",
    "LoginRefused",
    "NetworkError",
    "NotFound",
    "NotOpen",
    "PreconditionFailed",
    "Problem",
    "PulsekitError",
    "ResourceLocked",
    "SchemaError",
    "SubscriptionLost",
    "Unreachable",
    "VirtualHostRefused",
    "fresh",
]

ErrorT = TypeVar("ErrorT", bound=BaseException)


class PulsekitError(Exception):
    """Catch everything pulsekit raises on purpose."""


class ConfigurationError(PulsekitError):
    """Report a setting or an argument that has to change before a retry makes sense."""


class InvalidName(ConfigurationError):
    """Report an exchange, queue or user name that Pulse cannot have.

    Attributes:
        name: the name as it was given.
        suggestion: a name that would do, or None.
    """

    def __init__(self, name: str, reason: str, suggestion: str | None = None) -> None:
        self.name = name
        self.suggestion = suggestion
        hint = f"; did you mean {suggestion!r}?" if suggestion else ""
        super().__init__(f"{name!r} {reason}{hint}")


class InvalidPattern(ConfigurationError):
    """Report a binding that cannot be written, such as one over 255 bytes."""


class InsecureConnection(ConfigurationError):
    """Refuse to log in over clear text to a host that is not this machine."""


class SchemaError(ConfigurationError):
    """Report a schema that cannot be found, read or compiled."""


class NotOpen(ConfigurationError):
    """Report the use of a resource outside its `async with` block."""


class InvalidInput(PulsekitError):
    """Report data that has to change before it can be used."""


def place_text(source: object, line: int | None = None, column: int | None = None) -> str:
    """Return `source:line:column`, without the parts that are None."""
    return ":".join(str(part) for part in (source, line, column) if part is not None)


class DocumentError(InvalidInput):
    """Report text that cannot be read as YAML, JSON or NDJSON.

    Attributes:
        source: the file name, or `<stdin>`.
        line: 1-based line, or None when it is not known.
        column: 1-based column in characters, or None.
        reason: the words without the place.
    """

    def __init__(self, reason: str, *, source: str = "", line: int | None = None, column: int | None = None) -> None:
        self.reason = reason
        self.source = source
        self.line = line
        self.column = column
        place = place_text(source or None, line, column)
        super().__init__(f"{place}: {reason}" if place else reason)

    def problem(self) -> Problem:
        """Return the same as a problem of a payload."""
        return Problem("", "syntax", self.reason, line=self.line, column=self.column)


class DamagedRecording(InvalidInput):
    """Report a recording that is not whole.

    Attributes:
        source: the file name.
        line: 1-based number of the line, unpacked, at which it was noticed.
        count: how many messages stand before that line, and could be read.
        reason: the words without the place.
    """

    def __init__(self, reason: str, *, source: str, line: int, count: int) -> None:
        self.reason = reason
        self.source = source
        self.line = line
        self.count = count
        before = "1 message stands" if count == 1 else f"{count} messages stand"
        super().__init__(f"{place_text(source, line)}: {reason}; {before} before this line")


@dataclass(frozen=True, slots=True)
class Problem:
    """Say what is wrong at one place of a payload, so that a person can mend it.

    Attributes:
        pointer: JSON pointer of the value (RFC 6901), empty for the whole payload.
        rule: the schema keyword that refused it, such as `required` or `enum`.
        message: one sentence: what was found, what is allowed.
        found: the offending value, shortened, as JSON.
        allowed: what the schema allows there, in words.
        hint: what to change, or empty.
        line: 1-based line of the value when the payload came from text, else None.
        column: 1-based column in characters, else None.
        suggestion: what would mend it, where that is plain: an operation of JSON Patch (RFC 6902), else None.
    """

    pointer: str
    rule: str
    message: str
    found: str = ""
    allowed: str = ""
    hint: str = ""
    line: int | None = None
    column: int | None = None
    suggestion: Mapping[str, Any] | None = field(default=None, compare=False)

    def at(self, line: int | None, column: int | None) -> Problem:
        """Return the same problem with its place in the text."""
        return replace(self, line=line, column=column)

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.pointer or 'payload'}: {self.message}{hint}"


class InvalidPayload(InvalidInput):
    """Report a payload that its schema refuses.

    Attributes:
        problems: every problem, the most useful first.
        schema: name of the schema.
    """

    def __init__(self, problems: Sequence[Problem], schema: str = "") -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.schema = schema
        against = f" against {schema}" if schema else ""
        listed = "; ".join(str(problem) for problem in self.problems)
        super().__init__(f"invalid{against}: {listed}")


class InvalidRegistration(InvalidInput):
    """Report a registration that Treeherder could not expand into bindings."""


class InvalidMessage(InvalidInput):
    """Report a routing key, header table or body that AMQP 0-9-1 cannot carry."""


class BrokerRefused(PulsekitError):
    """Report that the broker understood and said no.

    Attributes:
        code: the AMQP reply code, or None when there is none.
        text: the broker's own words.
        binding: exchange and pattern, when a binding was refused.
    """

    def __init__(self, message: str, *, code: int | None = None, text: str = "") -> None:
        self.code = code
        self.text = text
        self.binding: tuple[str, str] | None = None
        super().__init__(message)


class LoginRefused(BrokerRefused):
    """Report a user name or password that the broker does not accept."""


class VirtualHostRefused(BrokerRefused):
    """Report a virtual host that does not exist or is closed to this user (530)."""


class AccessRefused(BrokerRefused):
    """Report a missing permission (403)."""


class NotFound(BrokerRefused):
    """Report an exchange or queue that does not exist (404)."""


class ResourceLocked(BrokerRefused):
    """Report a queue that belongs to another connection (405)."""


class PreconditionFailed(BrokerRefused):
    """Report something that exists with other properties, or an argument refused (406)."""


class SubscriptionLost(BrokerRefused):
    """Report that the queue is gone: deleted under its consumer (basic.cancel), or while nobody listened."""


class NetworkError(PulsekitError):
    """Report that the broker could not be reached, or stopped answering."""


class Unreachable(NetworkError):
    """Report that no connection could be opened."""


class ConnectTimeout(NetworkError):
    """Report that connecting took longer than allowed."""


class ConnectionLost(NetworkError):
    """Report that an open connection went away."""


def fresh(error: ErrorT) -> ErrorT:
    """Return a copy of a stored exception, to be raised in its place.

    Each `raise` of the same object adds to its traceback, which then keeps every frame that it passed alive. The copy
    has the type, message, fields, notes and cause of the original, and no traceback.
    """
    kind = type(error)
    copy = kind.__new__(kind, *error.args)  # not kind(…): the arguments of many classes are not `args`
    for name, value in vars(error).items():
        setattr(copy, name, list(value) if name == "__notes__" else value)
    copy.__cause__ = error.__cause__
    copy.__context__ = error.__context__
    copy.__suppress_context__ = error.__suppress_context__  # set by the cause
    return copy
