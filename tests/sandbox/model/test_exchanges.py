from __future__ import annotations

import pytest
from pamqp.commands import Basic, Exchange, Queue
from pamqp.frame import marshal
from support.sandbox_in_memory import World


@pytest.fixture
def world() -> World:
    return World()


def exchange(client, name, kind="topic", **options):
    assert client.call(Exchange.Declare(exchange=name, exchange_type=kind, **options)) == ["Exchange.DeclareOk"]


def bind(client, queue, source, key="", **arguments):
    client.call(Queue.Declare(queue=queue))
    assert client.call(Queue.Bind(queue=queue, exchange=source, routing_key=key, arguments=arguments)) == [
        "Queue.BindOk"
    ]


def depths(world):
    return {name: queue.depth for name, queue in world.broker.vhosts["/"].queues.items()}


def test_a_topic_exchange_routes_by_pattern(world) -> None:
    client = world.connect()
    exchange(client, "x")
    bind(client, "all", "x", "#")
    bind(client, "one", "x", "treeherder.*")
    client.publish("x", "treeherder.autoland")
    client.publish("x", "treeherder.autoland._")
    assert depths(world) == {"all": 2, "one": 1}


def test_a_direct_exchange_routes_by_equal_key(world) -> None:
    client = world.connect()
    bind(client, "q", "amq.direct", "k")
    client.publish("amq.direct", "k")
    client.publish("amq.direct", "k.k")
    assert depths(world) == {"q": 1}


def test_a_fanout_exchange_routes_to_all(world) -> None:
    client = world.connect()
    bind(client, "a", "amq.fanout", "x")
    bind(client, "b", "amq.fanout", "y")
    client.publish("amq.fanout", "z")
    assert depths(world) == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("wanted", "headers", "taken"),
    [
        ({"x-match": "all", "a": 1, "b": "x"}, {"a": 1, "b": "x", "c": 2}, True),
        ({"x-match": "all", "a": 1, "b": "x"}, {"a": 1}, False),
        ({"x-match": "any", "a": 1, "b": "x"}, {"a": 1}, True),
        ({"x-match": "any", "a": 1}, {"a": 2}, False),
        ({"a": None}, {"a": 7}, True),
        ({"x-ignored": 1, "a": 1}, {"a": 1}, True),
        ({"x-match": "all-with-x", "x-kept": 1}, {"x-kept": 2}, False),
        ({"a": True}, {"a": 1}, False),
    ],
)
def test_a_headers_exchange_compares_headers(world, wanted, headers, taken) -> None:
    client = world.connect()
    bind(client, "q", "amq.headers", "", **wanted)
    client.publish("amq.headers", "", headers=headers)
    assert depths(world) == {"q": int(taken)}


def test_a_queue_gets_a_message_once_however_many_bindings_and_keys_match(world) -> None:
    client = world.connect()
    exchange(client, "x")
    bind(client, "q", "x", "#")
    bind(client, "q", "x", "a.*")
    client.publish("x", "a.b", headers={"CC": ["a.c"], "BCC": ["a.d"]})
    assert depths(world) == {"q": 1}


def test_cc_and_bcc_name_further_keys_and_bcc_is_not_passed_on(world) -> None:
    client = world.connect()
    exchange(client, "x")
    for key in ("a", "b", "c"):
        bind(client, key, "x", key)
    client.publish("x", "a", headers={"CC": ["b"], "BCC": ["c"], "kept": "yes"})
    assert depths(world) == {"a": 1, "b": 1, "c": 1}
    client.send(Basic.Get(queue="c"))
    head = next(value for value in client.read() if hasattr(value, "body_size"))
    assert head.properties.headers == {"CC": ["b"], "kept": "yes"}


def test_messages_are_routed_between_exchanges_even_in_a_loop(world) -> None:
    client = world.connect()
    for name in ("x", "y"):
        exchange(client, name, "fanout")
    for source, destination in (("x", "y"), ("y", "x")):
        assert client.call(Exchange.Bind(source=source, destination=destination)) == ["Exchange.BindOk"]
    bind(client, "q", "y")
    client.publish("x", "k")
    assert depths(world) == {"q": 1}


def test_the_alternate_exchange_receives_unroutable_messages(world) -> None:
    client = world.connect()
    exchange(client, "other", "fanout")
    exchange(client, "x", arguments={"alternate-exchange": "other"})
    bind(client, "left", "other")
    bind(client, "taken", "x", "a")
    client.publish("x", "a")
    client.publish("x", "b", mandatory=True)
    assert client.names() == []
    assert depths(world) == {"left": 1, "taken": 1}


def test_bindings_that_differ_in_arguments_are_two(world) -> None:
    client = world.connect()
    exchange(client, "x")
    bind(client, "q", "x", "a", n=1)
    bind(client, "q", "x", "a", n=2)
    client.call(Queue.Unbind(queue="q", exchange="x", routing_key="a", arguments={"n": 1}))
    client.publish("x", "a")
    assert depths(world) == {"q": 1}
    client.call(Queue.Unbind(queue="q", exchange="x", routing_key="a", arguments={"n": 2}))
    client.publish("x", "a")
    assert depths(world) == {"q": 1}


def test_the_order_of_the_arguments_of_a_binding_has_no_meaning(world) -> None:
    client = world.connect()
    client.call(Queue.Declare(queue="q"))
    raw = marshal(Queue.Bind(queue="q", exchange="amq.direct", routing_key="k", arguments={"a": True, "b": False}), 1)
    reordered = raw.replace(b"\x01at\x01\x01bt\x00", b"\x01bt\x00\x01at\x01")
    assert reordered != raw
    assert client.call(reordered) == ["Queue.BindOk"]
    client.call(Queue.Unbind(queue="q", exchange="amq.direct", routing_key="k", arguments={"a": True, "b": False}))
    client.publish("amq.direct", "k")
    assert depths(world) == {"q": 0}


def test_auto_delete_propagates_from_a_queue_through_exchanges(world) -> None:
    client = world.connect()
    exchange(client, "outer", auto_delete=True)
    exchange(client, "inner", auto_delete=True)
    client.call(Exchange.Bind(source="outer", destination="inner", routing_key="#"))
    client.call(Queue.Declare(queue="q", auto_delete=True), Queue.Bind(queue="q", exchange="inner", routing_key="#"))
    client.call(Basic.Consume(queue="q"))
    client.session.lost()
    assert not {"outer", "inner"} & set(world.broker.vhosts["/"].exchanges)
    assert not world.broker.vhosts["/"].queues


def test_a_deleted_exchange_loses_its_bindings(world) -> None:
    client = world.connect()
    exchange(client, "x")
    bind(client, "q", "x", "#")
    client.call(Exchange.Delete(exchange="x"))
    exchange(client, "x")
    client.publish("x", "a")
    assert depths(world) == {"q": 0}


def test_virtual_hosts_are_separate(world) -> None:
    here, there = world.connect(), world.connect(vhost="communitytc")
    bind(here, "q", "amq.topic", "#")
    there.publish("amq.topic", "a")
    assert depths(world) == {"q": 0}


def test_a_key_that_is_not_utf8_is_forwarded_unchanged(world) -> None:
    client = world.connect()
    exchange(client, "x")
    bind(client, "q", "x", "#")
    method = b"\x00\x3c\x00\x28\x00\x00\x01x\x02\xff\xfe\x00"
    head = b"\x00\x3c\x00\x00" + bytes(8) + b"\x00\x00"
    frames = [
        bytes((kind, 0, 1)) + len(data).to_bytes(4, "big") + data + b"\xce" for kind, data in ((1, method), (2, head))
    ]
    client.send(*frames)
    client.send(Basic.Get(queue="q"))
    assert b"\x01x\x02\xff\xfe" in client.session.data_to_send()
