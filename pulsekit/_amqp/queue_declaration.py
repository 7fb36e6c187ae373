"""Declare and bind the queue of a consumer, and delete it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pulsekit._amqp import methods
from pulsekit._amqp.error_mapping import FOREIGN, map_error
from pulsekit._amqp.link import OPERATION_TIMEOUT
from pulsekit._amqp.tasks import end_task, run_cancellable
from pulsekit.errors import BrokerRefused, NotFound, PulsekitError, SubscriptionLost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    import aiormq

    from pulsekit._amqp.link import Link

__all__ = ["QueueDeclaration", "delete_queue_quietly", "open_declared", "queue_deleted"]

_SILENCE = 1.0  # seconds without an answer about a queue, after which the broker is asked something else


@dataclass(frozen=True, slots=True)
class QueueDeclaration:
    """The queue and the bindings that a consumer needs on the broker.

    Attributes:
        queue: the name of the queue.
        durable: whether the queue outlives the connection. Otherwise it is exclusive to the connection.
        bindings: (exchange, pattern) pairs.
        arguments: queue arguments, such as `x-expires`.
        passive: whether the queue must already exist. If True, it is not created.
    """

    queue: str
    durable: bool
    bindings: tuple[tuple[str, str], ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    passive: bool = False


async def open_declared(
    link: Link, declaration: QueueDeclaration, *, prefetch: int, on_silence: Callable[[], None]
) -> aiormq.Channel:
    """Open a channel with a prefetch, declare the queue and bind it; see `ConsumeChannel.open`."""
    channel = await link.channel(confirms=False)
    doing = declaring = f"declare the queue {declaration.queue}"
    binding: tuple[str, str] | None = None
    try:
        qos = channel.basic_qos(prefetch_count=prefetch, timeout=OPERATION_TIMEOUT)
        await run_cancellable(qos, doing="set the prefetch")
        async with _noticing_silence(link, on_silence):
            await methods.declare_queue(
                channel,
                declaration.queue,
                passive=declaration.passive,
                durable=declaration.durable,
                exclusive=not declaration.durable,
                arguments=declaration.arguments,
            )
        for binding in declaration.bindings:
            exchange, pattern = binding
            doing = f"bind {exchange} with {pattern!r}"
            await methods.bind_queue(channel, declaration.queue, exchange, pattern)
    except FOREIGN as error:
        await link.close_channel(channel)
        refusal = map_error(error, doing, reconnects=True)
        if declaration.passive and doing is declaring and isinstance(refusal, NotFound):
            raise queue_deleted(declaration.queue) from error
        if isinstance(refusal, BrokerRefused):
            refusal.binding = binding
        raise refusal from error
    except BaseException:
        await link.close_channel(channel)
        raise
    return channel


@contextlib.asynccontextmanager
async def _noticing_silence(link: Link, on_silence: Callable[[], None]) -> AsyncIterator[None]:
    """Call a function if a request in the block has no answer after `_SILENCE`, although the broker answers another.

    While the node of a classic queue is down, RabbitMQ 4 answers no declaration of the queue, until the node is back.
    """

    async def notice() -> None:
        await asyncio.sleep(_SILENCE)
        with contextlib.suppress(PulsekitError):  # for example, no channel is left
            if await link.answers():
                on_silence()

    noticing = asyncio.create_task(notice(), name="notice a silent queue")
    try:
        yield
    finally:
        await end_task(noticing)


async def delete_queue_quietly(link: Link, queue: str) -> None:
    """Delete a queue and its messages (queue.delete), and ignore errors."""

    async def delete(seconds: float) -> None:
        async with asyncio.timeout(seconds):
            await link.ask(lambda channel: methods.delete_queue(channel, queue), f"delete {queue}")

    with contextlib.suppress(PulsekitError):
        await link.close_quietly(delete)


def queue_deleted(queue: str) -> SubscriptionLost:
    """Return the error for a queue that no longer exists."""
    return SubscriptionLost(
        f"the queue {queue} was deleted, by its owner or by PulseGuardian, which deletes a queue that exceeds its limit"
    )
