"""The limit of `peek` on a quorum queue, which removes messages that are returned too often.

A quorum queue counts each return of a message, and removes a message that is returned more often than its delivery
limit. The count is only known from a delivered message, and each delivery by `peek` is another return. So if the
messages of a queue are near the limit, the name of the queue is stored for the rest of the day (UTC), and later calls
of `peek` are refused before a message is delivered.

Example: the limit is 20. After ten peeks, the messages have been returned ten times, and the eleventh peek is refused.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING

from pulsekit._amqp.queue_properties import delivery_limit, read_queue_properties
from pulsekit.errors import ConfigurationError, PreconditionFailed
from pulsekit.schemas.cache import remembered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pulsekit._amqp.link import Link
    from pulsekit.messages import Message

__all__ = ["PeekLimit"]

log = logging.getLogger("pulsekit")


class PeekLimit:
    """The delivery limit of one queue, for `peek`.

    Args:
        link: the connection.
        name: the name of the queue.
        limit: the maximum number of returns of a message, or None without a limit.
    """

    def __init__(self, link: Link, name: str, limit: int | None) -> None:
        self._name = name
        self._limit = limit
        self._key = f"{name}\0{link.server.get('cluster_name')}\0{datetime.now(UTC):%Y-%m-%d}".encode()

    @classmethod
    async def read(cls, link: Link, name: str) -> PeekLimit:
        """Read the limit of a queue.

        Raises:
            BrokerRefused: Raised when the queue does not exist, is exclusive to another connection, or belongs to
                another user.
        """
        try:
            properties = await read_queue_properties(link, name)
        except PreconditionFailed:  # for names of about 150 bytes, the broker truncates its answer before the property
            return cls(link, name, None)
        return cls(link, name, delivery_limit(properties.arguments, link.server))

    def check(self) -> None:
        """Before the first delivery, check that no message of the queue is known to be near the limit.

        Raises:
            ConfigurationError: Raised when messages of the queue are near the limit, or the limit is 0.
        """
        if self._limit == 0 or (self._limit is not None and self._is_remembered()):
            raise self._refusal()

    def check_returned(self, messages: Iterable[Message]) -> None:
        """Check messages once they have been returned to the queue.

        Raises:
            ConfigurationError: Raised when a message has been returned half as many times as the limit allows.
        """
        if self._limit is None:
            return
        counts = [message.delivery_count or 0 for message in messages]
        removed = sum(count >= self._limit for count in counts)
        if removed:
            log.warning(
                "%d of these messages reached the delivery limit of %s: the broker dead-lettered or discarded them",
                removed,
                self._name,
            )
        if 2 * (max(counts, default=-1) + 1) < self._limit:
            return
        remembered(lambda: b"", self._key)
        if not removed and 2 * max(counts, default=0) >= self._limit:
            raise self._refusal()

    def _is_remembered(self) -> bool:
        try:
            remembered(_unknown, self._key)
        except LookupError:
            return False
        return True

    def _refusal(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self._name} has the delivery limit {self._limit}: the broker removes a message that is returned more "
            "often, and each peek returns the messages that it shows. "
            f"To remove the messages, run 'pulsekit queue take {quote(self._name)}'; to "
            "peek near the limit, add --force (force=True)"
        )


def _unknown() -> bytes:
    raise LookupError
