"""Check a named queue before its first message: whether it exists, and what happens to rejected messages.

AMQP has only one request that shows whether a queue is bound to an exchange: the deletion with `if-unused`, which the
broker refuses if the exchange has a binding. So if the user owns the dead-letter exchange, it is declared, deleted with
`if-unused`, and declared again. No message is lost, because the broker deletes only an exchange without a queue.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from pulsekit._amqp import methods
from pulsekit._amqp.queue_properties import delivery_limit, read_queue_properties
from pulsekit.bindings.names import owner
from pulsekit.errors import AccessRefused, ConfigurationError, NotFound, PreconditionFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import aiormq

    from pulsekit._amqp.link import Link
    from pulsekit.consumer.queue_options import Queue

__all__ = ["Preparation", "prepare"]

log = logging.getLogger("pulsekit")


@dataclass(frozen=True, slots=True)
class Preparation:
    """The properties of a queue, read before it is consumed.

    Attributes:
        missing: True if the queue does not exist.
        arguments: the arguments with which to declare the queue.
        replicated: whether the queue is a quorum queue, which survives the loss of a node of the cluster.
        delivery_limit: how often a message is requeued before the broker removes it, or None without a limit.
    """

    missing: bool
    arguments: Mapping[str, Any]
    replicated: bool
    delivery_limit: int | None


async def prepare(link: Link, queue: Queue) -> Preparation:
    """Check a queue before it is declared and consumed. If the user owns the dead-letter exchange, create it.

    Raises:
        ConfigurationError: Raised when an existing queue is `auto_delete`.
        NotFound: Raised when the dead-letter exchange belongs to another user, and does not exist.
        NetworkError: Raised when the connection is lost, or the queue is on a node that is down.
    """
    arguments: Mapping[str, Any] = queue.declare_arguments
    missing = not await _exists(link, queue.name)
    if queue.existing and not missing:
        arguments = await _existing_arguments(link, queue.name)
    elif (
        not missing
        and arguments.get("x-delivery-limit") != queue.arguments.get("x-delivery-limit")
        and not await _is_declared(link, queue.name, arguments)
    ):
        # The limit is pulsekit's default, not set by the caller. So an existing queue with another limit can be used.
        limit = {"x-delivery-limit": (await _existing_arguments(link, queue.name)).get("x-delivery-limit")}
        arguments = {name: value for name, value in {**arguments, **limit}.items() if value is not None}
    exchange = arguments.get("x-dead-letter-exchange")
    if isinstance(exchange, str) and exchange:
        await _check_dead_letters(link, queue.name, exchange)
    replicated = arguments.get("x-queue-type") == "quorum"
    return Preparation(missing, arguments, replicated, delivery_limit(arguments, link.server))


async def _exists(link: Link, name: str) -> bool:
    try:
        await link.ask(lambda channel: methods.declare_queue(channel, name, passive=True), f"look for the queue {name}")
    except NotFound:
        return False
    return True


async def _is_declared(link: Link, name: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether an existing durable queue has these arguments.

    For a long name, `read_queue_properties` cannot return them, because the broker truncates its answer.
    """

    async def declare(channel: aiormq.Channel) -> None:
        await methods.declare_queue(channel, name, passive=True)
        await methods.declare_queue(channel, name, durable=True, arguments=arguments)

    try:
        await link.ask(declare, f"read the properties of {name}")
    except (AccessRefused, PreconditionFailed):
        return False
    return True


async def _existing_arguments(link: Link, name: str) -> Mapping[str, Any]:
    try:
        properties = await read_queue_properties(link, name)
    except (AccessRefused, PreconditionFailed) as error:
        log.debug("%s", error)  # the queue belongs to another user; an administrator may consume it
        return {}
    if properties.auto_delete:
        raise ConfigurationError(
            f"{name} is auto_delete: the broker deletes it, with its messages, when its last consumer stops. To "
            "replace it, create a queue with another name and the same bindings, and consume that. Then remove "
            f"the messages from the old queue: 'pulsekit queue take {quote(name)}'"
        )
    return properties.arguments


async def _check_dead_letters(link: Link, queue: str, exchange: str) -> None:
    if owner(exchange) != link.user:
        try:
            await link.ask(
                lambda channel: methods.declare_exchange(channel, exchange, passive=True), f"find {exchange}"
            )
        except NotFound as error:
            raise NotFound(
                f"the dead-letter exchange {exchange} of {queue} does not exist, so the broker would discard rejected "
                "messages; its owner must create it",
                code=404,
                text=error.text,
            ) from error
        return
    try:
        await link.ask(lambda channel: _declare_unless_bound(channel, exchange), f"declare {exchange}")
    except PreconditionFailed as error:
        log.debug("%s", error)  # a queue is bound, or the exchange has another type
        return
    log.warning(
        "no queue is bound to %s, the dead-letter exchange of %s: the broker discards rejected messages until one is",
        exchange,
        queue,
    )


async def _declare_unless_bound(channel: aiormq.Channel, exchange: str) -> None:
    """Declare an exchange, and recreate it if no queue is bound. Otherwise, the broker refuses the deletion (406)."""
    await methods.declare_exchange(channel, exchange)
    await methods.delete_exchange(channel, exchange, if_unused=True)
    await methods.declare_exchange(channel, exchange)
