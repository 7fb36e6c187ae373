"""The entry point of the library. `connect` returns a `Pulse`, which creates publishers and consumers."""

from __future__ import annotations

import asyncio
import logging
import warnings
from typing import TYPE_CHECKING, Any

from pulsekit._amqp import methods
from pulsekit._amqp.broker import broker_url
from pulsekit._amqp.callbacks import call_safely, check_callback, check_kind, check_number
from pulsekit._amqp.connection import CONNECT_TIMEOUT, Connection, State
from pulsekit._amqp.prefetch import PREFETCH_BYTES
from pulsekit._amqp.secret import Secret
from pulsekit._config.local_sandbox import default_sandbox
from pulsekit._config.settings import load_settings
from pulsekit.bindings.names import check_exchange
from pulsekit.catalogue.key_patterns import read_binding
from pulsekit.consumer.consumer import PREFETCH, Consumer
from pulsekit.consumer.queue_options import Queue
from pulsekit.errors import (
    ConfigurationError,
    NetworkError,
    NotFound,
    NotOpen,
    PreconditionFailed,
)
from pulsekit.publisher.publisher import DRAIN_TIMEOUT, PUBLISH_TIMEOUT, Publisher
from pulsekit.schemas.schema import Schema, load_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Literal, Self

    import aiormq

    from pulsekit._amqp.broker import Broker
    from pulsekit._amqp.link import Link
    from pulsekit.bindings.registration import Binding
    from pulsekit.consumer.guardian_limits import Limits, QueueDepth
    from pulsekit.errors import BrokerRefused
    from pulsekit.instrumentation.hooks import Hooks
    from pulsekit.instrumentation.protocol import Instrumentation
    from pulsekit.messages import Gap, MessageCheck

__all__ = ["Pulse", "connect"]

log = logging.getLogger("pulsekit")

_CHECK_TIMEOUT = 5.0  # seconds; supervisors wait at least as long for the answer to a health check
_STATES = (State.CLOSED, State.BACKING_OFF, State.CONNECTING, State.BLOCKED, State.READY)


def connect(
    url: str | None = None,
    *,
    login: str | None = None,
    host: str | None = None,
    port: int | None = None,
    user: str | None = None,
    password: str | None = None,
    virtual_host: str | None = None,
    tls: bool | None = None,
    insecure: bool = False,
    timeout: float = CONNECT_TIMEOUT,
    retry_for: float = 0.0,
    on_state: Callable[[str, State], None] | None = None,
    instrumentation: Instrumentation | Sequence[Instrumentation] | None = None,
) -> Pulse:
    """Return a `Pulse` for use with `async with`. The first message or consumer opens the connection.

    Args:
        url: `amqps://user:password@host/vhost`. The default is the broker of the settings, as on the command line. If
            none is configured, the default is a running `pulsekit sandbox` on this machine, and a warning is logged.
        login: instead of a URL, the name of one of `logins` in your `config.yml`, as `--login` on the command line.
        host: instead of a URL, the name or address of the broker, or of several nodes of one cluster, separated by
            commas. The arguments from `port` to `tls` need a host.
        port: the TCP port. The default is 5671 with TLS, and 5672 without.
        user: the AMQP user. The default is that of the settings.
        password: the password. The default is that of the settings.
        virtual_host: the virtual host. The default is `/`.
        tls: whether to encrypt the connection. By default, it is encrypted unless the host is this machine.
        insecure: whether to allow an unencrypted connection to another machine.
        timeout: the seconds for connecting, including TLS and login.
        retry_for: the seconds for which the first connection is tried again, for example while a broker starts. By
            default, the first failure is final. A refused login is always final.
        on_state: called with the name of a connection ("publisher" or "consumer") and its new state.
        instrumentation: one or several observers of connections and messages, see `pulsekit.instrumentation`.

    Raises:
        ConfigurationError: Raised when no broker is configured, the URL is malformed, or `login` is unknown.
        InsecureConnection: Raised when the password would be sent in clear text to another machine.
        TypeError: Raised when `host`, `user` or `virtual_host` is not a str, when `timeout` or `retry_for` is not a
            number, when `on_state` or a method of an instrumentation is an `async def`, because callbacks are not
            awaited, or when an instrumentation lacks a method.
    """
    url, password = None if url is None else Secret(url), None if password is None else Secret(password)
    for name, value in (("host", host), ("user", user), ("virtual_host", virtual_host)):
        check_kind(name, value, str)
    if host is not None:
        if url is not None or login is not None:
            raise ConfigurationError(
                f"a {'URL' if url else 'login'} and a host both select the broker: remove one of them"
            )
        url = broker_url(host, port=port, user=user, password=password, virtual_host=virtual_host, tls=tls)
    elif not all(part is None for part in (port, user, password, virtual_host, tls)):
        raise ConfigurationError(
            "port, user, password, virtual_host and tls need a host, such as host='pulse.mozilla.org'"
        )
    settings = load_settings(login=login)
    for words in settings.warnings:
        log.warning("%s", words)
    broker = default_sandbox(settings) if url is None else None
    if broker is not None:
        log.warning("no broker is configured: using the sandbox on this machine, as %r", broker.user)
    broker = broker or settings.broker(url, insecure=insecure)
    return Pulse(broker, timeout=timeout, retry_for=retry_for, on_state=on_state, instrumentation=instrumentation)


class Pulse:
    """Two connections to the broker, one for publishers and one for consumers.

    If the broker blocks the publishers, consumers still receive messages.

    Attributes:
        user: the AMQP user, who owns `exchange/<user>/…` and `queue/<user>/…`.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        timeout: float = CONNECT_TIMEOUT,
        retry_for: float = 0.0,
        on_state: Callable[[str, State], None] | None = None,
        instrumentation: Instrumentation | Sequence[Instrumentation] | None = None,
    ) -> None:
        self._tasks: asyncio.TaskGroup | None = None
        check_callback("on_state", on_state)
        check_number("timeout", timeout)
        check_number("retry_for", retry_for)
        self._hooks = hooks = _hooks(instrumentation, broker)
        if hooks is not None:
            on_state = _both(on_state, hooks.state)
        self.user: str = broker.user
        self._broker = broker
        self._out, self._in = (
            Connection(broker, name=name, timeout=timeout, on_state=on_state, retry_for=retry_for)
            for name in ("publisher", "consumer")
        )
        self._closed = False
        self._users: list[Publisher | Consumer] = []

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise NotOpen("a connection is opened once: call pulsekit.connect() again")
        self._out.check()
        self._in.check()
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        return self

    def __del__(self) -> None:
        if self._tasks is not None and not self._closed and self._out.home is not None and self._out.home.in_process:
            text = f"a connection of {self.user} was not closed: use `async with pulsekit.connect() as pulse`"
            warnings.warn(text, ResourceWarning, source=self, stacklevel=2)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drain the publishers, stop the consumers and close. After an exception, do not drain.

        Draining takes at most ten seconds for all publishers together. Unanswered close requests add at most three
        seconds.
        """
        assert self._tasks is not None
        self._closed = True
        if self._out.home is not None and not self._out.home.in_process:
            return  # in a forked process, closing would close the connection of the parent
        time = asyncio.get_running_loop().time
        end = time() + (DRAIN_TIMEOUT if error is None else 0)
        try:
            try:
                for user in self._users:
                    if isinstance(user, Publisher):
                        await user.close(max(0, end - time()))
                    else:
                        await user.close()
            finally:
                try:
                    await self._out.close()
                finally:
                    await self._in.close()
        except asyncio.CancelledError as cancelled:  # also cancel the tasks, and do not wait for them
            await self._tasks.__aexit__(type(cancelled), cancelled, cancelled.__traceback__)
            raise
        except BaseException:
            await self._tasks.__aexit__(None, None, None)
            raise
        await self._tasks.__aexit__(None, None, None)

    def publisher(
        self,
        exchange: str,
        *,
        schema: str | Path | Mapping[str, Any] | Schema | None = None,
        lint: bool = False,
        mandatory: bool = False,
        timeout: float = PUBLISH_TIMEOUT,
        overflow_rejects: bool = False,
        on_recreated: Callable[[str], None] | None = None,
        message_ids: Literal["random", "content"] = "random",
    ) -> Publisher:
        """Return a publisher for one exchange. Its first message, or `open`, opens the connection.

        Args:
            exchange: `exchange/<user>/<name>`.
            schema: the schema that validates each payload before it is sent: a name such as "pulse-job", a path, or the
                schema itself.
            lint: whether to refuse each job that Treeherder would drop, even if its schema allows it, such as a job
                without an owner. As on the command line, `pulsekit.treeherder.judge` decides.
            mandatory: whether to report messages that the broker cannot route to any queue.
            timeout: the deadline for the outcome of a message in seconds, including reconnects.
            overflow_rejects: whether a negative confirm (basic.nack) means that a full queue rejected the message
                (`x-overflow` is `reject-publish`), so that the outcome is refused. By default, the outcome is unknown,
                because the broker also sends a negative confirm if the node of a queue failed, although the queue may
                have stored the message.
            on_recreated: called with the name of the user's exchange, after a reconnect, if the exchange was deleted
                and is created again without bindings.
            message_ids: "content" derives the id of a message from exchange, routing key and body, so that the message
                has the same id if the program runs again. Two equal messages then have the same id.

        Raises:
            InvalidName: Raised when the name of an exchange cannot exist on Pulse.
            SchemaError: Raised when the schema cannot be found or compiled.
            NotOpen: Raised outside the `async with` block.
        """
        publisher = Publisher(
            self._out,
            self._group(),
            exchange,
            schema=_schema(schema),
            lint=lint,
            mandatory=mandatory,
            timeout=timeout,
            overflow_rejects=overflow_rejects,
            on_recreated=on_recreated,
            message_ids=message_ids,
            hooks=self._hooks,
        )
        self._register(publisher)
        return publisher

    def subscribe(
        self,
        *bindings: str | Binding,
        queue: Queue | str | None = None,
        prefetch: int = PREFETCH,
        prefetch_bytes: int = PREFETCH_BYTES,
        schema: str | Path | Mapping[str, Any] | Schema | None = None,
        wait: bool = False,
        limits: Limits | None = None,
        on_gap: Callable[[Gap], None] | None = None,
        on_refused: Callable[[Binding, BrokerRefused], None] | None = None,
        on_depth: Callable[[QueueDepth], None] | None = None,
        instrumentation: Instrumentation | Sequence[Instrumentation] | None = None,
    ) -> Consumer:
        """Return a consumer. `async with` opens it.

        Args:
            *bindings: `EXCHANGE:PATTERN`, split at the first colon. Without a pattern, every message matches. The
                exchange can be a short name of the catalogue, such as `task-completed`.
            queue: the queue to declare and consume. A name `queue/<user>/<name>` means `Queue(name)`. By default, the
                consumer has a private, exclusive queue that the broker deletes with the connection.
            prefetch: the maximum number of unsettled messages.
            prefetch_bytes: the maximum size in bytes of the bodies of all unsettled messages. The last message may
                exceed it, so a larger message is delivered alone. While the limit is reached, the connection is not
                read, so its other subscriptions also wait. There are two exceptions: while another subscription is
                opened or closed, up to `prefetch` messages may arrive. For a request about a private queue, the
                messages before its answer are read. From twice the limit on, such a request raises `NetworkError`.
            schema: the schema that validates each payload on first access. With "pulse-job", a message is invalid if
                Treeherder would drop it for any reason that `pulsekit.treeherder.judge` finds.
            wait: wait for exchanges that do not exist yet.
            limits: the limits of PulseGuardian, against which the depth of a durable queue is checked.
            on_gap: called after a reconnect with the gap, the time without a consumer.
            on_refused: called with each binding that the broker refuses, and the reason. The other bindings are used.
                Without this callback, or if the broker refuses all bindings, the subscription fails.
            on_depth: called with the depth of a durable queue after each check.
            instrumentation: observers of the messages of this consumer, which replace those of the connection.

        Raises:
            InvalidName: Raised when the name of an exchange or queue cannot exist on Pulse.
            InvalidPattern: Raised when a pattern is longer than 255 bytes.
            ConfigurationError: Raised without both binding and queue, or if a limit is out of range.
            NotOpen: Raised outside the `async with` block.
            TypeError: Raised when an argument has a wrong type, or a callback is an `async def`, because callbacks are
                not awaited.
        """
        consumer = Consumer(
            self._in,
            self._group(),
            [read_binding(binding) for binding in bindings],
            queue=Queue(queue) if isinstance(queue, str) else queue,
            prefetch=prefetch,
            prefetch_bytes=prefetch_bytes,
            schema=_message_check(schema),
            wait=wait,
            on_gap=on_gap,
            on_refused=on_refused,
            limits=limits,
            on_depth=on_depth,
            hooks=_hooks(instrumentation, self._broker) or self._hooks,
            publisher=lambda exchange: self.publisher(exchange, mandatory=True),
        )
        self._register(consumer)
        return consumer

    @property
    def state(self) -> State:
        """The state of the connections in use.

        If they have different states, the first state of this list: closed, backing off, connecting, blocked, ready.
        Before the first message, consumer or `check`, the state is closed.
        """
        states = [connection.state for connection in (self._out, self._in) if connection.started]
        return min(states, key=_STATES.index, default=State.CLOSED)

    async def check(self, timeout: float = _CHECK_TIMEOUT) -> None:
        """Wait for an answer of the broker on each connection in use. If no connection is in use, connect.

        Args:
            timeout: the seconds to wait, including reconnects.

        Raises:
            BrokerRefused: Raised when the broker refuses the login or the virtual host.
            NetworkError: Raised when the broker did not answer in time.
        """
        check_number("timeout", timeout)
        used = [connection for connection in (self._out, self._in) if connection.started] or [self._out]
        try:
            async with asyncio.timeout(timeout):
                for connection in used:
                    connection.start(self._group())
                    while not await connection.answers():
                        pass
        except TimeoutError as error:
            state = f"the connection {connection.name} is {connection.state}"
            raise NetworkError(f"the broker did not answer within {timeout:g} s; {state}") from error

    async def create_exchange(self, name: str) -> None:
        """Create a durable topic exchange, unless it exists (exchange.declare).

        Raises:
            InvalidName: Raised when the name of an exchange cannot exist on Pulse.
            AccessRefused: Raised when the user does not own the exchange.
            PreconditionFailed: Raised when the exchange exists with another type or durability.
        """
        check_exchange(name)
        await self._request(lambda channel: methods.declare_exchange(channel, name), f"create the exchange {name}")

    async def exchange_exists(self, name: str) -> bool:
        """Return whether an exchange exists. Exchanges of all users can be checked (exchange.declare, passive)."""
        check_exchange(name)
        try:
            await self._request(
                lambda channel: methods.declare_exchange(channel, name, passive=True),
                f"find the exchange {name}",
            )
        except NotFound:
            return False
        return True

    async def delete_exchange(self, name: str, *, if_unused: bool = True) -> None:
        """Delete an exchange, if it exists (exchange.delete).

        Args:
            name: an exchange that the user owns.
            if_unused: do not delete the exchange while queues are bound to it.

        Raises:
            InvalidName: Raised when the name of an exchange cannot exist on Pulse.
            AccessRefused: Raised when the user does not own the exchange.
            PreconditionFailed: Raised with `if_unused`, when queues are bound to the exchange.
        """
        check_exchange(name)
        try:
            await self._request(
                lambda channel: methods.delete_exchange(channel, name, if_unused=if_unused),
                f"delete the exchange {name}",
            )
        except PreconditionFailed as error:
            raise PreconditionFailed(
                f"queues are bound to {name}: unbind them first, or add --force (if_unused=False) to delete it anyway",
                code=error.code,
                text=error.text,
            ) from error

    async def link(self) -> Link:
        """Connect, and return the current link of the publishing connection.

        Raises:
            BrokerRefused: Raised when the broker refuses the login or the virtual host.
            NetworkError: Raised when the broker cannot be reached.
        """
        self._out.start(self._group())
        return await self._out.link()

    async def _request(self, request: Callable[[aiormq.Channel], Any], doing: str) -> None:
        await (await self.link()).ask(request, doing)

    def _register(self, user: Publisher | Consumer) -> None:
        """Add a publisher or consumer to close with the connection. Remove closed publishers and consumers."""
        self._users = [*(other for other in self._users if not other.closed), user]

    def _group(self) -> asyncio.TaskGroup:
        if self._tasks is None or self._closed:
            raise NotOpen("use the connection inside its block: `async with pulsekit.connect() as pulse`")
        return self._tasks


def _hooks(given: Instrumentation | Sequence[Instrumentation] | None, broker: Broker) -> Hooks | None:
    if given is None:
        return None
    from pulsekit.instrumentation.hooks import Hooks  # imported late: few programs need it

    return Hooks.of(given, broker)


def _both(
    first: Callable[[str, State], None] | None, second: Callable[[str, State], None]
) -> Callable[[str, State], None]:
    def call(name: str, state: State) -> None:
        call_safely(first, name, state)
        second(name, state)

    return call


def _message_check(schema: str | Path | Mapping[str, Any] | Schema | None) -> Schema | MessageCheck | None:
    loaded = _schema(schema)
    if loaded is None:
        return None
    from pulsekit.treeherder.message_check import message_check  # imported late: only for consumers that validate

    return message_check(loaded)


def _schema(schema: str | Path | Mapping[str, Any] | Schema | None) -> Schema | None:
    return schema if schema is None or isinstance(schema, Schema) else load_schema(schema)
