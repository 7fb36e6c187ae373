"""Queues: what waits, who consumes it, and the limits that end a message's stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from pulsekit.sandbox.model.arguments import QUEUE_ARGUMENTS, QueueOptions, check_equivalent, yes_no
from pulsekit.sandbox.model.backlog import Backlog
from pulsekit.sandbox.model.messages import Entry, Message
from pulsekit.sandbox.refusals import access_refused, inequivalent, resource_locked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pulsekit.sandbox.codec.tables import Table
    from pulsekit.sandbox.model.bindings import Binding
    from pulsekit.sandbox.model.timers import Timer, Timers

__all__ = ["Consumer", "DeadLetterReason", "Queue", "QueueVirtualHost"]

DeadLetterReason: TypeAlias = Literal["rejected", "expired", "maxlen"]


class Consumer(Protocol):
    """Say what a queue needs from a consumer."""

    priority: int
    exclusive: bool

    def ready(self) -> bool:
        """Tell whether it can take a message now; whoever makes that true again dispatches the queue."""

    def deliver(self, entry: Entry) -> None:
        """Take a message; it stays owed to the queue until it is settled, unless `no_ack` was asked for."""

    def cancelled(self) -> None:
        """Learn that the queue is gone."""


class QueueVirtualHost(Protocol):
    """Say what a queue needs from the virtual host around it."""

    name: str
    timers: Timers

    def use_memory(self, cost: int) -> None:
        """Add to, or take from, the memory that messages use."""

    def dead_letter(self, queue: Queue, message: Message, reason: DeadLetterReason) -> None:
        """Pass on a message that a queue has given up."""

    def delete_queue(self, queue: Queue) -> int:
        """Remove a queue nobody has used for as long as its `x-expires` says."""


class Queue:
    """Keep messages in order and hand them to consumers in turn.

    Args:
        vhost: the virtual host.
        name: unique in there.
        owner: the connection an exclusive queue belongs to, else None.
        durable: remembered and compared; everything ends with the sandbox.
        auto_delete: deleted with its last consumer.
        arguments: as declared.

    Attributes:
        backlog: what waits.
        unacked: how many messages are with consumers.
        consumers: by priority, then in turn.
        sources: the bindings that end here.
        deleted: True once it is gone; what is settled afterwards is forgotten.
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
        self.options = QueueOptions.read(arguments, str(self))
        self.backlog = Backlog()
        self.unacked = 0
        self.consumers: list[Consumer] = []
        self.sources: dict[Binding[Any, Any], None] = {}
        self.deleted = False
        self._position = 0
        self._dispatching = False
        self._last_used = 0.0
        self._message_timer: Timer | None = None
        self._queue_timer: Timer | None = None
        self._has_ttl = False  # until a message comes that has a time to live
        self._limited = self.options.max_length is not None or self.options.max_bytes is not None
        self.touch()

    def __str__(self) -> str:
        return f"queue '{self.name}' in vhost '{self.vhost.name}'"

    @property
    def depth(self) -> int:
        """Messages that wait and messages that are with consumers."""
        return len(self.backlog) + self.unacked

    def check_access(self, owner: object) -> None:
        """Let only its own connection use an exclusive queue.

        Raises:
            Refusal: 405.
        """
        if self.owner is not None and self.owner is not owner:
            raise resource_locked(self.name, self.vhost.name)

    def check_equivalent(self, *, owner: object, durable: bool, auto_delete: bool, arguments: Table) -> None:
        """Compare a second declaration with the first.

        Raises:
            Refusal: 405 when one is exclusive and the other is not, 406 with what else differs.
        """
        if self.owner is not owner:
            raise resource_locked(self.name, self.vhost.name)
        for name, received, current in (
            ("durable", durable, self.durable),
            ("auto_delete", auto_delete, self.auto_delete),
        ):
            if received != current:
                raise inequivalent(name, str(self), yes_no(received), yes_no(current))
        check_equivalent(self.arguments, arguments, QUEUE_ARGUMENTS, str(self))

    def touch(self) -> None:
        """Begin the time of `x-expires` anew: the queue was declared, read, or lost its last consumer."""
        if self.options.expires is not None:
            self._last_used = self.vhost.timers.clock()
            if (
                self._queue_timer is None
            ):  # else it is set anew when it runs: one timer, however often the queue is used
                self._queue_timer = self.vhost.timers.after(self.options.expires / 1000, self._expire_queue)

    def enqueue(self, message: Message) -> bool:
        """Take a message in; return False when the limits refuse it."""
        options = self.options
        if self._limited and options.overflow != "drop-head" and self._exceeds_limits(1, len(message.body)):
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
        # Where something waits already, nobody can take it: whoever becomes able to dispatches the queue.
        self.backlog.append(entry)
        self._apply_limits()
        return True

    def get(self) -> Entry | None:
        """Take the next message for Basic.Get; the caller settles it."""
        self.touch()
        self._drop_expired()
        if not self.backlog:
            return None
        self.unacked += 1
        return self.backlog.pop()

    def acked(self, entry: Entry) -> None:
        """Forget a message that is done with."""
        self.unacked -= 1
        self.vhost.use_memory(-entry.message.cost)

    def rejected(self, entry: Entry) -> None:
        """Give up a message that a consumer refused."""
        self.acked(entry)
        if not self.deleted:
            self.vhost.dead_letter(self, entry.message, "rejected")

    def requeue(self, entries: Iterable[Entry]) -> None:
        """Take messages back to where they were in the queue."""
        for entry in entries:
            if self.deleted:
                self.acked(entry)
                continue
            self.unacked -= 1
            entry.redelivered = True
            self.backlog.requeue(entry)
        self._apply_limits()
        self.dispatch()

    def add_consumer(self, consumer: Consumer) -> None:
        """Let a consumer take part from the next dispatch on.

        Raises:
            Refusal: 403, it, or another one, wants the queue for itself.
        """
        if self.consumers and (consumer.exclusive or self.consumers[0].exclusive):
            raise access_refused(f"{self} in exclusive use")
        if self.options.single_active_consumer:
            self.consumers.append(consumer)
        else:
            self._insert(consumer)

    def remove_consumer(self, consumer: Consumer) -> bool:
        """Drop a consumer; return True when the queue has to go with it."""
        self.consumers.remove(consumer)
        if self.consumers:
            self.dispatch()  # another one may be the active one now
            return False
        self.touch()
        return self.auto_delete

    def dispatch(self) -> None:
        """Hand out messages until there are none, or nobody can take one."""
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
        """Forget what waits and return how much it was."""
        count = len(self.backlog)
        while self.backlog:
            self.vhost.use_memory(-self.backlog.pop().message.cost)
        return count

    def close(self) -> int:
        """End the queue: forget what waits and return how much it was."""
        self.deleted = True
        for timer in (self._message_timer, self._queue_timer):
            if timer is not None:
                timer.cancel()
        return self.purge()

    def _insert(self, consumer: Consumer) -> None:
        """Put a consumer behind all others of its priority."""
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
        """Give up what is too old; only the head can be, as in RabbitMQ."""
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
