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

__all__ = ["Consumer", "Death", "Host", "Queue"]

Death: TypeAlias = Literal["rejected", "expired", "maxlen"]


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


class Host(Protocol):
    """Say what a queue needs from the virtual host around it."""

    name: str
    timers: Timers

    def account(self, cost: int) -> None:
        """Add to, or take from, the memory that messages use."""

    def dead_letter(self, queue: Queue, message: Message, reason: Death) -> None:
        """Pass on a message that a queue has given up."""

    def delete_queue(self, queue: Queue) -> int:
        """Remove a queue nobody has used for as long as its `x-expires` says."""


class Queue:
    """Keep messages in order and hand them to consumers in turn.

    Args:
        host: the virtual host.
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
        self, host: Host, name: str, *, owner: object, durable: bool, auto_delete: bool, arguments: Table
    ) -> None:
        self.host = host
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
        self._busy = False
        self._used = 0.0
        self._expiry: Timer | None = None
        self._disuse: Timer | None = None
        self._ages = False  # until a message comes that has a time to live
        self._limited = self.options.max_length is not None or self.options.max_bytes is not None
        self.touch()

    def __str__(self) -> str:
        return f"queue '{self.name}' in vhost '{self.host.name}'"

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
            raise resource_locked(self.name, self.host.name)

    def check_equivalent(self, *, owner: object, durable: bool, auto_delete: bool, arguments: Table) -> None:
        """Compare a second declaration with the first.

        Raises:
            Refusal: 405 when one is exclusive and the other is not, 406 with what else differs.
        """
        if self.owner is not owner:
            raise resource_locked(self.name, self.host.name)
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
            self._used = self.host.timers.clock()
            if self._disuse is None:  # else it is set anew when it runs: one timer, however often the queue is used
                self._disuse = self.host.timers.after(self.options.expires / 1000, self._look_for_disuse)

    def enqueue(self, message: Message) -> bool:
        """Take a message in; return False when the limits refuse it."""
        options = self.options
        if self._limited and options.overflow != "drop-head" and self._full(1, len(message.body)):
            if options.overflow == "reject-publish-dlx":
                self.host.dead_letter(self, message, "maxlen")
            return False
        self._position += 1
        entry = Entry(message, self._position, self._priority(message), self._deadline(message))
        self.host.account(message.cost)
        if self.consumers and not self.backlog and not self._busy and (consumer := self._next()) is not None:
            self._hand(entry, consumer)
            return True
        # Where something waits already, nobody can take it: whoever becomes able to dispatches the queue.
        self.backlog.append(entry)
        self._settle_limits()
        return True

    def get(self) -> Entry | None:
        """Take the next message for Basic.Get; the caller settles it."""
        self.touch()
        self._expire()
        if not self.backlog:
            return None
        self.unacked += 1
        return self.backlog.pop()

    def acked(self, entry: Entry) -> None:
        """Forget a message that is done with."""
        self.unacked -= 1
        self.host.account(-entry.message.cost)

    def rejected(self, entry: Entry) -> None:
        """Give up a message that a consumer refused."""
        self.acked(entry)
        if not self.deleted:
            self.host.dead_letter(self, entry.message, "rejected")

    def requeue(self, entries: Iterable[Entry]) -> None:
        """Take messages back to where they were in the queue."""
        for entry in entries:
            if self.deleted:
                self.acked(entry)
                continue
            self.unacked -= 1
            entry.redelivered = True
            self.backlog.restore(entry)
        self._settle_limits()
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
        if self._busy:
            return
        self._busy = True
        try:
            self._expire()
            while self.backlog and (consumer := self._next()) is not None:
                self._hand(self.backlog.pop(), consumer)
        finally:
            self._busy = False
        self._arm()

    def purge(self) -> int:
        """Forget what waits and return how much it was."""
        count = len(self.backlog)
        while self.backlog:
            self.host.account(-self.backlog.pop().message.cost)
        return count

    def close(self) -> int:
        """End the queue: forget what waits and return how much it was."""
        self.deleted = True
        for timer in (self._expiry, self._disuse):
            if timer is not None:
                timer.cancel()
        return self.purge()

    def _insert(self, consumer: Consumer) -> None:
        """Put a consumer behind all others of its priority."""
        index = len(self.consumers)
        while index and self.consumers[index - 1].priority < consumer.priority:
            index -= 1
        self.consumers.insert(index, consumer)

    def _next(self) -> Consumer | None:
        if self.options.single_active_consumer:
            return self.consumers[0] if self.consumers and self.consumers[0].ready() else None
        for consumer in self.consumers:
            if consumer.ready():
                return consumer
        return None

    def _hand(self, entry: Entry, consumer: Consumer) -> None:
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
        self._ages = True
        return self.host.timers.clock() + min(time for time in (own, given) if time is not None) / 1000

    def _full(self, more: int, more_bytes: int) -> bool:
        length, size = self.options.max_length, self.options.max_bytes
        return (length is not None and len(self.backlog) + more > length) or (
            size is not None and self.backlog.bytes + more_bytes > size
        )

    def _settle_limits(self) -> None:
        if self._limited and self.options.overflow == "drop-head":
            while self.backlog and self._full(0, 0):
                self._give_up("maxlen")
        self._arm()

    def _give_up(self, reason: Death) -> None:
        entry = self.backlog.pop()
        self.host.account(-entry.message.cost)
        self.host.dead_letter(self, entry.message, reason)

    def _expire(self) -> None:
        """Give up what is too old; only the head can be, as in RabbitMQ."""
        if not self._ages:
            return
        head = self.backlog.first()
        if head is None or head.expires is None:
            return
        now = self.host.timers.clock()
        while head is not None and head.expires is not None and head.expires <= now:
            self._give_up("expired")
            head = self.backlog.first()

    def _arm(self) -> None:
        if not self._ages:
            return
        head = self.backlog.first()
        if head is None or head.expires is None or self.deleted:
            return
        if self._expiry is not None and self._expiry.action is not None:
            if self._expiry.when <= head.expires:
                return
            self._expiry.cancel()
        self._expiry = self.host.timers.at(head.expires, self._timed)

    def _timed(self) -> None:
        self._expiry = None
        self.dispatch()

    def _look_for_disuse(self) -> None:
        self._disuse = None
        if self.consumers or self.options.expires is None:
            return
        due = self._used + self.options.expires / 1000
        if due <= self.host.timers.clock():
            self.host.delete_queue(self)
        else:
            self._disuse = self.host.timers.at(due, self._look_for_disuse)
