"""The connection: its states when the broker stops, blocks, changes its address, or changes its answers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
import struct
import threading
import traceback
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from pamqp import commands
from pamqp.frame import marshal
from support.proxy import Proxy

import pulsekit
from pulsekit import State
from pulsekit._amqp.addresses import _alternated
from pulsekit._amqp.backoff import Backoff
from pulsekit._amqp.broker import parse_url
from pulsekit._amqp.connection import CONNECT_TIMEOUT, Connection
from pulsekit._config.settings import Settings
from pulsekit.diagnosis.checks import Status, run_checks
from pulsekit.publisher.publisher import PUBLISH_TIMEOUT
from pulsekit.testing import PulseSandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.rabbitmq.broker import PulseUser, RabbitMQ


class States:
    """Record states, and wait for one."""

    def __init__(self) -> None:
        self.seen: list[State] = []
        self._changed = asyncio.Event()

    def __call__(self, name: str, state: State) -> None:
        assert name == "publisher"
        self.seen.append(state)
        self._changed.set()

    async def until(self, state: State, count: int = 1) -> None:
        while self.seen.count(state) < count:
            self._changed.clear()
            await self._changed.wait()


PATIENCE = 30  # seconds for what must happen: far more than it takes, even on a machine that stalls
STALL = 25  # seconds that a wait may last although its own limit is below a second


@contextmanager
def closed_ports(count: int) -> Iterator[list[int]]:
    """Reserve ports on loopback that refuse connections. No other process can listen on them."""
    with contextlib.ExitStack() as stack:
        reserved = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for one in reserved:
            one.bind(("127.0.0.1", 0))
        yield [int(one.getsockname()[1]) for one in reserved]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on loopback that refuses connections."""
    with closed_ports(1) as (port,):
        yield port


def with_hosts(url: str, hosts: str) -> str:
    """Put several hosts into the URL of a user."""
    login, _, _ = url.rpartition("@")
    return f"{login}@{hosts}/"


def port_of(url: str) -> int:
    return parse_url(url).port


async def test_every_state_is_reported_in_order(user: PulseUser) -> None:
    states = States()
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url, on_state=states) as pulse:
        await pulse.link()
        proxy.cut()
        await states.until(State.READY, 2)
    first, second = [State.CONNECTING, State.READY], [State.BACKING_OFF, State.CONNECTING, State.READY]
    assert states.seen == [*first, *second, State.CLOSED]


async def test_a_peer_without_data_for_two_heartbeats_is_dead(
    user: PulseUser, caplog: pytest.LogCaptureFixture
) -> None:
    exchange, states = f"exchange/{user.name}/x", States()
    async with Proxy(user.url) as proxy, pulsekit.connect(f"{proxy.url}?heartbeat=1", on_state=states) as pulse:
        publisher, losses = pulse.publisher(exchange), 0
        # If the machine stalls for two seconds, the broker closes the connection first.
        while "no data from the broker for 2 s" not in caplog.text:
            losses += 1
            await publisher.open()
            proxy.black_hole()
            # aiormq would wait for more than three heartbeats, and raise CancelledError in waiting calls.
            other, pending = pulse.publisher(exchange), asyncio.ensure_future(publisher.publish({}, "k"))
            await other.open()
            receipt = await pending
            assert (await other.publish({}, "k")).outcome is pulsekit.Outcome.CONFIRMED
        assert (receipt.outcome, receipt.resent) == (pulsekit.Outcome.CONFIRMED, True)
    assert states.seen.count(State.READY) > losses


def test_a_dead_peer_is_noticed_in_time_to_resend() -> None:
    most = 2.5 * parse_url("amqps://u:p@h").heartbeat  # two heartbeats, and the time between two checks
    assert most + Backoff().first < PUBLISH_TIMEOUT


async def test_the_heartbeat_that_is_agreed_on_is_that_of_the_documentation(rabbitmq: RabbitMQ) -> None:
    user = rabbitmq.user()
    async with pulsekit.connect(user.url) as pulse:
        await pulse.link()
        lines = await asyncio.to_thread(rabbitmq.ctl, "list_connections", "user", "timeout")
    assert f"{user.name}\t20" in lines.splitlines()


async def test_the_pause_depends_on_how_long_each_connection_lasted(user: PulseUser) -> None:
    class Pauses(Backoff):
        calls: list[tuple[str, float]]

        def next(self, *, jitter: bool = True) -> float:
            self.calls.append(("next", 0.0))
            return 0.0 if jitter else 1.0

        def connected_for(self, seconds: float) -> None:
            self.calls.append(("connected", seconds))

    pauses, states, time = Pauses(), States(), asyncio.get_running_loop().time
    pauses.calls = []
    async with Proxy(user.url) as proxy, asyncio.TaskGroup() as tasks:
        connection = Connection(parse_url(proxy.url), name="publisher", on_state=states, backoff=pauses)
        began = time()
        connection.start(tasks)
        for times in (1, 2, 3):
            await states.until(State.READY, times)
            proxy.cut()
        await states.until(State.READY, 4)
        await connection.close()
    assert [what for what, _ in pauses.calls] == ["connected", "next"] * 3
    assert 0 < sum(seconds for _, seconds in pauses.calls) < time() - began


@pytest.mark.parametrize("steps", [0, 1, 2], ids=["greeting", "login", "virtual host"])
async def test_one_deadline_limits_the_whole_connect(steps: int) -> None:
    """The deadline covers each step of the handshake, also if the broker sends data all the time."""
    asked, over = 0, asyncio.Event()
    frames = (
        commands.Connection.Start(server_properties={}),
        commands.Connection.Tune(),
        commands.Connection.OpenOk(),
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        for frame in frames[:steps]:
            await reader.read(1000)
            writer.write(marshal(frame, 0))
        await reader.read(1000)
        asked += 1
        ended = asyncio.ensure_future(reader.read())
        for byte in marshal(frames[steps], 0)[:-1]:
            writer.write(bytes((byte,)))
            await asyncio.wait([ended], timeout=0.05)
            if ended.done():
                break
        with contextlib.suppress(OSError):
            await ended
        writer.transport.abort()
        over.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"amqp://u:p@127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        began = asyncio.get_running_loop().time()
        with pytest.raises(pulsekit.ConnectTimeout, match="did not answer within"):
            async with pulsekit.connect(url, timeout=0.3) as pulse:
                await pulse.link()
        assert asyncio.get_running_loop().time() - began < STALL
        await over.wait()
    assert asked == 1


def test_a_resolver_that_does_not_answer_does_not_delay_the_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, over = threading.Event(), threading.Event()

    def getaddrinfo(*_: object, **__: object) -> list[object]:
        asked.set()
        over.wait()
        return []

    async def attempt() -> None:
        async with pulsekit.connect("amqps://u:p@pulse.example/", timeout=0.2) as pulse:
            await pulse.link()

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    try:
        with pytest.raises(pulsekit.ConnectTimeout):
            asyncio.run(attempt())  # which waits for the threads of its loop
        assert asked.wait(PATIENCE)
    finally:
        over.set()


def test_a_password_command_that_hangs_does_not_delay_the_exit() -> None:
    asked, over = threading.Event(), threading.Event()

    def read_password() -> str:
        asked.set()
        over.wait()
        return ""

    async def attempt() -> None:
        broker = replace(parse_url("amqp://u:p@127.0.0.1/"), read_password=read_password)
        async with asyncio.timeout(0.2):
            await Connection(broker, name="publisher")._renew_password()

    try:
        with pytest.raises(TimeoutError):
            asyncio.run(attempt())  # which waits for the threads of its loop
        assert asked.wait(PATIENCE)
    finally:
        over.set()


async def test_every_address_of_a_name_is_tried(
    user: PulseUser, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, closed = port_of(user.url), closed_port

    def getaddrinfo(host: str, *_: object, **__: object) -> list[object]:
        assert host == "cluster.example"
        unknown = (250, socket.SOCK_STREAM, 6, "", ("::1", port))  # like an IPv6 address on a machine without IPv6
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", one)) for one in (closed, closed, port)]
        return [unknown, *found]

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    async with pulsekit.connect(with_hosts(user.url, f"cluster.example:{port}"), insecure=True) as pulse:
        assert (await pulse.link()).epoch == 1


async def answers(steps: list[bytes], then: asyncio.Event | None = None, last: bytes | None = b"") -> asyncio.Server:
    """Send the next answer after each message of a client. After an event, send the last answer, or close."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            for step in steps:
                await reader.read(4096)
                writer.write(step)
            if then is not None:
                await then.wait()
                if last is None:
                    writer.close()
                    return
                writer.write(last)
            while await reader.read(4096):
                pass
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def short(text: str) -> bytes:
    return bytes((len(text.encode()),)) + text.encode()


def method(number: int, payload: bytes = b"") -> bytes:
    """Return a method of the connection (class 10) as a frame."""
    body = struct.pack(">HH", 10, number) + payload
    return struct.pack(">BHI", 1, 0, len(body)) + body + b"\xce"


START = marshal(commands.Connection.Start(mechanisms="PLAIN", server_properties={}), 0)
TUNE = marshal(commands.Connection.Tune(2047, 131072, 60), 0)
OPEN_OK = marshal(commands.Connection.OpenOk(), 0)
HOSTILE = "gone\nERROR root: all is lost\r\x1b[31m\u2028"
BLOCKED, UNBLOCKED = method(60, short(HOSTILE)), method(61)
CLOSE = method(50, struct.pack(">H", 320) + short(HOSTILE) + b"\0" * 4)


@pytest.mark.parametrize("steps", [[START, TUNE + BLOCKED, OPEN_OK], [START, TUNE, OPEN_OK + BLOCKED]])
async def test_a_broker_can_block_publishers_as_soon_as_it_is_connected(
    steps: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    states, free = States(), asyncio.Event()
    async with await answers(steps, free, UNBLOCKED) as server:
        url = f"amqp://u:p@127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with pulsekit.connect(url, on_state=states, timeout=PATIENCE) as pulse:
            link = await pulse.link()
            await states.until(State.BLOCKED)
            assert not link.router.writable
            free.set()
            await states.until(State.READY, 2)
            assert link.router.writable
    assert [line for line in caplog.text.splitlines() if line.startswith("ERROR root")] == []
    assert "blocks publishers: gone\\nERROR root" in caplog.text


async def attempt(steps: list[bytes]) -> pulsekit.PulsekitError:
    """Connect to a server that sends these answers, and return the error."""
    async with await answers(steps) as server:
        url = f"amqp://u:p@127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(pulsekit.PulsekitError) as caught:
            async with pulsekit.connect(url, timeout=PATIENCE) as pulse:
                await pulse.link()
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request",
        b"SSH-2.0-OpenSSH_9.2",
        b"AMQP\x03\x01\x00\x00",
        b"\x15\x03\x03\x00\x02\x02F",  # an alert of TLS
        b"\x01\x00\x00\xff\xff\xff\xff",  # a frame of four gigabytes
        b"\x01\x00\x00\x00\x00\x00\x01\x00\xce",  # a method of one byte
        b"\x00" * 30,
        b"x",
    ],
)
@pytest.mark.parametrize("steps", [[], [START], [START, TUNE]], ids=["greeting", "login", "virtual host"])
async def test_a_server_without_amqp_is_reported_by_its_first_bytes(steps: list[bytes], data: bytes) -> None:
    error = await attempt([*steps, data])  # the server does not close the connection
    assert isinstance(error, pulsekit.Unreachable)
    quoted = data.decode("latin-1").encode("unicode_escape").decode()
    assert "does not speak AMQP 0-9-1: it sent" in str(error)
    assert str(error).isprintable()
    assert quoted[:20] in str(error).replace("ÿ", "\\xff")


async def test_a_close_in_the_place_of_a_greeting_is_reported_with_its_reason() -> None:
    error = await attempt([method(50, struct.pack(">H", 320) + short("CONNECTION_FORCED - maintenance") + b"\0" * 4)])
    assert isinstance(error, pulsekit.Unreachable)
    assert str(error).endswith("it closed the connection: 320 CONNECTION_FORCED - maintenance")


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (CLOSE, "320 gone"),
        (b"HTTP/1.1 400", "it sent data that are not AMQP 0-9-1: 'HTTP/1.1 400'"),
        (None, "the other side closed it, and gave no reason"),
    ],
)
async def test_a_lost_connection_is_reported_with_its_reason(
    last: bytes | None, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    states, now = States(), asyncio.Event()
    async with await answers([START, TUNE, OPEN_OK], now, last) as server:
        url = f"amqp://u:p@127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with pulsekit.connect(url, on_state=states, timeout=PATIENCE) as pulse:
            await pulse.link()
            now.set()
            await states.until(State.BACKING_OFF)
    assert f"lost the connection to amqp://u:***@127.0.0.1:{url.rpartition(':')[2]}: {reason}" in caplog.text


async def test_a_broker_without_confirms_is_named() -> None:
    async with await answers([START, TUNE, OPEN_OK]) as server:
        url = f"amqp://u:p@127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with pulsekit.connect(url, timeout=PATIENCE) as pulse:
            with pytest.raises(pulsekit.BrokerRefused, match="does not confirm messages"):
                await pulse.publisher("exchange/u/x").publish({}, "k")


async def test_a_broker_that_does_not_answer_is_named_after_two_seconds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulsekit._amqp.tasks._SLOW", 0.01)
    connecting = asyncio.ensure_future(attempt([START]))
    while "has not answered for 0.01 s: still waiting to connect to amqp://u:***@127.0.0.1:" not in caplog.text:
        await asyncio.sleep(0.01)  # no event reports a log message
    connecting.cancel()
    await asyncio.wait([connecting])


@pytest.mark.parametrize("steps", [[CLOSE], [START, CLOSE], [START, TUNE + CLOSE], [START, TUNE, CLOSE]])
async def test_the_text_of_a_broker_is_one_line(steps: list[bytes]) -> None:
    error = await attempt(steps)
    assert str(error).isprintable()
    lines = "".join(traceback.format_exception(error)).splitlines()
    assert not [line for line in lines if line.startswith("ERROR root")]


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port on loopback whose queue of connections is full, so that Linux drops further SYN packets."""
    with closing(socket.socket()) as listening, closing(socket.socket()) as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting.connect(listening.getsockname())
        yield listening.getsockname()[1]


async def test_an_address_that_drops_packets_costs_a_quarter_of_a_second(
    user: PulseUser, black_hole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = [black_hole, black_hole, port_of(user.url), black_hole]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    url = with_hosts(user.url, f"cluster.example:{black_hole}")
    async with pulsekit.connect(url, insecure=True, timeout=PATIENCE) as pulse:
        assert (await pulse.link()).epoch == 1
    found_by = await run_checks(lambda: (Settings(), replace(parse_url(url), insecure=True)), timeout=PATIENCE)
    assert {one.check: one.status for one in found_by}["tcp"] is Status.OK


async def test_only_addresses_that_drop_packets_end_in_time(black_hole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", black_hole))] * 3
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    with pytest.raises(pulsekit.ConnectTimeout, match=r"did not answer within 0\.5 s"):
        async with pulsekit.connect("amqp://u:p@pulse.example/", insecure=True, timeout=0.5) as pulse:
            await pulse.link()


def test_the_two_families_of_addresses_alternate() -> None:
    four = [(socket.AF_INET, number) for number in range(3)]
    six = [(socket.AF_INET6, number) for number in range(2)]
    assert _alternated([*six, *four]) == [six[0], four[0], six[1], four[1], four[2]]
    assert _alternated([*four, *six]) == [four[0], six[0], four[1], six[1], four[2]]
    assert _alternated([]) == []


async def test_a_callback_that_fails_is_logged_and_the_connection_continues(
    user: PulseUser, caplog: pytest.LogCaptureFixture
) -> None:
    def on_state(_: str, state: State) -> None:
        raise ZeroDivisionError(state)

    async with pulsekit.connect(user.url, on_state=on_state) as pulse:
        receipt = await pulse.publisher(f"exchange/{user.name}/x").publish({}, "k")
    assert receipt.outcome is pulsekit.Outcome.CONFIRMED
    assert "a callback failed" in caplog.text


async def test_hosts_are_tried_in_turn_and_the_next_one_after_a_loss(user: PulseUser, closed_port: int) -> None:
    async with Proxy(user.url) as first, Proxy(user.url) as second:
        hosts = f"127.0.0.1:{closed_port},127.0.0.1:{port_of(first.url)},127.0.0.1:{port_of(second.url)}"
        states = States()
        async with pulsekit.connect(with_hosts(user.url, hosts), on_state=states) as pulse:
            await pulse.link()
            assert (first.accepted, second.accepted) == (1, 0)
            first.refuse()
            first.cut()
            await states.until(State.READY, 2)
            assert (first.accepted, second.accepted) == (1, 1)
            second.refuse()
            second.cut()
            first.accept()
            await states.until(State.READY, 3)
            assert first.accepted == 2


async def test_an_unresponsive_host_does_not_use_the_time_of_the_next(user: PulseUser) -> None:
    async with Proxy(user.url) as silent:
        silent.hold_answers()
        # The first host gets a twelfth of the time. The others are the broker, with the rest of the time in total.
        ports = [port_of(silent.url), *[port_of(user.url)] * 11]
        url = with_hosts(user.url, ",".join(f"127.0.0.1:{port}" for port in ports))
        async with pulsekit.connect(url, timeout=12.0) as pulse:
            assert (await pulse.link()).epoch == 1
        assert silent.accepted == 1


async def test_when_no_host_answers_the_error_is_that_of_the_first(user: PulseUser) -> None:
    with closed_ports(2) as ports:
        url = with_hosts(user.url, ",".join(f"127.0.0.1:{port}" for port in ports))
        with pytest.raises(pulsekit.Unreachable, match=f":{ports[0]}/"):
            async with pulsekit.connect(url) as pulse:
                await pulse.link()


async def test_a_blocked_connection_is_a_state_and_messages_are_sent_after_it() -> None:
    states = States()
    with PulseSandbox() as sandbox:
        async with (
            pulsekit.connect(sandbox.url("me"), on_state=states) as pulse,
            pulsekit.connect(sandbox.url("me")) as other,
        ):
            publisher = pulse.publisher("exchange/me/x")
            await publisher.open()
            messages = other.subscribe("exchange/me/x")
            await messages.open()
            sandbox.block()
            # RabbitMQ reports a shortage of memory only to connections that publish.
            first = asyncio.ensure_future(publisher.publish({"n": 1}, "k"))
            await states.until(State.BLOCKED)
            late = [asyncio.ensure_future(publisher.publish({"n": 2}, "k", timeout=0.05)) for _ in range(3)]
            for one in late:
                with pytest.raises(pulsekit.PublishTimeout):
                    await one
            waiting = asyncio.ensure_future(publisher.publish({"n": 3}, "k"))
            sandbox.unblock()
            receipts = [await first, await waiting]
            assert [(await anext(messages)).payload["n"] for _ in range(2)] == [1, 3], "what was late never left"
    assert [receipt.outcome for receipt in receipts] == [pulsekit.Outcome.CONFIRMED] * 2
    assert states.seen[1:4] == [State.READY, State.BLOCKED, State.READY]


async def test_a_late_answer_to_the_close_of_a_channel_costs_no_connection(
    user: PulseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulsekit._amqp.link.CLOSE_TIMEOUT", 0.1)
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as pulse:
        link = await pulse.link()

        async def request(_: object) -> None:
            proxy.hold_answers()

        await link.ask(request, "ask")  # returns after the timeout
        proxy.release_answers()
        assert not await pulse.exchange_exists(f"exchange/{user.name}/none")
        assert await pulse.link() is link


@pytest.mark.parametrize("size", [10, 500_000], ids=["little", "more than the network takes"])
@pytest.mark.parametrize("fault", [Proxy.hold_requests, Proxy.hold_answers, Proxy.black_hole])
async def test_closing_waits_a_limited_time_for_an_unresponsive_broker(
    user: PulseUser, fault: Callable[[Proxy], None], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulsekit._amqp.link.CLOSE_TIMEOUT", 0.2)
    for other in ("pulse.DRAIN_TIMEOUT", "_amqp.link.OPERATION_TIMEOUT"):  # which must not apply
        monkeypatch.setattr(f"pulsekit.{other}", 60.0)
    exchange, time = f"exchange/{user.name}/x", asyncio.get_running_loop().time
    async with Proxy(user.url) as proxy:
        with pytest.raises(ZeroDivisionError):
            async with pulsekit.connect(proxy.url) as pulse:
                publishers = [pulse.publisher(exchange) for _ in range(3)]
                for publisher in publishers:
                    await publisher.open()
                async with pulse.subscribe(exchange), pulse.subscribe(exchange):
                    fault(proxy)
                    waiting = [
                        asyncio.ensure_future(publisher.publish(b"x" * size, "k"))
                        for publisher in publishers
                        for _ in range(20)
                    ]
                    await asyncio.sleep(0)
                    began = time()
                    raise ZeroDivisionError
        assert time() - began < STALL
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {pulsekit.OutcomeUnknown, pulsekit.PublishTimeout}


async def test_publishers_drain_together_and_not_one_after_the_other(
    user: PulseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulsekit.pulse.DRAIN_TIMEOUT", 1.0)
    monkeypatch.setattr("pulsekit._amqp.link.CLOSE_TIMEOUT", 0.2)
    time = asyncio.get_running_loop().time
    async with Proxy(user.url) as proxy:
        async with pulsekit.connect(proxy.url) as pulse:
            publishers = [pulse.publisher(f"exchange/{user.name}/x") for _ in range(30)]
            for publisher in publishers:
                await publisher.open()
            proxy.hold_answers()
            waiting = [asyncio.ensure_future(publisher.publish({}, "k")) for publisher in publishers]
            await asyncio.sleep(0)
            began = time()
        assert time() - began < STALL  # one after the other, they would need 30 seconds
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {pulsekit.OutcomeUnknown}


async def connected(
    broker: pulsekit._config.settings.Broker, use: Callable[[Connection], object], states: States
) -> pulsekit.PulsekitError | None:
    """Open a separate connection, and return how it ended."""
    async with asyncio.TaskGroup() as tasks:
        connection = Connection(broker, name="publisher", on_state=states, backoff=Backoff(first=0.01, most=0.01))
        connection.start(tasks)
        await connection.link()
        use(connection)
        await states.until(State.CLOSED)
        try:
            await connection.link()
        except pulsekit.PulsekitError as error:
            return error
        finally:
            await connection.close()
    return None


async def test_a_login_refused_after_a_reconnect_asks_for_the_password_again(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    user, states = rabbitmq.user(), States()
    asked: list[str] = []

    def read_password() -> str:
        asked.append("again")
        return "n3w-password"

    broker = replace(parse_url(user.url), read_password=read_password)
    async with asyncio.TaskGroup() as tasks:
        connection = Connection(broker, name="publisher", on_state=states, backoff=Backoff(first=0.01, most=0.01))
        connection.start(tasks)
        await connection.link()
        # To change a password, PulseGuardian deletes and creates the user, and the user's connections end.
        name = f'<<"{user.name}">>'
        rabbitmq.eval(
            f'rabbit_auth_backend_internal:change_password({name}, <<"n3w-password">>, {name})',
            '[catch rabbit_networking:close_connection(P, "changed") || P <- rabbit_networking:connections()]',
        )
        await states.until(State.READY, 2)
        assert (await connection.link()).epoch == 2
        await connection.close()
    assert asked
    assert "refused the login" in caplog.text


async def test_a_login_that_stays_refused_ends_the_connection_with_an_error(rabbitmq: RabbitMQ) -> None:
    user, states = rabbitmq.user(), States()
    name = f'<<"{user.name}">>'

    def change(_: Connection) -> None:
        rabbitmq.eval(
            f'rabbit_auth_backend_internal:change_password({name}, <<"an0ther">>, {name})',
            '[catch rabbit_networking:close_connection(P, "changed") || P <- rabbit_networking:connections()]',
        )

    error = await connected(parse_url(user.url), change, states)
    assert isinstance(error, pulsekit.LoginRefused)
    assert states.seen.count(State.CONNECTING) > 2, "it was retried during a change of password"


def forbid(rabbitmq: RabbitMQ, user: PulseUser) -> None:
    """Do the middle step of a change of password: the user exists again, but has no permissions."""
    name = f'<<"{user.name}">>'
    rabbitmq.eval(
        f'rabbit_auth_backend_internal:clear_permissions({name}, <<"/">>, {name})',
        '[catch rabbit_networking:close_connection(P, "changed") || P <- rabbit_networking:connections()]',
    )


async def test_a_user_without_permissions_for_a_moment_reconnects(rabbitmq: RabbitMQ) -> None:
    user, states = rabbitmq.user(), States()
    name = f'<<"{user.name}">>'

    def on_state(connection: str, state: State) -> None:
        states(connection, state)
        if state is State.BACKING_OFF and states.seen.count(state) == 3:  # the loss, and two refusals
            everything = '<<".*">>'
            rabbitmq.eval(
                f'rabbit_auth_backend_internal:set_permissions({name}, <<"/">>, '
                f"{everything}, {everything}, {everything}, {name})"
            )

    class Recorded(Backoff):
        def next(self, *, jitter: bool = True) -> float:
            jitters.append(jitter)
            return super().next(jitter=jitter)

    jitters: list[bool] = []
    async with asyncio.TaskGroup() as tasks:
        backoff = Recorded(first=0.01, most=0.01)
        connection = Connection(parse_url(user.url), name="publisher", on_state=on_state, backoff=backoff)
        connection.start(tasks)
        await connection.link()
        forbid(rabbitmq, user)
        await states.until(State.READY, 2)
        await connection.close()
    assert jitters == [True, False, False]  # after the loss, and after two refusals


async def test_a_refused_virtual_host_ends_the_connection_with_an_error(rabbitmq: RabbitMQ) -> None:
    user, states = rabbitmq.user(), States()
    error = await connected(parse_url(user.url), lambda _: forbid(rabbitmq, user), states)
    assert isinstance(error, pulsekit.VirtualHostRefused)
    assert states.seen.count(State.CONNECTING) > 2


@pytest.mark.parametrize("name", ["100%", "%41", "a/b", "a b+c", "é?#[]@:", "a;b=c&d"])
async def test_any_name_of_a_virtual_host_reaches_the_broker(user: PulseUser, name: str) -> None:
    async with pulsekit.connect(user.url + quote(name, safe="")) as pulse:
        with pytest.raises(pulsekit.VirtualHostRefused) as caught:
            await pulse.link()
    assert caught.value.text == f"NOT_ALLOWED - vhost {name} not found"


def test_the_defaults_are_those_of_the_documentation() -> None:
    assert (Backoff().first, Backoff().most, Backoff().healthy) == (0.5, 60.0, 30.0)
    assert parse_url("amqps://u:p@h").heartbeat == 20
    assert (CONNECT_TIMEOUT, PUBLISH_TIMEOUT) == (10.0, 60.0)


def test_a_failed_connection_logs_no_password(closed_port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "s3cr3t-of-mine"
    url = f"amqp://me:{secret}@127.0.0.1:{closed_port}/"

    async def attempt() -> None:
        async with pulsekit.connect(url) as pulse:
            await pulse.link()

    with pytest.raises(pulsekit.Unreachable) as caught:
        asyncio.run(attempt())
    assert secret not in caplog.text + str(caught.value) + repr(caught.value)


async def test_an_error_during_the_shutdown_does_not_stay_in_a_task(
    user: PulseUser, caplog: pytest.LogCaptureFixture
) -> None:
    async with pulsekit.connect(user.url) as pulse:
        link = await pulse.link()

        async def fail(_: float) -> None:
            raise pulsekit.ConnectionLost("cannot open a channel")

        await link.close_quietly(fail)
        gc.collect()
    assert "never retrieved" not in caplog.text
