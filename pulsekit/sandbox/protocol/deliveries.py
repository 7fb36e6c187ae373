"""Deliveries on a channel: consumers, Basic.Get, settlement and transactions.

A queue calls `ready()` of a consumer, which calls `_may_deliver()` of the channel. If all limits permit, the queue
calls `deliver(entry)`. The channel then numbers the delivery, sends it, and adds it to `_unsettled`. A settlement
removes the delivery from `_unsettled`, and calls `acked`, `rejected` or `requeue` of its queue. In a transaction (AMQP
0-9-1, class tx), settled deliveries are collected in `_transaction`: a commit applies them, a rollback makes them
unsettled again.

Invariants: each message that a queue counts as unacknowledged is in `_unsettled` or in `_transaction` of exactly one
channel. The end of a channel calls `close`, which requeues both.

Example: a client gets the tags 1 and 2, begins a transaction, acknowledges 1 and loses its connection. The
acknowledgement was not committed, so both messages return to their original positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from pamqp import commands

from pulsekit.sandbox.codec import frames, tables
from pulsekit.sandbox.events import Event
from pulsekit.sandbox.model.queues import Queue
from pulsekit.sandbox.protocol.consumers import ChannelConsumer, Unsettled, UnsettledDeliveries
from pulsekit.sandbox.protocol.publishing import REPLY_TO, PublishConnection
from pulsekit.sandbox.protocol.topology import server_name
from pulsekit.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from pulsekit.sandbox.model.messages import Entry, Message

__all__ = ["Deliveries", "DeliveryConnection", "Outcome"]

Outcome: TypeAlias = Literal["acked", "requeued", "rejected"]


class DeliveryConnection(PublishConnection, Protocol):
    """The part of the connection that deliveries use."""

    cancel_notify: bool  # True if the client accepts a Basic.Cancel from the broker

    def accepts_deliveries(self) -> bool:
        """Return whether a delivery may be sent now."""


class Deliveries:
    """The consumers and deliveries of one channel. The connection of the channel also owns the reply queue."""

    def __init__(self, connection: DeliveryConnection, channel: int) -> None:
        self._connection = connection
        self._channel = channel
        self._unsettled = UnsettledDeliveries()
        self._consumers: dict[str, ChannelConsumer] = {}
        self._prefetch = 0  # the prefetch of each later consumer
        self._shared_prefetch = 0  # the prefetch of all consumers together
        self._reply_queue: Queue | None = None
        self._transaction: list[tuple[list[Unsettled], Outcome]] | None = None

    @property
    def reply_to(self) -> str | None:
        """The queue behind `amq.rabbitmq.reply-to` on this channel, or None."""
        return None if self._reply_queue is None else self._reply_queue.name

    # consumers

    def limit(self, prefetch: int, *, shared: bool) -> None:
        """Set the prefetch of each later consumer, or of all consumers together."""
        if shared:
            self._shared_prefetch = prefetch
        else:
            self._prefetch = prefetch

    def check_tag(self, tag: str) -> None:
        """Check that a consumer tag is new.

        Raises:
            Refusal: Raised with 530 if the tag is in use.
        """
        if tag in self._consumers:
            raise Refusal(530, f"attempt to reuse consumer tag '{tag}'")

    def consume(self, queue: Queue, tag: str, *, no_ack: bool, exclusive: bool, priority: int) -> None:
        """Add a consumer. The caller sends ConsumeOk, and then dispatches the queue.

        Raises:
            Refusal: Raised with 403 if the queue is in exclusive use, with 540 if the queue is a quorum queue and the
                channel has a prefetch for all consumers together.
        """
        if self._shared_prefetch and queue.quorum:
            raise Refusal(540, f"{queue} does not support global qos")
        consumer = ChannelConsumer(
            queue,
            tag,
            no_ack=no_ack,
            exclusive=exclusive,
            priority=priority,
            prefetch=0 if no_ack else self._prefetch,
            may_deliver=self._may_deliver,
            on_deliver=self._deliver,
            on_cancelled=self._cancelled,
        )
        queue.add_consumer(consumer)
        self._consumers[tag] = consumer

    def open_reply_queue(self, *, no_ack: bool) -> Queue:
        """Create the queue behind `amq.rabbitmq.reply-to`, which is deleted with its consumer.

        Raises:
            Refusal: Raised with 406 if the channel already has one, or `no_ack` is False.
        """
        if not no_ack:
            raise Refusal(406, "reply consumer cannot acknowledge")
        if self._reply_queue is not None:
            raise Refusal(406, "reply consumer already set")
        vhost, name = self._connection.vhost, server_name(REPLY_TO + ".")
        self._reply_queue = Queue(
            vhost, name, owner=self._connection, durable=False, auto_delete=True, arguments=tables.Table()
        )
        vhost.add_queue(self._reply_queue)
        return self._reply_queue

    def cancel(self, tag: str) -> None:
        """Remove a consumer. An unknown tag is not an error."""
        consumer = self._consumers.pop(tag, None)
        if consumer is None:
            return
        queue = consumer.queue
        if queue is self._reply_queue:
            self._reply_queue = None
        if queue.remove_consumer(consumer):
            self._connection.vhost.delete_queue(queue)

    def resume(self) -> None:
        """Dispatch the queues again, because deliveries may be possible now."""
        for consumer in list(self._consumers.values()):
            if consumer.queue.backlog:
                consumer.queue.dispatch()

    def close(self) -> None:
        """Cancel all consumers, and requeue all unsettled deliveries."""
        for tag in list(self._consumers):
            self.cancel(tag)
        self.roll_back()
        back: dict[Queue, list[Entry]] = {}
        for unsettled in self._unsettled.remove(0, multiple=True):
            back.setdefault(unsettled.queue, []).append(unsettled.entry)
        for queue, entries in back.items():
            queue.requeue(entries)

    # messages

    def get(self, queue: Queue, *, no_ack: bool) -> bool:
        """Send the next message of a queue. Return False if the queue is empty.

        Raises:
            Refusal: Raised with 405 if the queue is a quorum queue with a single active consumer.
        """
        if queue.quorum and queue.options.single_active_consumer:
            unsupported = "basic.get operations are not supported by quorum queues with single active consumer"
            raise Refusal(405, f"cannot obtain access to locked {queue}. {unsupported}")
        entry = queue.get()
        if entry is None:
            return False
        tag, address = self._unsettled.next_tag(), entry.message.address
        head = b"\x00\x3c\x00\x47" + tag.to_bytes(8, "big") + bytes((entry.redelivered,))
        count = len(queue.backlog).to_bytes(4, "big")
        method = frames.frame(frames.METHOD, self._channel, head + address + count)
        self._send(method, Unsettled(tag, entry, queue, None), no_ack=no_ack)
        return True

    def settle(self, tag: int, outcome: Outcome, *, multiple: bool) -> None:
        """Settle one delivery, or all deliveries up to a tag. In a transaction, settle them at the commit.

        Raises:
            Refusal: Raised with 406 if no unsettled delivery has that tag.
        """
        settled = self._unsettled.remove(tag, multiple=multiple)
        if self._transaction is None:
            self._apply(settled, outcome)
        else:
            self._transaction.append((settled, outcome))

    def recover(self) -> None:
        """Requeue all unsettled deliveries."""
        self._apply(self._unsettled.remove(0, multiple=True), "requeued")

    def begin(self) -> None:
        """Begin a transaction."""
        self._transaction = []

    def commit(self) -> None:
        """Apply the settlements of the transaction, and begin the next transaction."""
        pending, self._transaction = self._transaction or [], []
        for settled, outcome in pending:
            self._apply(settled, outcome)

    def roll_back(self) -> None:
        """Undo the settlements of the transaction, and begin the next transaction."""
        if self._transaction:
            self._unsettled.add_again(unsettled for settled, _ in self._transaction for unsettled in settled)
            self._transaction = []

    def _may_deliver(self) -> bool:
        if self._shared_prefetch and self._unsettled.consumer_deliveries >= self._shared_prefetch:
            return False
        return self._connection.accepts_deliveries()

    def _deliver(self, consumer: ChannelConsumer, entry: Entry) -> None:
        tag = self._unsettled.next_tag()
        method = frames.delivery(self._channel, consumer.encoded_tag, tag, entry.redelivered, entry.message.address)
        self._send(method, Unsettled(tag, entry, consumer.queue, consumer), no_ack=consumer.no_ack)

    def _send(self, method: bytes, unsettled: Unsettled, *, no_ack: bool) -> None:
        message = unsettled.entry.message
        header = _counted_header(unsettled) if unsettled.queue.quorum else message.header
        self._connection.send(method + frames.content(self._channel, header, message.body, self._connection.frame_max))
        if no_ack:
            unsettled.queue.acked(unsettled.entry)
        else:
            self._unsettled.add(unsettled)
        if self._connection.broker.observers:
            self._emit("delivered", unsettled.queue, message)

    def _cancelled(self, consumer: ChannelConsumer) -> None:
        """Send Basic.Cancel for a deleted queue, if the client accepts it."""
        del self._consumers[consumer.tag]
        if self._connection.cancel_notify:
            self._connection.send(frames.encode(self._channel, commands.Basic.Cancel, consumer.tag, True))

    def _apply(self, settled: list[Unsettled], outcome: Outcome) -> None:
        if self._connection.broker.observers:
            for unsettled in settled:
                kind: Literal["acked", "nacked"] = "acked" if outcome == "acked" else "nacked"
                self._emit(kind, unsettled.queue, unsettled.entry.message, outcome)
        by_queue: dict[Queue, list[Entry]] = {}
        for unsettled in settled:
            by_queue.setdefault(unsettled.queue, []).append(unsettled.entry)
        for queue, entries in by_queue.items():
            if outcome == "requeued":
                queue.requeue(entries)
            else:
                settle = queue.acked if outcome == "acked" else queue.rejected
                for entry in entries:
                    settle(entry)
                if queue.backlog:
                    queue.dispatch()
        if self._shared_prefetch:
            self.resume()

    def _emit(
        self, kind: Literal["acked", "nacked", "delivered"], queue: Queue, message: Message, detail: str = ""
    ) -> None:
        self._connection.broker.emit(
            Event(
                kind,
                self._connection.vhost.name,
                self._connection.user.name,
                exchange=message.exchange,
                queue=queue.name,
                routing_key=message.routing_key,
                message=message,
                detail=detail,
            )
        )


def _counted_header(unsettled: Unsettled) -> bytes:
    """Return the content header of a delivery from a quorum queue, with the number of requeues in a header."""
    message, count = unsettled.entry.message, unsettled.entry.requeues
    counts_first = unsettled.consumer is None and unsettled.queue.vhost.release.counts_first_get
    if not count and not counts_first:
        return message.header
    value = tables.encode_field(count)
    fields = tables.set_field(message.properties.raw_headers, "x-delivery-count", value, first=False)
    return message.properties.edit(len(message.body), headers=fields)
