from __future__ import annotations

import pytest
from pamqp.commands import Basic, Channel, Confirm, Queue
from support.sandbox_in_memory import World


@pytest.fixture
def world() -> World:
    return World()


def declare(client, name="q", **arguments):
    options = {key: arguments.pop(key) for key in ("durable", "exclusive", "auto_delete") if key in arguments}
    table = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    assert client.call(Queue.Declare(queue=name, arguments=table, **options)) == ["Queue.DeclareOk"]


def fill(client, *bodies, queue="q", **options):
    for data in bodies:
        client.publish("", queue, data, **options)


def drain(client, queue="q"):
    """Get all messages of a queue, without requeuing any."""
    found = []
    while True:
        client.send(Basic.Get(queue=queue, no_ack=True))
        got = client.deliveries()
        if not got:
            return found
        found += got


def bodies(client, queue="q"):
    return [data for _, _, data in drain(client, queue)]


def test_messages_requeued_one_by_one_return_to_their_positions(world) -> None:
    client = world.connect()
    declare(client)
    client.call(Basic.Qos(prefetch_count=3))
    fill(client, b"1", b"2", b"3", b"4")
    client.send(Basic.Consume(queue="q", consumer_tag="t"))
    assert client.deliveries() == [(1, False, b"1"), (2, False, b"2"), (3, False, b"3")]
    client.send(Basic.Cancel(consumer_tag="t"))
    client.send(Basic.Nack(1, requeue=True), Basic.Nack(2, requeue=True), Basic.Reject(3, requeue=True))
    client.read()
    assert [(again, data) for _, again, data in drain(client)] == [
        (True, b"1"),
        (True, b"2"),
        (True, b"3"),
        (False, b"4"),
    ]


def test_a_multiple_nack_requeues_messages_in_order(world) -> None:
    client = world.connect()
    declare(client)
    fill(client, b"1", b"2", b"3")
    for _ in range(3):
        client.send(Basic.Get(queue="q"))
    client.send(Basic.Nack(0, multiple=True, requeue=True))
    client.read()
    assert bodies(client) == [b"1", b"2", b"3"]


def test_a_lost_connection_requeues_its_messages_in_order(world) -> None:
    gone, client = world.connect(), world.connect()
    declare(gone)
    fill(gone, b"1", b"2", b"3")
    gone.send(Basic.Consume(queue="q"))
    assert len(gone.deliveries()) == 3
    gone.session.lost()
    assert [(again, data) for _, again, data in drain(client)] == [(True, b"1"), (True, b"2"), (True, b"3")]


def test_recover_requeues_everything(world) -> None:
    client = world.connect()
    declare(client)
    fill(client, b"1")
    client.send(Basic.Get(queue="q"))
    client.read()
    assert client.call(Basic.Recover(requeue=True)) == ["Basic.RecoverOk"]
    assert drain(client) == [(2, True, b"1")]


def test_consumers_of_one_priority_alternate_below_a_higher_one(world) -> None:
    client = world.connect()
    declare(client)
    client.call(Basic.Qos(prefetch_count=1))
    for tag in ("a", "b"):
        client.call(Basic.Consume(queue="q", consumer_tag=tag))
    client.call(Basic.Consume(queue="q", consumer_tag="vip", arguments={"x-priority": 5}))
    fill(client, b"1", b"2", b"3")
    tags = [value.consumer_tag for value in client.read() if isinstance(value, Basic.Deliver)]
    assert tags == ["vip", "a", "b"]


def test_only_one_consumer_is_active_until_it_stops(world) -> None:
    client = world.connect()
    declare(client, single_active_consumer=True)
    for tag in ("a", "b"):
        client.call(Basic.Consume(queue="q", consumer_tag=tag, no_ack=True))
    fill(client, b"1", b"2")
    assert {value.consumer_tag for value in client.read() if isinstance(value, Basic.Deliver)} == {"a"}
    client.send(Basic.Cancel(consumer_tag="a"))
    fill(client, b"3")
    assert [value.consumer_tag for value in client.read() if isinstance(value, Basic.Deliver)] == ["b"]


def test_higher_priorities_are_delivered_first(world) -> None:
    client = world.connect()
    declare(client, max_priority=5)
    for priority, data in ((0, b"low"), (9, b"capped"), (3, b"middle"), (5, b"high")):
        fill(client, data, priority=priority)
    assert bodies(client) == [b"capped", b"high", b"middle", b"low"]


def test_an_expired_message_is_dead_lettered_at_its_time(world) -> None:
    client = world.connect()
    declare(client, "dead")
    declare(client, message_ttl=1000, dead_letter_exchange="", dead_letter_routing_key="dead")
    fill(client, b"old")
    world.advance(0.999)
    assert world.broker.vhosts["/"].queues["q"].depth == 1
    world.advance(0.002)
    assert bodies(client, "dead") == [b"old"]


def test_messages_behind_a_message_that_was_read_expire(world) -> None:
    client = world.connect()
    declare(client, "dead")
    declare(client, dead_letter_exchange="", dead_letter_routing_key="dead")
    fill(client, b"stays")
    fill(client, b"1", expiration="1000")
    fill(client, b"2", expiration="3000")
    world.advance(2)
    assert client.call(Basic.Get(queue="q")) == ["Basic.GetOk"]
    assert bodies(client, "dead") == [b"1"]
    world.advance(2)
    assert bodies(client, "dead") == [b"2"]


def test_the_shorter_time_to_live_applies(world) -> None:
    client = world.connect()
    declare(client, message_ttl=5000)
    fill(client, b"soon", expiration="100")
    world.advance(0.2)
    assert bodies(client) == []


def test_a_message_without_time_to_live_is_delivered_to_a_waiting_consumer(world) -> None:
    client = world.connect()
    declare(client, message_ttl=0)
    fill(client, b"nobody waits")
    world.advance(0.001)
    client.send(Basic.Consume(queue="q", no_ack=True))
    fill(client, b"in time")
    assert client.bodies() == [b"in time"]


def test_many_expiring_messages_need_one_timer(world) -> None:
    client = world.connect()
    declare(client, message_ttl=60_000)
    before = len(world.broker.timers)
    fill(client, *[b"x"] * 500)
    assert len(world.broker.timers) == before + 1


def test_only_an_unused_queue_expires(world) -> None:
    client = world.connect()
    declare(client, expires=1000)
    world.advance(0.9)
    client.send(Basic.Get(queue="q"))
    world.advance(0.9)
    assert "q" in world.broker.vhosts["/"].queues
    client.call(Basic.Consume(queue="q", consumer_tag="t"))
    world.advance(10)
    assert "q" in world.broker.vhosts["/"].queues
    client.call(Basic.Cancel(consumer_tag="t"))
    world.advance(1.1)
    assert "q" not in world.broker.vhosts["/"].queues


def test_a_queue_that_is_read_often_needs_one_timer(world) -> None:
    client = world.connect()
    before = len(world.broker.timers)
    declare(client, expires=60_000)
    for _ in range(100):
        client.call(Basic.Get(queue="q"))
    assert len(world.broker.timers) == before + 1


def test_a_full_queue_drops_its_oldest(world) -> None:
    client = world.connect()
    declare(client, max_length=2)
    fill(client, b"1", b"2", b"3")
    assert bodies(client) == [b"2", b"3"]


def test_a_queue_with_a_byte_limit_drops_its_oldest(world) -> None:
    client = world.connect()
    declare(client, max_length_bytes=5)
    fill(client, b"123", b"45", b"6")
    assert bodies(client) == [b"45", b"6"]


def test_a_full_queue_makes_the_confirm_negative_and_keeps_its_messages(world) -> None:
    client = world.connect()
    declare(client, max_length=1, overflow="reject-publish")
    client.call(Confirm.Select())
    fill(client, b"1")
    assert client.names() == ["Basic.Ack"]
    fill(client, b"2")
    assert client.names() == ["Basic.Nack"]
    assert bodies(client) == [b"1"]


def test_confirms_of_one_read_are_sent_together(world) -> None:
    client = world.connect()
    declare(client, max_length=2, overflow="reject-publish")
    client.call(Confirm.Select())
    from support.raw_client import content

    client.send(*content("", "q"), *content("", "q"), *content("", "q"), *content("", "elsewhere"))
    confirms = [(v.name, v.delivery_tag, v.multiple) for v in client.read()]
    assert confirms == [("Basic.Ack", 2, True), ("Basic.Nack", 3, False), ("Basic.Ack", 4, False)]


def test_purge_counts_only_ready_messages(world) -> None:
    client = world.connect()
    declare(client)
    fill(client, b"1", b"2", b"3")
    client.send(Basic.Get(queue="q"))
    client.read()
    client.send(Queue.Purge(queue="q"))
    assert [value.message_count for value in client.read()] == [2]
    assert world.broker.vhosts["/"].queues["q"].depth == 1


def test_an_auto_delete_queue_is_deleted_with_its_last_consumer(world) -> None:
    client = world.connect()
    declare(client, auto_delete=True)
    client.call(Basic.Consume(queue="q", consumer_tag="a"), Basic.Consume(queue="q", consumer_tag="b"))
    client.call(Basic.Cancel(consumer_tag="a"))
    assert "q" in world.broker.vhosts["/"].queues
    client.call(Basic.Cancel(consumer_tag="b"))
    assert "q" not in world.broker.vhosts["/"].queues


def test_an_exclusive_queue_is_deleted_with_its_connection(world) -> None:
    client = world.connect()
    declare(client, exclusive=True)
    client.session.lost()
    assert not world.broker.vhosts["/"].queues


def test_settling_after_the_queue_was_deleted_does_nothing(world) -> None:
    client = world.connect()
    declare(client)
    fill(client, b"1", b"2", b"3")
    for _ in range(3):
        client.send(Basic.Get(queue="q"))
    client.send(Queue.Delete(queue="q"))
    client.send(Basic.Ack(1), Basic.Nack(2, requeue=True), Basic.Reject(3, requeue=False))
    assert "Channel.Close 406" not in client.names()
    assert world.broker.memory_used == 0


def test_the_memory_of_every_message_is_freed(world) -> None:
    client = world.connect()
    declare(client, "dead", max_length=1)
    declare(client, dead_letter_exchange="", dead_letter_routing_key="dead")
    fill(client, *[b"x" * 100] * 6)
    client.send(Basic.Consume(queue="q", consumer_tag="t"))
    client.send(
        Basic.Ack(1), Basic.Reject(2, requeue=False), Basic.Nack(3, requeue=False), Channel.Close(200, "", 0, 0)
    )
    client.read()
    assert world.broker.memory_used > 0
    other = world.connect()
    other.call(Queue.Purge(queue="q"), Queue.Delete(queue="dead"))
    assert world.broker.memory_used == 0


def test_the_prefetch_of_one_consumer_does_not_apply_to_the_next(world) -> None:
    client = world.connect()
    declare(client)
    client.call(Basic.Qos(prefetch_count=1))
    client.call(Basic.Consume(queue="q", consumer_tag="one"))
    client.call(Basic.Qos(prefetch_count=2))
    client.call(Basic.Consume(queue="q", consumer_tag="two"))
    fill(client, *[b"x"] * 9)
    tags = [value.consumer_tag for value in client.read() if isinstance(value, Basic.Deliver)]
    assert sorted(tags) == ["one", "two", "two"]


def test_a_global_prefetch_is_shared_by_the_channel(world) -> None:
    client = world.connect()
    declare(client)
    client.call(Basic.Qos(prefetch_count=2, global_=True))
    for tag in ("a", "b"):
        client.call(Basic.Consume(queue="q", consumer_tag=tag))
    fill(client, *[b"x"] * 9)
    assert len(client.deliveries()) == 2
    client.send(Basic.Ack(1))
    assert len(client.deliveries()) == 1


def test_an_ack_allows_the_next_delivery(world) -> None:
    client = world.connect()
    declare(client)
    client.call(Basic.Qos(prefetch_count=1))
    client.call(Basic.Consume(queue="q"))
    fill(client, b"1", b"2")
    assert client.bodies() == [b"1"]
    client.send(Basic.Ack(1))
    assert client.bodies() == [b"2"]
