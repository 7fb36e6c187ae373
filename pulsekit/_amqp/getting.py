"""Get the messages of a queue one by one (basic.get), on one channel of one connection.

aiormq's basic.get is not used: a routing key that is not UTF-8, or a header of an unknown type, closes its connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.channel import FrameChannel, IncomingContent, channel_end
from pulsekit._amqp.error_mapping import map_error
from pulsekit._amqp.frames import GET_EMPTY, GET_OK, SETTLE, encode_get
from pulsekit._amqp.link import OPERATION_TIMEOUT
from pulsekit._amqp.types import Delivery, short_string

if TYPE_CHECKING:
    import aiormq

    from pulsekit._amqp.link import Link

__all__ = ["GetChannel"]


class GetChannel(FrameChannel):
    """The frame handler for basic.get, on a channel that the caller opens and closes."""

    def __init__(self, link: Link, channel: aiormq.Channel, queue: str) -> None:
        super().__init__(link, channel)
        self._queue = queue
        self._answer: asyncio.Future[Delivery | None] | None = None
        link.router.connect(channel.number, self)

    def close(self) -> None:
        """Pass the frames of the channel to aiormq again."""
        self.link.router.disconnect(self._channel.number)

    async def get(self) -> Delivery | None:
        """Return the next message, unsettled, or None if the queue is empty. Calls must not overlap.

        Raises:
            BrokerRefused: Raised when the queue does not exist, or another user owns it.
            ConnectionLost: Raised when the connection is lost, or the broker does not answer in time.
        """
        doing = f"get from {self._queue}"
        answer: asyncio.Future[Delivery | None] = asyncio.get_running_loop().create_future()
        self._answer = answer
        end = asyncio.ensure_future(channel_end(self._channel, doing))
        self.link.router.write(encode_get(self._channel.number, self._queue))
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT):
                ends: list[asyncio.Future[Any]] = [end, answer]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as error:
            raise map_error(error, doing) from error
        finally:
            end.cancel()
        if answer.done():
            return answer.result()
        raise end.result()

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
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(delivery)
