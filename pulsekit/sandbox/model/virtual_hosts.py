"""Virtual hosts: exchanges and queues by name, and the routing of a message between them.

A dead letter can exceed the limit of the next queue, whose dead letter can exceed the limit of another one. A recursive
call for each would cause a RecursionError in a long chain. So `dead_letter` appends to `_dead_letters`, and only the
outermost call processes this list until it is empty.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pulsekit.sandbox.events import Event
from pulsekit.sandbox.model.dead_letters import dead_letter, is_cycle
from pulsekit.sandbox.model.exchanges import EXCHANGE_TYPES, Exchange
from pulsekit.sandbox.refusals import not_found
from pulsekit.sandbox.releases import DEFAULT_RELEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pulsekit.sandbox.events import Observer
    from pulsekit.sandbox.model.exchanges import Destination, ExchangeBinding
    from pulsekit.sandbox.model.messages import Message
    from pulsekit.sandbox.model.queues import DeadLetterReason, Queue
    from pulsekit.sandbox.model.timers import Timers
    from pulsekit.sandbox.releases import Release

__all__ = ["VirtualHost"]

_PREDECLARED = {
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.topic": "topic",
    "amq.headers": "headers",
    "amq.match": "headers",
}


class _Default(Exchange):
    """The default exchange, which routes to the queue whose name is the key (AMQP 0-9-1 §3.1.3.1)."""

    def __init__(self, vhost: VirtualHost) -> None:
        super().__init__(vhost.name, "")
        self._queues = vhost.queues

    def destinations(self, message: Message) -> Sequence[Destination]:
        return [queue for key in message.keys if (queue := self._queues.get(key)) is not None]


class VirtualHost:
    """A namespace of exchanges and queues. `use_memory` is called with each change of the memory in use."""

    def __init__(
        self,
        name: str,
        timers: Timers,
        use_memory: Callable[[int], None],
        emit: Observer,
        release: Release = DEFAULT_RELEASE,
    ) -> None:
        self.name = name
        self.timers = timers
        self.use_memory = use_memory
        self.emit = emit
        self.release = release
        self.queues: dict[str, Queue] = {}
        self.exchanges: dict[str, Exchange] = {"": _Default(self)}
        for exchange, kind in _PREDECLARED.items():
            self.exchanges[exchange] = EXCHANGE_TYPES[kind](name, exchange, release=release)
        self.exchanges["amq.rabbitmq.trace"] = EXCHANGE_TYPES["topic"](name, "amq.rabbitmq.trace", internal=True)
        self._dead_letters: deque[tuple[Queue, Message, DeadLetterReason]] = deque()
        self._dead_lettering = False

    def exchange(self, name: str) -> Exchange:
        """Return an exchange.

        Raises:
            Refusal: Raised with 404 if it does not exist.
        """
        exchange = self.exchanges.get(name)
        if exchange is None:
            raise not_found("exchange", name, self.name)
        return exchange

    def queue(self, name: str, owner: object) -> Queue:
        """Return a queue that this connection may use.

        Raises:
            Refusal: Raised with 404 if it does not exist, with 405 if it is exclusive to another connection.
        """
        queue = self.queues.get(name)
        if queue is None:
            raise not_found("queue", name, self.name)
        queue.check_access(owner)
        return queue

    def route(self, exchange: Exchange, message: Message) -> Iterable[Queue]:
        """Return the queues for a message, each queue once.

        Bindings between exchanges are followed. Each exchange is visited once, so bindings may form a loop. If an
        exchange has no destination for the message, its alternate exchange is used.
        """
        targets = exchange.destinations(message)
        if len(targets) == 1 and not isinstance(targets[0], Exchange):
            return targets  # type: ignore[return-value] # the line above checks that it is a queue
        found: dict[Queue, None] = {}
        seen, pending = {exchange}, [exchange]
        while pending:
            source = pending.pop()
            targets = source.destinations(message)
            if not targets and source.alternate is not None:
                alternate = self.exchanges.get(source.alternate)
                targets = () if alternate is None else (alternate,)
            for target in targets:
                if not isinstance(target, Exchange):
                    found[target] = None
                elif target not in seen:
                    seen.add(target)
                    pending.append(target)
        return found

    def publish(self, exchange: Exchange, message: Message) -> tuple[int, bool]:
        """Route and enqueue a message. Return the number of matching queues, and whether all queues accepted it."""
        queues = self.route(exchange, message)
        count, accepted = 0, True
        for queue in queues:
            count += 1
            if not queue.enqueue(message):
                accepted = False
        return count, accepted

    def dead_letter(self, queue: Queue, message: Message, reason: DeadLetterReason) -> None:
        """Send a message to the queue's dead-letter exchange, or drop it if there is none."""
        self._dead_letters.append((queue, message, reason))
        if self._dead_lettering:
            return
        self._dead_lettering = True
        try:
            while self._dead_letters:
                self._publish_dead_letter(*self._dead_letters.popleft())
        finally:
            self._dead_lettering = False

    def _publish_dead_letter(self, queue: Queue, message: Message, reason: DeadLetterReason) -> None:
        name = queue.options.dead_letter_exchange
        exchange = None if name is None else self.exchanges.get(name)
        self.emit(
            Event(
                "dropped" if exchange is None else "dead-lettered",
                self.name,
                exchange=name or "",
                queue=queue.name,
                routing_key=message.routing_key,
                message=message,
                detail=reason,
            )
        )
        if exchange is None or name is None:
            return
        dead = dead_letter(queue, message, reason, name)
        for target in self.route(exchange, dead):
            if not is_cycle(dead, reason, target.name):
                target.enqueue(dead)

    def add_queue(self, queue: Queue, user: str = "") -> None:
        """Add a new queue."""
        self.queues[queue.name] = queue
        self.emit(Event("queue-declared", self.name, user, queue=queue.name))

    def delete_queue(self, queue: Queue) -> int:
        """Remove a queue with its bindings, and return the number of its ready messages.

        The caller calls `cancel_consumers` afterwards, because DeleteOk must precede Basic.Cancel.
        """
        if self.queues.get(queue.name) is not queue:
            return 0
        del self.queues[queue.name]
        count = queue.close()
        self.unbind(list(queue.sources))
        self.emit(Event("queue-deleted", self.name, queue=queue.name, count=count))
        return count

    def cancel_consumers(self, queue: Queue) -> None:
        """Cancel the consumers of a deleted queue."""
        consumers, queue.consumers = queue.consumers, []
        for consumer in consumers:
            consumer.cancelled()

    def add_exchange(self, exchange: Exchange, user: str = "") -> None:
        """Add a new exchange."""
        self.exchanges[exchange.name] = exchange
        self.emit(Event("exchange-declared", self.name, user, exchange=exchange.name, detail=exchange.type))

    def delete_exchange(self, exchange: Exchange) -> None:
        """Remove an exchange, the bindings from it and the bindings to it."""
        if self.exchanges.get(exchange.name) is not exchange:
            return
        del self.exchanges[exchange.name]
        for binding in list(exchange.bindings):
            exchange.unbind(binding)
        self.unbind(list(exchange.sources))
        self.emit(Event("exchange-deleted", self.name, exchange=exchange.name))

    def unbind(self, bindings: Iterable[ExchangeBinding]) -> None:
        """Remove bindings, and each auto-delete exchange whose last binding was removed."""
        for binding in bindings:
            source = binding.source
            if source.unbind(binding) and source.auto_delete and not source.bindings:
                self.delete_exchange(source)
