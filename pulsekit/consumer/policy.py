"""The settlement of messages whose handler fails or whose payload cannot be read.

A handler raises `Reject`, `Retry` or `Stop` to decide about its message. For all other exceptions, the policy decides.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from pulsekit._amqp.callbacks import check_kind, check_number
from pulsekit.errors import ConfigurationError, DocumentError, InvalidMessage, InvalidPayload

if TYPE_CHECKING:
    from pulsekit.errors import PulsekitError
    from pulsekit.messages import Message

__all__ = ["OnFailure", "Policy", "Reject", "Retries", "Retry", "Stop"]

_MAX_COUNTED = 10_000  # messages whose failures are counted


class OnFailure(enum.StrEnum):
    """How a message is settled after a failure.

    Attributes:
        RAISE: requeue the message, and let `handle` raise the reason. A quorum queue gets the message back when the
            consumer closes, any other queue at once.
        REQUEUE: requeue the message after a delay, a limited number of times (basic.nack with requeue).
        REJECT: reject the message (basic.reject). The broker routes it to the dead-letter exchange of the queue, or
            discards it if there is none.
        KEEP: leave the message unsettled. It counts towards the prefetch, and is requeued when the consumer closes.
        ACK: acknowledge the message (basic.ack).
    """

    RAISE = "raise"
    REQUEUE = "requeue"
    REJECT = "reject"
    KEEP = "keep"
    ACK = "ack"


class Reject(Exception):
    """Raised by a handler to reject its message. The broker dead-letters or discards the message.

    Attributes:
        reason (str): the reason, for the log.
    """

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason or "the handler rejected the message")


class Retry(Exception):
    """Raised by a handler to get its message again. `Policy.limit` and `Policy.exhausted` apply.

    Attributes:
        after (float | None): seconds until the message is requeued. None means the delay of the policy. Until then, the
        message counts towards the prefetch. reason (str): the reason, for the log.
    """

    def __init__(self, reason: str = "", *, after: float | None = None) -> None:
        check_number("after", after, optional=True)
        if after is not None and not 0 <= after < inf:
            raise ConfigurationError(f"a message is requeued after 0 seconds or more, not {after}")
        self.after = after
        self.reason = reason
        super().__init__(reason or "the handler asked for another delivery")


class Stop(Exception):
    """Raised by a handler to stop the consumer. Its message is requeued, and `handle` raises this exception.

    Attributes:
        code (int): an exit code for the program.
    """

    def __init__(self, code: int = 0) -> None:
        self.code = code
        super().__init__(f"the handler stopped the consumer with exit code {code}")


@dataclass(frozen=True, slots=True)
class Policy:
    """The failure policy of a handler.

    Attributes:
        failure: what happens to a message whose handler failed.
        delay: seconds until a message is requeued for the first time.
        growth: the factor by which the delay grows with each failure of the message.
        max_delay: the maximum delay in seconds. A waiting message is unsettled: it counts towards the prefetch, and if
            it waits for longer than the consumer timeout of the broker, by default 30 minutes, the broker closes the
            channel. See `max_local_delay`.
        limit: how often one message is requeued, or None without a limit. In a quorum queue, the broker counts across
            processes, see `Message.delivery_count`. For a classic queue, each process counts for itself, and identifies
            a message by exchange, routing key, message id and body. A message at the delivery limit of its queue is not
            requeued, because the broker would remove it (`Queue.type`). With a prefetch of 1, deliveries that ended
            without a settlement also count. If there are more than `limit`, the handler is not called, because the
            message may have killed the process.
        exhausted: what happens to a message whose handler failed more often than `limit`. With RAISE, the message is
            requeued, and `handle` raises the exception.
        poison: what happens to a message that is not JSON, violates the schema of the subscription, or is larger than
            `max_size`. Such a message does not reach the handler. With None, it does, and `message.payload` raises an
            exception.
        max_size: the largest allowed body in bytes, or None without a limit.
        timeout: seconds for one call of an `async def` handler, or None without a limit. After this time, the handler
            is cancelled, which counts as a failure. A plain function cannot be interrupted.
        max_local_delay: the maximum delay, in seconds, for which a message waits in this process, or None without a
            limit. During a longer delay, the message waits in a queue on the broker. It does not count towards the
            prefetch, and the process may end. This needs a durable queue that the user owns. The queues for the delays
            are `<queue>/retry-<milliseconds>`, and the delay is rounded up by at most an eighth. Failures are then
            counted across processes, even for a classic queue.
    """

    failure: OnFailure = OnFailure.RAISE
    delay: float = 1.0
    limit: int | None = 3
    exhausted: OnFailure = OnFailure.REJECT
    poison: OnFailure | None = None
    max_size: int | None = None
    growth: float = 1.0
    max_delay: float = 300.0
    timeout: float | None = None
    max_local_delay: float | None = None

    def __post_init__(self) -> None:
        for name in ("failure", "exhausted", *(("poison",) if self.poison is not None else ())):
            if not isinstance(value := getattr(self, name), OnFailure):
                raise TypeError(f"{name} is an OnFailure, such as OnFailure.REJECT, not {value!r:.40}")
        for name in ("delay", "growth", "max_delay", "timeout", "max_local_delay"):
            check_number(name, getattr(self, name), optional=name in {"timeout", "max_local_delay"})
        for name in ("limit", "max_size"):
            check_kind(name, getattr(self, name), int)
        if OnFailure.REQUEUE in {self.poison, self.exhausted}:
            raise ConfigurationError(
                "a message that cannot be read, or failed too often, would be delivered for ever: reject or keep it"
            )
        if self.delay < 0 or self.growth < 1 or self.max_delay < 0 or (self.limit is not None and self.limit < 1):
            raise ConfigurationError(
                "a policy has a delay of 0 seconds or more, a growth of 1 or more, and a limit of 1 or more"
            )
        if self.timeout is not None and self.timeout <= 0:
            raise ConfigurationError(f"the time for a handler is more than 0 seconds, not {self.timeout}")
        if self.max_local_delay is not None and self.max_local_delay < 0:
            raise ConfigurationError(f"max_local_delay is 0 seconds or more, not {self.max_local_delay}")
        if self.max_size is not None and self.poison is None:
            raise ConfigurationError("max_size needs 'poison', the action for a message that is too large")

    def delay_after(self, failures: int) -> float:
        """Return the delay in seconds before a message is requeued, after this number of failures (from 1)."""
        if not self.delay:
            return 0.0
        try:
            grown = self.delay * self.growth ** (failures - 1)
        except OverflowError:
            grown = inf
        return min(grown, max(self.delay, self.max_delay))

    def reason_against(self, message: Message) -> PulsekitError | None:
        """Return the reason why a message is poison, or None."""
        if self.poison is None:
            return None
        if self.max_size is not None and len(message.body) > self.max_size:
            return InvalidMessage(f"the body has {len(message.body)} bytes; {self.max_size} are allowed")
        try:
            _ = message.payload
        except (DocumentError, InvalidPayload) as error:
            return error
        return None


class Retries:
    """The number of failures of each of the last `_MAX_COUNTED` messages that failed."""

    def __init__(self) -> None:
        self._failures: dict[bytes, int] = {}

    def failed(self, message: Message) -> int:
        """Count a failure of a message, and return the number of its failures."""
        name = self._name(message)
        count = self._failures.pop(name, 0) + 1
        self._failures[name] = count
        if len(self._failures) > _MAX_COUNTED:
            del self._failures[next(iter(self._failures))]
        return count

    def of(self, message: Message) -> int:
        """Return the number of failures of a message."""
        return self._failures.get(self._name(message), 0)

    def forget(self, message: Message) -> None:
        """Drop the count of a message."""
        if self._failures:
            self._failures.pop(self._name(message), None)

    @staticmethod
    def _name(message: Message) -> bytes:
        """Return a digest that identifies a message across deliveries: tags change, and the message id is optional."""
        try:
            message_id = message.properties.message_id or ""
        except InvalidMessage:  # the content header is malformed
            message_id = ""
        parts = (message.exchange, message.routing_key, message_id)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "replace") + b"\0" + message.body).digest()
