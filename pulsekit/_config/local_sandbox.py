"""Find a sandbox that runs on this machine, for commands without a configured broker."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.broker import Broker, parse_url
from pulsekit._amqp.tables import read_table
from pulsekit._amqp.types import PROTOCOL_HEADER

if TYPE_CHECKING:
    from pulsekit._config.settings import Settings
    from pulsekit.sandbox import Sandbox

__all__ = ["SANDBOX_PASSWORD", "SANDBOX_PLATFORM", "SANDBOX_PORT", "default_sandbox", "find_sandbox", "login_at"]

SANDBOX_PORT = 5695  # not RabbitMQ's 5672, where a real broker may listen
SANDBOX_PLATFORM = "pulsekit sandbox"
SANDBOX_PASSWORD = "sandbox"  # noqa: S105 - the sandbox accepts any password

_TIMEOUT = 0.5  # seconds, which is enough on loopback
_LARGEST = 16_384  # bytes of a Connection.Start; that of the sandbox has about 500
_METHOD = b"\x01\x00\x00"  # a method frame on channel 0
_START = b"\x00\x0a\x00\x0a"  # class and method of Connection.Start


def default_sandbox(settings: Settings) -> Broker | None:
    """Return the sandbox on this machine if no broker is configured. On a CI machine, return None."""
    return None if settings.names_a_broker or settings.in_ci else find_sandbox()


def find_sandbox(*, port: int = SANDBOX_PORT) -> Broker | None:
    """Return the address and the default user of the sandbox at a port of loopback, or None if no sandbox answers.

    The server properties in Connection.Start identify a sandbox (AMQP 0-9-1, method connection.start). The function
    does not log in.
    """
    seen = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT) as connection:
            connection.settimeout(_TIMEOUT)
            connection.sendall(PROTOCOL_HEADER)
            while (properties := _server_properties(seen)) is None:
                part = connection.recv(4096)
                if not part or len(seen) > _LARGEST:
                    return None
                seen += part
    except (OSError, LookupError, ValueError, struct.error):
        return None
    user = properties.get("default_user")
    if properties.get("platform") != SANDBOX_PLATFORM or not isinstance(user, str):
        return None
    return Broker("127.0.0.1", port, user, SANDBOX_PASSWORD)


def _server_properties(data: bytes) -> dict[str, Any] | None:
    """Return the server properties of Connection.Start, or None if the frame is incomplete (AMQP 0-9-1 §4.2.3).

    A frame begins with type, channel and length, and ends with one byte. In Connection.Start, the ids of class and
    method and the protocol version precede the server properties.

    Raises:
        LookupError, ValueError, struct.error: Raised when the bytes are not Connection.Start.
    """
    if data[:3] != _METHOD[: len(data)] or data[7:11] != _START[: max(0, len(data) - 7)]:
        raise ValueError("not Connection.Start")
    if len(data) < 13 or len(data) < 7 + int.from_bytes(data[3:7], "big") + 1:
        return None
    return read_table(data, 13)[0]


def login_at(sandbox: Sandbox, user: str) -> Broker:
    """Return the address and the login of a user of a sandbox in this process."""
    return replace(parse_url(sandbox.url(user)), insecure=True)
