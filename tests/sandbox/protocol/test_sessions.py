from __future__ import annotations

import pytest
from pamqp import heartbeat
from pamqp.commands import Basic, Channel, Confirm, Connection, Queue
from support.raw_client import CAPABILITIES, content
from support.sandbox_in_memory import Client, World

from pulsekit._config.local_sandbox import SANDBOX_PLATFORM
from pulsekit.sandbox.model.users import Users
from pulsekit.sandbox.releases import RELEASES


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("header", [b"AMQP\x01\x01\x00\x0a", b"GET / HTTP/1.1\r\n", b"AMQP\x03\x01\x00\x00", b"x"])
def test_another_protocol_is_answered_with_the_supported_one(world, header) -> None:
    client = Client(world)
    client.session.receive(header)
    assert client.session.data_to_send() == b"AMQP\x00\x00\x09\x01"
    assert client.session.finished


def test_a_session_introduces_itself_as_rabbitmq_on_the_platform_sandbox(world) -> None:
    client = Client(world)
    for byte in b"AMQP\x00\x00\x09\x01":
        client.session.receive(bytes((byte,)))
    start = client.read()[0]
    assert (start.version_major, start.version_minor) == (0, 9)
    assert set(start.mechanisms.split()) == {"AMQPLAIN", "PLAIN"}
    assert (start.server_properties["product"], start.server_properties["platform"]) == ("RabbitMQ", SANDBOX_PLATFORM)
    assert start.server_properties["capabilities"]["publisher_confirms"] is True


@pytest.mark.parametrize("known", [{"password": "secret"}, {"known": {"guest": "changed"}}])
def test_a_login_without_a_name_does_not_replace_a_password(known) -> None:
    client = Client(World(release=RELEASES[4], users=Users(**known)))
    client.session.receive(b"AMQP\x00\x00\x09\x01")
    client.send(Connection.StartOk({"capabilities": dict(CAPABILITIES)}, "ANONYMOUS", "", "en_US"))
    assert client.names()[-1] == "Connection.Close 403"


def test_frames_can_arrive_byte_by_byte(world) -> None:
    client = world.connect()
    for byte in b"\x01\x00\x01\x00\x00\x00\x0b\x00\x3c\x00\x0a\x00\x00\x00\x00\x00\x01\x00\xce":
        client.send(bytes((byte,)))
    assert client.names() == ["Basic.QosOk"]


def test_an_incomplete_handshake_times_out(world) -> None:
    client = Client(world)
    client.session.receive(b"AMQP\x00\x00\x09\x01")
    world.advance(10.1)
    assert client.session.finished


def test_an_unanswered_close_times_out(world) -> None:
    client = world.connect()
    assert client.call(Channel.Open()) == ["Connection.Close 504"]
    assert not client.session.finished
    world.advance(5)
    assert client.session.finished


def test_an_answered_close_ends_the_session_at_once(world) -> None:
    client = world.connect()
    client.call(Channel.Open(), Basic.Qos(prefetch_count=1))
    client.send(Connection.CloseOk())
    assert client.session.finished


def test_a_close_is_answered_after_the_queues_are_deleted(world) -> None:
    client = world.connect()
    client.call(Queue.Declare(queue="q", exclusive=True))
    assert client.call(Connection.Close(200, "bye", 0, 0)) == ["Connection.CloseOk"]
    assert not world.broker.vhosts["/"].queues


def test_a_socket_that_stays_open_after_close_ok_is_closed(world) -> None:
    client = world.connect()
    client.call(Connection.Close(200, "bye", 0, 0))
    assert client.call(Queue.Declare(queue="late"), b"not a frame") == []
    assert not client.session.finished
    assert not world.broker.vhosts["/"].queues
    world.advance(5)
    assert client.session.finished
    assert world.kinds().count("disconnected") == 1


def test_a_stream_of_invalid_frames_is_not_read_further(world) -> None:
    client = world.connect()
    assert client.call(b"\x01\x00\x01\xff\xff\xff\xff", b"rubbish" * 100_000) == ["Connection.Close 501"]
    assert client.call(Basic.Qos(prefetch_count=1), Connection.CloseOk()) == []
    world.advance(5)
    assert client.session.finished


def test_before_the_login_frames_are_small(world) -> None:
    client = Client(world)
    client.session.receive(b"AMQP\x00\x00\x09\x01")
    client.session.receive(b"\x01\x00\x00\x00\x01\x00\x00")
    assert client.session.finished


def test_heartbeats_are_sent_when_nothing_else_is(world) -> None:
    client = world.connect(heartbeat=10)
    client.read()
    for _ in range(4):
        world.advance(5)
        client.send(heartbeat.Heartbeat())
    assert client.names() == ["Heartbeat"] * 3  # in the first interval there was the handshake


def test_a_client_without_data_for_two_heartbeats_is_lost(world) -> None:
    client = world.connect(heartbeat=10)
    world.advance(20)
    assert not client.session.finished
    world.advance(11)
    assert client.session.finished


def test_without_heartbeats_no_data_are_required(world) -> None:
    client = world.connect(heartbeat=0)
    world.advance(10_000)
    assert not client.session.finished


def test_a_slow_consumer_pauses_its_deliveries(world) -> None:
    slow, fast = world.connect(), world.connect()
    slow.call(Queue.Declare(queue="q"), Basic.Consume(queue="q", no_ack=True))
    slow.session.congested = True
    for _ in range(100):
        fast.publish("", "q")
    assert slow.session.data_to_send() == b""
    slow.session.congested = False
    slow.session.drained()
    assert len(slow.bodies()) == 100


def test_unsent_output_is_bounded(world) -> None:
    client = world.connect()
    client.call(Queue.Declare(queue="q"))
    for _ in range(200):
        client.publish("", "q", b"x" * 10_000)
    client.send(Basic.Consume(queue="q", no_ack=True))
    assert len(client.session.data_to_send()) < 300_000
    client.session.drained()
    assert len(client.bodies()) > 150


def test_a_client_that_requests_without_reading_is_not_read(world) -> None:
    client = world.connect()
    client.session.congested = True
    while not client.session.paused:
        client.send(*[Basic.Qos(prefetch_count=1)] * 1000)
    assert len(client.session.data_to_send()) < 5_000_000
    client.session.drained()
    assert client.session.paused
    client.session.congested = False
    client.session.drained()
    assert not client.session.paused


def test_a_few_bytes_do_not_request_more_than_a_client_reads(world) -> None:
    client, size = world.connect(), 100_000
    client.call(Queue.Declare(queue="q"))
    for _ in range(500):
        client.publish("", "q", b"x" * size)
    client.send(*[Basic.Get(queue="q", no_ack=True)] * 500, Queue.Declare(queue="last"))
    assert client.session.paused
    largest = total = 0
    while data := client.session.data_to_send():
        largest, total = max(largest, len(data)), total + data.count(b"x" * size)
        client.session.drained()
    assert total == 500
    assert largest < (1 << 22) + 2 * size
    assert not client.session.paused
    assert "last" in world.broker.vhosts["/"].queues


def test_a_publisher_is_blocked_and_notified_at_its_next_publish(world) -> None:
    client, idle = world.connect(), world.connect()
    client.call(Queue.Declare(queue="q"), Confirm.Select())
    world.broker.block("for a test")
    assert not client.session.paused
    assert client.call(*content("", "q")) == ["Connection.Blocked", "Basic.Ack"]
    assert client.session.paused
    assert not idle.session.paused
    world.broker.unblock()
    assert client.names() == ["Connection.Unblocked"]
    assert not client.session.paused


def test_a_client_without_blocked_notifications_is_still_blocked(world) -> None:
    client = world.connect(capabilities={**CAPABILITIES, "connection.blocked": False})
    world.broker.block()
    assert client.call(*content("", "q")) == []
    assert client.session.paused


def test_a_full_memory_blocks_publishers_until_it_is_freed() -> None:
    world = World(memory_limit=10_000)
    client, other = world.connect(), world.connect()
    client.call(Queue.Declare(queue="q"))
    for _ in range(20):
        client.publish("", "q", b"x" * 1000)
    assert client.session.paused
    other.call(Queue.Purge(queue="q"))
    assert not client.session.paused


def test_a_blocked_client_is_not_closed_for_missing_heartbeats(world) -> None:
    client = world.connect(heartbeat=10)
    world.broker.block()
    client.publish("", "q")
    world.advance(100)
    assert not client.session.finished


def test_an_operator_can_close_a_connection(world) -> None:
    client = world.connect()
    client.session.close(320, "going down")
    assert client.names() == ["Connection.Close 320"]


def test_refused_publishes_are_nacked_and_not_routed(world) -> None:
    client = world.connect()
    client.call(Queue.Declare(queue="q"), Confirm.Select())
    world.broker.refusing = True
    assert client.call(*content("", "q")) == ["Basic.Nack"]
    assert world.broker.vhosts["/"].queues["q"].depth == 0


def test_one_wake_is_enough_for_many_answers(world) -> None:
    client = world.connect()
    before = client.woken
    client.send(*[Basic.Qos(prefetch_count=1)] * 50)
    assert client.woken == before + 1


def test_a_bug_in_the_sandbox_is_a_close_and_not_a_traceback(world, monkeypatch, caplog) -> None:
    client = world.connect()
    monkeypatch.setattr("pulsekit.sandbox.codec.frames.decode", lambda _: 1 / 0)
    assert client.call(Basic.Qos(prefetch_count=1)) == ["Connection.Close 541"]
    assert "failed" in caplog.text
