"""One epoch of a connection: channels, liveness, connection.blocked and the shutdown."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

import aiormq

from pulsekit._amqp.error_mapping import FOREIGN, map_error
from pulsekit._amqp.frames import BLOCKED, CLOSE_CONNECTION, FRAME_MAX, METHOD, UNBLOCKED
from pulsekit._amqp.heartbeat import LivenessCheck
from pulsekit._amqp.reply_codes import Close
from pulsekit._amqp.tasks import run_cancellable
from pulsekit._amqp.types import short_string
from pulsekit.errors import BrokerRefused, ConfigurationError, ConnectionLost, PulsekitError, printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import aio_pika

    from pulsekit._amqp.transport import Transport

__all__ = ["Link"]

log = logging.getLogger("pulsekit")

AnswerT = TypeVar("AnswerT")

OPERATION_TIMEOUT = 10.0  # seconds for one answer of the broker, such as declare-ok
CLOSE_TIMEOUT = 3.0  # seconds to wait for the answer to a close request
_CHANNELS = 65535  # channels open at once if the broker has no limit: a channel number has two bytes
_IGNORED: tuple[type[Exception], ...] = (*FOREIGN, PulsekitError)  # errors of requests during a shutdown


class Link:
    """One epoch of a connection, from a successful login to its loss.

    Attributes:
        epoch: the number of the epoch, from 1.
        user: the AMQP user of the login.
        server: the properties of the broker (connection.start).
        frame_max: bytes of the largest frame (connection.tune).
        heartbeat: the negotiated heartbeat interval in seconds. After two intervals without data, the link is closed.
            aiormq would wait for more than three intervals, which is too late to resend messages before their deadline.
        router: the frame router, through which pulsekit's channels receive and send frames.
        on_blocked: called with the broker's reason when the broker blocks the connection, and with None when the broker
            unblocks it.
        blocked: the broker's reason while it blocks the connection (connection.blocked), else None.
        channel_max: how many channels may be open at once (connection.tune).
        ended_by: the connection.close of the broker, once it has arrived.
        unresponsive: True once a close request timed out. Later close requests are then skipped, until the
            broker answers another request.
    """

    def __init__(self, epoch: int, connection: aio_pika.Connection, user: str, transport: Transport) -> None:
        if connection.transport is None or transport.router is None:
            raise ConnectionLost("the connection was lost while it was opened")
        self.on_blocked: Callable[[str | None], None] | None = None
        self.unresponsive = False
        self.blocked: str | None = transport.blocked
        self.ended_by: Close | None = None
        self.epoch = epoch
        self.user = user
        self.router = transport.router
        self._connection = connection
        self._aiormq = connection.transport.connection
        self.server: dict[str, object] = dict(self._aiormq.server_properties or {})
        if not isinstance(self.server.get("capabilities"), dict):  # aiormq requires them; AMQP 0-9-1 does not
            self._aiormq.server_properties = {**self._aiormq.server_properties, "capabilities": {}}
        self.frame_max: int = self._aiormq.connection_tune.frame_max or FRAME_MAX  # 0 means no limit
        self.channel_max: int = self._aiormq.connection_tune.channel_max or _CHANNELS
        self.heartbeat: int = self._aiormq.connection_tune.heartbeat
        # From here on aiormq uses this value only as the timeout of channel.close, see `close_channel`.
        self._aiormq.connection_tune.heartbeat = 0
        self._requests: set[asyncio.Future[None]] = set()  # unanswered requests of the shutdown
        self._number = 0  # of the channel that was opened last
        self._liveness = LivenessCheck(self.router, self.heartbeat)
        self.router.connect(0, self)
        if self.blocked is not None:
            self.router.block()

    def handle_frame(self, kind: int, data: bytes, start: int, end: int) -> int:
        """Read connection.blocked, unblocked and close. Pass every frame of channel 0 to aiormq."""
        payload = data[start:end]
        method = payload[:4] if kind == METHOD else b""
        if method == BLOCKED:
            self.router.block()
            self._report_blocked(printable(short_string(payload, 4)[0]))
        elif method == UNBLOCKED:
            self._report_blocked(None)
            self.router.unblock()
        elif method == CLOSE_CONNECTION:
            self.ended_by = Close.read(payload, of_connection=True)
        return 0

    def resumed(self) -> None:
        """Do nothing: aiormq writes to channel 0."""

    def connection_lost(self) -> None:
        """Check no more whether data arrive. aiormq reports the loss."""
        self._liveness.stop()

    def _report_blocked(self, reason: str | None) -> None:
        self.blocked = reason
        if self.on_blocked is not None:
            self.on_blocked(reason)

    @property
    def alive_at(self) -> float:
        """A recent time, by the clock of the event loop. Data have arrived after it."""
        return self._liveness.alive_at

    @property
    def is_lost(self) -> bool:
        """Whether the connection was lost or closed."""
        return self._aiormq.is_closed

    @property
    def lost_by(self) -> str:
        """The reason for the loss of the connection, or an empty text if it is unknown."""
        return self.router.lost_by if self.ended_by is None else str(self.ended_by)

    async def lost(self) -> None:
        """Wait until the connection is lost or closed. The wait can be cancelled."""
        await asyncio.wait([self._aiormq.closing])

    async def channel(self, *, confirms: bool) -> aiormq.Channel:
        """Open a channel (channel.open, and confirm.select with `confirms`).

        This uses aiormq's channels, because an aio-pika connection keeps a reference to every opened channel.

        Raises:
            BrokerRefused: Raised when confirms are requested and the broker has none.
            ConfigurationError: Raised when the connection has as many channels as the broker allows. Nothing is sent,
                because the broker would close the connection (530).
            ConnectionLost: Raised when the connection is lost, or the broker does not answer in time.
        """
        if len(self._aiormq.channels) >= self.channel_max:
            raise ConfigurationError(
                f"this connection has {self.channel_max:,} channel{'s' * (self.channel_max > 1)}, as many as the "
                "broker allows (channel_max): close publishers and consumers that are no longer used, or open another "
                "connection with pulsekit.connect()"
            )
        if confirms and not self._aiormq.publisher_confirms:
            raise BrokerRefused("this broker does not confirm messages (publisher_confirms): use RabbitMQ", code=540)
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT):
                opening = self._aiormq.channel(self._next_number(), publisher_confirms=confirms)
                channel = await run_cancellable(opening, self._release, doing="open a channel")
        except FOREIGN as error:
            raise map_error(error, "open a channel", reconnects=True) from error
        except RuntimeError as error:  # aiormq raises this when the connection is closed
            if not self.is_lost:
                raise
            raise map_error(error, "open a channel") from error
        assert isinstance(channel, aiormq.Channel)
        self.unresponsive = False
        return channel

    def _next_number(self) -> int:
        """Return a channel number that is not in use, and was not for as long as possible.

        If both sides close a channel at the same time, aiormq applies the second answer to a new channel of its number.
        """
        while True:
            self._number = self._number % self.channel_max + 1
            if self._number not in self._aiormq.channels:
                return self._number

    async def ask(self, request: Callable[[aiormq.Channel], Awaitable[AnswerT]], doing: str) -> AnswerT:
        """Return the answer to a request, which gets a separate channel.

        If the request is refused, cancelled or not answered, only this channel is closed.

        Args:
            request: sends methods on the channel and waits for the answers.
            doing: the operation, for the message of an error.

        Raises:
            BrokerRefused: Raised when the broker refuses the request.
            ConfigurationError: Raised when the connection has as many channels as the broker allows.
            ConnectionLost: Raised when the connection is lost, or the broker does not answer in time.
        """
        channel = await self.channel(confirms=False)
        try:
            return await request(channel)
        except FOREIGN as error:
            raise map_error(error, doing) from error
        finally:
            await asyncio.wait([self._start(self._closing(channel))])

    async def answers(self) -> bool:
        """Wait until the broker answers, and return True. Return False if the connection is lost before."""

        async def nothing(channel: aiormq.Channel) -> None:
            """Close the channel at once."""

        try:
            with self.router.awaiting_answer():  # needed if a consumer has paused reading
                await self.ask(nothing, "ask the broker")
        except ConnectionLost:
            await self.lost()
            return False
        return True

    async def close_channel(self, channel: aiormq.abc.AbstractChannel) -> None:
        """Close a channel (channel.close); see `close_quietly`."""
        await self.close_quietly(self._closing(channel))

    async def close_quietly(self, request: Callable[[float], Awaitable[object]]) -> None:
        """Send a request during shutdown. Ignore errors, and wait for `CLOSE_TIMEOUT` at most.

        If the caller is cancelled, the request continues.

        Args:
            request: sends the request and waits for the answer, for the given number of seconds.
        """
        if self.unresponsive:
            return
        with self.router.awaiting_answer():
            await asyncio.wait([self._start(request)])

    def _start(self, request: Callable[[float], Awaitable[object]]) -> asyncio.Task[None]:
        """Start a request whose errors are ignored."""

        async def run() -> None:
            try:
                await request(CLOSE_TIMEOUT)
            except TimeoutError:
                self.unresponsive = self.router.reading  # if not reading, the answer may wait unread
            except _IGNORED as error:
                log.debug("during shutdown: %r", error)

        task = asyncio.ensure_future(run())
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        return task

    def _closing(self, channel: aiormq.abc.AbstractChannel) -> Callable[[float], Awaitable[None]]:
        """Return a request that closes a channel.

        A timeout ends only the wait, because aiormq would send channel.close a second time, and the broker would close
        the connection (504). The answer may be late, for example after large deliveries.
        """

        async def close(seconds: float) -> None:
            closing = asyncio.ensure_future(channel.close())
            self._requests.add(closing)
            closing.add_done_callback(self._requests.discard)
            if not (await asyncio.wait([closing], timeout=seconds))[0]:
                raise TimeoutError

        return close

    def _release(self, channel: aiormq.abc.AbstractChannel) -> None:
        """Close a channel whose caller was cancelled while the channel was opened."""
        self._start(self._closing(channel))

    async def close(self) -> None:
        """Close the connection (connection.close), and abort it after `CLOSE_TIMEOUT`."""
        # asyncio.timeout() is not enough: a cancelled close of aiormq still waits until its buffer is written.
        deadline = asyncio.get_running_loop().call_later(0 if self.unresponsive else CLOSE_TIMEOUT, self.router.abort)
        try:
            await asyncio.wait([self._start(lambda _: self._connection.close()), *self._requests])
        except asyncio.CancelledError:
            self.router.abort()
            raise
        finally:
            deadline.cancel()
            self._liveness.stop()
