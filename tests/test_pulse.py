"""Connecting, and the user's own exchanges."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from pamqp import commands
from pamqp.frame import marshal
from support.children import Child
from support.proxy import Proxy

import pulsekit
import pulsekit.sync

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.rabbitmq.broker import PulseUser, RabbitMQ

    from pulsekit import State


async def refusal(url: str, **options: float) -> pulsekit.PulsekitError:
    with pytest.raises(pulsekit.PulsekitError) as caught:
        async with pulsekit.connect(url, **options) as pulse:
            await pulse.create_exchange(f"exchange/{pulse.user}/x")
    return caught.value


async def test_a_wrong_password_is_reported(broker: RabbitMQ) -> None:
    error = await refusal(broker.admin_url.replace(":guest@", ":wr0ng-secret@"))
    assert isinstance(error, pulsekit.LoginRefused)
    assert "'guest'" in str(error)
    assert "wr0ng-secret" not in str(error)


async def test_a_wrong_virtual_host_is_reported(user: PulseUser) -> None:
    error = await refusal(f"{user.url}nope")
    assert isinstance(error, pulsekit.VirtualHostRefused)
    assert "'nope'" in str(error)


async def test_the_other_virtual_host_of_pulse_can_be_used(user: PulseUser) -> None:
    async with pulsekit.connect(f"{user.url}communitytc") as pulse:
        await pulse.create_exchange(f"exchange/{user.name}/x")
        assert await pulse.exchange_exists(f"exchange/{user.name}/x")
    async with pulsekit.connect(user.url) as pulse:
        assert not await pulse.exchange_exists(f"exchange/{user.name}/x")


async def test_a_closed_port_is_reported_at_once() -> None:
    error = await refusal("amqp://u:p@127.0.0.1:1/")
    assert isinstance(error, pulsekit.Unreachable)
    assert "refused" in str(error)


async def test_an_unresponsive_host_times_out() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        began = time.monotonic()
        error = await refusal(f"amqp://u:p@127.0.0.1:{port}/", timeout=0.2)
        assert isinstance(error, pulsekit.ConnectTimeout)
        assert time.monotonic() - began < 25


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [
        (530, "NOT_ALLOWED - vhost here not found", pulsekit.VirtualHostRefused),
        (530, "NOT_ALLOWED - access to vhost 'here' refused for user 'u'", pulsekit.VirtualHostRefused),
        (530, "NOT_ALLOWED - access to vhost 'here' refused: connection limit (9) is reached", pulsekit.Unreachable),
        (541, "INTERNAL_ERROR - access to vhost 'here' refused for user 'u': it is down", pulsekit.Unreachable),
        (320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", pulsekit.Unreachable),
    ],
)
async def test_a_temporary_refusal_differs_from_a_final_one(
    code: int, words: str, expected: type[pulsekit.PulsekitError]
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        for frame in (
            commands.Connection.Start(server_properties={}),
            commands.Connection.Tune(),
            commands.Connection.Close(code, words, 10, 40),
        ):
            writer.write(marshal(frame, 0))
            await reader.read(1000)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await refusal(f"amqp://u:p@127.0.0.1:{port}/here")
    assert type(error) is expected
    if isinstance(error, pulsekit.BrokerRefused):
        assert (error.code, error.text) == (code, words)
    else:
        assert words in str(error)


async def test_tls_to_a_clear_text_port_is_reported(user: PulseUser) -> None:
    error = await refusal(user.url.replace("amqp://", "amqps://"))
    assert isinstance(error, pulsekit.Unreachable)
    assert "TLS" in str(error)


async def test_a_subscription_reads_the_short_name_of_a_known_exchange(user: PulseUser) -> None:
    full = "exchange/taskcluster-queue/v1/artifact-created"
    async with pulsekit.connect(user.url) as pulse:
        with pytest.raises(pulsekit.NotFound, match=full):  # this broker does not have it, and no test creates it
            await pulse.subscribe("artifact-created:primary.#").open()
        with pytest.raises(pulsekit.InvalidName, match="did you mean 'task-failed'"):
            pulse.subscribe("task-failled")
        async with pulse.subscribe(queue=f"queue/{user.name}/bound") as messages:
            with pytest.raises(pulsekit.NotFound, match=full):
                await messages.bind("artifact-created")


async def test_an_own_exchange_can_be_created_and_deleted(user: PulseUser) -> None:
    name = f"exchange/{user.name}/v1/jobs"
    async with pulsekit.connect(user.url) as pulse:
        assert not await pulse.exchange_exists(name)
        await pulse.create_exchange(name)
        await pulse.create_exchange(name)
        assert await pulse.exchange_exists(name)
        async with pulse.subscribe(name):
            with pytest.raises(pulsekit.PreconditionFailed, match="if_unused=False"):
                await pulse.delete_exchange(name)
        await pulse.delete_exchange(name)
        await pulse.delete_exchange(name)
        assert not await pulse.exchange_exists(name)


async def test_an_exchange_of_another_user_cannot_be_changed(user: PulseUser, broker: RabbitMQ) -> None:
    name = f"exchange/{broker.user().name}/v1/jobs"
    async with pulsekit.connect(user.url) as pulse:
        with pytest.raises(pulsekit.AccessRefused):
            await pulse.create_exchange(name)
        with pytest.raises(pulsekit.AccessRefused):
            await pulse.delete_exchange(name)


async def test_nothing_is_sent_before_it_is_needed() -> None:
    async with pulsekit.connect("amqp://u:p@127.0.0.1:1/") as pulse:
        pulse.publisher("exchange/u/x")


async def test_a_connection_is_opened_once(user: PulseUser) -> None:
    pulse = pulsekit.connect(user.url)
    with pytest.raises(pulsekit.NotOpen):
        pulse.publisher("exchange/u/x")
    async with pulse:
        pass
    with pytest.raises(pulsekit.NotOpen):
        async with pulse:
            pass


async def test_the_password_is_in_no_representation(user: PulseUser) -> None:
    async with pulsekit.connect(user.url) as pulse:
        link = await pulse.link()
        for thing in (
            pulse,
            link,
            pulse.publisher(f"exchange/{user.name}/x"),
            pulse.subscribe(f"exchange/{user.name}/x"),
        ):
            assert user.password not in repr(thing)
            assert quote(user.password, safe="") not in repr(thing)


def test_a_callback_for_the_state_cannot_be_a_coroutine_function() -> None:
    async def on_state(name: str, state: State) -> None:
        """Accept a state."""

    with pytest.raises(TypeError, match="on_state is called and not awaited"):
        pulsekit.connect("amqp://me:secret@localhost", on_state=on_state)  # type: ignore[arg-type] # what is tested


def test_a_callback_for_the_state_cannot_be_a_generator() -> None:
    def on_state(name: str, state: State) -> Iterator[State]:
        yield state

    with pytest.raises(TypeError, match="on_state cannot contain `yield`"):
        pulsekit.connect("amqp://me:secret@localhost", on_state=on_state)


@pytest.mark.parametrize("name", ["timeout", "retry_for"])
@pytest.mark.parametrize("value", ["5", None])
def test_a_time_that_is_no_number_is_refused_before_connecting(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} is a number, not {value!r}"):
        pulsekit.connect("amqp://me:p@127.0.0.1/", **{name: value})


@pytest.mark.parametrize(("name", "value"), [("host", ["a", "b"]), ("user", 5), ("virtual_host", b"/")])
def test_a_part_of_an_address_that_is_no_text_is_refused(name: str, value: Any) -> None:
    parts = {"host": "localhost", "user": "me", "password": "p", name: value}
    with pytest.raises(TypeError, match=f"^{name} is of type str, not "):
        pulsekit.connect(**parts)


async def test_another_event_loop_cannot_use_a_connection(pulse: pulsekit.Pulse, exchange: str) -> None:
    await pulse.create_exchange(exchange)
    publisher = pulse.publisher(exchange)
    async with pulse.subscribe(exchange) as messages:

        async def publish_many() -> None:
            async for receipt in publisher.publish_many([({}, "k")]):
                receipt.check()

        for use in (
            lambda: publisher.publish({}, "k"),
            publish_many,
            publisher.open,
            pulse.link,
            pulse.subscribe(exchange).open,
            messages.__anext__,
            messages.drain,
            messages.depth,
        ):
            with pytest.raises(pulsekit.NotOpen, match="belongs to another event loop"):
                await asyncio.to_thread(lambda use=use: asyncio.run(use()))
        await publisher.publish({}, "k")  # nothing is damaged
        await (await anext(messages)).ack()


_FORKS = """
import asyncio, os, sys, pulsekit

async def main(url, exchange):
    async with pulsekit.connect(url) as pulse:
        await pulse.create_exchange(exchange)
        publisher = pulse.publisher(exchange)
        await publisher.publish({}, "k")
        child = os.fork()
        if not child:
            try:
                await publisher.publish({}, "k")
            except pulsekit.NotOpen as error:
                print(error, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        await publisher.publish({}, "k")

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_child_process_cannot_use_the_connection_of_its_parent(user: PulseUser, exchange: str) -> None:
    process = Child([sys.executable, "-c", _FORKS, user.url, exchange], stdout=subprocess.PIPE)
    out, _ = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    assert b"belongs to the parent process" in out


async def test_a_connection_that_is_not_closed_is_reported() -> None:
    with pytest.warns(ResourceWarning, match="a connection of u was not closed: use `async with pulsekit.connect"):
        await pulsekit.connect("amqp://u:p@127.0.0.1:1/").__aenter__()


async def test_a_broker_can_be_given_in_parts(user: PulseUser) -> None:
    parts = urlsplit(user.url)
    login = {"user": user.name, "password": unquote(parts.password or "")}
    async with pulsekit.connect(host=parts.hostname, port=parts.port, virtual_host="communitytc", **login) as pulse:
        await pulse.create_exchange(f"exchange/{user.name}/x")
    with pulsekit.sync.connect(host=f"::1,{parts.hostname}", port=parts.port, **login) as blocking:
        assert not blocking.exchange_exists(f"exchange/{user.name}/x")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"url": "amqp://u:p@localhost/", "host": "h"}, "a URL and a host"),
        ({"login": "work", "host": "h"}, "a login and a host"),
        ({"port": 5671}, "need a host"),
        ({"host": "h:5671", "user": "u"}, "see also port"),
        ({"host": "u@h", "user": "u"}, "a host is a name or an address"),
        ({"host": "h", "port": 70_000}, "a port is a number"),
        ({"host": "h", "port": "5671"}, "a port is a number from 1 to 65535, not '5671'"),
        ({"host": "h"}, "there is a password for h, but no user"),
        ({"host": "h", "user": "u", "virtual_host": "\ud800"}, "UTF-8"),
        ({"host": "h", "user": "u", "tls": False}, "clear text to h"),
    ],
)
def test_invalid_parts_are_refused_without_showing_the_password(parts: dict[str, Any], words: str) -> None:
    if "port" not in parts or "host" in parts:
        parts["password"] = "s3cret"
    with pytest.raises(pulsekit.ConfigurationError, match=words) as caught:
        pulsekit.connect(**parts)
    trace = caught.value.__traceback__ and caught.value.__traceback__.tb_next  # without the frame of this test
    while trace is not None:
        assert "s3cret" not in repr(trace.tb_frame.f_locals)
        trace = trace.tb_next


def test_a_broker_on_another_machine_is_reached_by_tls() -> None:
    brokers = [
        pulsekit.connect(host=host, user="u", password="p", tls=tls)._broker
        for host, tls in (("h", None), ("localhost", None), ("localhost", True), ("::1", None), ("a,b", None))
    ]
    assert [str(broker) for broker in brokers] == [
        "amqps://u:***@h:5671/",
        "amqp://u:***@localhost:5672/",
        "amqps://u:***@localhost:5671/",
        "amqp://u:***@[::1]:5672/",
        "amqps://u:***@a:5671,b:5671/",
    ]


async def test_the_first_connection_is_retried_while_a_broker_starts(user: PulseUser) -> None:
    backing_off = asyncio.Event()

    def on_state(name: str, state: State) -> None:
        if state is pulsekit.State.BACKING_OFF:
            backing_off.set()

    async with Proxy(user.url) as proxy:
        proxy.refuse()
        async with pulsekit.connect(proxy.url, retry_for=60, on_state=on_state) as pulse:
            checking = asyncio.ensure_future(pulse.check(timeout=60))
            await backing_off.wait()
            proxy.accept()
            await checking
    assert isinstance(await refusal("amqp://u:p@127.0.0.1:1/", retry_for=0.1), pulsekit.Unreachable)


async def test_a_health_check_asks_on_each_connection_in_use(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    await pulse.create_exchange(exchange)
    async with Proxy(user.url) as proxy, pulsekit.connect(proxy.url) as shaky:
        assert shaky.state is pulsekit.State.CLOSED
        await shaky.check()
        assert shaky.state is pulsekit.State.READY
        async with shaky.subscribe(exchange, prefetch_bytes=1) as messages:
            for _ in range(3):
                await pulse.publisher(exchange).publish({}, "a")
            message = await anext(messages)  # unsettled, so that the connection is not read for further messages
            await shaky.check()
            message.ack()
            proxy.refuse()
            proxy.cut()
            with pytest.raises(pulsekit.NetworkError, match="did not answer within"):
                await shaky.check(timeout=0.2)
            assert shaky.state in {pulsekit.State.BACKING_OFF, pulsekit.State.CONNECTING}
            proxy.accept()
            await shaky.check(timeout=60)
    with pulsekit.sync.connect(user.url) as blocking:
        blocking.check()
        assert blocking.state is pulsekit.State.READY


async def test_a_refusal_is_final_during_retries_of_the_first_connection(user: PulseUser) -> None:
    assert isinstance(await refusal(f"{user.url}nope", retry_for=60), pulsekit.VirtualHostRefused)


async def test_a_connection_that_ends_before_the_first_frame_is_reported(
    user: PulseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_eof(_: object) -> None:  # as on uvloop, which notices the end of the stream early
        raise StopAsyncIteration

    monkeypatch.setattr("aiormq.connection.FrameReceiver.get_frame", at_eof)
    error = await refusal(user.url)
    assert isinstance(error, pulsekit.Unreachable)
    assert "the connection was closed during the handshake" in str(error)
