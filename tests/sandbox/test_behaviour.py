"""Behaviour that needs several answers to see, on the sandbox and on RabbitMQ."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pamqp import body, frame
from pamqp.commands import Basic, Channel, Confirm, Connection, Exchange, Queue, Tx
from support.raw_client import Login, RawClient, connect, content, shake_hands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox.conftest import Address


@pytest.fixture
async def wire(address: Address) -> AsyncIterator[RawClient]:
    async with connect(address.host, address.port, Login()) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """A name that is unique on the broker."""
    return f"t{secrets.token_hex(4)}"


async def declare(wire: RawClient, name: str, **arguments: Any) -> str:
    table = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    await wire.call(Queue.Declare(queue=name, exclusive=True, arguments=table))
    return name


async def get(wire: RawClient, queue: str, *, no_ack: bool = True) -> Any:
    """Return method, header and body of the next message, once the queue has one."""
    while True:
        wire.send(Basic.Get(queue=queue, no_ack=no_ack))
        method = await wire.next()
        if isinstance(method, Basic.GetOk):
            head = await wire.next()
            return method, head, (await wire.next()).value if head.body_size else b""
        await asyncio.sleep(0.02)  # between two questions: the broker reports no message


async def bodies(wire: RawClient, queue: str, count: int) -> list[bytes]:
    return [(await get(wire, queue))[2] for _ in range(count)]


async def depth(wire: RawClient, queue: str) -> int:
    return (await wire.call(Queue.Declare(queue=queue, passive=True))).message_count


async def publish(wire: RawClient, exchange: str, key: str, *datas: bytes, **options: Any) -> list[str]:
    """Publish with confirms and return the outcomes."""
    verdicts = []
    for data in datas or (b"hi",):
        wire.send(*content(exchange, key, data, **options))
        verdicts.append((await wire.next()).name)
    return verdicts


async def test_a_client_that_still_sends_after_its_close_reads_close_ok(address) -> None:
    async with connect(address.host, address.port, Login()) as wire:
        wire.send(Connection.Close(200, "bye", 0, 0))
        for _ in range(20):
            wire.publish("", "nowhere", b"x" * 100_000)
            await wire.writer.drain()
            await asyncio.sleep(0.005)  # else all frames are sent before the broker reads Close
        assert (await wire.next()).name == "Connection.CloseOk"
        wire.publish("", "nowhere", b"x" * 100_000)
        await wire.writer.drain()


async def test_a_payload_may_be_as_large_as_frame_max(wire, name) -> None:
    await declare(wire, name)
    method, head = content("", name, b"x" * 131_072)[:2]
    wire.send(method, head, b"\x03\x00\x01" + (131_072).to_bytes(4, "big") + b"x" * 131_072 + b"\xce")
    assert [len(data) for data in await bodies(wire, name, 1)] == [131_072 - 8]  # the rest is in a second frame
    wire.send(b"\x03\x00\x01" + (131_073).to_bytes(4, "big"), b"x" * 131_074)
    assert "{frame_too_large,131073,131064}" in (await wire.until_close()).reply_text


async def test_rabbitmq_4_refuses_a_message_over_16_mib_and_keeps_the_connection(wire, name, address) -> None:
    await wire.call(Confirm.Select())
    await declare(wire, name)
    size = 16 * 1024 * 1024 + 1
    method, head = content("", name, b"x" * size)[:2]
    wire.send(method, head)
    for start in range(0, size, 131_064):
        wire.send(body.ContentBody(b"x" * min(131_064, size - start)))
        await wire.writer.drain()
    answer = await wire.next()
    if address.version < (4,):
        assert answer.name == "Basic.Ack"
        return
    assert (answer.name, answer.reply_code) == ("Channel.Close", 406)
    assert answer.reply_text.endswith("message size 16777217 is larger than configured max size 16777216")
    wire.send(Channel.CloseOk())
    assert (await wire.call(Channel.Open())).name == "Channel.OpenOk"


async def test_rabbitmq_4_logs_in_a_client_without_a_name_as_guest(address) -> None:
    async with connect(address.host, address.port) as wire:
        opened = await shake_hands(wire, Login(mechanism="ANONYMOUS"))
        if address.version < (4,):
            assert opened is None
            return
        await wire.call(Channel.Open())
        wire.publish("", "nowhere", user_id="ann")
        assert "authenticated user was 'guest'" in (await wire.until_close()).reply_text


async def test_messages_requeued_in_any_order_keep_their_positions(wire, name) -> None:
    await declare(wire, name)
    await wire.call(Confirm.Select())
    await publish(wire, "", name, b"1", b"2", b"3")
    for _ in range(3):
        await get(wire, name, no_ack=False)
    wire.send(Basic.Nack(2, requeue=True), Basic.Reject(3, requeue=True), Basic.Nack(1, requeue=True))
    assert await bodies(wire, name, 3) == [b"1", b"2", b"3"]


async def test_a_dead_letter_has_its_history(wire, name, address) -> None:
    end = await declare(wire, name + "end")
    middle = await declare(wire, name + "middle", dead_letter_exchange="", dead_letter_routing_key=end, message_ttl=20)
    first = await declare(wire, name, dead_letter_exchange="", dead_letter_routing_key=middle)
    await wire.call(Confirm.Select())
    await publish(wire, "", first, headers={"mine": "x", "CC": [name + "nobody"]}, expiration="60000")
    method, _, _ = await get(wire, first, no_ack=False)
    wire.send(Basic.Reject(method.delivery_tag, requeue=False))
    method, head, _ = await get(wire, end)
    found = head.properties.headers
    deaths = [{key: value for key, value in death.items() if key != "time"} for death in found.pop("x-death")]
    assert deaths == [
        {"count": 1, "reason": "expired", "queue": middle, "exchange": "", "routing-keys": [middle]},
        {
            "count": 1,
            "reason": "rejected",
            "queue": first,
            "exchange": "",
            "routing-keys": [first, name + "nobody"],
            "original-expiration": "60000",
        },
    ]
    expected = {
        "mine": "x",
        "x-first-death-exchange": "",
        "x-first-death-queue": first,
        "x-first-death-reason": "rejected",
    }
    if address.version >= (4,):  # RabbitMQ keeps CC, and adds headers about the last death to those about the first
        expected |= {
            "CC": [name + "nobody"],
            "x-last-death-exchange": "",
            "x-last-death-queue": middle,
            "x-last-death-reason": "expired",
        }
    assert found == expected
    assert (method.exchange, method.routing_key, head.properties.expiration) == ("", end, None)


async def test_a_cycle_continues_after_a_rejection_and_ends_without_one(wire, name) -> None:
    other = name + "other"
    await declare(wire, name, dead_letter_exchange="", dead_letter_routing_key=other, message_ttl=10)
    await declare(wire, other, dead_letter_exchange="", dead_letter_routing_key=name)
    await wire.call(Confirm.Select())
    await publish(wire, "", name)
    for _ in range(3):
        method, head, _ = await get(wire, other, no_ack=False)
        wire.send(Basic.Reject(method.delivery_tag, requeue=False))
    assert [death["count"] for death in head.properties.headers["x-death"]] == [3, 2]


async def test_cc_and_bcc_route_and_only_cc_is_seen(wire, name) -> None:
    await wire.call(Confirm.Select())
    queues = [await declare(wire, name + suffix) for suffix in "abc"]
    await publish(wire, "", queues[0], headers={"CC": [queues[1]], "BCC": [queues[2]]})
    for queue in queues:
        method, head, _ = await get(wire, queue)
        assert head.properties.headers == {"CC": [queues[1]]}
        assert method.routing_key == queues[0]


async def test_a_mistyped_cc_is_refused(wire, name) -> None:
    wire.send(*content("", name, headers={"CC": "not a list"}))
    assert (await wire.next()).reply_code == 406


async def test_limits_drop_the_oldest_or_refuse_the_newest(wire, name) -> None:
    await wire.call(Confirm.Select())
    await declare(wire, name, max_length=2)
    assert await publish(wire, "", name, b"1", b"2", b"3") == ["Basic.Ack"] * 3
    assert await bodies(wire, name, 2) == [b"2", b"3"]
    refusing = await declare(wire, name + "r", max_length=1, overflow="reject-publish")
    assert await publish(wire, "", refusing, b"1", b"2") == ["Basic.Ack", "Basic.Nack"]
    assert await bodies(wire, refusing, 1) == [b"1"]
    dead = await declare(wire, name + "dead")
    full = await declare(
        wire,
        name + "d",
        max_length=1,
        overflow="reject-publish-dlx",
        dead_letter_exchange="",
        dead_letter_routing_key=dead,
    )
    assert await publish(wire, "", full, b"1", b"2") == ["Basic.Ack", "Basic.Nack"]
    assert await bodies(wire, dead, 1) == [b"2"]


async def test_higher_priorities_are_first(wire, name) -> None:
    await wire.call(Confirm.Select())
    await declare(wire, name, max_priority=5)
    for priority in (0, 9, 3, 5):
        await publish(wire, "", name, str(priority).encode(), priority=priority)
    assert await bodies(wire, name, 4) == [b"9", b"5", b"3", b"0"]


@pytest.mark.parametrize(
    ("wanted", "headers", "taken"),
    [
        ({"x-match": "all", "a": 1}, {"a": 1, "b": 2}, 1),
        ({"x-match": "all", "a": 1, "b": 2}, {"a": 1}, 0),
        ({"x-match": "any", "a": 1, "b": 2}, {"a": 1}, 1),
        ({"x-match": "any", "a": 1}, {"b": 1}, 0),
        ({"x-match": "all"}, {}, 1),
        ({"x-match": "any"}, {"a": 1}, 0),
        ({"a": None}, {"a": "x"}, 1),
        ({"a": 1}, {"a": 100_000}, 0),
        ({"a": 1}, {"a": True}, 0),
        ({"a": "1"}, {"a": 1}, 0),
        ({"a": 1.5}, {"a": 1.5}, 1),
        ({"a": 1.5}, {"a": 2.5}, 0),
        ({"a": Decimal("1.5")}, {"a": Decimal("1.5")}, 1),
        ({"a": Decimal("1.5")}, {"a": Decimal("2.5")}, 0),
        ({"a": bytearray(b"x")}, {"a": bytearray(b"x")}, 1),
        ({"a": bytearray(b"x")}, {"a": bytearray(b"y")}, 0),
        ({"x-match": "all", "x-a": 1}, {"x-a": 2}, 1),
        ({"x-match": "all-with-x", "x-a": 1}, {"x-a": 2}, 0),
        ({"x-match": "any-with-x", "x-a": 1}, {"x-a": 1}, 1),
        ({"x-match": "all-with-x", "x-matching": 1}, {}, 0),
        ({"x-match": "any-with-x", "x-matching": 1}, {"x-matching": 1}, 1),
        ({"a": "x"}, {"a": bytearray(b"x")}, 1),
        ({"a": datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)}, {"a": 5}, 1),
    ],
)
async def test_headers_are_compared_as_by_rabbitmq(wire, name, wanted, headers, taken) -> None:
    await wire.call(Confirm.Select())
    await declare(wire, name)
    await wire.call(Exchange.Declare(exchange=name, exchange_type="headers", auto_delete=True))
    await wire.call(Queue.Bind(queue=name, exchange=name, arguments=wanted))
    await publish(wire, name, "k", headers=headers)
    assert await depth(wire, name) == taken


@pytest.mark.parametrize(("wanted", "header"), [(1, 1.0), (1.0, 1)])
async def test_a_header_can_match_a_number_of_another_type_until_rabbitmq_4(
    wire, name, wanted, header, address
) -> None:
    await wire.call(Confirm.Select())
    await declare(wire, name)
    await wire.call(Exchange.Declare(exchange=name, exchange_type="headers", auto_delete=True))
    await wire.call(Queue.Bind(queue=name, exchange=name, arguments={"a": wanted}))
    await publish(wire, name, "k", headers={"a": header})
    assert await depth(wire, name) == (address.version < (4,))


@pytest.mark.parametrize(
    ("match", "fault"),
    [("some", 'value <<"some">>; expected all'), (1, "type byte (value 1)"), (["all"], "type array")],
)
async def test_a_bad_x_match_is_refused(wire, name, match, fault) -> None:
    await declare(wire, name)
    close = await wire.call(Queue.Bind(queue=name, exchange="amq.headers", arguments={"x-match": match}))
    assert close.reply_code == 406
    assert f"Invalid x-match field {fault}" in close.reply_text


async def test_alternate_exchanges_and_exchange_bindings_work(wire, name) -> None:
    await wire.call(Confirm.Select())
    left, taken = await declare(wire, name + "left"), await declare(wire, name + "taken")
    for exchange, kind, arguments in (
        (name + "alt", "fanout", {}),
        (name + "in", "topic", {}),
        (name, "topic", {"alternate-exchange": name + "alt"}),
    ):
        await wire.call(Exchange.Declare(exchange=exchange, exchange_type=kind, auto_delete=True, arguments=arguments))
    await wire.call(Exchange.Bind(source=name, destination=name + "in", routing_key="a.#"))
    await wire.call(Queue.Bind(queue=taken, exchange=name + "in", routing_key="*.b"))
    await wire.call(Queue.Bind(queue=left, exchange=name + "alt"))
    for key in ("a.b", "a.c", "z"):
        await publish(wire, name, key, key.encode())
    assert [await depth(wire, queue) for queue in (taken, left)] == [1, 1]
    assert await bodies(wire, left, 1) == [b"z"]


async def test_auto_delete_propagates_along_the_chain(wire, name) -> None:
    for exchange in (name, name + "in"):
        await wire.call(Exchange.Declare(exchange=exchange, exchange_type="fanout", auto_delete=True))
    await wire.call(Exchange.Bind(source=name, destination=name + "in"))
    await wire.call(Queue.Declare(queue=name, auto_delete=True))
    await wire.call(Queue.Bind(queue=name, exchange=name + "in"))
    await wire.call(Basic.Consume(queue=name, consumer_tag="t"))
    await wire.call(Basic.Cancel(consumer_tag="t"))
    close = await wire.call(Exchange.Declare(exchange=name, passive=True))
    assert close.reply_code == 404


@pytest.mark.parametrize(("shared", "expected"), [(False, 4), (True, 2)])
async def test_prefetch_applies_to_one_consumer_or_to_all(wire, name, shared, expected, address) -> None:
    await wire.call(Confirm.Select())
    await declare(wire, name)
    await publish(wire, "", name, *[b"x"] * 9)
    await wire.call(Basic.Qos(prefetch_count=2, global_=shared))
    wire.send(Basic.Consume(queue=name, consumer_tag="a"), Basic.Consume(queue=name, consumer_tag="b"))
    delivered = 0
    with pytest.raises(TimeoutError):
        while True:
            delivered += isinstance(await wire.next(max(address.patience / 3, 0.1)), Basic.Deliver)
    assert delivered == expected


async def test_a_transaction_is_atomic(wire, name, address) -> None:
    await declare(wire, name)
    async with connect(address.host, address.port, Login()) as other:
        await wire.call(Tx.Select())
        wire.publish("", name, b"1")
        wire.publish("", name, b"2")
        assert await depth(wire, name) == 0
        assert (await wire.call(Tx.Rollback())).name == "Tx.RollbackOk"
        wire.publish("", name, b"3")
        assert (await wire.call(Tx.Commit())).name == "Tx.CommitOk"
        del other
    assert await depth(wire, name) == 1


async def test_a_reply_is_sent_directly(wire, name, address) -> None:
    await declare(wire, name)
    await wire.call(Basic.Consume(queue="amq.rabbitmq.reply-to", consumer_tag="r", no_ack=True))
    wire.publish("", name, reply_to="amq.rabbitmq.reply-to")
    _, head, _ = await get(wire, name)
    async with connect(address.host, address.port, Login()) as server:
        server.publish("", head.properties.reply_to, b"answer", mandatory=True)
        method, _, data = await wire.delivery()
        assert (method.consumer_tag, data) == ("r", b"answer")


async def test_a_redelivery_is_marked_for_the_next_consumer(wire, name, address) -> None:
    await wire.call(Queue.Declare(queue=name, auto_delete=True))
    async with connect(address.host, address.port, Login()) as gone:
        await gone.call(Basic.Consume(queue=name, consumer_tag="t"))
        await wire.call(Confirm.Select())
        await wire.call(Basic.Consume(queue=name, consumer_tag="late", arguments={"x-priority": -1}))
        await publish(wire, "", name)
        assert (await gone.delivery())[0].redelivered is False
    assert (await wire.delivery())[0].redelivered is True


async def test_an_exclusive_consumer_of_a_queue_with_a_single_active_consumer_is_refused(wire, name) -> None:
    await declare(wire, name, single_active_consumer=True)
    close = await wire.call(Basic.Consume(queue=name, exclusive=True))
    assert (close.reply_code, close.reply_text.endswith("in exclusive use")) == (403, True)


async def test_the_durability_of_an_exclusive_queue_is_not_compared(wire, name) -> None:
    await wire.call(Queue.Declare(queue=name, exclusive=True, durable=True))
    assert (await wire.call(Queue.Declare(queue=name, exclusive=True))).name == "Queue.DeclareOk"


async def test_messages_are_delivered_again_after_recover_ok(wire, name) -> None:
    await wire.call(Confirm.Select())
    await declare(wire, name)
    await publish(wire, "", name)
    wire.send(Basic.Consume(queue=name))
    await wire.until(Basic.Deliver)
    wire.send(Basic.Recover(requeue=True))
    await wire.until(body.ContentBody)
    assert (await wire.next()).name == "Basic.RecoverOk"
    assert (await wire.delivery())[0].redelivered


async def test_a_commit_is_answered_before_its_acks_permit_deliveries(wire, name) -> None:
    await declare(wire, name)
    await wire.call(Tx.Select())
    wire.send(*content("", name, b"1"), *content("", name, b"2"))
    await wire.call(Tx.Commit())
    await wire.call(Basic.Qos(prefetch_count=1))
    wire.send(Basic.Consume(queue=name))
    assert (await wire.next()).name == "Basic.ConsumeOk"
    await wire.delivery()
    wire.send(Basic.Ack(1), Tx.Commit())
    assert (await wire.next()).name == "Tx.CommitOk"
    assert (await wire.delivery())[2] == b"2"


async def test_a_method_with_further_bytes_is_refused(wire) -> None:
    wire.send(b"\x01\x00\x01\x00\x00\x00\x06\x00\x14\x00\x14\x01\x01\xce")
    assert (await wire.next()).reply_code == 501


async def test_an_access_request_of_an_old_client_is_answered(wire) -> None:
    wire.send(b"\x01\x00\x01\x00\x00\x00\x0b\x00\x1e\x00\x0a\x05/data\x1f\xce")
    assert await wire.reader.readexactly(14) == b"\x01\x00\x01\x00\x00\x00\x06\x00\x1e\x00\x0b\x00\x01\xce"


async def test_an_expiration_may_have_a_sign(wire, name) -> None:
    await wire.call(Confirm.Select())
    await declare(wire, name)
    assert await publish(wire, "", name, expiration="+60000") == ["Basic.Ack"]


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ({}, {"x-message-ttl": 5}, 406),
        ({"x-message-ttl": 5}, {}, 406),
        ({"x-message-ttl": 5}, {"x-message-ttl": 6}, 406),
        ({"x-max-length": 100_000}, {"x-max-length": 100_000}, None),
        ({"x-unknown": 1}, {"x-unknown": 2}, None),
        ({"x-single-active-consumer": True}, {"x-single-active-consumer": False}, 406),
        ({}, {"x-queue-mode": "lazy"}, 406),
    ],
)
async def test_arguments_are_compared_as_by_rabbitmq(wire, name, first, second, code) -> None:
    await wire.call(Queue.Declare(queue=name, exclusive=True, arguments=first))
    answer = await wire.call(Queue.Declare(queue=name, exclusive=True, arguments=second))
    assert getattr(answer, "reply_code", None) == code


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ({"x-max-length": 3}, {"x-max-length": 4}, "received '4' but current is '3'"),
        ({"x-max-length": 1}, {"x-max-length": 100_000}, "received '100000' but current is '1'"),
        ({"x-dead-letter-exchange": "a"}, {"x-dead-letter-exchange": "b"}, "received 'b' but current is 'a'"),
        (
            {"x-single-active-consumer": True},
            {"x-single-active-consumer": False},
            "received 'false' but current is 'true'",
        ),
        ({}, {"x-max-length": 4}, "received the value '4' of type 'byte' but current is none"),
        ({"x-max-length": 4}, {}, "received none but current is the value '4' of type 'byte'"),
    ],
)
async def test_a_refused_argument_is_quoted_as_by_rabbitmq(wire, name, first, second, text) -> None:
    await wire.call(Queue.Declare(queue=name, exclusive=True, arguments=first))
    close = await wire.call(Queue.Declare(queue=name, exclusive=True, arguments=second))
    argument = next(iter(first | second))
    problem = f"inequivalent arg '{argument}' for queue '{name}' in vhost '/': {text}"
    assert close.reply_text == f"PRECONDITION_FAILED - {problem}"


@pytest.mark.parametrize(
    ("arguments", "good"),
    [
        ({"x-max-length": -1}, False),
        ({"x-max-length": 0}, True),
        ({"x-max-length-bytes": "5"}, False),
        ({"x-queue-mode": "nope"}, False),
        ({"x-queue-mode": "lazy"}, True),
        ({"x-single-active-consumer": 1}, False),
        ({"x-overflow": 5}, False),
        ({"x-overflow": ["drop-head"]}, False),
        ({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": 5}, False),
        ({"x-max-priority": 255}, True),
        ({"x-expires": -1}, False),
        ({"x-queue-type": 1}, False),
        ({"x-queue-type": {"a": 1}}, False),
        ({"x-max-in-memory-length": 5}, False),
        ({"x-max-in-memory-bytes": 5}, False),
        ({"x-max-age": "1D"}, False),
        ({"x-stream-max-segment-size-bytes": 5}, False),
        ({"x-initial-cluster-size": 5}, False),
        ({"x-quorum-initial-group-size": 5}, False),
        ({"x-expires": datetime(1970, 1, 2, tzinfo=UTC)}, False),
    ],
)
async def test_arguments_are_checked_as_by_rabbitmq(wire, name, arguments, good) -> None:
    answer = await wire.call(Queue.Declare(queue=name, exclusive=True, arguments=arguments))
    assert getattr(answer, "reply_code", None) == (None if good else 406)


_QUORUM = {"x-queue-type": "quorum"}


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"x-queue-version": 3}, "x-queue-version"),
        ({"x-queue-version": "2"}, "x-queue-version"),
        ({"x-max-age": "7D"}, "x-max-age"),
        ({"x-dead-letter-strategy": "nope"}, "x-dead-letter-strategy"),
        ({"x-expires": 0, "x-queue-type": "nope"}, "x-queue-type"),
        ({**_QUORUM, "x-queue-version": 2}, "x-queue-version"),
        ({**_QUORUM, "x-queue-leader-locator": "nope"}, "x-queue-leader-locator"),
        ({**_QUORUM, "x-quorum-initial-group-size": 0}, "x-quorum-initial-group-size"),
        ({**_QUORUM, "x-max-in-memory-length": "5"}, "x-max-in-memory-length"),
        ({**_QUORUM, "x-max-age": "7D"}, "x-max-age"),
    ],
)
async def test_each_type_of_queue_refuses_arguments_that_it_does_not_support(wire, name, arguments, fault) -> None:
    answer = await wire.call(Queue.Declare(queue=name, durable=True, arguments=arguments))
    assert isinstance(answer, Channel.Close)
    assert answer.reply_code == 406
    assert f"invalid arg '{fault}' for queue '{name}'" in answer.reply_text


async def test_a_classic_queue_has_a_leader_locator_since_rabbitmq_4(wire, name, address) -> None:
    options = {"exclusive": True, "arguments": {"x-queue-leader-locator": "balanced"}}
    answer = await wire.call(Queue.Declare(queue=name, **options))
    assert isinstance(answer, Queue.DeclareOk if address.version >= (4,) else Channel.Close)


async def test_a_declaration_is_not_compared_in_arguments_of_other_types(wire, name) -> None:
    await declare(wire, name)
    options = {"exclusive": True, "arguments": {"x-delivery-limit": 5}}
    assert isinstance(await wire.call(Queue.Declare(queue=name, **options)), Queue.DeclareOk)


@pytest.mark.parametrize("argument", ["x-stream-offset", "x-cancel-on-ha-failover"])
async def test_a_consumer_cannot_have_arguments_of_other_queues(wire, name, argument, address) -> None:
    await declare(wire, name)
    answer = await wire.call(Basic.Consume(queue=name, arguments={argument: "first"}))
    refused = argument == "x-stream-offset" or address.version < (4,)
    assert isinstance(answer, Channel.Close if refused else Basic.ConsumeOk)


async def test_removing_a_binding_that_does_not_exist_is_never_refused(wire, name, address) -> None:
    await declare(wire, name)
    await wire.call(Queue.Bind(queue=name, exchange="amq.topic", routing_key="a"))
    async with connect(address.host, address.port, Login()) as other:
        answer = await other.call(Queue.Unbind(queue=name, exchange="amq.topic", routing_key="b"))
        assert isinstance(answer, Queue.UnbindOk)
        answer = await other.call(Queue.Unbind(queue=name, exchange="amq.topic", routing_key="a"))
        assert (answer.name, answer.reply_code) == ("Channel.Close", 405)


async def test_the_arguments_of_a_binding_are_checked_before_the_owner_of_the_queue(wire, name, address) -> None:
    await declare(wire, name)
    async with connect(address.host, address.port, Login()) as other:
        bind = Queue.Bind(queue=name, exchange="amq.headers", arguments={"x-match": "some"})
        assert (await other.call(bind)).reply_code == 406


@pytest.mark.parametrize(
    ("method", "code"), [(Channel.FlowOk(active=True), 503), (Basic.CancelOk(consumer_tag="t"), 503)]
)
async def test_an_answer_without_a_request_is_refused(wire, method, code) -> None:
    close = await wire.call(method) or await wire.next()
    assert (close.name, close.reply_code) == ("Connection.Close", code)


async def test_close_ok_without_a_close_is_refused(wire) -> None:
    wire.send(Channel.CloseOk(), channel=7)
    close = await wire.next()
    assert (close.name, close.reply_code) == ("Connection.Close", 504)


async def test_line_breaks_are_removed_from_declared_names(wire, name) -> None:
    async def ask(method: Any) -> Any:  # pamqp refuses line breaks
        wire.raw(frame.marshal(method, 1).replace(b"-", b"\n"))
        return await wire.next()

    declared = await ask(Queue.Declare(queue=f"{name}-", exclusive=True))
    assert declared.queue == name
    await ask(Exchange.Declare(exchange=f"-{name}-", exchange_type="fanout", auto_delete=True))
    await ask(Queue.Bind(queue=f"{name}-", exchange=f"{name}-"))
    await wire.call(Confirm.Select())
    await publish(wire, name, "k")
    assert await depth(wire, name) == 1
    close = await ask(Queue.Purge(queue=f"{name}-"))
    assert close.reply_code == 404


async def test_an_empty_cc_header_is_refused(wire) -> None:
    wire.send(*content("", "nowhere", headers={"CC": None}))
    assert 'unacceptable_type_in_header,"CC",void' in (await wire.next()).reply_text


async def test_the_reply_queue_is_declared_like_any_queue(wire) -> None:
    reply_to = "amq.rabbitmq.reply-to"
    wire.send(Queue.Declare(queue=reply_to, nowait=True))
    answer = await wire.call(Queue.Declare(queue=reply_to, passive=True))
    assert (answer.queue, answer.consumer_count) == (reply_to, 1)
    assert isinstance(await wire.call(Channel.Flow(active=True)), Channel.FlowOk)  # there was only one DeclareOk
    close = await wire.call(Queue.Declare(queue=f"{reply_to}.gone"))
    assert close.reply_text == f"NOT_FOUND - no queue '{reply_to}.gone' in vhost '/'"


async def test_a_consumer_of_replies_has_no_arguments(wire) -> None:
    consume = Basic.Consume(queue="amq.rabbitmq.reply-to", no_ack=True, arguments={"x-priority": "high"})
    assert isinstance(await wire.call(consume), Basic.ConsumeOk)
