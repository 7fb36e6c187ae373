"""Operations on a queue over AMQP: read its depth, peek, take, purge, unbind and delete.

Users of Pulse have no access to RabbitMQ's management API (https://wiki.mozilla.org/Auto-tools/Projects/Pulse).
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager, suppress
from math import inf
from threading import get_ident
from time import time
from typing import TYPE_CHECKING

from pulsekit._amqp import methods
from pulsekit._amqp.error_mapping import FOREIGN, map_error
from pulsekit._amqp.getting import GetChannel
from pulsekit._amqp.queue_properties import read_queue_properties
from pulsekit.bindings.names import check_queue, queue_name
from pulsekit.consumer.guardian_limits import Limits, QueueDepth
from pulsekit.errors import NetworkError, NotFound, PreconditionFailed
from pulsekit.messages import Delivered, Settler
from pulsekit.queues.peeking import PeekLimit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable

    import aiormq

    from pulsekit._amqp.link import Link
    from pulsekit._amqp.types import Settlement
    from pulsekit.messages import Message
    from pulsekit.pulse import Pulse
    from pulsekit.queues.guardian_site import Bound

__all__ = [
    "PEEK_BYTES",
    "TAKE_BATCH",
    "check_unused",
    "delete_queue",
    "peek",
    "purge_queue",
    "queue_depth",
    "take",
    "try_queue",
    "unbind",
    "watch",
]

_TRY_EXPIRES = 60_000  # milliseconds, after which RabbitMQ deletes the queue if this process did not

TAKE_BATCH = 50  # messages that `take` requests at once, and that may be unsettled
SMALL_BATCH = 8  # the same for the first list, and for a quorum queue, which counts what is requeued
TAKE_BYTES = 4 * 1024 * 1024  # of bodies in one list of `take`; a larger message is alone in its list
PEEK_BYTES = 64 * 1024 * 1024  # of bodies in one peek, which keeps them all in memory


async def queue_depth(pulse: Pulse, name: str, limits: Limits | None = None) -> QueueDepth:
    """Return how many ready messages and how many consumers a queue has (queue.declare, passive).

    This works for the queues of every user. PulseGuardian also counts unsettled messages, which AMQP does not report.
    So for PulseGuardian, a queue with consumers may be longer than the result.

    Args:
        pulse: the connection.
        name: `queue/<user>/<name>`.
        limits: the limits of PulseGuardian.

    Raises:
        InvalidName: Raised when the name of a queue cannot exist on Pulse.
        NotFound: Raised when the queue does not exist.
        ResourceLocked: Raised when the queue is exclusive to another connection.
    """
    check_queue(name, pulse.user)
    async with _channel(pulse, f"look at {name}") as channel:
        return await _read_depth(channel, name, limits or Limits())


async def watch(pulse: Pulse, name: str, limits: Limits | None = None) -> AsyncGenerator[QueueDepth, None]:
    """Yield the depth of a queue every `limits.interval` seconds, until the queue is deleted.

    While the connection is lost, nothing is yielded.

    Raises:
        InvalidName: Raised when the name of a queue cannot exist on Pulse.
        NotFound: Raised when the queue does not exist, or no longer exists.
        ResourceLocked: Raised when the queue is exclusive to another connection.
        NetworkError: Raised when the first connection fails.
    """
    check_queue(name, pulse.user)
    limits = limits or Limits()
    while True:
        await pulse.link()  # if this fails, the generator ends
        try:
            async with _channel(pulse, f"look at {name}") as channel:
                while True:
                    yield await _read_depth(channel, name, limits)
                    await asyncio.sleep(limits.interval)
        except NetworkError:
            await asyncio.sleep(limits.interval)


async def peek(pulse: Pulse, name: str, count: int = 10, *, force: bool = False) -> list[Message]:
    """Return the first messages of a queue without removing them (basic.get, then basic.nack with requeue).

    During the call, consumers do not receive these messages. RabbitMQ requeues them at their former position if
    possible, otherwise closer to the head of the queue, and marks them as redelivered. If the call is interrupted, the
    broker requeues the messages. A quorum queue removes a message that is returned more often than the delivery limit.
    Therefore, once a message has been returned half as many times as the limit allows, `peek` refuses the queue for the
    rest of the day (UTC).

    Args:
        pulse: the connection.
        name: a queue that the user owns.
        count: the maximum number of messages. The result is shorter if the queue has fewer messages, or if their bodies
            exceed `PEEK_BYTES`.
        force: peek even near the delivery limit, although the broker may remove messages.

    Raises:
        ConfigurationError: Raised near the delivery limit of a quorum queue, unless `force` is set.
        InvalidName: Raised when the name of a queue cannot exist on Pulse.
        AccessRefused: Raised when the user does not own the queue.
        NotFound: Raised when the queue does not exist.
        ResourceLocked: Raised when the queue is exclusive to another connection.
    """
    check_queue(name, pulse.user)
    messages: list[Message] = []
    link = await pulse.link()
    limit = None if force else await PeekLimit.read(link, name)
    if limit is not None:
        limit.check()
    async with _channel_of(link, f"peek into {name}") as channel:
        getting = GetChannel(link, channel, name)
        size = 0
        try:
            while len(messages) < count and size <= PEEK_BYTES and (deliveries := await getting.get()):
                messages.append(Delivered(deliveries[0], link.epoch, time(), None, None))
                size += len(deliveries[0].body)
        finally:
            getting.discard()
        if messages:
            await channel.basic_nack(messages[-1].delivery_tag, multiple=True, requeue=True)
    if limit is not None:
        limit.check_returned(messages)
    return messages


async def take(pulse: Pulse, name: str, count: int | None = None) -> AsyncGenerator[list[Message], None]:
    """Yield the messages of a queue in lists of at most `TAKE_BATCH`, until the queue is empty (basic.get).

    A list ends before the message with which its bodies would exceed `TAKE_BYTES`. The messages behind it that were
    requested together with it are requeued at once, and marked as redelivered. A quorum queue counts this towards its
    delivery limit, so the first list of large messages of a quorum queue has up to `SMALL_BATCH` messages instead.

    The broker removes acknowledged messages from the queue, and requeues messages that are unsettled when the generator
    closes. More than `count` messages are not requested, because the broker would mark the others as redelivered.

    Example:
        `async for messages in take(pulse, "queue/me/jobs"): save(messages)`, with `await message.ack()` for each.

    Args:
        pulse: the connection.
        name: a queue that the user owns.
        count: the maximum number of messages, or None for all.

    Raises:
        InvalidName: Raised when the name of a queue cannot exist on Pulse.
        AccessRefused: Raised when the user does not own the queue.
        NotFound: Raised when the queue does not exist.
        ResourceLocked: Raised when the queue is exclusive to another connection.
        ConnectionLost: Raised when the connection is lost. The broker requeues messages whose acknowledgement it
            did not receive.
    """
    check_queue(name, pulse.user)
    link = await pulse.link()
    async with _channel_of(link, f"take messages out of {name}") as channel:
        getting = GetChannel(link, channel, name)
        settler = _Settler(getting)
        quorum = await _is_quorum(link, name)
        batch, most = (SMALL_BATCH, inf) if quorum else (TAKE_BATCH, TAKE_BYTES)
        left, wanted, largest = inf if count is None else count, SMALL_BATCH, 1
        try:
            while left > 0:
                deliveries = await getting.get(int(min(wanted, left)), max_bytes=most)
                left -= len(deliveries)
                largest = max([largest, *(len(delivery.body) for delivery in deliveries)])
                wanted = max(1, min(batch, TAKE_BYTES // largest))
                if deliveries:
                    yield [Delivered(delivery, link.epoch, time(), settler, None) for delivery in deliveries]
                deliveries.clear()  # their bodies, before the next messages arrive
                if getting.emptied:
                    break
            # The broker answers in order, so it has processed every acknowledgement before this request.
            await methods.declare_queue(channel, name, passive=True)
        finally:
            getting.discard()


async def purge_queue(pulse: Pulse, name: str) -> int:
    """Remove the ready messages of a queue, but not unsettled ones, and return their number (queue.purge).

    Raises:
        InvalidName: Raised when the name of a queue cannot exist on Pulse.
        AccessRefused: Raised when the user does not own the queue.
        NotFound: Raised when the queue does not exist.
        ResourceLocked: Raised when the queue is exclusive to another connection.
    """
    check_queue(name, pulse.user)
    async with _channel(pulse, f"purge {name}") as channel:
        return await methods.purge_queue(channel, name)


async def delete_queue(pulse: Pulse, name: str, *, if_unused: bool = True) -> int:
    """Delete a queue, and return the number of its messages (queue.delete). A missing queue is not an error.

    Args:
        pulse: the connection.
        name: a queue that the user owns.
        if_unused: if the queue has consumers, raise an error and do not delete it.

    Raises:
        InvalidName: Raised when the name of a queue cannot exist on Pulse.
        AccessRefused: Raised when the user does not own the queue.
        PreconditionFailed: Raised with `if_unused`, when the queue has consumers.
        ResourceLocked: Raised when the queue is exclusive to another connection.
    """
    check_queue(name, pulse.user)
    if if_unused and await _is_quorum(await pulse.link(), name):
        # RabbitMQ closes the connection if a quorum queue is deleted with if-unused (540).
        check_unused(await queue_depth(pulse, name))
        if_unused = False
    try:
        async with _channel(pulse, f"delete {name}") as channel:
            return await methods.delete_queue(channel, name, if_unused=if_unused)
    except PreconditionFailed as error:
        raise _in_use(name, error.text) from error


async def _is_quorum(link: Link, name: str) -> bool:
    try:
        return (await read_queue_properties(link, name)).arguments.get("x-queue-type") == "quorum"
    except NotFound:
        return False
    except PreconditionFailed:  # unknown (see PeekLimit.read), so the caller is as careful as with a quorum queue
        return True


def check_unused(depth: QueueDepth) -> None:
    """Check that a queue has no consumers, as `delete_queue` does.

    Raises:
        PreconditionFailed: Raised when the queue has consumers.
    """
    if depth.consumers:
        raise _in_use(depth.queue)


async def unbind(pulse: Pulse, name: str, bindings: Iterable[Bound]) -> None:
    """Remove bindings of a queue (queue.unbind). A missing binding is not an error.

    Raises:
        InvalidName: Raised when the name of a queue cannot exist on Pulse.
        AccessRefused: Raised when the user does not own the queue.
        NotFound: Raised when the queue or an exchange does not exist.
    """
    check_queue(name, pulse.user)
    async with _channel(pulse, f"unbind {name}") as channel:
        for bound in bindings:
            await methods.unbind_queue(channel, name, bound.exchange, bound.pattern, bound.arguments)


async def try_queue(pulse: Pulse, *, quorum: bool = False) -> None:
    """Create an exclusive queue or a quorum queue, and delete it again (queue.declare), to test permissions.

    Raises:
        AccessRefused: Raised when the user may not create queues.
        PulsekitError: Raised when the broker has no quorum queues.
    """
    name = queue_name(pulse.user, f"pulsekit-try-{secrets.token_hex(8)}")
    async with _channel(pulse, f"create {name}") as channel:
        if quorum:  # a quorum queue cannot be exclusive
            arguments = {"x-queue-type": "quorum", "x-expires": _TRY_EXPIRES}
            await methods.declare_queue(channel, name, durable=True, arguments=arguments)
        else:
            await methods.declare_queue(channel, name, exclusive=True, auto_delete=True)
        await methods.delete_queue(channel, name)


def _in_use(name: str, text: str = "") -> PreconditionFailed:
    words = f"cannot delete {name}: it has consumers; stop them, or add --force (if_unused=False) to delete it anyway"
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
        await link.close_channel(channel)


class _Settler(Settler):
    """The settler of the messages of `take`."""

    __slots__ = ("_getting", "_loop", "_thread")

    def __init__(self, getting: GetChannel) -> None:
        self._getting = getting
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()

    def settle(self, message: Message, settlement: Settlement) -> None:
        """Settle a message, from any thread. If the connection is lost, do nothing: `take` raises the error."""
        if get_ident() != self._thread:
            with suppress(RuntimeError):  # the event loop is closed, and the broker has requeued the message
                self._loop.call_soon_threadsafe(self.settle, message, settlement)
            return
        with suppress(NetworkError):
            self._getting.settle(message.delivery_tag, settlement)

    def live(self, message: Message) -> bool:
        """Return whether a message can still be settled."""
        return self._getting.is_unsettled(message.delivery_tag)


async def _read_depth(channel: aiormq.Channel, name: str, limits: Limits) -> QueueDepth:
    ready, consumers = await methods.declare_queue(channel, name, passive=True)
    return QueueDepth(name, ready, 0, limits, consumers)
