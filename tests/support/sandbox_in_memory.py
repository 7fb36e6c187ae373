"""A client of the sandbox without a socket: bytes in and out of a session, with a clock that tests move."""

from __future__ import annotations

from typing import Any

from pamqp import body, commands, frame, header, heartbeat

from pulsekit.sandbox.model.broker import Broker
from pulsekit.sandbox.protocol.sessions import Session
from support.raw_client import Login, content


class World:
    """A broker and its clock."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        self.events: list[Any] = []
        self.broker = Broker(clock=lambda: self.now, **options)
        self.broker.observers.append(self.events.append)

    def connect(self, user: str = "guest", **login: Any) -> Client:
        client = Client(self)
        client.log_in(Login(user=user, password=user, **login))
        assert client.call(commands.Channel.Open()) == ["Channel.OpenOk"]
        return client

    def advance(self, seconds: float) -> None:
        """Move the clock, stopping at every timer on the way."""
        end = self.now + seconds
        while (due := self.broker.timers.next_due) is not None and due <= end:
            self.now = max(self.now, due)
            self.broker.timers.run()
        self.now = end

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


class Client:
    """A client of one session."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.woken = 0
        self.session = Session(world.broker, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def log_in(self, login: Login) -> None:
        self.session.receive(b"AMQP\x00\x00\x09\x01")
        properties: Any = {"capabilities": login.capabilities}
        self.send(commands.Connection.StartOk(properties, login.mechanism, login.response, "en_US"))
        self.send(commands.Connection.TuneOk(login.channel_max, login.frame_max, login.heartbeat))
        self.send(commands.Connection.Open(login.vhost))
        assert self.names() == ["Connection.Start", "Connection.Tune", "Connection.OpenOk"]

    def send(self, *values: Any, channel: int = 1) -> None:
        """Pass frames in one piece, as from one read of a socket."""
        data = b""
        for value in values:
            if isinstance(value, bytes):
                data += value
            else:
                zero = isinstance(value, heartbeat.Heartbeat) or "Connection." in value.name
                data += frame.marshal(value, 0 if zero else channel)
        self.session.receive(data)

    def read(self) -> list[Any]:
        """Return the frames of the output, including deliveries that had to wait."""
        values = []
        while data := self.session.data_to_send():
            while data:
                size, _, value = frame.unmarshal(data)
                values.append(value)
                data = data[size:]
            self.session.drained()
        return values

    def names(self) -> list[str]:
        return [
            f"{value.name} {value.reply_code}" if hasattr(value, "reply_code") else value.name
            for value in self.read()
            if not isinstance(value, (header.ContentHeader, body.ContentBody))
        ]

    def call(self, *values: Any, channel: int = 1) -> list[str]:
        """Send frames and return the names of the answers, with the code of a close."""
        self.send(*values, channel=channel)
        return self.names()

    def publish(self, exchange: str, key: str, data: bytes = b"hi", **options: Any) -> None:
        self.send(*content(exchange, key, data, **options))

    def bodies(self) -> list[bytes]:
        return [value.value for value in self.read() if isinstance(value, body.ContentBody)]

    def deliveries(self) -> list[tuple[int, bool, bytes]]:
        """Return delivery tag, redelivered flag and body of what was delivered."""
        found, method = [], None
        for value in self.read():
            if isinstance(value, (commands.Basic.Deliver, commands.Basic.GetOk)):
                method = value
            elif isinstance(value, body.ContentBody) and method is not None:
                found.append((method.delivery_tag, method.redelivered, value.value))
        return found
