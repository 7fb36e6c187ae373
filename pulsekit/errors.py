"""The exceptions that pulsekit raises on purpose, in one tree.

Each branch groups exceptions by what the caller can do:

    PulsekitError
    ├── ConfigurationError        fix the configuration or the call
    │   ├── InvalidName           the name breaks a rule of Pulse
    │   ├── InvalidPattern        a broker cannot bind with the pattern
    │   ├── InsecureConnection    clear text to another machine
    │   ├── SchemaError           the schema cannot be found or compiled
    │   └── NotOpen               used outside the `async with` block
    ├── InvalidInput              fix the data
    │   ├── DocumentError         the text is not YAML, JSON or NDJSON
    │   ├── DamagedRecording      the recording was truncated, damaged or changed
    │   ├── InvalidPayload        the payload violates the schema
    │   ├── InvalidRegistration   the registration cannot be expanded
    │   └── InvalidMessage        AMQP cannot encode the message
    ├── BrokerRefused             ask for permission, or create the missing resource
    │   ├── LoginRefused          the login failed
    │   ├── VirtualHostRefused    530
    │   ├── AccessRefused         403
    │   ├── NotFound              404
    │   ├── ResourceLocked        405
    │   ├── PreconditionFailed    406
    │   └── SubscriptionLost      the queue was deleted
    ├── NetworkError              try again later
    │   ├── ConnectTimeout        no connection before the deadline
    │   ├── ConnectionLost        an open connection was lost
    │   └── Unreachable           the connection could not be opened
    ├── HandlerFailed             correct the handler
    └── PublishError              inspect the receipt, and publish again (`pulsekit.publisher.receipts`)
        ├── MessageReturned       no queue is bound to the routing key
        ├── MessageRefused        the broker refused the message
        ├── PublishTimeout        no confirm before the deadline
        └── OutcomeUnknown        the message may or may not have arrived

`str()` of an exception is the message for the user: what happened, and what to do.
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
    "HandlerFailed",
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
    "printable",
]

ErrorT = TypeVar("ErrorT", bound=BaseException)


class PulsekitError(Exception):
    """The base class of all exceptions that pulsekit raises on purpose. Catch it to handle all of them."""


class ConfigurationError(PulsekitError):
    """Raised when a setting or an argument is invalid. Change it, because a retry fails again."""


class InvalidName(ConfigurationError):
    """Raised when an exchange, queue or user of this name cannot exist on Pulse. Use `suggestion`, or another name.

    Attributes:
        name (str): the invalid name.
        suggestion (str | None): a valid name that is similar, or None.
    """

    def __init__(self, name: str, reason: str, suggestion: str | None = None) -> None:
        self.name = name
        self.suggestion = suggestion
        hint = f"; did you mean {suggestion!r}?" if suggestion else ""
        super().__init__(f"{name!r} {reason}{hint}")


class InvalidPattern(ConfigurationError):
    """Raised when a binding pattern is longer than 255 bytes, or not Unicode text. Correct the pattern."""


class InsecureConnection(ConfigurationError):
    """Raised when a connection to another machine would be unencrypted. Use an `amqps://` or `https://` URL."""


class SchemaError(ConfigurationError):
    """Raised when a schema cannot be found, read or compiled. Correct the name, the path or the schema."""


class NotOpen(ConfigurationError):
    """Raised when a resource is used outside its `async with` block. Move the call into the block."""


class InvalidInput(PulsekitError):
    """Raised when input data is invalid. Correct the data."""


def place_text(source: object, line: int | None = None, column: int | None = None) -> str:
    """Return `source:line:column`, without the parts that are None."""
    return ":".join(str(part) for part in (source, line, column) if part is not None)


class DocumentError(InvalidInput):
    """Raised when a text cannot be parsed as YAML, JSON or NDJSON. Correct the text at `line` and `column`.

    Attributes:
        source (str): the file name, or `<stdin>`.
        line (int | None): the line from 1, or None if it is unknown.
        column (int | None): the column in characters from 1, or None if it is unknown.
        reason (str): the message without file name, line and column.
    """

    def __init__(self, reason: str, *, source: str = "", line: int | None = None, column: int | None = None) -> None:
        self.reason = reason
        self.source = source
        self.line = line
        self.column = column
        place = place_text(source or None, line, column)
        super().__init__(f"{place}: {reason}" if place else reason)

    def problem(self) -> Problem:
        """Return the error as a problem of a payload."""
        return Problem("", "syntax", self.reason, line=self.line, column=self.column)


class DamagedRecording(InvalidInput):
    """Raised when a recording was truncated, damaged or changed. Use the `count` messages before the damage.

    Attributes:
        source (str): the file name.
        line (int): the number, from 1, of the line with the damage, after decompression.
        count (int): the number of readable messages before this line.
        reason (str): the message without file name and line.
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
    """One violation of a schema, at one value of a payload.

    Attributes:
        pointer (str): the JSON pointer of the value (RFC 6901); empty for the whole payload.
        rule (str): the schema keyword that the value violates, such as `required` or `enum`.
        message (str): one sentence with the value and the allowed values.
        found (str): the value as JSON, truncated.
        allowed (str): the allowed values, in words.
        hint (str): what to change, or empty.
        line (int | None): the line of the value from 1 if the payload was parsed from a text, else None.
        column (int | None): the column in characters from 1, else None.
        suggestion (Mapping[str, Any] | None): an operation of JSON Patch that corrects the value (RFC 6902), or None if
            there is more than one possible correction.
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
        """Return the problem with a line and a column."""
        return replace(self, line=line, column=column)

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.pointer or 'payload'}: {self.message}{hint}"


class InvalidPayload(InvalidInput):
    """Raised when a payload violates the schema. Correct the values that `problems` lists.

    Attributes:
        problems (tuple[Problem, ...]): all violations, with the most useful one first.
        schema (str): the name of the schema, or empty.
    """

    def __init__(self, problems: Sequence[Problem], schema: str = "") -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.schema = schema
        against = f" against {schema}" if schema else ""
        listed = "; ".join(str(problem) for problem in self.problems)
        super().__init__(f"invalid{against}: {listed}")


class InvalidRegistration(InvalidInput):
    """Raised when a registration cannot be expanded into bindings. Correct the registration."""


class InvalidMessage(InvalidInput):
    """Raised when AMQP 0-9-1 cannot encode or decode a routing key, a header table or a body. Correct the message."""


class BrokerRefused(PulsekitError):
    """Raised when the broker refuses a request. Ask for the permission, or create the missing resource.

    Attributes:
        code (int | None): the AMQP reply code, or None if the broker sent none.
        text (str): the reply text of the broker.
        binding (tuple[str, str] | None): the exchange and the pattern if the broker refused a binding, else None.
    """

    def __init__(self, message: str, *, code: int | None = None, text: str = "") -> None:
        self.code = code
        self.text = text
        self.binding: tuple[str, str] | None = None
        super().__init__(message)


class LoginRefused(BrokerRefused):
    """Raised when the broker refuses the user name or the password. Correct the login."""


class VirtualHostRefused(BrokerRefused):
    """Raised when the virtual host does not exist, or the user has no access to it (530). Correct the URL."""


class AccessRefused(BrokerRefused):
    """Raised when the user has no permission for a request (403). Use a resource of the user, or ask for permission."""


class NotFound(BrokerRefused):
    """Raised when an exchange or a queue does not exist (404). Create it, or correct its name."""


class ResourceLocked(BrokerRefused):
    """Raised when a queue is exclusive to another connection (405). Close that connection, or use another queue."""


class PreconditionFailed(BrokerRefused):
    """Raised when a resource exists with other properties, or an argument is invalid (406).

    Declare the resource with its existing properties, or delete it first.
    """


class SubscriptionLost(BrokerRefused):
    """Raised when the queue of a consumer was deleted (basic.cancel), or did not exist after a reconnect.

    Subscribe again to create the queue.
    """


class NetworkError(PulsekitError):
    """Raised when the broker cannot be reached, or does not answer. Try again later."""


class Unreachable(NetworkError):
    """Raised when a broker, the node of a queue, or PulseGuardian cannot be reached. Check the URL, or retry later."""


class ConnectTimeout(NetworkError):
    """Raised when the connection was not opened before the deadline. Try again, or increase the timeout."""


class ConnectionLost(NetworkError):
    """Raised when an open connection was lost, or a request timed out. Try again: the next request reconnects."""


class HandlerFailed(PulsekitError):
    """Raised when a handler exceeded its time limit, or ended its process too often. Correct the handler."""


def printable(text: str) -> str:
    r"""Return an untrusted text on one line, with its control and bidi characters as `\n`, `\x1b` or `\u202e`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def fresh(error: ErrorT) -> ErrorT:
    """Return a copy of a stored exception, to raise instead of the original.

    Each `raise` of the same object extends its traceback, which keeps all its frames in memory. The copy
    has the type, message, fields, notes and cause of the original, and no traceback.
    """
    kind = type(error)
    copy = kind.__new__(kind, *error.args)  # not kind(…), because the parameters of many classes are not `args`
    for name, value in vars(error).items():
        setattr(copy, name, list(value) if name == "__notes__" else value)
    copy.__cause__ = error.__cause__
    copy.__context__ = error.__context__
    copy.__suppress_context__ = error.__suppress_context__  # restored, because setting the cause changes it
    return copy
