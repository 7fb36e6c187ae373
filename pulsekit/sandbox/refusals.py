"""Refusals: what the broker says when it will not do something, and which of the two it closes over it.

AMQP 0-9-1 §4.10 sorts reply codes into those that close a channel and those that close the connection. A refusal is
raised anywhere in the broker and becomes a Channel.Close or a Connection.Close in the session, never a traceback.
The texts are those of RabbitMQ 3.10, because clients and people match on them.
"""

from __future__ import annotations

__all__ = [
    "Refusal",
    "access_refused",
    "frame_error",
    "in_use",
    "inequivalent",
    "invalid_argument",
    "not_found",
    "precondition_failed",
    "resource_locked",
    "syntax_error",
]

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
    """Carry the reply code and text that close a channel or a connection.

    Attributes:
        code: the AMQP reply code.
        text: the code's name and the explanation, as it goes on the wire.
        soft: True when only the channel closes.
    """

    def __init__(self, code: int, explanation: str) -> None:
        self.code = code
        self.text = f"{_NAMES[code]} - {explanation}"
        self.soft = code in _SOFT
        super().__init__(f"{code} {self.text}")


def not_found(kind: str, name: str, vhost: str) -> Refusal:
    """Refuse what names an exchange or queue that does not exist."""
    return Refusal(404, f"no {kind} '{name}' in vhost '{vhost}'")


def access_refused(explanation: str) -> Refusal:
    """Refuse what this user, or anybody, may not do."""
    return Refusal(403, explanation)


def resource_locked(queue: str, vhost: str) -> Refusal:
    """Refuse another connection the use of an exclusive queue."""
    return Refusal(
        405,
        f"cannot obtain exclusive access to locked queue '{queue}' in vhost '{vhost}'. It could be originally declared "
        "on another connection or the exclusive property value does not match that of the original declaration.",
    )


def precondition_failed(explanation: str) -> Refusal:
    """Refuse what contradicts the state of the broker."""
    return Refusal(406, explanation)


def in_use(kind: str, name: str, vhost: str) -> Refusal:
    """Refuse the conditional deletion of something that is used."""
    return precondition_failed(f"{kind} '{name}' in vhost '{vhost}' in use")


def inequivalent(argument: str, resource: str, received: str, current: str) -> Refusal:
    """Refuse a second declaration that differs from the first."""
    return precondition_failed(
        f"inequivalent arg '{argument}' for {resource}: received {received} but current is {current}"
    )


def invalid_argument(argument: str, resource: str, reason: str) -> Refusal:
    """Refuse an `x-` argument whose value means nothing."""
    return precondition_failed(f"invalid arg '{argument}' for {resource}: {reason}")


def frame_error(explanation: str) -> Refusal:
    """Refuse bytes that are not a frame."""
    return Refusal(501, explanation)


def syntax_error(explanation: str) -> Refusal:
    """Refuse a frame whose fields cannot be read."""
    return Refusal(502, explanation)
