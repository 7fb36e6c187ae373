"""Quorum queues as clients see them, on the sandbox in both releases and on RabbitMQ."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from pamqp.commands import Basic, Channel, Confirm, Queue
from support.raw_client import Login, RawClient, connect

from sandbox.test_behaviour import bodies, get, publish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox.conftest import Address


@pytest.fixture
def name() -> str:
    """A name that is unique on the broker."""
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
async def wire(address: Address, name: str) -> AsyncIterator[RawClient]:
    """A connection with confirms; the queues whose names begin with `name` are deleted afterwards."""
    async with connect(address.host, address.port, Login()) as opened:
        await opened.call(Confirm.Select())
        yield opened
    async with connect(address.host, address.port, Login()) as tidy:
        for suffix in ("", "dead"):
            await tidy.call(Queue.Delete(queue=name + suffix))


def quorum(name: str, **arguments: Any) -> Queue.Declare:
    table = {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}
    return Queue.Declare(queue=name, durable=True, arguments={"x-queue-type": "quorum", **table})


def count_of(found: Any) -> int | None:
    """Return the header `x-delivery-count` of a message."""
    return (found[1].properties.headers or {}).get("x-delivery-count")


async def counts(wire: RawClient, name: str, most: int, *, certain: int) -> list[int | None]:
    """Requeue a message until it is gone or was delivered `most` times; return the headers `x-delivery-count`.

    A requeue needs a moment in RabbitMQ. The first `certain` deliveries must come, whenever it is.
    """
    found: list[int | None] = []
    for number in range(most):
        questions = 0
        while True:
            wire.send(Basic.Get(queue=name))
            method = await wire.next()
            if isinstance(method, Basic.GetOk):
                break
            questions += 1
            if number >= certain and questions == 20:
                return found
            await asyncio.sleep(0.02)
        found.append(count_of((method, await wire.next(), await wire.next())))
        wire.send(Basic.Reject(method.delivery_tag, requeue=True))
    return found


def expected_counts(address: Address, count: int) -> list[int | None]:
    """Return the headers of `count` answers to Basic.Get: RabbitMQ 4 has none in the first."""
    first = None if address.version >= (4,) else 0
    return [first, *range(1, count)]


async def test_a_message_over_the_delivery_limit_is_dead_lettered(wire, name, address) -> None:
    dead = name + "dead"
    await wire.call(Queue.Declare(queue=dead, durable=True))
    await wire.call(quorum(name, delivery_limit=2, dead_letter_exchange="", dead_letter_routing_key=dead))
    await publish(
        wire, "", name, b"m", headers={"mine": "x", "x-delivery-count": 7 if address.version < (4,) else None}
    )
    assert await counts(wire, name, 9, certain=3) == expected_counts(address, 3)
    _, head, body = await get(wire, dead)
    (death,) = head.properties.headers["x-death"]
    assert (death["reason"], death["queue"], death["count"], body) == ("delivery_limit", name, 1, b"m")
    assert head.properties.headers["mine"] == "x"


async def test_rabbitmq_4_limits_deliveries_by_default(wire, name, address) -> None:
    await wire.call(quorum(name))
    await publish(wire, "", name)
    number = 21 if address.version >= (4,) else 23
    assert await counts(wire, name, 23, certain=number) == expected_counts(address, number)


@pytest.mark.parametrize(("limit", "rabbitmq_3", "rabbitmq_4"), [(0, 1, 1), (-1, 1, 23), ("2", 23, 23)])
async def test_odd_limits_mean_the_same(wire, name, address, limit, rabbitmq_3, rabbitmq_4) -> None:
    await wire.call(quorum(name, delivery_limit=limit))
    await publish(wire, "", name)
    number = rabbitmq_4 if address.version >= (4,) else rabbitmq_3
    assert len(await counts(wire, name, 23, certain=number)) == number


@pytest.mark.parametrize("limit", [{}, {"delivery_limit": 9}])
async def test_requeued_messages_go_to_the_front_only_with_a_limit(wire, name, address, limit) -> None:
    await wire.call(quorum(name, **limit))
    await publish(wire, "", name, b"1", b"2", b"3", b"4")
    tags = [(await get(wire, name, no_ack=False))[0].delivery_tag for _ in range(3)]
    wire.send(*(Basic.Nack(tags[index], requeue=True) for index in (1, 2, 0)))
    # An answer on the same channel does not mean that a quorum queue has processed the requeues.
    while (await wire.call(Queue.Declare(queue=name, passive=True))).message_count < 4:
        await asyncio.sleep(0.02)
    limited = bool(limit) or address.version >= (4,)
    assert await bodies(wire, name, 4) == ([b"2", b"3", b"1", b"4"] if limited else [b"4", b"2", b"3", b"1"])


@pytest.mark.parametrize("ending", ["lost", "closed", "cancelled"])
async def test_the_end_of_a_consumer_counts_as_a_requeue(wire, name, address, ending) -> None:
    await wire.call(quorum(name))
    await publish(wire, "", name)
    async with connect(address.host, address.port, Login()) as other:
        await other.call(Basic.Consume(queue=name, consumer_tag="t"))
        assert count_of(await other.delivery()) is None
        if ending == "lost":
            other.writer.transport.abort()
        elif ending == "closed":
            await other.call(Channel.Close(200, "", 0, 0))
        else:
            await other.call(Basic.Cancel("t"))
            other.send(Basic.Recover(requeue=True))
        assert count_of(await get(wire, name)) == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"exclusive": True}, "invalid property 'exclusive-owner' for queue '{}' in vhost '/'"),
        ({"auto_delete": True, "durable": False}, "invalid property 'auto-delete' for queue '{}' in vhost '/'"),
        ({"durable": False}, "invalid property 'non-durable' for queue '{}' in vhost '/'"),
        (
            {"arguments": {"x-queue-type": "quorum", "x-max-priority": 5}},
            "invalid arg 'x-max-priority' for queue '{}' in vhost '/' of queue type rabbit_quorum_queue",
        ),
        (
            {"arguments": {"x-queue-type": "quorum", "x-queue-mode": "lazy"}},
            "invalid arg 'x-queue-mode' for queue '{}' in vhost '/' of queue type rabbit_quorum_queue",
        ),
        (
            {"arguments": {"x-queue-type": "quorum", "x-dead-letter-strategy": "nope"}},
            "invalid arg 'x-dead-letter-strategy' for queue '{}' in vhost '/': invalid_dlx_strategy",
        ),
        (
            {"arguments": {"x-delivery-limit": 3}},
            "invalid arg 'x-delivery-limit' for queue '{}' in vhost '/' of queue type rabbit_classic_queue",
        ),
        (
            {"arguments": {"x-dead-letter-strategy": "at-least-once"}},
            "invalid arg 'x-dead-letter-strategy' for queue '{}' in vhost '/' of queue type rabbit_classic_queue",
        ),
        (
            {"arguments": {"x-queue-mode": "nope"}},
            "invalid arg 'x-queue-mode' for queue '{}' in vhost '/': \"unsupported queue mode 'nope'\"",
        ),
    ],
)
async def test_a_declaration_that_the_type_does_not_support_is_refused(wire, name, options, text) -> None:
    options = {"durable": True, "arguments": {"x-queue-type": "quorum"}} | options
    close = await wire.call(Queue.Declare(queue=name, **options))
    assert close.reply_text == f"PRECONDITION_FAILED - {text.format(name)}"


async def test_the_type_of_a_queue_does_not_change(wire, name, address) -> None:
    await wire.call(Queue.Declare(queue=name, durable=True))
    classic = Queue.Declare(queue=name, durable=True, arguments={"x-queue-type": "classic"})
    assert (await wire.call(classic)).name == "Queue.DeclareOk"
    close = await wire.call(quorum(name))
    reason = (
        "received 'quorum' but current is 'classic'"
        if address.version >= (4,)
        else "received the value 'quorum' of type 'longstr' but current is none"
    )
    assert close.reply_text.endswith(f"inequivalent arg 'x-queue-type' for queue '{name}' in vhost '/': {reason}")


async def test_a_prefetch_of_the_whole_channel_is_refused(wire, name) -> None:
    await wire.call(quorum(name))
    await wire.call(Basic.Qos(prefetch_count=5, global_=True))
    close = await wire.call(Basic.Consume(queue=name, consumer_tag="t"))
    assert close.reply_text == f"NOT_IMPLEMENTED - queue '{name}' in vhost '/' does not support global qos"
    assert close.name == "Connection.Close"


@pytest.mark.parametrize("flag", ["if-unused", "if-empty"])
async def test_a_conditional_delete_is_not_supported(wire, name, flag) -> None:
    await wire.call(quorum(name))
    close = await wire.call(Queue.Delete(queue=name, if_unused=flag == "if-unused", if_empty=flag == "if-empty"))
    why = f"queue.delete operations with {flag} flag set are not supported by quorum queues"
    assert (close.name, close.reply_code) == ("Connection.Close", 540)
    assert close.reply_text == f"NOT_IMPLEMENTED - cannot delete queue '{name}' in vhost '/'. {why}"


async def test_exclusive_consumers_are_not_exclusive(wire, name) -> None:
    await wire.call(quorum(name))
    for tag in "tu":
        assert (await wire.call(Basic.Consume(queue=name, consumer_tag=tag, exclusive=True))).name == "Basic.ConsumeOk"


@pytest.mark.parametrize("overflow", ["drop-head", "reject-publish-dlx"])
async def test_a_full_queue_drops_its_oldest_messages(wire, name, overflow) -> None:
    await wire.call(quorum(name, max_length=2, overflow=overflow))
    assert await publish(wire, "", name, b"1", b"2", b"3", b"4", b"5") == ["Basic.Ack"] * 5
    assert await bodies(wire, name, 2) == [b"4", b"5"]


async def test_a_full_queue_refuses_messages_after_it_exceeded_its_limit(wire, name) -> None:
    await wire.call(quorum(name, max_length=2, overflow="reject-publish"))
    datas = [str(number).encode() for number in range(200)]
    confirmed = 0
    while (await publish(wire, "", name, datas[confirmed]))[0] == "Basic.Ack":
        confirmed += 1
        await asyncio.sleep(0.01)  # a RabbitMQ refuses messages a moment after that
    assert confirmed >= 3
    assert await bodies(wire, name, confirmed) == datas[:confirmed]


@pytest.mark.parametrize("exclusive", [False, True])
async def test_a_quorum_queue_needs_a_name(wire, exclusive) -> None:
    options = {"durable": True, "exclusive": exclusive, "arguments": {"x-queue-type": "quorum"}}
    close = await wire.call(Queue.Declare(queue="", **options))
    refused = "Cannot declare a server-named queue for type rabbit_quorum_queue"
    assert close.reply_text == f"PRECONDITION_FAILED - {refused}"


async def test_get_is_refused_on_a_quorum_queue_with_a_single_active_consumer(wire, name) -> None:
    await wire.call(quorum(name, single_active_consumer=True))
    close = await wire.call(Basic.Get(queue=name))
    assert isinstance(close, Channel.Close)
    assert close.reply_code == 405
    assert "basic.get operations are not supported by quorum queues with single active consumer" in close.reply_text
