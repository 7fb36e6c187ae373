from __future__ import annotations

import pytest
from pamqp import header
from pamqp.commands import Basic, Exchange, Queue
from support.sandbox_in_memory import World

from pulsekit.sandbox.codec.properties import Properties


@pytest.fixture
def world() -> World:
    return World()


def declare(client, name, **arguments):
    table = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    assert client.call(Queue.Declare(queue=name, arguments=table)) == ["Queue.DeclareOk"]


def reject(client, queue):
    client.send(Basic.Get(queue=queue))
    tag = next(value.delivery_tag for value in client.read() if isinstance(value, Basic.GetOk))
    client.send(Basic.Reject(tag, requeue=False))


def headers(client, queue):
    client.send(Basic.Get(queue=queue, no_ack=True))
    found = next((value for value in client.read() if isinstance(value, header.ContentHeader)), None)
    return None if found is None else found.properties.headers


def test_a_rejected_message_has_its_history_newest_first(world) -> None:
    client = world.connect()
    declare(client, "end")
    declare(client, "second", dead_letter_exchange="", dead_letter_routing_key="end", message_ttl=10)
    declare(client, "first", dead_letter_exchange="", dead_letter_routing_key="second")
    client.publish("", "first", headers={"mine": 1})
    reject(client, "first")
    world.advance(1)
    found = headers(client, "end")
    assert [(death["queue"], death["reason"], death["count"]) for death in found["x-death"]] == [
        ("second", "expired", 1),
        ("first", "rejected", 1),
    ]
    assert found["x-death"][0]["routing-keys"] == ["second"]
    assert found["x-death"][0]["exchange"] == ""
    assert (found["x-first-death-queue"], found["x-first-death-reason"]) == ("first", "rejected")
    assert found["mine"] == 1


def test_a_second_round_through_the_same_queue_is_counted(world) -> None:
    client = world.connect()
    declare(client, "q", dead_letter_exchange="", dead_letter_routing_key="q")
    client.publish("", "q")
    for _ in range(3):
        reject(client, "q")
    assert [death["count"] for death in headers(client, "q")["x-death"]] == [3]


def test_an_automatic_cycle_ends(world) -> None:
    client = world.connect()
    declare(client, "a", dead_letter_exchange="", dead_letter_routing_key="b", message_ttl=10)
    declare(client, "b", dead_letter_exchange="", dead_letter_routing_key="a", message_ttl=10)
    client.publish("", "a")
    world.advance(10)
    assert [queue.depth for queue in world.broker.vhosts["/"].queues.values()] == [0, 0]


def test_a_long_chain_of_overflows_does_not_exhaust_the_stack(world) -> None:
    client = world.connect()
    size = 3000
    declare(client, "q", max_length=size, dead_letter_exchange="", dead_letter_routing_key="q")
    for _ in range(size + 1):
        client.publish("", "q")
    assert world.broker.vhosts["/"].queues["q"].depth <= size
    assert client.call(Basic.Qos(prefetch_count=1)) == ["Basic.QosOk"]


def test_the_expiration_is_removed_and_recorded(world) -> None:
    client = world.connect()
    declare(client, "dead")
    declare(client, "q", dead_letter_exchange="", dead_letter_routing_key="dead")
    client.publish("", "q", expiration="10")
    world.advance(1)
    client.send(Basic.Get(queue="dead"))
    found = next(value for value in client.read() if isinstance(value, header.ContentHeader))
    assert found.properties.expiration is None
    assert found.properties.headers["x-death"][0]["original-expiration"] == "10"


def test_the_bytes_of_other_headers_do_not_change(world) -> None:
    client = world.connect()
    declare(client, "dead")
    declare(client, "q", dead_letter_exchange="", dead_letter_routing_key="dead")
    double, empty, wide = b"\x01dd" + b"\x3f" * 8, b"\x01eS\0\0\0\0", b"\x01wl" + b"\0" * 7 + b"\1"
    table = double + empty + wide
    head = b"\x00\x3c\x00\x00" + (0).to_bytes(8, "big") + b"\x20\x00" + len(table).to_bytes(4, "big") + table
    frame = b"\x02\x00\x01" + len(head).to_bytes(4, "big") + head + b"\xce"
    client.send(Basic.Publish(exchange="", routing_key="q"), frame)
    reject(client, "q")
    queue = world.broker.vhosts["/"].queues["dead"]
    assert Properties(queue.backlog.first().message.header).raw_headers.endswith(table)


def test_a_missing_dead_letter_exchange_drops_the_message(world) -> None:
    client = world.connect()
    declare(client, "q", dead_letter_exchange="gone")
    client.publish("", "q")
    reject(client, "q")
    assert "dropped" in world.kinds()


def test_overflow_goes_to_the_dead_letter_exchange_with_its_reason(world) -> None:
    client = world.connect()
    assert client.call(Exchange.Declare(exchange="dlx", exchange_type="fanout")) == ["Exchange.DeclareOk"]
    declare(client, "dead")
    client.call(Queue.Bind(queue="dead", exchange="dlx"))
    declare(client, "q", dead_letter_exchange="dlx", max_length=1)
    client.publish("", "q", b"old")
    client.publish("", "q", b"new")
    assert headers(client, "dead")["x-death"][0]["reason"] == "maxlen"


def test_cc_is_removed_if_the_queue_sets_another_key(world) -> None:
    client = world.connect()
    declare(client, "dead")
    declare(client, "q", dead_letter_exchange="", dead_letter_routing_key="dead")
    client.publish("", "q", headers={"CC": ["elsewhere"]})
    reject(client, "q")
    found = headers(client, "dead")
    assert "CC" not in found
    assert found["x-death"][0]["routing-keys"] == ["q", "elsewhere"]
