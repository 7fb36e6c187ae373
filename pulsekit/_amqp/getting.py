"""Get messages of a queue one by one (basic.get), on one channel of one connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.channel import FrameChannel, IncomingContent, channel_end
from pulsekit._amqp.connection import OPERATION_TIMEOUT
from pulsekit._amqp.error_mapping import map_error
from pulsekit._amqp.frames import GET_EMPTY, GET_OK, SETTLE, encode_get
from pulsekit._amqp.types import Delivery, short_string

if TYPE_CHECKING:
    import aiormq

    from pulsekit._amqp.connection import Link

__all__ = ["GetChannel"]


class GetChannel(FrameChannel):
    """Get messages of a queue one by one, on a channel of one link that somebody else opened and closes.

    Not by aiormq's own basic.get: a key that is no text, or a header of a type it does not know, costs its connection.
    """

    def __init__(self, link: Link, channel: aiormq.Channel, queue: str) -> None:
        super().__init__(link, channel)
        self._queue = queue
        self._answer: asyncio.Future[Delivery | None] | None = None
        link.tap.connect(channel.number, self)

    def close(self) -> None:
        """Leave the channel to aiormq."""
        self.link.tap.disconnect(self._channel.number)

    async def get(self) -> Delivery | None:
        """Return the next message, unsettled, or None when none waits (basic.get). One call after the other.

        Raises:
            BrokerRefused: there is no such queue, or it is somebody else's.
            ConnectionLost: the link went, or the broker did not answer in time.
        """
        doing = f"get from {self._queue}"
        answer: asyncio.Future[Delivery | None] = asyncio.get_running_loop().create_future()
        self._answer = answer
        end = asyncio.ensure_future(channel_end(self._channel, doing))
        self.link.tap.write(encode_get(self._channel.number, self._queue))
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
        """Do nothing: a question is asked at once."""

    def _on_method(self, method: bytes, data: bytes, start: int, end: int) -> bool:
        if method == GET_OK:
            self._content = IncomingContent(data[start:end])
        elif method == GET_EMPTY:
            self._tell(None)
        else:
            return False
        return True

    def _on_content(self, method: bytes, header: bytes, body: bytes) -> None:
        delivery_tag, redelivered = SETTLE.unpack_from(method, 4)
        exchange, at = short_string(method, 13)
        routing_key, _ = short_string(method, at)
        self._tell(Delivery(exchange, routing_key, header, body, redelivered & 1 == 1, delivery_tag))

    def _tell(self, delivery: Delivery | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(delivery)
