"""The description of a named queue, which a subscription declares or uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pulsekit._amqp.callbacks import check_kind, check_number
from pulsekit.bindings.names import check_exchange, check_queue
from pulsekit.errors import ConfigurationError

__all__ = ["MAX_EXPIRES", "Queue"]

_TYPES = ("classic", "quorum")
_DELIVERY_LIMIT = 20  # returns of a message; the default of RabbitMQ 4, while RabbitMQ 3 has none
MAX_EXPIRES = 10 * 365 * 24 * 3600 * 1000  # milliseconds that RabbitMQ accepts for x-expires: ten years


@dataclass(frozen=True, slots=True)
class Queue:
    """A named queue with the properties with which it is declared.

    Example:
        `Queue("queue/me/jobs", type="quorum", expires=3600, dead_letters="exchange/me/dead")`

    Attributes:
        name: `queue/<user>/<name>`.
        type: "quorum" for a replicated queue that survives the loss of a node of the cluster, or "classic"
            (x-queue-type). By default, the broker decides. A new quorum queue has a delivery limit of 20
            (x-delivery-limit), the default of RabbitMQ 4, unless `arguments` sets another. If a message is requeued
            more often, the broker dead-letters it, or discards it without `dead_letters`.
        durable: whether the queue outlives the connection. Otherwise it is exclusive to the connection.
        expires: seconds without a consumer after which the broker deletes the queue (x-expires).
        dead_letters: the exchange to which the broker routes rejected messages (x-dead-letter-exchange). If the user
            owns it, it is created.
        arguments: other arguments of queue.declare, such as `{"x-max-length": 1000}`.
        existing: whether to use an existing queue with its properties, and never create it. If True, no binding is
            needed. A queue with `auto_delete` is refused, because the broker would delete it with its messages.

    Raises:
        InvalidName: Raised when the name of a queue or exchange cannot exist on Pulse.
        ConfigurationError: Raised when two options contradict each other, or a value is out of range.
        TypeError: Raised when an option has another type.
    """

    name: str
    type: Literal["classic", "quorum"] | None = None
    durable: bool = True
    expires: float | None = None
    dead_letters: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    existing: bool = False

    def __post_init__(self) -> None:
        check_queue(self.name)
        check_number("expires", self.expires, optional=True)
        check_kind("arguments", self.arguments, Mapping, optional=False)
        if self.dead_letters is not None:
            check_exchange(self.dead_letters)
        if self.type is not None and self.type not in _TYPES:
            raise ConfigurationError(f"the type of a queue is 'classic' or 'quorum', not {self.type!r}")
        if self.expires is not None and not 1 <= self.expires * 1000 <= MAX_EXPIRES:
            raise ConfigurationError(f"expires is 0.001 to {MAX_EXPIRES // 1000} seconds, not {self.expires}")
        if twice := self._own_arguments.keys() & self.arguments.keys():
            raise ConfigurationError(f"the arguments of {self.name} repeat an option: {', '.join(sorted(twice))}")
        if self.existing and self.declare_arguments:
            raise ConfigurationError(f"{self.name} exists already: arguments and options do not apply to it")
        if self._is_quorum and not self.durable:
            raise ConfigurationError(f"the quorum queue {self.name} must be durable")

    @property
    def declare_arguments(self) -> dict[str, Any]:
        """All arguments of queue.declare: the options of this queue, and `arguments`."""
        default = {"x-delivery-limit": _DELIVERY_LIMIT} if self._is_quorum else {}
        return {**default, **self._own_arguments, **self.arguments}

    @property
    def _is_quorum(self) -> bool:
        return "quorum" in {self.type, self.arguments.get("x-queue-type")}

    @property
    def _own_arguments(self) -> dict[str, Any]:
        options = {
            "x-queue-type": self.type,
            "x-expires": None if self.expires is None else round(self.expires * 1000),
            "x-dead-letter-exchange": self.dead_letters,
        }
        return {name: value for name, value in options.items() if value is not None}
