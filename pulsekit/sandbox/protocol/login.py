"""The login: the server properties, and the credentials of a client (AMQP 0-9-1 §2.2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pulsekit.sandbox.codec import tables
from pulsekit.sandbox.model.users import ADMINISTRATOR
from pulsekit.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from pulsekit.sandbox.releases import Release

__all__ = ["PLATFORM", "credentials", "server_properties"]

PLATFORM: Final = "pulsekit sandbox"
_CAPABILITIES: Final = (
    "publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked",
    "consumer_priorities", "authentication_failure_close", "per_consumer_qos", "direct_reply_to",
)  # fmt: skip


def server_properties(release: Release, default_user: str) -> dict[str, Any]:
    """Return the server properties. Clients need RabbitMQ's capabilities to use confirms.

    `product` is that of RabbitMQ, because clients check it. For example, kombu then sets the prefetch for each
    consumer. Clients also compare versions. pulsekit's commands recognise the sandbox by `platform`, and log in as
    `default_user` if no broker is configured.
    """
    return {
        "capabilities": dict.fromkeys(_CAPABILITIES, True),
        "cluster_name": "sandbox",
        "default_user": default_user,
        "information": "a Pulse broker for experiments and tests; all messages are in memory",
        "platform": PLATFORM,
        "product": "RabbitMQ",
        "version": release.version,
    }


def credentials(release: Release, mechanism: str, response: str) -> tuple[str, str] | None:
    """Return user name and password, or None if they are malformed or the release does not offer the mechanism.

    ANONYMOUS logs in as `guest` with the password `guest`, the defaults of `anonymous_login_user` in RabbitMQ.
    """
    if mechanism not in release.mechanisms.split():
        return None
    if mechanism == "ANONYMOUS":
        return ADMINISTRATOR, ADMINISTRATOR
    if mechanism == "PLAIN":
        parts = response.split("\0")
        return (parts[1], parts[2]) if len(parts) == 3 else None
    if mechanism == "AMQPLAIN":
        try:
            table = tables.decode(response.encode("utf-8", "surrogateescape"))
        except Refusal:
            return None
        name, password = table.get("LOGIN"), table.get("PASSWORD")
        return (name, password) if isinstance(name, str) and isinstance(password, str) else None
    return None
