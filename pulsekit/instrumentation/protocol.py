"""The methods of an instrumentation, and their arguments."""
# ruff: noqa: ARG002 - the parameters are for subclasses; a method of a protocol without `return` is abstract for mypy

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from pulsekit._amqp.outcome import Outcome
    from pulsekit._amqp.types import Settlement
    from pulsekit.messages import Gap, Message

__all__ = [
    "DeliveryDetails", "Endpoint", "GapDetails", "Instrumentation", "OutcomeDetails", "PublishDetails",
    "SettlementDetails", "StateDetails",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The broker of a connection. For a cluster of several hosts, this is the first host.

    Attributes:
        host: the name or address.
        port: the TCP port.
        user: the AMQP user.
        virtual_host: the virtual host.
    """

    host: str
    port: int
    user: str
    virtual_host: str


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class PublishDetails:
    """A message that is about to be encoded. It is compared by identity, and can be a key of a `WeakKeyDictionary`.

    Attributes:
        broker: the broker.
        exchange: the exchange.
        routing_key: the routing key.
        headers: the headers of the message.
    """

    broker: Endpoint
    exchange: str
    routing_key: str
    headers: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OutcomeDetails:
    """The outcome of a message.

    Attributes:
        publish: the object with which `on_publish` was called.
        outcome: the outcome. None if the message was not sent because the connection or its exchange failed.
        message_id: the message id. Empty if the message is invalid.
        size: the bytes of the body. 0 if the message is invalid.
        resent: whether the message was sent again after its connection or channel had closed.
        seconds: the time since `on_publish`.
        detail: the reason why the message was not confirmed. Empty if it was confirmed.
    """

    publish: PublishDetails
    outcome: Outcome | None
    message_id: str
    size: int
    resent: bool
    seconds: float
    detail: str


@dataclass(frozen=True, slots=True)
class DeliveryDetails:
    """A message that a consumer has received, or whose handler is called.

    Attributes:
        broker: the broker.
        queue: the name of the queue.
        private: whether the queue is exclusive, with another name for each connection.
        message: the message. An instrumentation must not settle it.
    """

    broker: Endpoint
    queue: str
    private: bool
    message: Message


@dataclass(frozen=True, slots=True)
class SettlementDetails:
    """The settlement of a message.

    Attributes:
        delivery: the message and its queue.
        settlement: how the message is settled.
        stale: whether the connection of the message was lost. If so, the broker delivers the message again.
    """

    delivery: DeliveryDetails
    settlement: Settlement
    stale: bool


@dataclass(frozen=True, slots=True)
class StateDetails:
    """The new state of a connection.

    Attributes:
        broker: the broker.
        connection: "publisher" or "consumer".
        state: the state, a `pulsekit.State`.
    """

    broker: Endpoint
    connection: str
    state: str


@dataclass(frozen=True, slots=True)
class GapDetails:
    """A time without a consumer, see `pulsekit.Gap`.

    Attributes:
        broker: the broker.
        queue: the name of the queue.
        private: whether the queue is exclusive, with another name for each connection.
        gap: the gap.
    """

    broker: Endpoint
    queue: str
    private: bool
    gap: Gap


class Instrumentation(Protocol):
    """An observer of connections, publishers and consumers. A subclass overrides the methods that it needs.

    All methods except `handling` are called in the thread of the event loop, for each message, and must not block.
    """

    def on_publish(self, details: PublishDetails) -> Mapping[str, str] | None:
        """Observe a message before it is encoded. Return headers to add. Existing headers are not replaced.

        With `pulsekit.sync`, the context variables are those of the thread that publishes.
        """
        return None

    def on_outcome(self, details: OutcomeDetails) -> None:
        """Observe the outcome of a message, once for each message that is accepted or invalid."""
        return

    def on_deliver(self, details: DeliveryDetails) -> None:
        """Observe the arrival of a message. The program gets it later, unless the connection is lost before."""
        return

    def on_settle(self, details: SettlementDetails) -> None:
        """Observe the settlement of a message."""
        return

    def on_state(self, details: StateDetails) -> None:
        """Observe a change of the state of a connection."""
        return

    def on_gap(self, details: GapDetails) -> None:
        """Observe the end of a gap."""
        return

    def handling(self, details: DeliveryDetails) -> AbstractContextManager[object] | None:
        """Return a context for one call of the handler, in its thread. It gets the exception of the handler."""
        return None
