from __future__ import annotations

import pytest
from pamqp import commands
from pamqp.commands import Basic, Channel, Confirm, Connection, Exchange, Queue, Tx
from support.raw_client import content
from support.sandbox_in_memory import World

from pulsekit.sandbox.model.arguments import LONGEST


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world):
    opened = world.connect()
    opened.call(Queue.Declare(queue="q"))
    return opened


def depth(world, name="q"):
    return world.broker.vhosts["/"].queues[name].depth


def test_consume_ok_comes_before_the_first_delivery(client) -> None:
    client.publish("", "q")
    assert client.call(Basic.Consume(queue="q")) == ["Basic.ConsumeOk", "Basic.Deliver"]


def test_a_return_comes_before_its_ack(client) -> None:
    client.call(Confirm.Select())
    assert client.call(*content("", "nowhere", mandatory=True)) == ["Basic.Return 312", "Basic.Ack"]


def test_delete_ok_comes_before_the_cancel_of_the_consumers(client) -> None:
    client.call(Basic.Consume(queue="q"))
    assert client.call(Queue.Delete(queue="q")) == ["Queue.DeleteOk", "Basic.Cancel"]


def test_a_client_without_cancel_notify_is_not_sent_a_cancel(world, client) -> None:
    simple = world.connect(capabilities={})
    simple.call(Basic.Consume(queue="q"))
    client.call(Queue.Delete(queue="q"))
    assert simple.names() == []


def test_frames_that_cross_a_close_are_ignored_and_the_channel_reopens(client) -> None:
    crossing = [Queue.Declare(queue="no", passive=True), *content("", "q"), Basic.Qos(prefetch_count=1), Basic.Ack(7)]
    assert client.call(*crossing) == ["Channel.Close 404"]
    assert client.call(Channel.CloseOk(), Channel.Open()) == ["Channel.OpenOk"]


def test_two_closes_that_cross_are_both_answered(client) -> None:
    assert client.call(Basic.Ack(7), Channel.Close(200, "", 0, 0)) == ["Channel.Close 406", "Channel.CloseOk"]
    assert client.call(Channel.CloseOk(), Channel.Open()) == ["Channel.OpenOk"]


def test_a_refused_channel_does_not_affect_the_others(client) -> None:
    client.call(Channel.Open(), channel=2)
    assert client.call(Basic.Ack(7), channel=2) == ["Channel.Close 406"]
    assert client.call(Basic.Qos(prefetch_count=1)) == ["Basic.QosOk"]


def test_confirms_before_an_error_precede_the_close(client) -> None:
    client.call(Confirm.Select())
    assert client.call(*content("", "q"), *content("missing", "q")) == ["Basic.Ack", "Channel.Close 404"]


def test_a_transaction_has_no_effect_before_its_commit(world, client) -> None:
    client.call(Tx.Select())
    client.publish("", "q", b"1")
    assert depth(world) == 0
    assert client.call(Tx.Commit()) == ["Tx.CommitOk"]
    assert depth(world) == 1
    client.send(Basic.Get(queue="q"))
    client.send(Basic.Ack(1))
    assert depth(world) == 1
    client.call(Tx.Commit())
    assert depth(world) == 0


def test_a_rollback_drops_publishes_and_restores_acked_deliveries(world, client) -> None:
    client.call(Tx.Select())
    client.publish("", "q", b"1")
    client.call(Tx.Commit())
    client.send(Basic.Get(queue="q"))
    client.read()
    client.publish("", "q", b"2")
    client.send(Basic.Ack(1))
    assert client.call(Tx.Rollback()) == ["Tx.RollbackOk"]
    assert depth(world) == 1
    assert client.call(Basic.Ack(1), Tx.Commit()) == ["Tx.CommitOk"]
    assert depth(world) == 0


def test_a_lost_transaction_requeues_what_it_had_settled(world, client) -> None:
    client.publish("", "q", b"1")
    client.call(Tx.Select())
    client.send(Basic.Get(queue="q"))
    client.send(Basic.Ack(1))
    client.session.lost()
    assert len(world.broker.vhosts["/"].queues["q"].backlog) == 1


def test_a_reply_is_sent_to_the_channel_of_the_request(world, client) -> None:
    server = world.connect()
    client.call(Basic.Consume(queue="amq.rabbitmq.reply-to", no_ack=True))
    client.publish("", "q", b"question", reply_to="amq.rabbitmq.reply-to")
    server.send(Basic.Get(queue="q", no_ack=True))
    reply_to = next(value.properties.reply_to for value in server.read() if hasattr(value, "body_size"))
    assert reply_to.startswith("amq.rabbitmq.reply-to.")
    server.publish("", reply_to, b"answer", mandatory=True)
    assert server.names() == []
    assert client.bodies() == [b"answer"]
    client.session.lost()
    server.publish("", reply_to, b"too late", mandatory=True)
    assert server.names() == ["Basic.Return 312"]


@pytest.mark.parametrize(
    "asked",
    [
        [Basic.Consume(queue="amq.rabbitmq.reply-to")],
        [*content("", "q", reply_to="amq.rabbitmq.reply-to")],
        [Basic.Consume(queue="amq.rabbitmq.reply-to", no_ack=True)] * 2,
    ],
)
def test_an_invalid_reply_consumer_is_refused(client, asked) -> None:
    assert client.call(*asked)[-1] == "Channel.Close 406"


def test_get_returns_how_many_messages_are_left(client) -> None:
    client.publish("", "q")
    client.publish("", "q")
    client.send(Basic.Get(queue="q"), Basic.Get(queue="q"), Basic.Get(queue="q"))
    values = [value for value in client.read() if value.name.startswith("Basic.Get")]
    assert [getattr(value, "message_count", None) for value in values] == [1, 0, None]


def test_an_empty_name_means_the_queue_declared_last(world, client) -> None:
    client.call(Queue.Declare(queue="last"), Queue.Bind(queue="", exchange="amq.direct", routing_key=""))
    client.publish("amq.direct", "last")
    assert depth(world, "last") == 1
    assert client.call(Queue.Purge(queue="")) == ["Queue.PurgeOk"]


def test_an_empty_name_without_a_declared_queue_is_an_error(world) -> None:
    assert world.connect().call(Queue.Purge(queue="")) == ["Channel.Close 404"]


def test_nowait_is_not_answered(client) -> None:
    silent = [
        Exchange.Declare(exchange="x", exchange_type="fanout", nowait=True),
        Queue.Declare(queue="n", nowait=True),
        Queue.Bind(queue="n", exchange="x", nowait=True),
        Basic.Consume(queue="n", consumer_tag="t", nowait=True),
        Basic.Cancel(consumer_tag="t", nowait=True),
        Queue.Purge(queue="n", nowait=True),
        Queue.Delete(queue="n", nowait=True),
        Exchange.Delete(exchange="x", nowait=True),
        Confirm.Select(nowait=True),
    ]
    assert client.call(*silent) == []


def test_a_large_body_is_split_into_frames_of_the_agreed_size(world) -> None:
    sender, taker = world.connect(), world.connect(frame_max=4096)
    sender.call(Queue.Declare(queue="q"))
    data = bytes(range(256)) * 40
    sender.publish("", "q", data)
    taker.send(Basic.Get(queue="q"))
    pieces = [value.value for value in taker.read() if hasattr(value, "value")]
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) == 4096 - 8


def test_an_empty_body_has_no_body_frame(client) -> None:
    client.publish("", "q", b"")
    client.send(Basic.Get(queue="q"))
    assert [value.name for value in client.read()] == ["Basic.GetOk", "ContentHeader"]


def test_a_message_too_large_is_refused_before_it_is_sent(client) -> None:
    frames = content("", "q")
    frames[1].body_size = 200_000_000
    assert client.call(*frames[:2]) == ["Channel.Close 406"]


@pytest.mark.parametrize(
    "header",
    [b"\x00\x3c", b"\x00\x3c\x00\x00" + bytes(8) + b"\x80\x00\x09", b"\x00\x3c\x00\x00" + bytes(8) + b"\x00\x01"],
)
def test_a_malformed_content_header_closes_the_connection(client, header) -> None:
    frame = b"\x02\x00\x01" + len(header).to_bytes(4, "big") + header + b"\xce"
    assert client.call(Basic.Publish(exchange="", routing_key="q"), frame)[-1:] == ["Connection.Close 502"]


def test_methods_only_a_server_sends_are_refused(client) -> None:
    assert client.call(commands.Queue.DeclareOk("q", 0, 0)) == ["Connection.Close 503"]


def test_more_channels_than_agreed_are_refused(world) -> None:
    client = world.connect(channel_max=2)
    client.call(Channel.Open(), channel=2)
    assert client.call(Channel.Open(), channel=3) == ["Connection.Close 530"]


def test_a_secret_can_be_updated(client) -> None:
    assert client.call(Connection.UpdateSecret("new", "rotated")) == ["Connection.UpdateSecretOk"]


@pytest.mark.parametrize(
    ("frames", "answer"),
    [
        ([Connection.Open("/")], "Connection.Close 504"),
        ([*content("", "q")[:1], Channel.Close(200, "", 0, 0)], "Connection.Close 505"),
        (content("", "q", expiration="-1"), "Channel.Close 406"),
        (content("", "q", expiration="1.5"), "Channel.Close 406"),
        (content("", "q", expiration=str(LONGEST + 1)), "Channel.Close 406"),
        ([Queue.Declare(queue="n", arguments={"x-message-ttl": LONGEST + 1})], "Channel.Close 406"),
        ([Queue.Declare(queue="n", arguments={"x-expires": LONGEST + 1})], "Channel.Close 406"),
        ([Queue.Declare(queue="n", arguments={"x-queue-type": "quorum"})], "Channel.Close 406"),
        ([Basic.Consume(queue="q", arguments={"x-priority": "high"})], "Channel.Close 406"),
        ([Exchange.Declare(exchange="n", arguments={"alternate-exchange": 5})], "Channel.Close 406"),
        ([b"\x01\x00\x01\x00\x00\x00\x0d\x00\x32\x00\x0a\x00\x00\x01\xff\x04\0\0\0\0\xce"], "Connection.Close 501"),
        ([b"\x08\x00\x00\x00\x00\x00\x01x\xce"], "Connection.Close 501"),
    ],
)
def test_other_misuse_is_answered_as_by_rabbitmq(client, frames, answer) -> None:
    assert client.call(*frames) == [answer]


def test_a_stream_is_refused(world) -> None:
    client = world.connect()
    declare = Queue.Declare(queue="q", durable=True, arguments={"x-queue-type": "stream"})
    assert client.call(declare) == ["Channel.Close 406"]
