"""Put a message into a queue on the broker until it is delivered again, so that it is not unsettled in this process.

Plan, for the queue `queue/me/jobs`: its messages wait behind the exchange `exchange/me/retry/jobs`. A message that
waits for 60 s is published to this exchange with the key `wait.61440`, and acknowledged once the broker has confirmed
the copy. The key is bound to the queue `queue/me/jobs/retry-61440`, which has no consumer. After 61,440 ms, the broker
dead-letters the message to the exchange again, with the key `back`, which is bound to the first queue. A header
contains the original exchange, routing key and headers. `restore` sets them again in the delivered message.

Invariants: no message is lost. If the connection is lost before the acknowledgement, the message is delivered twice.
Delays are rounded up by at most an eighth, so that there are few queues. The broker deletes a queue that was unused for
more than twice the delay (x-expires). So it never deletes a queue in which a message waits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from pulsekit._amqp import methods
from pulsekit.bindings.names import check_exchange, check_queue
from pulsekit.errors import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiormq

    from pulsekit._amqp.connection import Connection
    from pulsekit._amqp.types import Properties
    from pulsekit.messages import Delivered, Message

    class _Publisher(Protocol):
        async def publish(
            self, payload: Any, routing_key: str, *, headers: Mapping[str, Any], properties: Properties
        ) -> object: ...
        async def close(self, timeout: float) -> object: ...


__all__ = ["RetryQueue", "restore", "retry_exchange"]

_HEADER = "x-pulsekit-retry"
_COUNT = "x-delivery-count"  # set by a quorum queue, for one copy of a message
_MOST = 2**31  # milliseconds (24 days), so that the delay and x-expires are within the broker's limits
_UNUSED = 60_000  # milliseconds beyond twice the delay, until an unused queue is deleted


def retry_exchange(queue: str) -> str:
    """Return the name of the exchange through which the messages of a queue wait."""
    _, user, name = queue.split("/", 2)
    return f"exchange/{user}/retry/{name}"


class RetryQueue:
    """The queues on the broker in which messages of one queue wait.

    Args:
        queue: the name of the queue. The user must own it.
        connection: the connection on which the queues are declared.
        publisher: returns a publisher, which declares the given exchange and uses `mandatory`.
    """

    def __init__(self, queue: str, connection: Connection, publisher: Callable[[str], _Publisher]) -> None:
        self._queue = queue
        self._exchange = check_exchange(retry_exchange(queue))
        self._connection = connection
        self._publisher = publisher(self._exchange)

    async def put(self, message: Message, delay: float, failures: int) -> None:
        """Publish a copy of a message that waits for a number of seconds, and acknowledge the message.

        Raises:
            PulsekitError: Raised when the broker refuses a queue, or did not confirm the message. The message stays
                unsettled.
        """
        wait = _rounded(delay)
        await self._declare(wait)
        headers = {name: value for name, value in message.headers.items() if name != _COUNT}
        original = {
            "exchange": message.exchange,
            "routing_key": message.routing_key,
            "headers": headers,
            "retries": failures,
        }
        # The broker would refuse another user's name, and an expired message would not wait. A quorum queue keeps a
        # transient message when the broker restarts, but a classic queue, such as a retry queue, loses it.
        properties = replace(message.properties, user_id=None, expiration=None, delivery_mode=2)
        await self._publisher.publish(message.body, f"wait.{wait}", headers={_HEADER: original}, properties=properties)
        message.ack()

    async def close(self) -> None:
        """Close the publisher. Messages that wait for a confirm stay unsettled."""
        await self._publisher.close(0)

    async def _declare(self, wait: int) -> None:
        name = check_queue(f"{self._queue}/retry-{wait}")
        arguments = {
            "x-message-ttl": wait,
            "x-expires": 2 * wait + _UNUSED,
            "x-dead-letter-exchange": self._exchange,
            "x-dead-letter-routing-key": "back",
        }

        async def declare(channel: aiormq.Channel) -> None:
            await methods.declare_exchange(channel, self._exchange)
            await methods.declare_queue(channel, name, durable=True, arguments=arguments)
            await methods.bind_queue(channel, name, self._exchange, f"wait.{wait}")
            await methods.bind_queue(channel, self._queue, self._exchange, "back")

        link = await self._connection.link()
        async with self._connection.request_link(link) as link:
            await link.ask(declare, f"declare {name}")


def restore(message: Delivered) -> None:
    """Set the original exchange, routing key and headers of a message that has waited."""
    try:
        found = message.headers.get(_HEADER)
        count = message.headers.get(_COUNT)
    except InvalidMessage:  # the content header is malformed
        return
    if not isinstance(found, Mapping):
        return
    exchange, key, headers, retries = (found.get(name) for name in ("exchange", "routing_key", "headers", "retries"))
    if not (isinstance(exchange, str) and isinstance(key, str) and isinstance(headers, dict) and type(retries) is int):
        return
    message.replace(exchange, key, headers if count is None else {**headers, _COUNT: count}, retries)


def _rounded(delay: float) -> int:
    """Return a delay in milliseconds, rounded up to one of eight steps between two powers of two."""
    wait = max(1, math.ceil(min(_MOST, delay * 1000)))
    step: int = 1 << max(0, wait.bit_length() - 4)
    return -(-wait // step) * step
