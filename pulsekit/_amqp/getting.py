"""Get the messages of a queue (basic.get), on one channel of one connection.

Plan: `get` writes all its requests at once. The broker answers them in order, each with a message or with get-empty. A
consumer would receive more messages than the caller wants, and the broker would mark the rest as redelivered. If the
bodies exceed the limit in bytes, the messages behind are requeued at once, at their former position.

aiormq's basic.get is not used: a routing key that is not UTF-8, or a header of an unknown type, closes its connection.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.channel import FrameChannel, IncomingContent, channel_end
from pulsekit._amqp.error_mapping import map_error
from pulsekit._amqp.frames import (
    ACK,
    GET_EMPTY,
    GET_OK,
    NACK,
    REJECT,
    SETTLE,
    encode_get,
    encode_settlement,
)
from pulsekit._amqp.link import OPERATION_TIMEOUT
from pulsekit._amqp.types import Delivery, Settlement, short_string
from pulsekit.errors import ConnectionLost

if TYPE_CHECKING:
    import aiormq

    from pulsekit._amqp.link import Link

__all__ = ["GetChannel"]


class GetChannel(FrameChannel):
    """The frame handler for basic.get, on a channel that the caller opens and closes.

    Attributes:
        emptied: whether the queue had no message behind the last `get`.
    """

    def __init__(self, link: Link, channel: aiormq.Channel, queue: str) -> None:
        super().__init__(link, channel)
        self.emptied = False
        self._queue = queue
        self._room: float = inf  # bytes of bodies that the current `get` may still return
        self._answers: list[Delivery] = []
        self._unsettled: set[int] = set()  # tags of unsettled deliveries
        self._awaited = 0  # the number of unanswered requests
        self._answered: asyncio.Future[None] | None = None
        link.router.connect(channel.number, self)

    async def get(self, count: int = 1, *, max_bytes: float = inf) -> list[Delivery]:
        """Return the next messages of the queue, unsettled. Calls must not overlap.

        Args:
            count: the largest number of messages.
            max_bytes: the bytes of bodies at which the result is complete. A larger message is returned alone.

        Raises:
            BrokerRefused: Raised when the queue does not exist, or another user owns it.
            ConnectionLost: Raised when the connection is lost, or the broker does not answer in time.
        """
        doing = f"get from {self._queue}"
        self._answers, self._awaited, self._room, self.emptied = [], count, max_bytes, False
        self._answered = asyncio.get_running_loop().create_future()
        end = asyncio.ensure_future(channel_end(self._channel, doing))
        self.link.router.write(encode_get(self._channel.number, self._queue) * count)
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT):
                ends: list[asyncio.Future[Any]] = [end, self._answered]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as error:
            raise map_error(error, doing) from error
        finally:
            end.cancel()
        if self._answered.done():
            return self._answers
        raise end.result()

    def settle(self, delivery_tag: int, settlement: Settlement) -> None:
        """Settle one delivery (basic.ack, basic.nack, basic.reject). Settling it again does nothing.

        Raises:
            ConnectionLost: Raised when the channel is closed. The broker has requeued the message.
        """
        if self._closing or self.link.is_lost:
            raise ConnectionLost("the channel of this delivery is closed")
        if delivery_tag not in self._unsettled:
            return  # the broker would close the channel after a second settlement (406)
        self._unsettled.remove(delivery_tag)
        method, bits = {
            Settlement.ACK: (ACK, 0),
            Settlement.REQUEUE: (NACK, 2),
            Settlement.REJECT: (REJECT, 0),
        }[settlement]
        self.link.router.write(encode_settlement(self._channel.number, method, delivery_tag, bits))

    def is_unsettled(self, delivery_tag: int) -> bool:
        """Return whether a delivery can still be settled."""
        return not self._closing and not self.link.is_lost and delivery_tag in self._unsettled

    def resumed(self) -> None:
        """Do nothing: requests are never delayed."""

    def _on_method(self, method: bytes, data: bytes, start: int, end: int) -> bool:
        if method == GET_OK:
            self._content = IncomingContent(data[start:end])
        elif method == GET_EMPTY:
            self._set_answer(None)
        else:
            return False
        return True

    def _on_content(self, method: bytes, header: bytes, body: bytes) -> None:
        delivery_tag, redelivered = SETTLE.unpack_from(method, 4)
        exchange, at = short_string(method, 13)
        routing_key, _ = short_string(method, at)
        self._set_answer(Delivery(exchange, routing_key, header, body, redelivered & 1 == 1, delivery_tag))

    def _set_answer(self, delivery: Delivery | None) -> None:
        if delivery is None:
            self.emptied = self._room >= 0  # otherwise messages may have been requeued
        else:
            self._unsettled.add(delivery.delivery_tag)
            if self._answers and self._room < len(delivery.body):
                self._room = -1  # the messages behind are requeued too, so that the order stays
                self.settle(delivery.delivery_tag, Settlement.REQUEUE)
            else:
                self._answers.append(delivery)
                self._room -= len(delivery.body)
        self._awaited -= 1
        if not self._awaited and self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
