"""Topology: declare, bind and delete for a user, with the checks in RabbitMQ's order.

Clients can see the order: without permission, the answer does not depend on the existence of an exchange.
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pulsekit.sandbox.events import Event
from pulsekit.sandbox.model.arguments import exchange_name
from pulsekit.sandbox.model.bindings import Binding
from pulsekit.sandbox.model.exchanges import EXCHANGE_TYPES
from pulsekit.sandbox.model.queues import Queue
from pulsekit.sandbox.refusals import Refusal, in_use, not_found

if TYPE_CHECKING:
    from pamqp import commands

    from pulsekit.sandbox.codec.tables import Table
    from pulsekit.sandbox.model.exchanges import Destination
    from pulsekit.sandbox.model.users import Permission, User
    from pulsekit.sandbox.model.virtual_hosts import VirtualHost

__all__ = ["Topology", "arguments_of", "server_name"]


def server_name(prefix: str) -> str:
    """Return a unique name."""
    return prefix + base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()


def arguments_of(method: Any) -> Table:
    """Return the arguments of a method that `frames.decode` returned."""
    arguments: Table = method.arguments
    return arguments


class Topology(NamedTuple):
    """Changes of a virtual host by one user on one connection."""

    vhost: VirtualHost
    user: User
    owner: object  # the connection, which owns its exclusive queues

    def declare_exchange(self, method: commands.Exchange.Declare) -> None:
        """Create an exchange, or compare the declaration with the existing one.

        Raises:
            Refusal: Raised with 503 (406 in RabbitMQ 4) for an unknown type, with 403 for the default exchange, a
                reserved name or a missing permission, with 404 for a passive declaration of an exchange that does not
                exist, with 406 for a property that differs.
        """
        name, vhost = _one_line(method.exchange), self.vhost
        if method.passive:
            _not_default(name)
            vhost.exchange(name)
            return
        arguments = arguments_of(method)
        kind = EXCHANGE_TYPES.get(method.exchange_type)
        if kind is None:
            code = 406 if vhost.release.bad_type_closes_channel else 503
            raise Refusal(code, f"unknown exchange type '{method.exchange_type}'")
        _not_default(name)
        self._check("configure", "exchange", name)
        exchange = vhost.exchanges.get(name)
        if exchange is not None:
            exchange.check_equivalent(
                method.exchange_type,
                durable=method.durable,
                auto_delete=method.auto_delete,
                internal=method.internal,
                arguments=arguments,
            )
            return
        _not_reserved("exchange", name)
        alternate = exchange_name(arguments, "alternate-exchange", f"exchange '{name}' in vhost '{vhost.name}'")
        if alternate is not None:
            self._check("read", "exchange", name)
            self._check("write", "exchange", alternate)
        exchange = kind(
            vhost.name,
            name,
            durable=method.durable,
            auto_delete=method.auto_delete,
            internal=method.internal,
            arguments=arguments,
            release=vhost.release,
        )
        vhost.add_exchange(exchange, self.user.name)

    def delete_exchange(self, method: commands.Exchange.Delete) -> None:
        """Delete an exchange, if it exists.

        Raises:
            Refusal: Raised with 403 for a predeclared exchange or a missing permission, with 406 if `if_unused` is set
                and the exchange has bindings.
        """
        name = _one_line(method.exchange)
        _not_default(name)
        if name.startswith("amq."):
            raise Refusal(403, f"deletion of system exchange '{name}' in vhost '{self.vhost.name}' not allowed")
        self._check("configure", "exchange", name)
        exchange = self.vhost.exchanges.get(name)
        if exchange is None:
            return
        if method.if_unused and exchange.bindings:
            raise in_use("exchange", name, self.vhost.name)
        self.vhost.delete_exchange(exchange)

    def declare_queue(self, method: commands.Queue.Declare) -> Queue:
        """Create a queue, or compare the declaration with the existing one.

        Raises:
            Refusal: Raised with 403 for a reserved name or a missing permission, with 404 for a passive declaration of
                a queue that does not exist, with 405 if the queue is exclusive to another connection, with 406 if a
                property differs or an argument is invalid.
        """
        vhost, name = self.vhost, _one_line(method.queue)
        if method.passive:
            return vhost.queue(name, self.owner)
        arguments = arguments_of(method)
        owner = self.owner if method.exclusive else None
        durable = method.durable and owner is None  # an exclusive queue is never durable
        if name:
            _not_reserved("queue", name)
        elif arguments.get("x-queue-type") == "quorum":
            raise Refusal(406, "Cannot declare a server-named queue for type rabbit_quorum_queue")
        name = name or server_name("amq.gen-")
        self._check("configure", "queue", name)
        queue = vhost.queues.get(name)
        if queue is not None:
            queue.check_equivalent(owner=owner, durable=durable, auto_delete=method.auto_delete, arguments=arguments)
            queue.touch()
            return queue
        resource = f"queue '{name}' in vhost '{vhost.name}'"
        dead_letter_exchange = exchange_name(arguments, "x-dead-letter-exchange", resource)
        if dead_letter_exchange is not None:
            self._check("read", "queue", name)
            self._check("write", "exchange", dead_letter_exchange)
        queue = Queue(vhost, name, owner=owner, durable=durable, auto_delete=method.auto_delete, arguments=arguments)
        if queue.quorum and (unfit := _unfit_for_quorum(method)):
            raise Refusal(406, f"invalid property '{unfit}' for {resource}")
        vhost.add_queue(queue, self.user.name)
        return queue

    def delete_queue(self, name: str, *, if_unused: bool, if_empty: bool) -> tuple[Queue | None, int]:
        """Delete a queue, if it exists. Return the queue, or None, and the number of its ready messages.

        The caller cancels the consumers of the queue afterwards.

        Raises:
            Refusal: Raised with 403 for a missing permission, with 405 if the queue is exclusive to another connection,
                with 406 if it is in use or not empty, with 540 if a condition is set for a quorum queue.
        """
        vhost, name = self.vhost, _one_line(name)
        self._check("configure", "queue", name)
        if name not in vhost.queues:
            return None, 0
        queue = vhost.queue(name, self.owner)
        if queue.quorum and (if_unused or if_empty):
            flag = "if-unused" if if_unused else "if-empty"
            unsupported = f"queue.delete operations with {flag} flag set are not supported by quorum queues"
            raise Refusal(540, f"cannot delete {queue}. {unsupported}")
        if if_unused and queue.consumers:
            raise in_use("queue", name, vhost.name)
        if if_empty and queue.backlog:
            raise Refusal(406, f"{queue} not empty")
        return queue, vhost.delete_queue(queue)

    def bind(self, kind: str, destination: str, source: str, key: str, arguments: Table) -> None:
        """Bind a queue or an exchange to an exchange.

        Raises:
            Refusal: Raised with 403 for the default exchange or a missing permission, with 404 if the exchange or the
                queue does not exist, with 405 if the queue is exclusive to another connection, with 406 if an argument
                is invalid.
        """
        destination, source = _one_line(destination), _one_line(source)
        self._check_binding(kind, destination, source)
        exchange = self.vhost.exchange(source)
        target: Destination | None = (self.vhost.queues if kind == "queue" else self.vhost.exchanges).get(destination)
        if target is None:
            raise not_found(kind, destination, self.vhost.name)
        exchange.check_binding(arguments)
        if isinstance(target, Queue):
            target.check_access(self.owner)
        if exchange.bind(Binding.make(exchange, target, key, arguments)):
            self._emit_binding("bound", kind, destination, source, key)

    def unbind(self, kind: str, destination: str, source: str, key: str, arguments: Table) -> None:
        """Remove a binding, if it exists.

        Raises:
            Refusal: Raised with 403 for the default exchange or a missing permission, with 405 if the queue is
                exclusive to another connection.
        """
        destination, source = _one_line(destination), _one_line(source)
        self._check_binding(kind, destination, source)
        exchange = self.vhost.exchanges.get(source)
        target: Destination | None = (self.vhost.queues if kind == "queue" else self.vhost.exchanges).get(destination)
        if exchange is None or target is None:
            return
        binding = Binding.make(exchange, target, key, arguments)
        if binding not in exchange.bindings:
            return
        if isinstance(target, Queue):
            target.check_access(self.owner)
        self.vhost.unbind([binding])
        self._emit_binding("unbound", kind, destination, source, key)

    def _check_binding(self, kind: str, destination: str, source: str) -> None:
        self._check("write", kind, destination)
        _not_default(source)
        if kind == "exchange":
            _not_default(destination)
        self._check("read", "exchange", source)

    def _emit_binding(
        self, what: Literal["bound", "unbound"], kind: str, destination: str, source: str, key: str
    ) -> None:
        self.vhost.emit(
            Event(
                what,
                self.vhost.name,
                self.user.name,
                exchange=source,
                queue=destination if kind == "queue" else "",
                routing_key=key,
                detail=destination if kind == "exchange" else "",
            )
        )

    def _check(self, permission: Permission, kind: str, name: str) -> None:
        self.user.check(permission, kind, name, self.vhost)


def _unfit_for_quorum(method: commands.Queue.Declare) -> str:
    """Return the name of a declared property that a quorum queue cannot have, or an empty text."""
    if method.auto_delete:
        return "auto-delete"
    if method.exclusive:
        return "exclusive-owner"
    return "" if method.durable else "non-durable"


def _one_line(name: str) -> str:
    """Return a name without line breaks, which RabbitMQ removes when it declares, binds and deletes."""
    return name.replace("\r", "").replace("\n", "")


def _not_default(name: str) -> None:
    if not name:
        raise Refusal(403, "operation not permitted on the default exchange")


def _not_reserved(kind: str, name: str) -> None:
    if name.startswith("amq."):
        raise Refusal(403, f"{kind} name '{name}' contains reserved prefix 'amq.*'")
