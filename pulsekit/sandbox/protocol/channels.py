"""Channels: handle the frames of one channel, and send answers (AMQP 0-9-1 §3, RabbitMQ's extensions). No I/O.

A channel has three states. If `closing` is True, the broker has sent Channel.Close, and every frame is ignored until
CloseOk (AMQP 0-9-1, channel.close). If `_assembly` is not None, a Basic.Publish arrived, and the frames of its content
must follow. Otherwise, the next frame must be a method: Basic.Publish and Basic.Ack, which are frequent, are decoded by
position, and all others by `frames.decode` and the table `_HANDLERS`.

Example: Publish, header and body make one message. Publish, header and Ack are a refusal with code 505, because the
body is missing. The session closes the connection, and the close names Basic.Publish, from `ids`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pamqp import commands

from pulsekit.sandbox.codec import frames
from pulsekit.sandbox.model.arguments import consumer_priority
from pulsekit.sandbox.protocol.deliveries import Deliveries
from pulsekit.sandbox.protocol.publishing import REPLY_TO, ContentAssembler, Publisher
from pulsekit.sandbox.protocol.topology import Topology, arguments_of, server_name
from pulsekit.sandbox.refusals import Refusal, not_found

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from pamqp.base import Frame

    from pulsekit.sandbox.model.queues import Queue
    from pulsekit.sandbox.protocol.deliveries import DeliveryConnection, Outcome

    class _Connection(DeliveryConnection, Protocol):
        """The part of the connection that a channel uses."""

        def published(self) -> None: ...
        def confirm_later(self, channel: Channel) -> None: ...


__all__ = ["Channel"]

_ACK: Final = b"\x00\x3c\x00\x50"
# Access.Request and Access.RequestOk with the ticket 1, of AMQP 0-8, which RabbitMQ still answers.
_ACCESS, _ACCESS_OK = b"\x00\x1e\x00\x0a", b"\x00\x1e\x00\x0b\x00\x01"


class Channel:
    """A channel of a session.

    Attributes:
        ids: class and method of the current method, which a Close must name.
        closing: True between the broker's Channel.Close and the client's CloseOk.
    """

    def __init__(self, connection: _Connection, number: int) -> None:
        self.number = number
        self.ids = (0, 0)
        self.closing = False
        self._connection = connection
        self._vhost = connection.vhost
        self._topology = Topology(connection.vhost, connection.user, connection)
        self._publisher = Publisher(connection, number)
        self._assembly: ContentAssembler | None = None
        self._deliveries = Deliveries(connection, number)
        self._last_queue = ""

    # frames

    def receive(self, kind: int, payload: bytes) -> None:
        """Process one frame.

        Raises:
            Refusal: Raised when the channel or its connection must be closed because of the method `ids`.
        """
        if self.closing:
            return
        if self._assembly is not None:
            self.ids = (60, 40)
            if self._assembly.add(kind, payload):
                assembly, self._assembly = self._assembly, None
                self._published(assembly)
            return
        if kind != frames.METHOD:
            self.ids = (0, 0)
            raise Refusal(505, "expected method frame, got non method frame instead")
        self.ids = frames.method_ids(payload)
        if payload[:4] == frames.PUBLISH:
            publish = frames.publish(payload)
            if publish.immediate:
                raise Refusal(540, "immediate=true")
            self._assembly = ContentAssembler(publish, self._vhost.release.max_message)
        elif payload[:4] == _ACK and len(payload) == 13:
            self._deliveries.settle(int.from_bytes(payload[4:12], "big"), "acked", multiple=bool(payload[12] & 1))
        elif payload[:4] == _ACCESS:
            self._connection.send(frames.frame(frames.METHOD, self.number, _ACCESS_OK))
        else:
            method = frames.decode(payload)
            handler = self._HANDLERS.get(type(method))
            if handler is None:
                raise Refusal(503, "unimplemented method")
            handler(self, method)

    @property
    def assembling(self) -> bool:
        """True between a publish and the end of its content. No method is allowed then."""
        return self._assembly is not None and not self.closing

    def confirm(self) -> None:
        """Send the outstanding confirms."""
        self._publisher.confirm()

    def resume(self) -> None:
        """Dispatch the queues again, because the connection accepts deliveries now."""
        self._deliveries.resume()

    def close(self) -> None:
        """Cancel all consumers, and requeue all unsettled deliveries."""
        self._assembly = None
        self._deliveries.close()

    def _reply(self, method: type[Frame], *values: Any) -> None:
        self._connection.send(frames.encode(self.number, method, *values))

    def _answer(self, request: Any, method: type[Frame], *values: Any) -> None:
        if not request.nowait:
            self._reply(method, *values)

    def _published(self, assembly: ContentAssembler) -> None:
        self._connection.published()
        if self._publisher.publish(assembly, self._deliveries.reply_to):
            self._connection.confirm_later(self)

    # exchanges

    def _exchange_declare(self, method: commands.Exchange.Declare) -> None:
        self._topology.declare_exchange(method)
        self._answer(method, commands.Exchange.DeclareOk)

    def _exchange_delete(self, method: commands.Exchange.Delete) -> None:
        self._topology.delete_exchange(method)
        self._answer(method, commands.Exchange.DeleteOk)

    def _exchange_bind(self, method: commands.Exchange.Bind) -> None:
        self._topology.bind("exchange", method.destination, method.source, method.routing_key, arguments_of(method))
        self._answer(method, commands.Exchange.BindOk)

    def _exchange_unbind(self, method: commands.Exchange.Unbind) -> None:
        self._topology.unbind("exchange", method.destination, method.source, method.routing_key, arguments_of(method))
        self._answer(method, commands.Exchange.UnbindOk)

    # queues

    def _queue_declare(self, method: commands.Queue.Declare) -> None:
        if method.queue.startswith(REPLY_TO):
            if method.queue != REPLY_TO and method.queue not in self._vhost.queues:
                raise not_found("queue", method.queue, self._vhost.name)
            self._last_queue = method.queue
            self._answer(method, commands.Queue.DeclareOk, method.queue, 0, 1)
            return
        queue = self._topology.declare_queue(method)
        self._last_queue = queue.name
        self._answer(method, commands.Queue.DeclareOk, queue.name, len(queue.backlog), len(queue.consumers))

    def _queue_delete(self, method: commands.Queue.Delete) -> None:
        queue, count = self._topology.delete_queue(
            self._name(method.queue), if_unused=method.if_unused, if_empty=method.if_empty
        )
        self._answer(method, commands.Queue.DeleteOk, count)
        if queue is not None:
            self._vhost.cancel_consumers(queue)

    def _queue_bind(self, method: commands.Queue.Bind) -> None:
        name = self._name(method.queue)
        key = method.routing_key or ("" if method.queue else name)
        self._topology.bind("queue", name, method.exchange, key, arguments_of(method))
        self._answer(method, commands.Queue.BindOk)

    def _queue_unbind(self, method: commands.Queue.Unbind) -> None:
        name = self._name(method.queue)
        key = method.routing_key or ("" if method.queue else name)
        self._topology.unbind("queue", name, method.exchange, key, arguments_of(method))
        self._reply(commands.Queue.UnbindOk)

    def _queue_purge(self, method: commands.Queue.Purge) -> None:
        count = self._readable(method.queue).purge()
        self._answer(method, commands.Queue.PurgeOk, count)

    def _name(self, name: str) -> str:
        """Return the name or, if it is empty, the name of the queue declared last (AMQP 0-9-1, class queue)."""
        if name or self._last_queue:
            return name or self._last_queue
        raise Refusal(404, "no previously declared queue")

    def _readable(self, name: str) -> Queue:
        name = self._name(name)
        self._connection.user.check("read", "queue", name, self._vhost)
        return self._vhost.queue(name, self._connection)

    # consuming

    def _basic_qos(self, method: commands.Basic.Qos) -> None:
        if method.prefetch_size:
            raise Refusal(540, f"prefetch_size!=0 ({method.prefetch_size})")
        self._deliveries.limit(method.prefetch_count, shared=method.global_)
        self._reply(commands.Basic.QosOk)
        self._deliveries.resume()

    def _basic_consume(self, method: commands.Basic.Consume) -> None:
        tag = method.consumer_tag or server_name("amq.ctag-")
        self._deliveries.check_tag(tag)
        if method.queue == REPLY_TO:
            queue, priority = self._deliveries.open_reply_queue(no_ack=method.no_ack), 0
        else:
            queue = self._readable(method.queue)
            kind = queue.options.queue_type
            priority = consumer_priority(arguments_of(method), str(queue), kind, self._vhost.release)
        self._deliveries.consume(queue, tag, no_ack=method.no_ack, exclusive=method.exclusive, priority=priority)
        self._answer(method, commands.Basic.ConsumeOk, tag)
        queue.dispatch()

    def _basic_cancel(self, method: commands.Basic.Cancel) -> None:
        tag = method.consumer_tag or ""
        self._answer(method, commands.Basic.CancelOk, tag)
        self._deliveries.cancel(tag)

    def _basic_get(self, method: commands.Basic.Get) -> None:
        if not self._deliveries.get(self._readable(method.queue), no_ack=method.no_ack):
            self._reply(commands.Basic.GetEmpty, "")

    def _basic_ack(self, method: commands.Basic.Ack) -> None:
        self._deliveries.settle(method.delivery_tag or 0, "acked", multiple=method.multiple)

    def _basic_nack(self, method: commands.Basic.Nack) -> None:
        outcome: Outcome = "requeued" if method.requeue else "rejected"
        self._deliveries.settle(method.delivery_tag or 0, outcome, multiple=method.multiple)

    def _basic_reject(self, method: commands.Basic.Reject) -> None:
        outcome: Outcome = "requeued" if method.requeue else "rejected"
        self._deliveries.settle(method.delivery_tag or 0, outcome, multiple=False)

    def _basic_recover(self, method: commands.Basic.Recover | commands.Basic.RecoverAsync) -> None:
        if not method.requeue:
            raise Refusal(540, "requeue=false")
        if method.synchronous:
            self._reply(commands.Basic.RecoverOk)
        self._deliveries.recover()

    # modes

    def _confirm_select(self, method: commands.Confirm.Select) -> None:
        if self._publisher.transaction is not None:
            raise Refusal(406, "cannot switch from tx to confirm mode")
        self._publisher.confirming = True
        self._answer(method, commands.Confirm.SelectOk)

    def _tx_select(self, _: commands.Tx.Select) -> None:
        if self._publisher.confirming:
            raise Refusal(406, "cannot switch from confirm to tx mode")
        if self._publisher.transaction is None:
            self._publisher.transaction = []
            self._deliveries.begin()
        self._reply(commands.Tx.SelectOk)

    def _tx_commit(self, _: commands.Tx.Commit) -> None:
        self._check_transaction()
        self._publisher.commit()
        self._reply(commands.Tx.CommitOk)
        self._deliveries.commit()

    def _tx_rollback(self, _: commands.Tx.Rollback) -> None:
        self._check_transaction()
        self._publisher.transaction = []
        self._deliveries.roll_back()
        self._reply(commands.Tx.RollbackOk)

    def _check_transaction(self) -> None:
        if self._publisher.transaction is None:
            raise Refusal(406, "channel is not transactional")

    # the channel itself

    def _channel_open(self, _: commands.Channel.Open) -> None:
        raise Refusal(504, "second 'channel.open' seen")

    def _channel_flow(self, method: commands.Channel.Flow) -> None:
        if not method.active:
            raise Refusal(540, "active=false")
        self._reply(commands.Channel.FlowOk, True)

    _HANDLERS: ClassVar[dict[type[Frame], Callable[[Channel, Any], None]]] = {
        commands.Channel.Open: _channel_open,
        commands.Channel.Flow: _channel_flow,
        commands.Exchange.Declare: _exchange_declare,
        commands.Exchange.Delete: _exchange_delete,
        commands.Exchange.Bind: _exchange_bind,
        commands.Exchange.Unbind: _exchange_unbind,
        commands.Queue.Declare: _queue_declare,
        commands.Queue.Delete: _queue_delete,
        commands.Queue.Bind: _queue_bind,
        commands.Queue.Unbind: _queue_unbind,
        commands.Queue.Purge: _queue_purge,
        commands.Basic.Qos: _basic_qos,
        commands.Basic.Consume: _basic_consume,
        commands.Basic.Cancel: _basic_cancel,
        commands.Basic.Get: _basic_get,
        commands.Basic.Ack: _basic_ack,
        commands.Basic.Nack: _basic_nack,
        commands.Basic.Reject: _basic_reject,
        commands.Basic.Recover: _basic_recover,
        commands.Basic.RecoverAsync: _basic_recover,
        commands.Confirm.Select: _confirm_select,
        commands.Tx.Select: _tx_select,
        commands.Tx.Commit: _tx_commit,
        commands.Tx.Rollback: _tx_rollback,
    }
