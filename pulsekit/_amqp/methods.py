"""The AMQP methods with the name of an exchange or queue, for every name that RabbitMQ accepts.

aiormq builds these methods with pamqp, which refuses characters such as `=`, `{` and `ü`, and exchange names of more
than 127 characters. RabbitMQ accepts any UTF-8 of at most 255 bytes. The classes in `_UNCHECKED` are pamqp's classes
without this check. `bindings.names` checks names.
"""

from __future__ import annotations

import secrets
import struct
from typing import TYPE_CHECKING, Any

from pamqp import commands

from pulsekit._amqp.link import OPERATION_TIMEOUT
from pulsekit._amqp.tasks import run_cancellable
from pulsekit.errors import ConfigurationError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    import aiormq
    import aiormq.abc
    from pamqp.base import Frame

__all__ = [
    "bind_queue",
    "consume",
    "consumer_tag",
    "declare_exchange",
    "declare_queue",
    "delete_exchange",
    "delete_queue",
    "purge_queue",
    "unbind_queue",
]

# Seconds that a cancelled request waits for its answer. aiormq closes the channel of a cancelled request. If the broker
# refuses the request, and closes the channel at the same time, the second close can end the connection (504).
_PATIENCE = 0.5

_METHODS: tuple[type[Frame], ...] = (
    commands.Exchange.Declare,
    commands.Exchange.Delete,
    commands.Queue.Declare,
    commands.Queue.Bind,
    commands.Queue.Unbind,
    commands.Queue.Purge,
    commands.Queue.Delete,
    commands.Basic.Consume,
)
_UNCHECKED = {method: type(method.__name__, (method,), {"validate": lambda _: None}) for method in _METHODS}


async def declare_exchange(channel: aiormq.Channel, name: str, *, passive: bool = False) -> None:
    """Declare a durable topic exchange, or check that it exists if `passive` (exchange.declare)."""
    await _request(
        channel, commands.Exchange.Declare, exchange=name, exchange_type="topic", durable=True, passive=passive
    )


async def delete_exchange(channel: aiormq.Channel, name: str, *, if_unused: bool) -> None:
    """Delete an exchange (exchange.delete)."""
    await _request(channel, commands.Exchange.Delete, exchange=name, if_unused=if_unused)


async def declare_queue(
    channel: aiormq.Channel,
    name: str,
    *,
    passive: bool = False,
    durable: bool = False,
    exclusive: bool = False,
    auto_delete: bool = False,
    arguments: Mapping[str, Any] | None = None,
) -> tuple[int, int]:
    """Declare a queue and return the numbers of its ready messages and its consumers (queue.declare)."""
    answer = await _request(
        channel,
        commands.Queue.Declare,
        queue=name,
        passive=passive,
        durable=durable,
        exclusive=exclusive,
        auto_delete=auto_delete,
        arguments=dict(arguments or {}),
    )
    return answer.message_count or 0, answer.consumer_count or 0


async def bind_queue(channel: aiormq.Channel, name: str, exchange: str, pattern: str) -> None:
    """Bind a queue to an exchange (queue.bind)."""
    await _request(channel, commands.Queue.Bind, queue=name, exchange=exchange, routing_key=pattern)


async def unbind_queue(
    channel: aiormq.Channel, name: str, exchange: str, pattern: str, arguments: Mapping[str, Any]
) -> None:
    """Remove a binding of a queue (queue.unbind)."""
    await _request(
        channel,
        commands.Queue.Unbind,
        queue=name,
        exchange=exchange,
        routing_key=pattern,
        arguments=dict(arguments),
    )


async def purge_queue(channel: aiormq.Channel, name: str) -> int:
    """Remove the ready messages of a queue and return their number (queue.purge)."""
    answer = await _request(channel, commands.Queue.Purge, queue=name)
    return answer.message_count or 0


async def delete_queue(
    channel: aiormq.Channel, name: str, *, if_unused: bool = False, timeout: float | None = None
) -> int:
    """Delete a queue and return the number of its messages (queue.delete)."""
    answer = await _request(channel, commands.Queue.Delete, timeout=timeout, queue=name, if_unused=if_unused)
    return answer.message_count or 0


def consumer_tag() -> str:
    """Return a new consumer tag."""
    return f"pulsekit-{secrets.token_hex(8)}"


async def consume(
    channel: aiormq.Channel, name: str, on_delivery: Callable[[aiormq.abc.DeliveredMessage], Coroutine[Any, Any, Any]]
) -> str:
    """Start a consumer and return its tag (basic.consume)."""
    tag = consumer_tag()
    channel.consumers[tag] = on_delivery  # aiormq answers a basic.cancel only for consumers in this dictionary
    await _request(channel, commands.Basic.Consume, queue=name, consumer_tag=tag)
    return tag


async def _request(channel: aiormq.Channel, method: type[Frame], timeout: float | None = None, **fields: Any) -> Any:
    """Send a method and return its answer. The default timeout is `OPERATION_TIMEOUT`, in seconds.

    Raises:
        ConfigurationError: Raised when a field has no encoding in AMQP. Nothing was sent.
    """
    frame = _UNCHECKED[method](**fields)
    try:
        frame.marshal()  # fails early: an exception in aiormq's own call would end the connection
    except (AttributeError, OverflowError, TypeError, ValueError, struct.error) as error:
        raise ConfigurationError(f"{method.name} cannot be written in AMQP: {error}") from error
    answer = channel.rpc(frame, timeout=OPERATION_TIMEOUT if timeout is None else timeout)
    name = fields["queue"] if "queue" in fields else fields["exchange"]
    doing = f"{method.name.rpartition('.')[2].lower()} {printable(name)}"
    return await run_cancellable(answer, doing=doing, patience=_PATIENCE)
