"""The sandbox: Pulse on loopback, as an async context manager."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import quote

from pamqp.commands import Basic
from pamqp.header import ContentHeader

from pulsekit._amqp.broker import is_loopback
from pulsekit.errors import ConfigurationError, NotOpen
from pulsekit.sandbox.codec.frames import Publish, short_string
from pulsekit.sandbox.events import Kind
from pulsekit.sandbox.guardian import Guardian, GuardianLimits
from pulsekit.sandbox.model.broker import DEFAULT_MEMORY_LIMIT, Broker
from pulsekit.sandbox.model.exchanges import EXCHANGE_TYPES
from pulsekit.sandbox.model.messages import Message
from pulsekit.sandbox.model.users import ADMINISTRATOR, DEFAULT_USER, Users
from pulsekit.sandbox.releases import release
from pulsekit.sandbox.server import Connection, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from pulsekit.sandbox.events import Event, Observer
    from pulsekit.sandbox.model.virtual_hosts import VirtualHost

__all__ = ["Sandbox"]


class Sandbox:
    """An AMQP 0-9-1 broker that behaves like Pulse. All data are in memory, and are lost at the end of the block.

    Clients connect to `url(user)` without any change. `guest` with the password `guest` is the administrator. Every
    other user has PulseGuardian's permissions, and any password is accepted, unless `users` or `password` are given.

    Args:
        host: the address to listen on. Any address except loopback needs a password.
        port: the port to listen on. 0 means any free port.
        password: the password of all users, including `guest`, except those in `users`.
        users: passwords by name. Only these users and `guest` may log in.
        default_user: the user of commands that find this sandbox because no broker is configured.
        vhosts: names of the virtual hosts.
        guardian: the limits of the guardian, or None for no guardian.
        memory_limit: bytes of messages above which publishers are blocked.
        heartbeat: seconds that are proposed to clients.
        rabbitmq: the major version of RabbitMQ whose answers clients get: 3 for 3.10.8, 4 for 4.0.5.
        history: how many events are stored for `events` and `wait`. 0 stores none, which is faster.
        on_event: called with every event, in the event loop. It must not block.
        on_change: called like `on_event`, but events about messages are not built for it.

    Raises:
        ConfigurationError: Raised when the address is public and there is no password, the version of RabbitMQ is
            unknown, or a number is out of range.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        password: str | None = None,
        users: Mapping[str, str] | None = None,
        default_user: str = DEFAULT_USER,
        vhosts: Iterable[str] = ("/", "communitytc"),
        guardian: GuardianLimits | None = GuardianLimits(),  # noqa: B008 - frozen
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
        heartbeat: int = 60,
        rabbitmq: Literal[3, 4] = 3,
        history: int = 0,
        on_event: Observer | None = None,
        on_change: Observer | None = None,
    ) -> None:
        if not is_loopback(host) and not password:
            raise ConfigurationError(
                f"the sandbox listens on {host!r}, which is not loopback, only with a password: "
                "set password=, or --password-file on the command line"
            )
        for name, value, most in (("port", port, 65535), ("heartbeat", heartbeat, 65535), ("history", history, None)):
            if value < 0 or (most is not None and value > most):
                raise ConfigurationError(f"{name}={value!r}: need a number from 0{f' to {most}' if most else ''}")
        if isinstance(vhosts, str):
            raise ConfigurationError(f"vhosts={vhosts!r}: need a list of names, such as [{vhosts!r}]")
        self._host, self._port = host, port
        self._password, self._users_given = password, dict(users or {})
        self._make_broker = partial(
            Broker,
            users=Users(password, users),
            vhosts=tuple(vhosts),
            memory_limit=memory_limit,
            default_user=default_user,
            release=release(rabbitmq),
        )
        self._limits = guardian
        self._heartbeat = heartbeat
        self._history: deque[Event] = deque(maxlen=history)
        self._on_event = on_event
        self._on_change = on_change
        self._waiting: set[asyncio.Future[None]] = set()
        self._server: Server | None = None
        self._guardian: Guardian | None = None

    async def __aenter__(self) -> Self:
        if self._server is not None:
            raise NotOpen("the sandbox is open already")
        broker = self._make_broker(clock=asyncio.get_running_loop().time)
        if self._history.maxlen:
            broker.observers.append(self._remember)
        if self._on_event is not None:
            broker.observers.append(self._on_event)
        if self._on_change is not None:
            broker.change_observers.append(self._on_change)
        server = Server(broker, heartbeat=self._heartbeat)
        self._port = await server.start(self._host, self._port)
        self._server = server
        if self._limits is not None:
            self._guardian = Guardian(broker, self._limits)
            self._guardian.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        server, self._server = self._server, None
        if self._guardian is not None:
            self._guardian.stop()
        if server is not None:
            await server.stop()

    # address

    @property
    def host(self) -> str:
        """The address that the sandbox listens on."""
        return self._host

    @property
    def port(self) -> int:
        """The port that the sandbox listens on, inside the block."""
        return self._port

    def url(self, user: str = ADMINISTRATOR, password: str | None = None, vhost: str = "/") -> str:
        """Return a URL with the login of a user."""
        known = self._users_given.get(user, self._password)
        password = password or known or (ADMINISTRATOR if user == ADMINISTRATOR else "sandbox")
        host = f"[{self._host}]" if ":" in self._host else self._host
        path = "" if vhost == "/" else quote(vhost, safe="")
        return f"amqp://{quote(user, safe='')}:{quote(password, safe='')}@{host}:{self._port}/{path}"

    # events

    @property
    def events(self) -> list[Event]:
        """The last events, at most `history`, oldest first."""
        return list(self._history)

    def seen(self, *kinds: Kind) -> list[Event]:
        """Return the stored events of these kinds: `acked`, `nacked`, `dead-lettered`, `published`, and others.

        Raises:
            ConfigurationError: Raised when there is no kind, or a kind is unknown.
        """
        known = get_args(Kind)
        if not kinds or not set(kinds) <= set(known):
            given = ", ".join(map(repr, kinds)) or "none"
            raise ConfigurationError(f"kinds of events: {given}. Need one or more of: {', '.join(known)}")
        return [event for event in self._history if event.kind in kinds]

    async def wait(
        self, *kinds: Kind, count: int = 1, where: Callable[[Event], bool] = lambda _: True, timeout: float = 5.0
    ) -> list[Event]:
        """Wait for `count` events of these kinds since the start, and return them.

        Args:
            kinds: such as `published`.
            count: the number of events.
            where: a function. Only events for which it returns True are counted.
            timeout: seconds.

        Raises:
            ConfigurationError: Raised when there is no kind, or a kind is unknown.
            NotOpen: Raised when `history` is 0.
            TimeoutError: Raised when there were fewer events. The message has their number.
        """
        if not self._history.maxlen:
            raise NotOpen("waiting needs Sandbox(history=…)")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            found = [event for event in self.seen(*kinds) if where(event)]
            if len(found) >= count:
                return found
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.add(future)
            try:
                async with asyncio.timeout_at(deadline):
                    await future
            except TimeoutError:
                raise TimeoutError(f"{len(found)} of {count} events {' or '.join(kinds)} within {timeout} s") from None
            finally:
                self._waiting.discard(future)

    def queue_depth(self, name: str, vhost: str = "/") -> tuple[int, int] | None:
        """Return the numbers of ready and unacknowledged messages, or None if the queue does not exist."""
        queue = self._virtual_host(vhost).queues.get(name)
        return None if queue is None else (len(queue.backlog), queue.unacked)

    # actions of a test

    def declare_exchange(self, name: str, kind: str = "topic", vhost: str = "/") -> None:
        """Create a durable exchange without a connection, unless it exists.

        Raises:
            ConfigurationError: Raised when the type is unknown.
        """
        virtual_host = self._virtual_host(vhost)
        if kind not in EXCHANGE_TYPES:
            raise ConfigurationError(f"kind={kind!r}: the type of an exchange is {', '.join(EXCHANGE_TYPES)}")
        if name not in virtual_host.exchanges:
            virtual_host.exchanges[name] = EXCHANGE_TYPES[kind](vhost, name, release=virtual_host.release)

    def inject(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        properties: Basic.Properties | None = None,
        vhost: str = "/",
    ) -> int:
        """Publish a message without a connection. Return the number of queues to which it was routed.

        Raises:
            ConfigurationError: Raised when the exchange does not exist.
        """
        virtual_host = self._virtual_host(vhost)
        target = virtual_host.exchanges.get(exchange)
        if target is None:
            raise ConfigurationError(f"no exchange {exchange!r} in virtual host {vhost!r}: declare it first")
        header = ContentHeader(0, len(body), properties or Basic.Properties(content_type="application/json")).marshal()
        address = short_string(exchange) + short_string(routing_key)
        publish = Publish(exchange, routing_key, address, mandatory=False, immediate=False)
        return virtual_host.publish(target, Message.received(publish, header, body))[0]

    def cut(self, user: str | None = None) -> int:
        """Abort the connections of one user or of all users, as a network failure does. Return their number."""
        return self._each_connection(user, Connection.cut)

    def close_connections(self, code: int = 320, text: str = "closed by the sandbox", user: str | None = None) -> int:
        """Close the connections of one user or of all users with Connection.Close. Return their number."""
        return self._each_connection(user, lambda connection: connection.session.close(code, text))

    def delete_queue(self, name: str, vhost: str = "/") -> bool:
        """Delete a queue and cancel its consumers, as PulseGuardian does. Return False if it does not exist."""
        virtual_host = self._virtual_host(vhost)
        queue = virtual_host.queues.get(name)
        if queue is None:
            return False
        virtual_host.delete_queue(queue)
        virtual_host.cancel_consumers(queue)
        return True

    def block(self, reason: str = "blocked on request") -> None:
        """Block each publisher at its next publish. Clients receive Connection.Blocked."""
        self._open_broker().block(reason)

    def unblock(self) -> None:
        """Unblock publishers."""
        self._open_broker().unblock()

    @property
    def latency(self) -> float:
        """Seconds by which the sandbox delays everything that it sends."""
        return self._open_server().latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._open_server().latency = seconds

    @property
    def refusing(self) -> bool:
        """True while publishes are not routed and their confirms are negative."""
        return self._open_broker().refusing

    @refusing.setter
    def refusing(self, refusing: bool) -> None:
        self._open_broker().refusing = refusing

    def _each_connection(self, user: str | None, action: Callable[[Connection], None]) -> int:
        chosen = [
            connection
            for connection in self._open_server().connections
            if not connection.session.closed and user in {None, connection.session.user.name}
        ]
        for connection in chosen:
            action(connection)
        return len(chosen)

    def _remember(self, event: Event) -> None:
        self._history.append(event)
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def _virtual_host(self, vhost: str) -> VirtualHost:
        virtual_host = self._open_broker().vhosts.get(vhost)
        if virtual_host is None:
            raise ConfigurationError(f"the sandbox has no virtual host {vhost!r}")
        return virtual_host

    def _open_server(self) -> Server:
        if self._server is None:
            raise NotOpen("the sandbox is not open: use it inside `async with`")
        return self._server

    def _open_broker(self) -> Broker:
        return self._open_server().broker
