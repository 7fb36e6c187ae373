"""A connection that is opened, monitored, and opened again with backoff after each loss.

Plan: `Connection` runs one task that repeats three steps: open a `Link`, wait until the link is lost, pause.
Each link is an epoch, numbered from 1. A publisher or consumer awaits `Connection.link()`, opens its channels on that
link, declares what it needs (exchange, queue, bindings), works until its channel closes, and awaits the next link.

- Backoff: attempt n waits for a random time between 0 and min(60 s, 0.5 s · 2ⁿ), "full jitter". n starts over after a
  link that lasted 30 seconds, so that a broker that accepts and drops connections does not cause a busy loop.
- Hosts: each attempt tries all hosts of the cluster in turn, starting after the host that was used last.
- Failure: an error of the first attempt is final, since the configuration is probably wrong. Later, only a refusal by
  the broker is final, and a refused login or virtual host only after five more attempts, whose delays have no jitter.
- Liveness: the link checks four times in two heartbeat intervals whether data have arrived (AMQP 0-9-1 §4.2.7).

Invariants: at most one link is current; epochs ascend; after `_failure` is set, `link()` raises a copy of it for every
caller and no further attempt is made.

Example: the broker restarts. The states are READY, BACKING_OFF (0.3 s), CONNECTING, BACKING_OFF (0.7 s), CONNECTING,
READY; the epoch of the new link is 2.

aio-pika's Robust classes are not used: they retry the declaration of a refused queue without end, and close the other
channels of the connection with each attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
from typing import TYPE_CHECKING

import aio_pika
from yarl import URL

from pulsekit._amqp.backoff import Backoff
from pulsekit._amqp.callbacks import call_safely
from pulsekit._amqp.error_mapping import FOREIGN, map_connect_error
from pulsekit._amqp.home import Home
from pulsekit._amqp.link import Link
from pulsekit._amqp.tasks import end_task, run_cancellable, run_in_daemon
from pulsekit._amqp.transport import Transport
from pulsekit.errors import (
    BrokerRefused,
    ConfigurationError,
    LoginRefused,
    NetworkError,
    NotOpen,
    PulsekitError,
    VirtualHostRefused,
    fresh,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pulsekit._amqp.broker import Broker

__all__ = ["Connection", "State"]

log = logging.getLogger("pulsekit")

CONNECT_TIMEOUT = 10.0  # seconds for the whole of connecting: TCP, TLS, login, virtual host
_LOGIN_RETRIES = 5  # a password change re-creates the user on Pulse, and logins fail until then


class State(enum.StrEnum):
    """The state of a connection to the broker.

    Attributes:
        CONNECTING: the connection is being opened.
        READY: the connection is open.
        BLOCKED: the connection is open, but the broker accepts no messages because it is short of memory or disk space
            (connection.blocked). Published messages wait in this process until their deadline.
        BACKING_OFF: the connection was lost and will be opened again after a pause.
        CLOSED: the connection was closed, failed permanently, or was never opened.
    """

    CONNECTING = "connecting"
    READY = "ready"
    BLOCKED = "blocked"
    BACKING_OFF = "backing off"
    CLOSED = "closed"


class Connection:
    """A connection to the broker for one direction of traffic, which reconnects after each loss.

    If the first attempt fails, every caller of `link` gets the error of the attempt. With `retry_for`, attempts are
    repeated for that many seconds first. Later attempts are repeated with backoff. A refused login or virtual host is
    retried a few times before the refusal is final: to change a password, PulseGuardian deletes and creates the user.
    For a moment, the user does not exist, and then has no permissions.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        name: str,
        timeout: float = CONNECT_TIMEOUT,
        on_state: Callable[[str, State], None] | None = None,
        backoff: Backoff | None = None,
        retry_for: float = 0.0,
    ) -> None:
        self.name = name
        self.state: State = State.CLOSED
        self.epoch: int = 0
        self.home: Home | None = None
        self._broker = broker
        self._timeout = timeout
        self._on_state = on_state
        self._backoff = backoff or Backoff()
        self._retry_for = retry_for
        self._host = 0  # index of the host to try first
        self._link: Link | None = None
        self._failure: PulsekitError | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def user(self) -> str:
        """The AMQP user."""
        return self._broker.user

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._task is not None

    def check(self) -> None:
        """Check that the caller runs in the event loop in which the connection was first used.

        Raises:
            NotOpen: Raised in another event loop or process.
        """
        if self.home is None:
            self.home = Home()
        self.home.check()

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start connecting, in a task of the given group. Starting twice does nothing.

        Raises:
            NotOpen: Raised in another event loop or process than that of the connection.
        """
        self.check()
        if self._task is None:
            self._task = tasks.create_task(self._supervise(), name=f"pulsekit {self.name}")

    async def link(self) -> Link:
        """Wait until the connection is open, and return the link of the current epoch.

        Raises:
            PulsekitError: Raised when the connection failed permanently or was closed. Each caller gets a copy.
        """
        while True:
            if self._failure is not None:
                raise fresh(self._failure)
            if self._link is not None and not self._link.is_lost:
                return self._link
            await self._changed.wait()

    @contextlib.asynccontextmanager
    async def request_link(self, link: Link, *, exclusive: bool = False, urgent: bool = True) -> AsyncIterator[Link]:
        """Yield a link for a request, so that few or no messages arrive before its answer.

        If a consumer of `link` has reached its limit of bytes, another connection is opened for the request, because
        the answer would arrive after further messages.

        Args:
            link: the current link, which is used otherwise.
            exclusive: whether the request concerns an exclusive queue, so that only `link` can be used.
            urgent: whether further messages are read before the answer if the limit is reached meanwhile. If False, the
                answer is read when messages have been settled.

        Raises:
            BrokerRefused: Raised when the broker refuses another connection.
            NetworkError: Raised when the broker cannot be reached.
        """
        if exclusive or not link.router.is_full:
            with link.router.awaiting_answer() if urgent else contextlib.nullcontext():
                yield link
            return
        other = Connection(self._broker, name=f"{self.name} (a request)", timeout=self._timeout)
        opened = await other._open()
        try:
            yield opened
        finally:
            await opened.close()

    async def answers(self) -> bool:
        """Wait until the connection is open and the broker answers; see `Link.answers` and `request_link`."""
        async with self.request_link(await self.link()) as link:
            return await link.answers()

    async def close(self) -> None:
        """Close the connection, and do not reconnect. Closing twice is fine."""
        if self._failure is None:
            self._failure = NotOpen("the connection is closed: use it inside its block")
        try:
            if self._task is not None:
                await end_task(self._task)
        finally:
            if self._link is not None:
                link, self._link = self._link, None
                await link.close()
            self._enter(State.CLOSED)

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._retry_for  # unless an attempt has succeeded before
        refused = 0
        while True:
            self._enter(State.CONNECTING)
            try:
                link = await self._open()
            except PulsekitError as error:
                refused += isinstance(error, LoginRefused | VirtualHostRefused)
                transient = not isinstance(error, BrokerRefused) or 0 < refused <= _LOGIN_RETRIES
                if self.epoch == 0:
                    transient = isinstance(error, NetworkError) and loop.time() < give_up
                if not transient:
                    self._failure = error
                    self._enter(State.CLOSED)
                    return
                log.warning("%s", error)
                if isinstance(error, LoginRefused):
                    await self._renew_password()
            else:
                refused = 0
                self._link = link
                self._enter(State.READY)
                link.on_blocked = self._on_blocked
                if link.blocked is not None:
                    self._on_blocked(link.blocked)
                since = loop.time()
                await link.lost()
                self._link = None
                self._backoff.connected_for(loop.time() - since)
                reason = link.lost_by and f": {link.lost_by}"
                log.warning("%s lost the connection to %s%s", self.name, self._broker, reason)
                await link.close()
            self._enter(State.BACKING_OFF)
            pause = self._backoff.next(jitter=not refused)  # short delays would use up the attempts for a login
            await asyncio.sleep(pause if self.epoch else min(pause, max(0.0, give_up - loop.time())))

    def _on_blocked(self, reason: str | None) -> None:
        if reason is None:
            log.warning("%s: the broker accepts messages again", self.name)
        else:
            log.warning("%s: the broker blocks publishers: %s", self.name, reason)
        self._enter(State.READY if reason is None else State.BLOCKED)

    async def _renew_password(self) -> None:
        """Read the password again from the user's file or command, in a thread, because it may have changed."""
        try:
            self._broker = await run_in_daemon(self._broker.renewed, "read the password")
        except ConfigurationError as error:
            log.warning("%s", error)

    async def _open(self) -> Link:
        """Connect to the first host that accepts a connection, starting after the host that was used last."""
        brokers = self._broker.each(self._host)
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout
        failure: PulsekitError | None = None
        for number, broker in enumerate(brokers):
            # A host that does not answer must not use up the time of the hosts after it.
            seconds = (end - loop.time()) / (len(brokers) - number)
            try:
                link = await self._open_one(broker, seconds)
            except BrokerRefused:
                raise  # all hosts belong to one cluster, and would also refuse
            except PulsekitError as error:
                log.debug("%s", error)
                failure = failure or error
            else:
                self._host += number + 1
                return link
        assert failure is not None
        raise failure

    async def _open_one(self, broker: Broker, seconds: float) -> Link:
        transport = Transport(broker.ssl_context(), self.name)
        connection = aio_pika.Connection(
            URL.build(
                scheme="amqps" if broker.tls else "amqp",
                host=broker.host,
                port=broker.port,
                user=broker.user,
                password=broker.password,
                path="/" + broker.virtual_host.replace("/", "%2F"),  # yarl encodes the other characters
                query={"heartbeat": str(broker.heartbeat)},
            ),
            client_properties={"connection_name": f"pulsekit {self.name}", "product": "pulsekit"},
        )
        connection.kwargs["transport_factory"] = transport
        try:
            async with asyncio.timeout(seconds):
                await run_cancellable(connection.connect(), doing=f"connect to {broker}")
            link = Link(self.epoch + 1, connection, broker.user, transport)
        except FOREIGN as error:
            await connection.close()
            foreign = transport.router.foreign if transport.router is not None else ""
            raise map_connect_error(error, broker, self._timeout, transport.refusal, foreign) from error
        except BaseException:
            if transport.router is not None:  # aio-pika does not close a connection that it has not opened completely
                transport.router.abort()
            await connection.close()
            raise
        self.epoch += 1
        return link

    def _enter(self, state: State) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        if state is self.state:
            return
        self.state = state
        log.debug("%s is %s", self.name, state)
        call_safely(self._on_state, self.name, state)
