"""Sessions: one connection from protocol header to close, without I/O (AMQP 0-9-1 §2.2.4 and §4).

The name of a state says what must arrive next:

    header ─> start ─> tune ─> open ─> running ─> closing ─> closed
    "AMQP"    StartOk  TuneOk  Open    any        CloseOk

`header`, `start`, `tune` and `open` are the handshake; timers end it 10 seconds after its start without TuneOk, or 10
seconds after TuneOk. In `running`, frames go to their channel by number. In `closing`, the broker has sent
Connection.Close. For three seconds, it ignores all frames except CloseOk and the client's own Close. `unreadable`
replaces `closing` after bytes that are not frames, and no bytes are decoded. `closed` is final. After the client's own
Close, the socket of a closed session stays open for three more seconds, and all bytes are discarded. Otherwise, TCP
would reset the connection of a client that still sends, and the client would not read CloseOk.

Invariants: `receive` raises no exception. A soft Refusal on an open channel closes the channel, and any other Refusal
closes the connection. During the handshake, a Refusal ends the connection without a Close, unless login or virtual host
are refused. Channels and exclusive queues exist only in `running`; `lost` and `_close` remove them. Confirms precede
any Close.

Output is collected in `_out` until the caller calls `data_to_send`. `wake` is called when the first bytes are added. If
a client reads slowly (`congested`) or much output is unsent, deliveries wait in their queues. `_deliveries_wait` is
then set, and `drained` dispatches them. If more than 4 MiB of answers are unsent, the rest of the input waits in the
splitter (`_input_waits`), and `paused` stops reading, because a few bytes of Basic.Get can request gigabytes. So a
session buffers at most 4 MiB and one message for a client that does not read. `paused` also stops reading while the
broker blocks publishers.

Example: the bytes of Channel.Open and Basic.Consume arrive in one call of `receive`. `wake` is called once, and
`data_to_send` returns OpenOk, ConsumeOk and the first deliveries.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from pamqp import commands

from pulsekit.sandbox.codec import frames
from pulsekit.sandbox.events import Event
from pulsekit.sandbox.model.users import User
from pulsekit.sandbox.protocol import login
from pulsekit.sandbox.protocol.channels import Channel
from pulsekit.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from pamqp.base import Frame

    from pulsekit.sandbox.model.broker import Broker
    from pulsekit.sandbox.model.virtual_hosts import VirtualHost

__all__ = ["Session"]

_log = logging.getLogger(__name__)

_CHANNEL_MAX: Final = 2047
_FRAME_MAX: Final = 131_072
_FRAME_MIN: Final = 4096
_CHANNEL_CLASS: Final = b"\x00\x14"
_FIRST_FRAMES: Final = 16_384  # before Tune, large enough for client properties, but too small for an attack
_HEARTBEAT: Final = frames.frame(frames.HEARTBEAT, 0, b"")
_HANDSHAKE_SECONDS: Final = 10
_CLOSE_SECONDS: Final = 3
_UNSENT_DELIVERIES: Final = 1 << 18
_UNSENT_ANSWERS: Final = 1 << 22


class Session:
    """A connection of a client.

    Args:
        broker: the broker.
        wake: called when there is output to send, or when `paused` or `finished` changed.
        heartbeat: seconds that are proposed to the client.

    Attributes:
        user: the user who logged in. Before the login, this is a user without a name.
        congested: set by the caller while the client reads more slowly than the broker sends.
        finished: True when the caller must send the rest of the output and close the socket.
    """

    vhost: VirtualHost
    user: User

    def __init__(self, broker: Broker, wake: Callable[[], None], *, heartbeat: int = 60) -> None:
        self.broker = broker
        self.frame_max = _FRAME_MAX
        self.cancel_notify = False
        self.finished = False
        self.user = User("")
        self._opened = False  # True after Connection.Open
        self._state = "header"  # header, start, tune, open, running, closing, unreadable, closed
        self._wake = wake
        self._proposed_heartbeat = heartbeat
        self._head = b""
        self._splitter = frames.Splitter(_FIRST_FRAMES)
        self._channels: dict[int, Channel] = {}
        self._to_confirm: dict[Channel, None] = {}
        self._capabilities: dict[str, Any] = {}
        self._channel_max = _CHANNEL_MAX
        self._out: list[bytes] = []
        self._unsent = 0
        self.congested = False
        self._deliveries_wait = False
        self._input_waits = False
        self._blocked = False
        self._heartbeat = 0.0
        self._silent_intervals = 0
        self._nothing_sent = True
        self._timer = broker.timers.after(_HANDSHAKE_SECONDS, self.finish)
        broker.sessions.add(self)

    # called by the server

    def receive(self, data: bytes) -> None:
        """Process the complete frames in bytes from the client."""
        self._silent_intervals = 0
        if self._state == "header":
            data = self._protocol_header(data)
        if self._state in {"header", "unreadable", "closed"}:
            return
        stream = self._splitter.split(data)
        try:
            for kind, number, payload in stream:
                channel = self._channels.get(number)  # in other states than running, there are no channels
                if channel is None or kind > frames.BODY or payload[:2] == _CHANNEL_CLASS:
                    self._frame(kind, number, payload)
                    if self._state == "closed":
                        break
                else:
                    try:
                        channel.receive(kind, payload)
                    except Refusal as refusal:
                        self._refuse(refusal, number, channel.ids)
                if self._unsent > _UNSENT_ANSWERS:
                    self._input_waits = True
                    break
        except Refusal as refusal:
            self._refuse(refusal, 0, (0, 0))
            self._state = "unreadable"  # the start of the next frame is unknown
        except Exception as error:  # noqa: BLE001 - a client must get a Close after any error
            _log.exception("the sandbox failed on a frame")
            self._refuse(Refusal(541, f"{type(error).__name__}"), 0, (0, 0))
        finally:
            stream.close()
        self._confirm()

    def data_to_send(self) -> bytes:
        """Return the output since the last call."""
        data = b"".join(self._out)
        self._out.clear()
        self._unsent = 0
        return data

    def drained(self) -> None:
        """After the output was sent, process input and deliveries that had to wait."""
        if self._input_waits and not self.congested and self._unsent <= _UNSENT_ANSWERS:
            self._input_waits = False
            self.receive(b"")
        if self._deliveries_wait and self.accepts_deliveries():
            self._deliveries_wait = False
            for channel in list(self._channels.values()):
                channel.resume()

    @property
    def paused(self) -> bool:
        """True while the server should not read from the client."""
        return not self.closed and (self._blocked or self._input_waits)

    @property
    def closed(self) -> bool:
        """True after the end of the session. Its socket may be open for a few more seconds."""
        return self._state == "closed"

    def finish(self) -> None:
        """Close the connection without Connection.Close."""
        self.lost()
        self.finished = True
        self._wake()

    def lost(self) -> None:
        """Close channels and delete exclusive queues after the end of the connection. Calling this twice is fine."""
        self._timer.cancel()
        if self._state == "closed":
            return
        self._state = "closed"
        self.broker.sessions.discard(self)
        self._cleanup()
        if self._opened:
            self.broker.emit(Event("disconnected", self.vhost.name, self.user.name))

    def unblock(self) -> None:
        """Read from the client again, after the broker unblocked publishers."""
        if self._blocked:
            self._blocked = False
            if self._capabilities.get("connection.blocked"):
                self.send(frames.encode(0, commands.Connection.Unblocked))
            self._wake()
            self.broker.emit(Event("unblocked", self.vhost.name, self.user.name))

    def close(self, code: int, text: str) -> None:
        """Close the connection, as `rabbitmqctl close_connection` does."""
        if self._state == "running":
            self._refuse(Refusal(code, text), 0, (0, 0))
        elif self._state not in {"closing", "unreadable"}:
            self.finish()

    # called by channels

    def send(self, data: bytes) -> None:
        """Append bytes to the output."""
        if self._state == "closed":
            return
        if not self._out:
            self._wake()
        self._nothing_sent = False
        self._out.append(data)
        self._unsent += len(data)

    def accepts_deliveries(self) -> bool:
        """Return whether a delivery may be sent now. If not, `drained` dispatches later."""
        if self.congested or self._unsent > _UNSENT_DELIVERIES or self._state != "running":
            self._deliveries_wait = True
            return False
        return True

    def published(self) -> None:
        """Block the client, if the broker blocks publishers."""
        if self.broker.blocked and not self._blocked:
            self._blocked = True
            if self._capabilities.get("connection.blocked"):
                self.send(frames.encode(0, commands.Connection.Blocked, self.broker.blocked))
            self._wake()
            self.broker.emit(Event("blocked", self.vhost.name, self.user.name, detail=self.broker.blocked))

    def confirm_later(self, channel: Channel) -> None:
        """Send the confirms of a channel together, at the end of `receive`."""
        self._to_confirm[channel] = None

    # frames

    def _protocol_header(self, data: bytes) -> bytes:
        """Check the protocol header, the first eight bytes. Return the bytes after it."""
        self._head += data
        if len(self._head) < 8 and any(header.startswith(self._head) for header in frames.PROTOCOL_HEADERS):
            return b""
        head, more = self._head[:8], self._head[8:]
        if head not in frames.PROTOCOL_HEADERS:
            self.send(self.broker.release.protocol)
            self.finish()
            return b""
        self._state = "start"
        release = self.broker.release
        properties = login.server_properties(release, self.broker.default_user)
        self._send(commands.Connection.Start, 0, 9, properties, release.mechanisms, "en_US")
        return more

    def _frame(self, kind: int, number: int, payload: bytes) -> None:
        if kind == frames.HEARTBEAT and not number and not payload:
            return
        if kind not in {frames.METHOD, frames.HEADER, frames.BODY}:
            raise frames.unknown(kind, payload)
        if number == 0 or self._state != "running":
            self._channel_zero(kind, number, payload)
            return
        channel = self._channels.get(number)
        ids = frames.method_ids(payload) if kind == frames.METHOD else (0, 0)
        try:
            if channel is None:
                self._open_channel(kind, number, ids)
            elif channel.assembling:
                channel.receive(kind, payload)
            elif ids == (20, 41) and channel.closing:
                del self._channels[number]
            elif ids == (20, 40):
                self._confirm()
                if not channel.closing:
                    del self._channels[number]
                    channel.close()
                self.send(frames.encode(number, commands.Channel.CloseOk))
            else:
                channel.receive(kind, payload)
        except Refusal as refusal:
            self._refuse(refusal, number, ids if channel is None else channel.ids)

    def _open_channel(self, kind: int, number: int, ids: tuple[int, int]) -> None:
        if kind != frames.METHOD:
            raise Refusal(505, "expected method frame, got non method frame instead")
        if ids != (20, 10):
            raise Refusal(504, "expected 'channel.open'")
        if len(self._channels) >= self._channel_max:  # as in RabbitMQ, the channel number may be higher
            opened = f"number of channels opened ({len(self._channels)})"
            raise Refusal(530, f"{opened} has reached the negotiated channel_max ({self._channel_max})")
        self._channels[number] = Channel(self, number)
        self.send(frames.encode(number, commands.Channel.OpenOk, ""))

    def _channel_zero(self, kind: int, number: int, payload: bytes) -> None:
        """Process a frame of channel 0, or any frame if the state is not running."""
        ids = frames.method_ids(payload) if kind == frames.METHOD else (0, 0)
        if self._state == "closing":
            if ids == (10, 50):
                self._close_ok()
            elif ids == (10, 51):
                self.finish()
            return
        try:
            method = _method(kind, number, payload)
            if isinstance(method, commands.Connection.Close):
                self._cleanup()
                self._close_ok()
                return
            self._handshake(method)
        except Refusal as refusal:
            self._refuse(refusal, 0, ids)

    def _handshake(self, method: Frame) -> None:
        if self._state == "start" and isinstance(method, commands.Connection.StartOk):
            self._start_ok(method)
        elif self._state == "tune" and isinstance(method, commands.Connection.TuneOk):
            self._tune_ok(method)
        elif self._state == "open" and isinstance(method, commands.Connection.Open):
            self._open(method)
        elif self._state == "running" and isinstance(method, commands.Connection.UpdateSecret):
            self._send(commands.Connection.UpdateSecretOk)
        else:
            raise Refusal(504, f"unexpected method in connection state {self._state}")

    def _start_ok(self, method: commands.Connection.StartOk) -> None:
        capabilities = method.client_properties.get("capabilities")
        self._capabilities = capabilities if isinstance(capabilities, dict) else {}
        self.cancel_notify = bool(self._capabilities.get("consumer_cancel_notify"))
        credentials = login.credentials(self.broker.release, method.mechanism, method.response)
        user = None if credentials is None else self.broker.users.login(*credentials)
        if user is None:
            name = credentials[0] if credentials else ""
            self.broker.emit(Event("refused", user=name, detail=f"login by {method.mechanism}"))
            if credentials is None or not self._capabilities.get("authentication_failure_close"):
                self.finish()
                return
            why = f"Login was refused using authentication mechanism {method.mechanism}."
            self._close(Refusal(403, f"{why} For details see the broker logfile."), (0, 0))
            return
        self.user = user
        self._state = "tune"
        self._splitter.frame_max = _FRAME_MAX
        self._send(commands.Connection.Tune, _CHANNEL_MAX, _FRAME_MAX, self._proposed_heartbeat)

    def _tune_ok(self, method: commands.Connection.TuneOk) -> None:
        if not (_FRAME_MIN <= method.frame_max <= _FRAME_MAX and 1 <= method.channel_max <= _CHANNEL_MAX):
            self.broker.emit(Event("refused", user=self.user.name, detail="frame_max or channel_max out of range"))
            self.finish()
            return
        self.frame_max = self._splitter.frame_max = method.frame_max
        self._channel_max = method.channel_max
        self._state = "open"
        self._timer.cancel()
        self._timer = self.broker.timers.after(_HANDSHAKE_SECONDS, self.finish)
        self._heartbeat = method.heartbeat / 2

    def _open(self, method: commands.Connection.Open) -> None:
        vhost = self.broker.vhosts.get(method.virtual_host)
        if vhost is None:
            refusal = Refusal(530, f"vhost {method.virtual_host} not found")
            self.broker.emit(Event("refused", user=self.user.name, detail=refusal.text))
            self._close(refusal, (10, 40))
            return
        self.vhost = vhost
        self._opened = True
        self._state = "running"
        self._timer.cancel()
        if self._heartbeat:
            self._beat(self._heartbeat)
        self._send(commands.Connection.OpenOk, "")
        self.broker.emit(Event("connected", vhost.name, self.user.name))

    def _beat(self, interval: float) -> None:
        """Send a heartbeat if no other bytes were sent. End a connection that was silent for too long (§4.2.7).

        This runs twice in a heartbeat interval. After six runs without bytes from the client, the connection ends.
        """
        self._timer = self.broker.timers.after(interval, lambda: self._beat(interval))
        self._silent_intervals = 0 if self.paused else self._silent_intervals + 1
        if self._silent_intervals > 5:
            self.finish()
            return
        if self._nothing_sent:
            self.send(_HEARTBEAT)
        self._nothing_sent = True

    # closing

    def _refuse(self, refusal: Refusal, number: int, ids: tuple[int, int]) -> None:
        """Close the channel or the connection."""
        self._confirm()
        self.broker.emit(Event("refused", self.vhost.name if self._opened else "", self.user.name, detail=refusal.text))
        if refusal.soft and number:
            channel = self._channels[number]
            channel.closing = True
            channel.close()
            self.send(frames.encode(number, commands.Channel.Close, refusal.code, refusal.text, *ids))
            return
        if self._state == "running":
            self._close(refusal, ids)
        elif self._state != "closing":
            self.finish()

    def _close(self, refusal: Refusal, ids: tuple[int, int]) -> None:
        self._state = "closing"
        self._cleanup()
        self._send(commands.Connection.Close, refusal.code, refusal.text, *ids)
        self._timer.cancel()
        self._timer = self.broker.timers.after(_CLOSE_SECONDS, self.finish)

    def _close_ok(self) -> None:
        """Answer the client's Close, and discard further bytes from the client."""
        self._send(commands.Connection.CloseOk)
        self.lost()
        self._timer = self.broker.timers.after(_CLOSE_SECONDS, self.finish)

    def _cleanup(self) -> None:
        """Close all channels, then delete the exclusive queues of this connection."""
        channels, self._channels = list(self._channels.values()), {}
        self._to_confirm.clear()
        for channel in channels:
            if not channel.closing:
                channel.close()
        if self._opened:
            for queue in [queue for queue in self.vhost.queues.values() if queue.owner is self]:
                self.vhost.delete_queue(queue)
                self.vhost.cancel_consumers(queue)

    def _confirm(self) -> None:
        if self._to_confirm:
            channels, self._to_confirm = self._to_confirm, {}
            for channel in channels:
                channel.confirm()

    def _send(self, method: type[Frame], *values: Any) -> None:
        self.send(frames.encode(0, method, *values))


def _method(kind: int, number: int, payload: bytes) -> Frame:
    """Decode a method on channel 0. Refuse any other frame."""
    if number or kind != frames.METHOD:
        raise Refusal(505, "unexpected frame on channel 0" if number == 0 else "channels come after the login")
    return frames.decode(payload)
