"""A user's queues from outside: how deep one is, what waits in it, and getting rid of that.

Users of Pulse have no management API ("Accounts and permissions" of the facts), so all of this is AMQP.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from time import time
from typing import TYPE_CHECKING

from pulsekit._amqp.error_mapping import FOREIGN, map_error
from pulsekit._amqp.getting import GetChannel
from pulsekit._amqp.link import OPERATION_TIMEOUT
from pulsekit.bindings.names import check_queue, queue_name
from pulsekit.consumer.depth import Limits, QueueDepth
from pulsekit.errors import NetworkError, PreconditionFailed
from pulsekit.messages import Delivered

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable

    import aiormq

    from pulsekit._amqp.link import Link
    from pulsekit.messages import Message
    from pulsekit.pulse import Pulse
    from pulsekit.queues.guardian import Bound

__all__ = [
    "PEEK_BYTES",
    "check_unused",
    "delete_queue",
    "peek",
    "purge_queue",
    "queue_depth",
    "try_queue",
    "unbind",
    "watch",
]

PEEK_BYTES = 64 * 1024 * 1024  # of bodies in one peek, which holds them all at once


async def queue_depth(pulse: Pulse, name: str, limits: Limits | None = None) -> QueueDepth:
    """Tell how many messages wait in a queue, and how many consumers it has (queue.declare, passive).

    The broker tells it of anybody's queue. It does not tell how many messages are with consumers, which PulseGuardian
    counts too: a queue with consumers may be deeper than it looks.

    Args:
        pulse: the connection.
        name: `queue/<user>/<name>`.
        limits: when PulseGuardian acts.

    Raises:
        InvalidName: Pulse cannot have a queue of this name.
        NotFound: there is no such queue.
        ResourceLocked: it is exclusive to another connection.
    """
    check_queue(name, pulse.user)
    async with _channel(pulse, f"look at {name}") as channel:
        return await _read_depth(channel, name, limits or Limits())


async def watch(pulse: Pulse, name: str, limits: Limits | None = None) -> AsyncGenerator[QueueDepth, None]:
    """Look at a queue again and again, once every `limits.interval`, until it is gone.

    While the connection is away there is no look; it goes on when the connection is back.

    Raises:
        InvalidName: Pulse cannot have a queue of this name.
        NotFound: there is no such queue, or no more.
        ResourceLocked: it is exclusive to another connection.
        NetworkError: the connection could not be opened at all.
    """
    check_queue(name, pulse.user)
    limits = limits or Limits()
    while True:
        await pulse.link()  # what it raises is final
        try:
            async with _channel(pulse, f"look at {name}") as channel:
                while True:
                    yield await _read_depth(channel, name, limits)
                    await asyncio.sleep(limits.interval)
        except NetworkError:
            await asyncio.sleep(limits.interval)


async def peek(pulse: Pulse, name: str, count: int = 10) -> list[Message]:
    """Return the first messages of a queue and leave them in it (basic.get, then basic.nack with requeue).

    For that moment no consumer gets them. RabbitMQ puts them back where they were, unless consumers took others
    meanwhile: then towards the front. What stays is that they are marked as redelivered, and that on a quorum queue a
    delivery was counted, of which it may allow only some. When it is interrupted, the broker takes them back.

    Args:
        pulse: the connection.
        name: the user's own queue.
        count: how many; fewer come when there are fewer, or when their bodies exceed `PEEK_BYTES`.

    Raises:
        InvalidName: Pulse cannot have a queue of this name.
        AccessRefused: it is not the user's own.
        NotFound: there is no such queue.
        ResourceLocked: it is exclusive to another connection.
    """
    check_queue(name, pulse.user)
    messages: list[Message] = []
    link = await pulse.link()
    async with _channel_of(link, f"peek into {name}") as channel:
        getting = GetChannel(link, channel, name)
        size = 0
        try:
            while len(messages) < count and size <= PEEK_BYTES and (delivery := await getting.get()) is not None:
                messages.append(Delivered(delivery, link.epoch, time(), None, None))
                size += len(delivery.body)
        finally:
            getting.close()
        if messages:
            await channel.basic_nack(messages[-1].delivery_tag, multiple=True, requeue=True)
    return messages


async def purge_queue(pulse: Pulse, name: str) -> int:
    """Drop all messages that wait in a queue and return how many; those with consumers stay (queue.purge).

    Raises:
        InvalidName: Pulse cannot have a queue of this name.
        AccessRefused: it is not the user's own.
        NotFound: there is no such queue.
        ResourceLocked: it is exclusive to another connection.
    """
    check_queue(name, pulse.user)
    async with _channel(pulse, f"purge {name}") as channel:
        return (await channel.queue_purge(name, timeout=OPERATION_TIMEOUT)).message_count or 0


async def delete_queue(pulse: Pulse, name: str, *, if_unused: bool = True) -> int:
    """Delete a queue and return how many messages went with it (queue.delete); one that does not exist is fine.

    Args:
        pulse: the connection.
        name: the user's own queue.
        if_unused: refuse while it has consumers.

    Raises:
        InvalidName: Pulse cannot have a queue of this name.
        AccessRefused: it is not the user's own.
        PreconditionFailed: it has consumers.
        ResourceLocked: it is exclusive to another connection.
    """
    check_queue(name, pulse.user)
    try:
        async with _channel(pulse, f"delete {name}") as channel:
            gone = await channel.queue_delete(name, if_unused=if_unused, timeout=OPERATION_TIMEOUT)
            return gone.message_count or 0
    except PreconditionFailed as error:
        raise _in_use(name, error.text) from error


def check_unused(depth: QueueDepth) -> None:
    """Let a queue without consumers pass, as `delete_queue` would.

    Raises:
        PreconditionFailed: it has some.
    """
    if depth.consumers:
        raise _in_use(depth.queue)


async def unbind(pulse: Pulse, name: str, bindings: Iterable[Bound]) -> None:
    """Take bindings off a queue (queue.unbind); one that is not there is fine.

    Raises:
        InvalidName: Pulse cannot have a queue of this name.
        AccessRefused: it is not the user's own.
        NotFound: there is no such queue or exchange.
    """
    check_queue(name, pulse.user)
    async with _channel(pulse, f"unbind {name}") as channel:
        for bound in bindings:
            await channel.queue_unbind(
                name, bound.exchange, bound.pattern, dict(bound.arguments), timeout=OPERATION_TIMEOUT
            )


async def try_queue(pulse: Pulse) -> None:
    """Make a queue of the user's that nobody else can use, and delete it (queue.declare, exclusive).

    Raises:
        AccessRefused: the user may have no queues.
    """
    name = queue_name(pulse.user, f"pulsekit-try-{secrets.token_hex(8)}")
    async with _channel(pulse, f"make {name}") as channel:
        await channel.queue_declare(name, exclusive=True, auto_delete=True, timeout=OPERATION_TIMEOUT)
        await channel.queue_delete(name, timeout=OPERATION_TIMEOUT)


def _in_use(name: str, text: str = "") -> PreconditionFailed:
    words = f"cannot delete {name}: it has consumers; stop them, or delete it all the same (--force)"
    return PreconditionFailed(words, code=406, text=text)


@asynccontextmanager
async def _channel(pulse: Pulse, doing: str) -> AsyncIterator[aiormq.Channel]:
    async with _channel_of(await pulse.link(), doing) as channel:
        yield channel


@asynccontextmanager
async def _channel_of(link: Link, doing: str) -> AsyncIterator[aiormq.Channel]:
    channel = await link.channel(confirms=False)
    try:
        yield channel
    except FOREIGN as error:
        raise map_error(error, doing) from error
    finally:
        await channel.close()


async def _read_depth(channel: aiormq.Channel, name: str, limits: Limits) -> QueueDepth:
    seen = await channel.queue_declare(name, passive=True, timeout=OPERATION_TIMEOUT)
    return QueueDepth(name, seen.message_count or 0, 0, limits, seen.consumer_count or 0)
