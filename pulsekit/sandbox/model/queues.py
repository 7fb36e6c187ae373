"""Queues: ready messages, consumers, and the limits of length and time.

A message in a queue is either ready, and in `backlog`, or delivered to a consumer, and counted by `unacked`. `enqueue`
and `requeue` make it ready, `dispatch` and `get` deliver it, `acked` and `rejected` remove it. Consumers of one
priority receive messages in turn: a consumer that gets a message moves to the end of its priority.

Invariant between two calls: the backlog is empty, or no consumer is ready. So `enqueue` may deliver a message at once
if the backlog is empty, and appends it otherwise. A consumer that becomes ready must call `dispatch`. While `dispatch`
runs, an expired message may be dead-lettered to the same queue. Because of `_dispatching`, `enqueue` only appends this
message, and the loop in `dispatch` delivers it.

Limits apply at the head, as RabbitMQ's guides "Queue Length Limit" and "Time-To-Live and Expiration" describe: overflow
drops the oldest ready message, and an expired message is removed when it reaches the head. One timer, `_message_timer`,
is set to the time at which the head expires; another, `_queue_timer`, deletes a queue that is unused for `x-expires`.

Example: 1, 2 and 3 are published to a queue with `x-max-length: 2` whose consumer has a prefetch of 1. Message 1 is
delivered, 2 and 3 are ready. When 4 is published, 2 is dropped, or dead-lettered with the reason `maxlen`. When 1 is
requeued, there are three ready messages, and 1 is dropped.

In a quorum queue, a requeued message does not return to its original position. If the queue has a delivery limit,
requeued messages precede all others, in the order of their requeues. Each requeue is counted, and a message above the
limit is dead-lettered or dropped. Without a limit, a requeued message is appended at the end. The number of requeues is
in the header `x-delivery-count`. See https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from pulsekit.sandbox.model.arguments import QueueOptions, check_equivalent, queue_arguments, yes_no
from pulsekit.sandbox.model.backlog import Backlog
from pulsekit.sandbox.model.messages import Entry, Message
from pulsekit.sandbox.refusals import Refusal, inequivalent, resource_locked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pulsekit.sandbox.codec.tables import Table
    from pulsekit.sandbox.model.bindings import Binding
    from pulsekit.sandbox.model.timers import Timer, Timers
    from pulsekit.sandbox.releases import Release

__all__ = ["Consumer", "DeadLetterReason", "Queue", "QueueVirtualHost"]

_FIRST_POSITION = -(1 << 62)  # lower than every position of a new message

DeadLetterReason: TypeAlias = Literal["rejected", "expired", "maxlen", "delivery_limit"]


class Consumer(Protocol):
    """The part of a consumer that a queue uses."""

    priority: int
    exclusive: bool

    def ready(self) -> bool:
        """Return whether a message can be delivered now. When this becomes True, the consumer calls `dispatch`."""

    def deliver(self, entry: Entry) -> None:
        """Send a message. Unless the consumer has `no_ack`, the message is settled later."""

    def cancelled(self) -> None:
        """React to the deletion of the queue."""


class QueueVirtualHost(Protocol):
    """The part of the virtual host that a queue uses."""

    name: str
    timers: Timers
    release: Release

    def use_memory(self, cost: int) -> None:
        """Add to the memory that messages use. A negative cost frees memory."""

    def dead_letter(self, queue: Queue, message: Message, reason: DeadLetterReason) -> None:
        """Send a message to the queue's dead-letter exchange, or drop it."""

    def delete_queue(self, queue: Queue) -> int:
        """Remove a queue that was not used for the time in its `x-expires`."""


class Queue:
    """A classic queue or a quorum queue.

    Args:
        vhost: the virtual host.
        name: unique in the virtual host.
        owner: the connection of an exclusive queue, else None.
        durable: only compared with later declarations, because a queue never outlives the sandbox.
        auto_delete: True for a queue that is deleted with its last consumer.
        arguments: as declared.

    Attributes:
        backlog: the ready messages.
        unacked: the number of unacknowledged messages.
        consumers: by priority, then in order of turn.
        sources: the bindings whose destination is this queue.
        deleted: True after `close`. Messages that are settled later are dropped.
    """

    def __init__(
        self, vhost: QueueVirtualHost, name: str, *, owner: object, durable: bool, auto_delete: bool, arguments: Table
    ) -> None:
        self.vhost = vhost
        self.name = name
        self.owner = owner
        self.durable = durable
        self.auto_delete = auto_delete
        self.arguments = arguments
        self.options = QueueOptions.read(arguments, str(self), vhost.release)
        self.backlog = Backlog()
        self.unacked = 0
        self.consumers: list[Consumer] = []
        self.sources: dict[Binding[Any, Any], None] = {}
        self.deleted = False
        self._position = 0
        self._first_position = _FIRST_POSITION
        self._dispatching = False
        self._last_used = 0.0
        self._message_timer: Timer | None = None
        self._queue_timer: Timer | None = None
        self._has_ttl = False  # True after the first message with a time to live
        self._limited = self.options.max_length is not None or self.options.max_bytes is not None
        self.touch()

    def __str__(self) -> str:
        return f"queue '{self.name}' in vhost '{self.vhost.name}'"

    @property
    def quorum(self) -> bool:
        """True for a quorum queue."""
        return self.options.queue_type == "quorum"

    @property
    def depth(self) -> int:
        """The number of ready and unacknowledged messages."""
        return len(self.backlog) + self.unacked

    def check_access(self, owner: object) -> None:
        """Check that a connection may use the queue.

        Raises:
            Refusal: Raised with 405 if the queue is exclusive to another connection.
        """
        if self.owner is not None and self.owner is not owner:
            raise resource_locked(self.name, self.vhost.name)

    def check_equivalent(self, *, owner: object, durable: bool, auto_delete: bool, arguments: Table) -> None:
        """Compare a second declaration with the first.

        Raises:
            Refusal: Raised with 405 if only one of them is exclusive, with 406 for the first property that differs.
        """
        if self.owner is not owner:
            raise resource_locked(self.name, self.vhost.name)
        for name, received, current in (
            ("durable", durable, self.durable),
            ("auto_delete", auto_delete, self.auto_delete),
        ):
            if received != current:
                raise inequivalent(name, str(self), yes_no(received), yes_no(current))
        release = self.vhost.release
        names = queue_arguments(self.options.queue_type, release)
        check_equivalent(self.arguments, arguments, names, str(self), default_type=release.default_queue_type)

    def touch(self) -> None:
        """Restart the time of `x-expires`, because the queue was declared or read, or its last consumer stopped."""
        if self.options.expires is not None:
            self._last_used = self.vhost.timers.clock()
            if self._queue_timer is None:  # otherwise, `_expire_queue` sets the running timer again
                self._queue_timer = self.vhost.timers.after(self.options.expires / 1000, self._expire_queue)

    def enqueue(self, message: Message) -> bool:
        """Add a message. Return False if a limit refuses it."""
        options = self.options
        # A quorum queue refuses messages only after it exceeded its limit.
        more, more_bytes = (0, 0) if self.quorum else (1, len(message.body))
        if self._limited and options.overflow != "drop-head" and self._exceeds_limits(more, more_bytes):
            if options.overflow == "reject-publish-dlx":
                self.vhost.dead_letter(self, message, "maxlen")
            return False
        self._position += 1
        entry = Entry(message, self._position, self._priority(message), self._deadline(message))
        self.vhost.use_memory(message.cost)
        if (
            self.consumers
            and not self.backlog
            and not self._dispatching
            and (consumer := self._next_consumer()) is not None
        ):
            self._deliver(entry, consumer)
            return True
        self.backlog.append(entry)
        self._apply_limits()
        return True

    def get(self) -> Entry | None:
        """Return the next message for Basic.Get. The caller settles it."""
        self.touch()
        self._drop_expired()
        if not self.backlog:
            return None
        self.unacked += 1
        entry = self.backlog.pop()
        self._drop_expired()
        self._set_message_timer()
        return entry

    def acked(self, entry: Entry) -> None:
        """Remove an acknowledged message."""
        self.unacked -= 1
        self.vhost.use_memory(-entry.message.cost)

    def rejected(self, entry: Entry) -> None:
        """Dead-letter a rejected message."""
        self.acked(entry)
        if not self.deleted:
            self.vhost.dead_letter(self, entry.message, "rejected")

    def requeue(self, entries: Iterable[Entry]) -> None:
        """Requeue messages at their original positions, or in a quorum queue at the front or the end."""
        limit, over_limit = self.options.delivery_limit, []
        for entry in entries:
            entry.requeues += 1
            if self.deleted:
                self.acked(entry)
            elif limit is not None and entry.requeues > limit:
                self.acked(entry)
                over_limit.append(entry)
            else:
                self.unacked -= 1
                entry.redelivered = True
                self._make_ready_again(entry)
        self._apply_limits()
        self.dispatch()
        for entry in over_limit:
            self.vhost.dead_letter(self, entry.message, "delivery_limit")

    def _make_ready_again(self, entry: Entry) -> None:
        if not self.quorum:
            self.backlog.requeue(entry)
        elif self.options.delivery_limit is not None:
            self._first_position += 1
            entry.position = self._first_position
            self.backlog.requeue(entry)
        else:
            self._position += 1
            entry.position = self._position
            self.backlog.append(entry)

    def add_consumer(self, consumer: Consumer) -> None:
        """Add a consumer. The caller then calls `dispatch`.

        Raises:
            Refusal: Raised with 403 if this or another consumer is exclusive, or if it is exclusive and the queue has a
                single active consumer. A quorum queue ignores this.
        """
        in_use = bool(self.consumers) or self.options.single_active_consumer
        if not self.quorum and ((consumer.exclusive and in_use) or (self.consumers and self.consumers[0].exclusive)):
            raise Refusal(403, f"{self} in exclusive use")
        if self.options.single_active_consumer:
            self.consumers.append(consumer)
        else:
            self._insert(consumer)

    def remove_consumer(self, consumer: Consumer) -> bool:
        """Remove a consumer. Return True if the queue must be deleted with it."""
        self.consumers.remove(consumer)
        if self.consumers:
            self.dispatch()  # another consumer may now be active
            return False
        self.touch()
        return self.auto_delete

    def dispatch(self) -> None:
        """Deliver messages until the backlog is empty or no consumer is ready."""
        if self._dispatching:
            return
        self._dispatching = True
        try:
            self._drop_expired()
            while self.backlog and (consumer := self._next_consumer()) is not None:
                self._deliver(self.backlog.pop(), consumer)
        finally:
            self._dispatching = False
        self._set_message_timer()

    def purge(self) -> int:
        """Remove all ready messages and return their number."""
        count = len(self.backlog)
        while self.backlog:
            self.vhost.use_memory(-self.backlog.pop().message.cost)
        return count

    def close(self) -> int:
        """Delete the queue: remove all ready messages and return their number."""
        self.deleted = True
        for timer in (self._message_timer, self._queue_timer):
            if timer is not None:
                timer.cancel()
        return self.purge()

    def _insert(self, consumer: Consumer) -> None:
        """Insert a consumer after all consumers of its priority."""
        index = len(self.consumers)
        while index and self.consumers[index - 1].priority < consumer.priority:
            index -= 1
        self.consumers.insert(index, consumer)

    def _next_consumer(self) -> Consumer | None:
        if self.options.single_active_consumer:
            return self.consumers[0] if self.consumers and self.consumers[0].ready() else None
        for consumer in self.consumers:
            if consumer.ready():
                return consumer
        return None

    def _deliver(self, entry: Entry, consumer: Consumer) -> None:
        self.unacked += 1
        if len(self.consumers) > 1 and not self.options.single_active_consumer:
            self.consumers.remove(consumer)
            self._insert(consumer)
        consumer.deliver(entry)

    def _priority(self, message: Message) -> int:
        if not self.options.max_priority:
            return 0
        return min(message.properties.octet("priority") or 0, self.options.max_priority)

    def _deadline(self, message: Message) -> float | None:
        own, given = self.options.message_ttl, message.time_to_live
        if own is None and given is None:
            return None
        self._has_ttl = True
        return self.vhost.timers.clock() + min(time for time in (own, given) if time is not None) / 1000

    def _exceeds_limits(self, more: int, more_bytes: int) -> bool:
        length, size = self.options.max_length, self.options.max_bytes
        return (length is not None and len(self.backlog) + more > length) or (
            size is not None and self.backlog.bytes + more_bytes > size
        )

    def _apply_limits(self) -> None:
        if self._limited and self.options.overflow == "drop-head":
            while self.backlog and self._exceeds_limits(0, 0):
                self._drop_head("maxlen")
        self._set_message_timer()

    def _drop_head(self, reason: DeadLetterReason) -> None:
        entry = self.backlog.pop()
        self.vhost.use_memory(-entry.message.cost)
        self.vhost.dead_letter(self, entry.message, reason)

    def _drop_expired(self) -> None:
        """Dead-letter expired messages at the head of the queue."""
        if not self._has_ttl:
            return
        head = self.backlog.first()
        if head is None or head.expires is None:
            return
        now = self.vhost.timers.clock()
        while head is not None and head.expires is not None and head.expires <= now:
            self._drop_head("expired")
            head = self.backlog.first()

    def _set_message_timer(self) -> None:
        if not self._has_ttl:
            return
        head = self.backlog.first()
        if head is None or head.expires is None or self.deleted:
            return
        if self._message_timer is not None and self._message_timer.action is not None:
            if self._message_timer.when <= head.expires:
                return
            self._message_timer.cancel()
        self._message_timer = self.vhost.timers.at(head.expires, self._on_message_timer)

    def _on_message_timer(self) -> None:
        self._message_timer = None
        self.dispatch()

    def _expire_queue(self) -> None:
        self._queue_timer = None
        if self.consumers or self.options.expires is None:
            return
        due = self._last_used + self.options.expires / 1000
        if due <= self.vhost.timers.clock():
            self.vhost.delete_queue(self)
        else:
            self._queue_timer = self.vhost.timers.at(due, self._expire_queue)
