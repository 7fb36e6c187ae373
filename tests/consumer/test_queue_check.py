"""The checks of a queue before its first message, and their reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.queues import depth_after_return

import pulsekit
from pulsekit import Queue
from pulsekit._amqp.queue_properties import read_queue_properties
from pulsekit.queues.operations import delete_queue, take

if TYPE_CHECKING:
    from support.rabbitmq.broker import PulseUser, RabbitMQ


async def test_a_queue_that_did_not_exist_is_reported_as_a_gap(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    gaps: list[pulsekit.Gap] = []
    queue = f"queue/{user.name}/q"

    async def consume() -> list[tuple[bool, bool]]:
        gaps.clear()
        async with pulse.subscribe(exchange, queue=queue, on_gap=gaps.append) as messages:
            assert messages.gaps == 0, "no connection was lost"
        return [(gap.created, gap.lossy) for gap in gaps]

    assert await consume() == [(True, True)]
    assert await consume() == []
    await delete_queue(pulse, queue)  # as PulseGuardian does
    assert await consume() == [(True, True)]


async def test_an_unbound_dead_letter_exchange_causes_a_warning(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser, caplog: pytest.LogCaptureFixture
) -> None:
    letters = f"exchange/{user.name}/dead"
    queue = Queue(f"queue/{user.name}/q", dead_letters=letters)
    async with pulse.subscribe(exchange, queue=queue):
        assert f"no queue is bound to {letters}" in caplog.text
    caplog.clear()
    async with pulse.subscribe(letters, queue=f"queue/{user.name}/dead"), pulse.subscribe(exchange, queue=queue) as one:
        assert [record for record in caplog.records if record.name == "pulsekit"] == []
        await pulse.publisher(exchange).publish({"n": 1}, "k")
        await (await anext(one)).reject()
    async with pulse.subscribe(queue=f"queue/{user.name}/dead") as dead:
        assert (await anext(dead)).payload == {"n": 1}


async def test_a_dead_letter_exchange_of_another_user_must_exist(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    queue = Queue(f"queue/{user.name}/q", dead_letters="exchange/somebody-else/dead")
    with pytest.raises(pulsekit.NotFound, match="dead-letter exchange exchange/somebody-else/dead"):
        await pulse.subscribe(exchange, queue=queue).open()


async def test_an_existing_queue_that_would_be_deleted_with_its_messages_is_refused(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    queue = f"queue/{user.name}/old"
    channel = await (await pulse.link()).channel(confirms=False)
    await channel.queue_declare(queue, durable=True, auto_delete=True, arguments={"x-max-length": 10})
    await channel.queue_bind(queue, exchange, "#")
    await pulse.publisher(exchange).publish({"n": 1}, "k")
    with pytest.raises(pulsekit.ConfigurationError, match=f"pulsekit queue take {queue}"):
        await pulse.subscribe(queue=Queue(queue, existing=True)).open()
    assert [[message.payload for message in batch] async for batch in take(pulse, queue)] == [[{"n": 1}]]


async def test_a_queue_and_a_message_may_expire_after_ten_years(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    years = 10 * 365 * 24 * 3600
    properties = pulsekit.Properties(expiration=f"{years}000")
    async with pulse.subscribe(exchange, queue=Queue(f"queue/{user.name}/q", expires=years)) as messages:
        await pulse.publisher(exchange).publish({"n": 1}, "k", properties=properties)
        assert (await anext(messages)).payload == {"n": 1}


async def test_a_quorum_queue_with_a_long_name_can_be_consumed_again(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    queue = Queue(f"queue/{user.name}/{'long' * 40}", type="quorum")
    async with pulse.subscribe(exchange, queue=queue):
        await pulse.publisher(exchange).publish({"n": 1}, "k")
    async with pulse.subscribe(exchange, queue=queue) as messages:
        assert (await anext(messages)).payload == {"n": 1}


async def test_a_quorum_queue_without_a_delivery_limit_can_be_used(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser
) -> None:
    name = f"queue/{user.name}/q"
    channel = await (await pulse.link()).channel(confirms=False)
    await channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
    async with pulse.subscribe(exchange, queue=Queue(name, type="quorum")) as messages:
        await pulse.publisher(exchange).publish({"n": 1}, "k")
        assert (await anext(messages)).payload == {"n": 1}
    with pytest.raises(pulsekit.PreconditionFailed, match="x-delivery-limit"):
        await pulse.subscribe(exchange, queue=Queue(name, type="quorum", arguments={"x-delivery-limit": 7})).open()


@pytest.mark.parametrize(("first", "then"), [("classic", "quorum"), ("quorum", "classic")])
async def test_a_queue_of_another_type_is_explained_and_keeps_its_messages(
    pulse: pulsekit.Pulse, exchange: str, user: PulseUser, first: Any, then: Any
) -> None:
    name = f"queue/{user.name}/q"
    async with pulse.subscribe(exchange, queue=Queue(name, type=first)):
        await pulse.publisher(exchange).publish({}, "k")
    with pytest.raises(pulsekit.PreconditionFailed, match="existing=True") as refused:
        await pulse.subscribe(exchange, queue=Queue(name, type=then)).open()
    assert "delete" not in str(refused.value)
    assert (await depth_after_return(pulse, name, 1)).ready == 1


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        ({"durable": True}, {}),
        ({"durable": True, "auto_delete": True}, {"x-expires": 60_000, "x-queue-mode": "lazy"}),
        ({"durable": True}, {"x-queue-type": "quorum", "x-max-length": 9, "x-overflow": "drop-head"}),
        ({"durable": True}, {"x-dead-letter-exchange": "exchange/{user}/d'e", "x-dead-letter-routing-key": "a 'b'"}),
        ({"durable": True}, {"x-single-active-consumer": True, "x-max-priority": 3}),
    ],
)
async def test_reading_the_properties_of_a_queue_never_creates_it(
    pulse: pulsekit.Pulse, user: PulseUser, broker: RabbitMQ, flags: dict[str, bool], arguments: dict[str, Any]
) -> None:
    arguments = {
        name: value.format(user=user.name) if isinstance(value, str) else value for name, value in arguments.items()
    }
    name, link = f"queue/{user.name}/q", await pulse.link()
    with pytest.raises(pulsekit.NotFound):
        await read_queue_properties(link, name)
    channel = await link.channel(confirms=False)
    await channel.queue_declare(name, **flags, arguments=arguments)  # type: ignore[arg-type]
    found = await read_queue_properties(link, name)
    assert (found.durable, found.auto_delete) == (True, flags.get("auto_delete", False))
    assert found.arguments == arguments
