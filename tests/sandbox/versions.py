"""What RabbitMQ 4.0 answers otherwise than 3.10.8, whose answers the questions and the kept table have."""

from __future__ import annotations

import re

__all__ = ["changed", "mechanisms", "protocol"]

# Since 4.0 a refusal names the missing permission: "configure access to queue …", before "access to queue …".
_PERMISSIONS = {
    "pulse: declare foreign queue": "configure",
    "pulse: declare foreign exchange": "configure",
    "pulse: declare EXISTING foreign exchange": "configure",
    "pulse: bind own queue to amq.topic": "read",
    "pulse: publish foreign exchange": "write",
    "pulse: publish default exchange": "write",
    "pulse: consume foreign queue": "read",
    "pulse: get foreign queue": "read",
    "pulse: delete foreign": "configure",
    "pulse: server-named queue": "configure",
    "pulse: purge foreign": "read",
    "pulse: DLX to foreign exchange": "write",
}
# Since 4.0 an unknown exchange type ends the channel alone: other channels of the connection did nothing wrong.
_BAD_TYPE = {"Connection.Close 503": "Channel.Close 406", "COMMAND_INVALID": "PRECONDITION_FAILED"}


def changed(version: tuple[int, ...], question: str, answer: str) -> str:
    """Return what a version answers to a question, with or without texts, where 3.10.8 gives this answer."""
    if version < (4,):
        return answer
    if question == "exchange bad type":
        return re.sub("|".join(_BAD_TYPE), lambda old: _BAD_TYPE[old[0]], answer)
    if question in _PERMISSIONS:
        return answer.replace(" - access to ", f" - {_PERMISSIONS[question]} access to ")
    return answer


def protocol(version: tuple[int, ...]) -> bytes:
    """Return the protocol header with which a version answers another one: since 4.0 that of AMQP 1.0, with SASL."""
    return b"AMQP\x00\x00\x09\x01" if version < (4,) else b"AMQP\x03\x01\x00\x00"


def mechanisms(version: tuple[int, ...]) -> set[str]:
    """Return the login mechanisms that a version offers: since 4.0 also ANONYMOUS, which AMQP 1.0 clients use."""
    return {"AMQPLAIN", "PLAIN"} | ({"ANONYMOUS"} if version >= (4,) else set())
