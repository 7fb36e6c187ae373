"""A connection that comes back: opened, watched, and opened again with backoff.

Each opening is an epoch. Whoever uses the connection asks for the `Link` of the current epoch, works on it until it is
lost, and asks again; what has to stand on the broker (exchanges, queues, bindings) is set up by its user on each link.

aio-pika's Robust classes are not used: they retry a refused queue for ever and take the healthy channels down with it.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aio_pika
import aiormq
from yarl import URL

from pulsekit._amqp.callbacks import call_safely
from pulsekit._amqp.error_mapping import FOREIGN, map_connect_error, map_error
from pulsekit._amqp.frames import BLOCKED, FRAME_MAX, METHOD, UNBLOCKED
from pulsekit._amqp.transport import Transport
from pulsekit._amqp.types import short_string
from pulsekit.errors import (
    BrokerRefused,
    ConfigurationError,
    ConnectionLost,
    LoginRefused,
    NotOpen,
    PulsekitError,
    VirtualHostRefused,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pulsekit._amqp.broker import Broker

__all__ = ["Backoff", "Connection", "Link", "State"]

log = logging.getLogger("pulsekit")

CONNECT_TIMEOUT = 10.0  # seconds for the whole of connecting: TCP, TLS, login, virtual host
OPERATION_TIMEOUT = 10.0  # seconds for one answer of the broker, such as declare-ok
CLOSE_TIMEOUT = 3.0  # seconds for a farewell nobody may answer
_LOGIN_RETRIES = 5  # a password change re-creates the user on Pulse: logins fail for a moment
_LOOKS = 4  # for a sign of life, in the time of two heartbeats


class State(enum.StrEnum):
    """Name what a connection is doing.

    Attributes:
        CONNECTING: it is being opened.
        READY: it is open.
        BLOCKED: it is open, and the broker takes no messages for want of memory or disk (connection.blocked). What is
            published waits here until its deadline.
        BACKING_OFF: it is gone, and will be opened again after a pause.
        CLOSED: it is gone for good, or was never opened.
    """

    CONNECTING = "connecting"
    READY = "ready"
    BLOCKED = "blocked"
    BACKING_OFF = "backing off"
    CLOSED = "closed"


@dataclass(slots=True)
class Backoff:
    """Space out attempts with full jitter, so that clients of a restarted broker do not come back all at once.

    Attributes:
        first: the longest first delay, in seconds.
        most: the longest delay, in seconds.
        healthy: seconds a connection must live for the delays to start over.
    """

    first: float = 0.5
    most: float = 60.0
    healthy: float = 30.0
    _attempt: int = 0

    def next(self) -> float:
        """Return the seconds to wait before the next attempt."""
        ceiling = min(self.most, self.first * 2 ** min(self._attempt, 30))
        self._attempt += 1
        return random.uniform(0, ceiling)  # noqa: S311 - jitter, not a secret

    def lived(self, seconds: float) -> None:
        """Start over if the connection lived long enough to be called healthy."""
        if seconds >= self.healthy:
            self._attempt = 0


class Link:
    """One epoch of a connection: open until `lost`.

    Attributes:
        epoch: its number, from 1.
        user: the AMQP user who is logged in.
        server: the broker's own description of itself (connection.start).
        frame_max: bytes of the largest frame (connection.tune).
        heartbeat: seconds between heartbeats that were agreed on; two of them without a byte end the link, in time for
            what is published to go out again. aiormq alone would wait for more than three.
        tap: where the frames of our own channels come out, and go in.
        on_blocked: called with the broker's reason when it takes no more messages, and with None when it does again.
        mute: whether the broker left a farewell unanswered; then nobody waits for its answer to the next.
    """

    def __init__(self, epoch: int, connection: aio_pika.Connection, user: str, seam: Transport) -> None:
        if connection.transport is None or seam.tap is None:
            raise ConnectionLost("the connection went while it was opened")
        self.on_blocked: Callable[[str | None], None] | None = None
        self.unresponsive = False
        self.epoch = epoch
        self.user = user
        self.tap = seam.tap
        self._connection = connection
        self._wire = connection.transport.connection
        self.server: dict[str, object] = dict(self._wire.server_properties or {})
        self.frame_max: int = self._wire.connection_tune.frame_max or FRAME_MAX  # 0 is no limit
        self.heartbeat: int = self._wire.connection_tune.heartbeat
        # From here on aiormq takes it for one thing alone: how long a farewell of a channel may stay without an answer.
        self._wire.connection_tune.heartbeat = max(1, int(CLOSE_TIMEOUT))
        self._silent = 0  # looks without a sign of life
        self._look = asyncio.get_running_loop().call_later(2 * self.heartbeat / _LOOKS, self._listen)
        self.tap.connect(0, self)

    def take(self, kind: int, data: bytes, start: int, end: int) -> int:
        """Look for connection.blocked and connection.unblocked on channel 0, which stay aiormq's."""
        payload = data[start:end]
        method = payload[:4] if kind == METHOD else b""
        if method == BLOCKED:
            self.tap.hold()
            self._tell(short_string(payload, 4)[0])
        elif method == UNBLOCKED:
            self._tell(None)
            self.tap.release()
        return 0

    def resumed(self) -> None:
        """Do nothing: what goes out on channel 0 is aiormq's."""

    def _listen(self) -> None:
        """Drop a connection on which nothing came for two heartbeats (AMQP 0-9-1 §4.2.7).

        Looks are counted rather than seconds: a program that keeps its loop busy for a minute has not read what came.
        """
        self._silent = 0 if self.tap.heard else self._silent + 1
        self.tap.heard = False
        if self._silent >= _LOOKS:
            log.warning("nothing came from the broker for %d s: the connection is dead", 2 * self.heartbeat)
            self.tap.abort()
        elif not self.is_lost:
            self._look = asyncio.get_running_loop().call_later(2 * self.heartbeat / _LOOKS, self._listen)

    def _tell(self, reason: str | None) -> None:
        if self.on_blocked is not None:
            self.on_blocked(reason)

    @property
    def is_lost(self) -> bool:
        """Tell whether the connection is gone."""
        return self._wire.is_closed

    async def lost(self) -> None:
        """Wait until the connection is gone. Cancelling the wait does no harm."""
        await asyncio.wait([self._wire.closing])

    async def channel(self, *, confirms: bool) -> aiormq.Channel:
        """Open a channel (channel.open, and confirm.select when asked).

        It is aiormq's own: each of aio-pika's leaves something behind on its connection, for as long as that lives.

        Raises:
            ConnectionLost: the connection went, or the broker did not answer in time.
        """
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT):
                channel = await self._wire.channel(publisher_confirms=confirms)
        except FOREIGN as error:
            raise map_error(error, "open a channel") from error
        except RuntimeError as error:  # what aiormq says of a connection that is closed
            if not self.is_lost:
                raise
            raise map_error(error, "open a channel") from error
        assert isinstance(channel, aiormq.Channel)
        return channel

    async def close_quietly(self, question: Callable[[float], Awaitable[object]]) -> None:
        """Ask the broker for something on the way out, which may be gone already, and wait a few seconds at most.

        Args:
            question: asks, and waits for so many seconds.
        """
        if self.unresponsive:
            return
        try:
            await question(CLOSE_TIMEOUT)
        except TimeoutError:
            self.unresponsive = True
        except FOREIGN as error:
            log.debug("on the way out: %r", error)

    async def close(self) -> None:
        """Say good-bye, for at most a few seconds, and drop the connection."""
        # A timeout would not do: aiormq, cancelled while it closes, waits until all is written that nobody reads.
        patience = asyncio.get_running_loop().call_later(0 if self.unresponsive else CLOSE_TIMEOUT, self.tap.abort)
        try:
            await self._connection.close()
        except FOREIGN as error:
            log.debug("closing the connection: %r", error)
        finally:
            patience.cancel()
            self._look.cancel()


class Connection:
    """Keep a connection to the broker, for one direction of traffic.

    The first attempt decides: what it raises, every waiter gets. Later losses are repaired with full-jitter backoff; a
    login or virtual host that is refused by then is tried a few times, and then final: a user that PulseGuardian makes
    anew is not there for a moment, and may do nothing for another.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        name: str,
        timeout: float = CONNECT_TIMEOUT,
        on_state: Callable[[str, State], None] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self.state: State = State.CLOSED
        self.epoch: int = 0
        self._broker = broker
        self._timeout = timeout
        self._on_state = on_state
        self._backoff = backoff or Backoff()
        self._host = 0  # where the next attempt begins, of those that the broker has
        self._link: Link | None = None
        self._failure: PulsekitError | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin connecting, in the task group of the owner. Starting twice does nothing."""
        if self._task is None:
            self._task = tasks.create_task(self._supervise(), name=f"pulsekit {self.name}")

    async def link(self) -> Link:
        """Wait for the link of the current epoch.

        Raises:
            PulsekitError: the connection gave up, or was closed; the same error for every waiter.
        """
        while True:
            if self._failure is not None:
                raise self._failure
            if self._link is not None and not self._link.is_lost:
                return self._link
            await self._changed.wait()

    async def close(self) -> None:
        """Close for good. Closing twice is fine."""
        if self._failure is None:
            self._failure = NotOpen("the connection is closed: use it inside its `async with` block")
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._link is not None:
            link, self._link = self._link, None
            await link.close()
        self._enter(State.CLOSED)

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        refused = 0
        while True:
            self._enter(State.CONNECTING)
            try:
                link = await self._open()
            except PulsekitError as error:
                refused += isinstance(error, LoginRefused | VirtualHostRefused)
                passing = not isinstance(error, BrokerRefused) or 0 < refused <= _LOGIN_RETRIES
                if self.epoch == 0 or not passing:
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
                since = loop.time()
                await link.lost()
                self._link = None
                self._backoff.lived(loop.time() - since)
                log.warning("%s lost the connection to %s", self.name, self._broker)
                await link.close()
            self._enter(State.BACKING_OFF)
            await asyncio.sleep(self._backoff.next())

    def _on_blocked(self, reason: str | None) -> None:
        if reason is None:
            log.warning("%s: the broker takes messages again", self.name)
        else:
            log.warning("%s: the broker takes no messages: %s", self.name, reason)
        self._enter(State.READY if reason is None else State.BLOCKED)

    async def _renew_password(self) -> None:
        """Ask the user's password file or command again, in a thread: PulseGuardian may have a new one by now."""
        try:
            self._broker = await asyncio.to_thread(self._broker.renewed)
        except ConfigurationError as error:
            log.warning("%s", error)

    async def _open(self) -> Link:
        """Connect to the first host that lets us in, beginning after the one that was lost."""
        brokers = self._broker.each(self._host)
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout
        failure: PulsekitError | None = None
        for number, broker in enumerate(brokers):
            # One that is silent must not use up the time of those after it.
            seconds = (end - loop.time()) / (len(brokers) - number)
            try:
                link = await self._open_one(broker, seconds)
            except BrokerRefused:
                raise  # they are one cluster: the others would say the same
            except PulsekitError as error:
                log.debug("%s", error)
                failure = failure or error
            else:
                self._host += number + 1
                return link
        assert failure is not None
        raise failure

    async def _open_one(self, broker: Broker, seconds: float) -> Link:
        seam = Transport(broker.ssl_context())
        connection = aio_pika.Connection(
            URL.build(
                scheme="amqps" if broker.tls else "amqp",
                host=broker.host,
                port=broker.port,
                user=broker.user,
                password=broker.password,
                path="/" + broker.virtual_host.replace("%", "%25").replace("/", "%2F"),
                query={"heartbeat": str(broker.heartbeat)},
            ),
            client_properties={"connection_name": f"pulsekit {self.name}", "product": "pulsekit"},
        )
        connection.kwargs["transport_factory"] = seam
        try:
            async with asyncio.timeout(seconds):
                await connection.connect()
            link = Link(self.epoch + 1, connection, broker.user, seam)
        except FOREIGN as error:
            await connection.close()
            raise map_connect_error(error, broker, self._timeout, seam.refusal) from error
        except BaseException:
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
