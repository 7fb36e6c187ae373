"""Refusals: the reply code and text with which the broker closes a channel or a connection.

AMQP 0-9-1 §4.10 divides reply codes into soft errors, which close the channel, and hard errors, which close the
connection. Any part of the broker can raise a Refusal. The session then sends Channel.Close or Connection.Close. The
texts are those of RabbitMQ 3.10, because clients compare them.
"""

from __future__ import annotations

__all__ = ["Refusal", "in_use", "inequivalent", "invalid_argument", "not_found", "resource_locked"]

_NAMES = {
    311: "CONTENT_TOO_LARGE",
    312: "NO_ROUTE",
    313: "NO_CONSUMERS",
    320: "CONNECTION_FORCED",
    402: "INVALID_PATH",
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    501: "FRAME_ERROR",
    502: "SYNTAX_ERROR",
    503: "COMMAND_INVALID",
    504: "CHANNEL_ERROR",
    505: "UNEXPECTED_FRAME",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
    541: "INTERNAL_ERROR",
}
_SOFT = frozenset({311, 312, 313, 403, 404, 405, 406})


class Refusal(Exception):
    """Raised when the broker must close a channel or a connection.

    Attributes:
        code: the AMQP reply code.
        text: the reply text, which has the name of the code and an explanation.
        soft: True if only the channel is closed.
    """

    def __init__(self, code: int, explanation: str) -> None:
        self.code = code
        self.text = f"{_NAMES[code]} - {explanation}"
        self.soft = code in _SOFT
        super().__init__(f"{code} {self.text}")


def not_found(kind: str, name: str, vhost: str) -> Refusal:
    """Build the refusal for an exchange or queue that does not exist."""
    return Refusal(404, f"no {kind} '{name}' in vhost '{vhost}'")


def resource_locked(queue: str, vhost: str) -> Refusal:
    """Build the refusal for a queue that is exclusive to another connection."""
    return Refusal(
        405,
        f"cannot obtain exclusive access to locked queue '{queue}' in vhost '{vhost}'. It could be originally declared "
        "on another connection or the exclusive property value does not match that of the original declaration.",
    )


def in_use(kind: str, name: str, vhost: str) -> Refusal:
    """Build the refusal for the conditional deletion of an exchange or queue in use."""
    return Refusal(406, f"{kind} '{name}' in vhost '{vhost}' in use")


def inequivalent(argument: str, resource: str, received: str, current: str) -> Refusal:
    """Build the refusal for a declaration that differs from the existing exchange or queue."""
    return Refusal(406, f"inequivalent arg '{argument}' for {resource}: received {received} but current is {current}")


def invalid_argument(argument: str, resource: str, reason: str) -> Refusal:
    """Build the refusal for an `x-` argument with an invalid value."""
    return Refusal(406, f"invalid arg '{argument}' for {resource}: {reason}")
