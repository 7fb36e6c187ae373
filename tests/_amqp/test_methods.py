"""Names that RabbitMQ accepts and pamqp refuses, wherever a name is used."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from support.queues import depth_after_return

import pulsekit
from pulsekit.queues.guardian_site import Bound
from pulsekit.queues.operations import delete_queue, peek, purge_queue, unbind

if TYPE_CHECKING:
    from support.rabbitmq.broker import PulseUser

NAMES = ["a=b", "{x}", "ü 日本", "l" * 200]


@pytest.mark.parametrize("name", NAMES)
async def test_every_name_of_rabbitmq_can_be_used(pulse: pulsekit.Pulse, user: PulseUser, name: str) -> None:
    exchange, queue = f"exchange/{user.name}/{name}", f"queue/{user.name}/{name}"
    publisher = pulse.publisher(exchange, mandatory=True)
    await publisher.open()
    assert await pulse.exchange_exists(exchange)
    async with pulse.subscribe(exchange) as private:
        await publisher.publish(1, "a.b")
        message = await anext(private)
        assert (message.exchange, message.payload) == (exchange, 1)
    async with pulse.subscribe(exchange, queue=pulsekit.Queue(queue, dead_letters=exchange)) as messages:
        await publisher.publish(2, "a.b")
        assert (await anext(messages)).payload == 2
        assert (await messages.depth()).unsettled == 1
    assert (await depth_after_return(pulse, queue, 1)).ready == 1
    assert [message.payload for message in await peek(pulse, queue)] == [2]
    assert await purge_queue(pulse, queue) == 1
    await unbind(pulse, queue, [Bound(exchange, "#")])
    with pytest.raises(pulsekit.MessageReturned):
        await publisher.publish(3, "a.b")
    assert await delete_queue(pulse, queue) == 0
    await pulse.delete_exchange(exchange)
    assert not await pulse.exchange_exists(exchange)


async def test_an_argument_without_an_encoding_does_not_end_the_connection(
    pulse: pulsekit.Pulse, user: PulseUser
) -> None:
    exchange = f"exchange/{user.name}/jobs"
    await pulse.create_exchange(exchange)
    async with pulse.subscribe(exchange) as messages:
        wrong = pulsekit.Queue(f"queue/{user.name}/jobs", arguments={"x-max-length": object()})
        with pytest.raises(pulsekit.ConfigurationError, match=r"Queue\.Declare cannot be written in AMQP"):
            await pulse.subscribe(exchange, queue=wrong).open()
        await pulse.publisher(exchange).publish({}, "k")
        assert (await anext(messages)).payload == {}


async def test_a_time_can_be_an_argument(pulse: pulsekit.Pulse, user: PulseUser) -> None:
    exchange = f"exchange/{user.name}/jobs"
    await pulse.create_exchange(exchange)
    noon = pulsekit.Queue(f"queue/{user.name}/jobs", arguments={"noon": datetime(2026, 11, 23, 12, tzinfo=UTC)})
    async with pulse.subscribe(exchange, queue=noon) as messages:
        await pulse.publisher(exchange).publish({}, "k")
        assert (await anext(messages)).payload == {}
