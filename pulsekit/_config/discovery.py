"""Find a sandbox that runs on this machine, for commands without a configured broker."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from pulsekit._amqp.broker import Broker, parse_url

if TYPE_CHECKING:
    from pulsekit.sandbox import Sandbox

__all__ = ["SANDBOX_PASSWORD", "SANDBOX_PORT", "SANDBOX_PRODUCT", "find_sandbox", "login_at"]

SANDBOX_PORT = 5695  # not RabbitMQ's 5672: what listens there may be somebody's real broker
SANDBOX_PRODUCT = "pulsekit sandbox"
SANDBOX_PASSWORD = "sandbox"  # noqa: S105 - any will do there

_HEADER = b"AMQP\x00\x00\x09\x01"  # AMQP 0-9-1 §4.2.2
_TIMEOUT = 0.5  # seconds: it is this machine


def find_sandbox(user: str, *, port: int = SANDBOX_PORT) -> Broker | None:
    """Return where the sandbox of this machine is, or None when nothing or something else answers.

    It is told by the product in its connection.start; no login is tried on anything else.

    Args:
        user: who is going to log in.
        port: where to look, on loopback.
    """
    seen = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT) as connection:
            connection.settimeout(_TIMEOUT)
            connection.sendall(_HEADER)
            while SANDBOX_PRODUCT.encode() not in seen:
                part = connection.recv(4096)
                if not part or len(seen) > 16384:
                    return None
                seen += part
    except OSError:
        return None
    return Broker("127.0.0.1", port, user, SANDBOX_PASSWORD)


def login_at(sandbox: Sandbox, user: str) -> Broker:
    """Return how a user logs in at a sandbox that this process hosts."""
    return replace(parse_url(sandbox.url(user)), insecure=True)
