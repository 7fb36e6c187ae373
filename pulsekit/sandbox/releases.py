"""Releases of RabbitMQ: the differences between 3.10.8 and 4.0.5 that clients can see.

`tests/sandbox/versions.py` has the answers in which the two releases differ, and the tests ask both releases and the
sandbox. Sources: the release notes of RabbitMQ 4.0 (https://github.com/rabbitmq/rabbitmq-server/releases/tag/v4.0.1)
and the guide "Quorum Queues" (https://www.rabbitmq.com/docs/quorum-queues).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_RELEASE", "RELEASES", "Release", "release"]


@dataclass(frozen=True, slots=True)
class Release:
    """A release of RabbitMQ.

    Attributes:
        version: the version in the server properties.
        protocol: the protocol header with which RabbitMQ answers an unknown protocol.
        mechanisms: the login mechanisms.
        max_message: bytes of the largest message body.
        names_permission: True if the text of a refusal has the missing permission.
        bad_type_closes_channel: True if an unknown type of exchange closes the channel, not the connection.
        default_queue_type: the `x-queue-type` of a declaration that has none, when declarations are compared. None
            means no default.
        delivery_limit: how often a quorum queue without `x-delivery-limit` requeues a message. None means no limit.
        negative_is_unlimited: True if a negative `x-delivery-limit` means no limit. If False, the queue drops a message
            at its first requeue.
        counts_first_get: True if a first delivery by Basic.Get from a quorum queue has the header `x-delivery-count` 0.
            Other first deliveries do not have this header.
        classic_leader_locator: True if classic queues have the argument `x-queue-leader-locator`.
        cancel_on_failover: True if consumers of classic queues have the argument `x-cancel-on-ha-failover`.
        stream_consumer_arguments: the arguments that only consumers of streams may have.
        exact_numbers: True if a headers exchange does not match an integer with an equal floating-point number.
        last_death: True if a dead letter has the headers `x-last-death-*`, and its header `CC` is not removed.
    """

    version: str
    protocol: bytes
    mechanisms: str
    max_message: int
    names_permission: bool
    bad_type_closes_channel: bool
    default_queue_type: str | None
    delivery_limit: int | None
    negative_is_unlimited: bool
    counts_first_get: bool
    classic_leader_locator: bool
    cancel_on_failover: bool
    stream_consumer_arguments: tuple[str, ...]
    exact_numbers: bool
    last_death: bool


RELEASES: Final[Mapping[int, Release]] = {
    3: Release(
        version="3.10.8",
        protocol=b"AMQP\x00\x00\x09\x01",
        mechanisms="AMQPLAIN PLAIN",
        max_message=128 * 1024 * 1024,
        names_permission=False,
        bad_type_closes_channel=False,
        default_queue_type=None,
        delivery_limit=None,
        negative_is_unlimited=False,
        counts_first_get=True,
        classic_leader_locator=False,
        cancel_on_failover=True,
        stream_consumer_arguments=("x-stream-offset",),
        exact_numbers=False,
        last_death=False,
    ),
    4: Release(
        version="4.0.5",
        protocol=b"AMQP\x03\x01\x00\x00",  # AMQP 1.0 with SASL
        mechanisms="ANONYMOUS AMQPLAIN PLAIN",
        max_message=16 * 1024 * 1024,
        names_permission=True,
        bad_type_closes_channel=True,
        default_queue_type="classic",
        delivery_limit=20,
        negative_is_unlimited=True,
        counts_first_get=False,
        classic_leader_locator=True,
        cancel_on_failover=False,
        stream_consumer_arguments=("x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered"),
        exact_numbers=True,
        last_death=True,
    ),
}
"""The releases by major version."""

DEFAULT_RELEASE: Final = RELEASES[3]


def release(major: int) -> Release:
    """Return the release with a major version.

    Raises:
        ConfigurationError: Raised when the sandbox does not model this version.
    """
    try:
        return RELEASES[major]
    except (KeyError, TypeError):
        known = " and ".join(map(str, RELEASES))
        raise ConfigurationError(f"rabbitmq={major!r}: the sandbox models the major versions {known}") from None
