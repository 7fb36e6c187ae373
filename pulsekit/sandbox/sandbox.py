"""The sandbox: Pulse on loopback, as an async context manager."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import quote

from pamqp.commands import Basic
from pamqp.header import ContentHeader

from pulsekit.errors import ConfigurationError, NotOpen
from pulsekit.sandbox.codec.frames import Publish, short_string
from pulsekit.sandbox.guardian import Guardian, GuardianLimits
from pulsekit.sandbox.model.broker import DEFAULT_MEMORY_LIMIT, Broker
from pulsekit.sandbox.model.exchanges import EXCHANGE_TYPES
from pulsekit.sandbox.model.messages import Message
from pulsekit.sandbox.model.users import ADMINISTRATOR, Users
from pulsekit.sandbox.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from pulsekit.sandbox.events import Event, Kind, Observer
    from pulsekit.sandbox.model.virtual_hosts import VirtualHost

__all__ = ["Sandbox"]


class Sandbox:
    """Host an AMQP 0-9-1 broker that behaves like Pulse; everything is in memory and ends with the block.

    Clients run unchanged against `url(user)`. `guest` with the password `guest` is the administrator; every other name
    has PulseGuardian's rights and any password, unless `users` or `password` say otherwise.

    Args:
        host: address to listen on; anything but loopback asks for a password.
        port: 0 picks a free one.
        password: what everybody has to give, `guest` included, unless `users` has another for the name.
        users: passwords by name; nobody but they and `guest` may log in.
        vhosts: names of the virtual hosts.
        guardian: its limits, or None for no guardian.
        memory_limit: bytes of messages above which publishers are blocked.
        heartbeat: seconds, as proposed to clients.
        history: how many events are kept for `events` and `wait`; 0 keeps none, and is faster.
        on_event: called with every event, within the loop; it must not block.
        on_change: the same, but without what happens to messages, unless somebody else wants to hear of that.

    Raises:
        ConfigurationError: a public address without a password.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        password: str | None = None,
        users: Mapping[str, str] | None = None,
        vhosts: Iterable[str] = ("/", "communitytc"),
        guardian: GuardianLimits | None = GuardianLimits(),  # noqa: B008 - frozen
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
        heartbeat: int = 60,
        history: int = 0,
        on_event: Observer | None = None,
        on_change: Observer | None = None,
    ) -> None:
        if not _is_loopback(host) and not password:
            raise ConfigurationError(f"the sandbox listens on {host!r} only with a password, give it one")
        self._host, self._port = host, port
        self._password, self._users_given = password, dict(users or {})
        self._users = Users(password, users)
        self._vhosts = tuple(vhosts)
        self._limits = guardian
        self._memory_limit = memory_limit
        self._heartbeat = heartbeat
        self._history: deque[Event] = deque(maxlen=history)
        self._on_event = on_event
        self._on_change = on_change
        self._waiting: set[asyncio.Future[None]] = set()
        self._broker: Broker | None = None
        self._server: Server | None = None
        self._guardian: Guardian | None = None

    async def __aenter__(self) -> Self:
        if self._server is not None:
            raise NotOpen("the sandbox is open already")
        broker = Broker(
            users=self._users,
            vhosts=self._vhosts,
            memory_limit=self._memory_limit,
            clock=asyncio.get_running_loop().time,
        )
        if self._history.maxlen:
            broker.observers.append(self._remember)
        if self._on_event is not None:
            broker.observers.append(self._on_event)
        if self._on_change is not None:
            broker.change_observers.append(self._on_change)
        server = Server(broker, heartbeat=self._heartbeat)
        self._port = await server.start(self._host, self._port)
        self._broker, self._server = broker, server
        if self._limits is not None:
            self._guardian = Guardian(broker, self._limits)
            self._guardian.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        server, self._server, self._broker = self._server, None, None
        if self._guardian is not None:
            self._guardian.stop()
        if server is not None:
            await server.stop()

    # where it is

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._host

    @property
    def port(self) -> int:
        """The port it listens on, once it is open."""
        return self._port

    def url(self, user: str = ADMINISTRATOR, password: str | None = None, vhost: str = "/") -> str:
        """Return a URL that logs this user in."""
        known = self._users_given.get(user, self._password)
        password = password or known or (ADMINISTRATOR if user == ADMINISTRATOR else "sandbox")
        host = f"[{self._host}]" if ":" in self._host else self._host
        path = "" if vhost == "/" else quote(vhost, safe="")
        return f"amqp://{quote(user, safe='')}:{quote(password, safe='')}@{host}:{self._port}/{path}"

    # what happened

    @property
    def events(self) -> list[Event]:
        """The last events, oldest first, as many as `history` keeps."""
        return list(self._history)

    def seen(self, *kinds: Kind) -> list[Event]:
        """Return the kept events of these kinds: `acked`, `nacked`, `dead-lettered`, `published`, …."""
        return [event for event in self._history if event.kind in kinds]

    async def wait(
        self,
        *kinds: Kind,
        count: int = 1,
        where: Callable[[Event], bool] = lambda _: True,
        timeout: float = 5.0,
    ) -> list[Event]:
        """Wait until so many events of these kinds were seen since the start, and return them.

        Args:
            kinds: such as `published`.
            count: how many.
            where: counts only those it returns True for.
            timeout: seconds.

        Raises:
            NotOpen: no history is kept.
            TimeoutError: with how many there were.
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
        """Return how many messages wait and how many are with consumers, or None without such a queue."""
        queue = self._virtual_host(vhost).queues.get(name)
        return None if queue is None else (len(queue.backlog), queue.unacked)

    # what a test does to it

    def declare_exchange(self, name: str, kind: str = "topic", vhost: str = "/") -> None:
        """Make a durable exchange from inside, as nobody in particular; one that is there stays as it is."""
        exchanges = self._virtual_host(vhost).exchanges
        if name not in exchanges:
            exchanges[name] = EXCHANGE_TYPES[kind](vhost, name, durable=True)

    def inject(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        properties: Basic.Properties | None = None,
        vhost: str = "/",
    ) -> int:
        """Publish a message from inside, as nobody in particular; return how many queues got it.

        Raises:
            ConfigurationError: the exchange does not exist.
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
        """Break connections as a network does, of one user or of all; return how many."""
        chosen = [c for c in self._open_server().connections if user is None or c.session.user.name == user]
        for connection in chosen:
            connection.cut()
        return len(chosen)

    def close_connections(self, code: int = 320, text: str = "closed by the sandbox", user: str | None = None) -> int:
        """Close connections with words, as an operator does; return how many."""
        chosen = [c for c in self._open_server().connections if user is None or c.session.user.name == user]
        for connection in chosen:
            connection.session.close(code, text)
        return len(chosen)

    def delete_queue(self, name: str, vhost: str = "/") -> bool:
        """Delete a queue as PulseGuardian does: consumers are cancelled; return False when there is none."""
        virtual_host = self._virtual_host(vhost)
        queue = virtual_host.queues.get(name)
        if queue is None:
            return False
        virtual_host.delete_queue(queue)
        virtual_host.cancel_consumers(queue)
        return True

    def block(self, reason: str = "blocked on request") -> None:
        """Make publishers wait, each from its next publish on; clients learn it by Connection.Blocked."""
        self._open_broker().block(reason)

    def unblock(self) -> None:
        """Let publishers go on."""
        self._open_broker().unblock()

    @property
    def latency(self) -> float:
        """Seconds by which everything the sandbox sends is delayed."""
        return self._open_server().latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._open_server().latency = seconds

    @property
    def refusing(self) -> bool:
        """True while publishes are refused: they go nowhere, and confirms are negative."""
        return self._open_broker().refusing

    @refusing.setter
    def refusing(self, refusing: bool) -> None:
        self._open_broker().refusing = refusing

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

    def _open_broker(self) -> Broker:
        if self._broker is None:
            raise NotOpen("the sandbox is not open: use it inside `async with`")
        return self._broker

    def _open_server(self) -> Server:
        if self._server is None:
            raise NotOpen("the sandbox is not open: use it inside `async with`")
        return self._server


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
