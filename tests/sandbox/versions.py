"""The answers of RabbitMQ 4.0 that differ from those of 3.10.8, which `questions` and the stored table have.

The versions between the two were not tested; some have parts of the changes.
"""

from __future__ import annotations

import re

__all__ = ["changed", "mechanisms", "protocol"]

# A refusal names the missing permission: "configure access to queue …" where 3.10 says "access to queue …".
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
# An unknown exchange type closes the channel alone, to spare the others: rabbitmq/rabbitmq-server#11214.
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
    """Return the header that answers an unknown protocol: the preferred one, in 4.0 that of AMQP 1.0 with SASL."""
    return b"AMQP\x00\x00\x09\x01" if version < (4,) else b"AMQP\x03\x01\x00\x00"


def mechanisms(version: tuple[int, ...]) -> set[str]:
    """Return the login mechanisms that a version offers; ANONYMOUS is one of AMQP 1.0, which 4.0 has built in."""
    return {"AMQPLAIN", "PLAIN"} | ({"ANONYMOUS"} if version >= (4,) else set())
