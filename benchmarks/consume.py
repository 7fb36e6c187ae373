"""Consume the messages of a queue, and acknowledge each message."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmarks import limit
from benchmarks.measure import Client, Meter, Part, in_fresh_process
from benchmarks.tasks import Failed, Sample, Task

if TYPE_CHECKING:
    from benchmarks.stage import Stage

__all__ = ["ON_QUORUM", "ON_RABBITMQ4", "ON_SANDBOX", "PART"]

_MESSAGES = 20_000  # for each second of the measurement
_SLOW = {"FastStream subscriber": 4}  # clients that are slow get fewer messages, by this factor
_PREFETCH = 250


async def _pulsekit_iterator(task: Task, meter: Meter) -> None:
    import pulsekit

    queue = pulsekit.Queue(task.queue, type=task.queue_type)
    async with pulsekit.connect(task.url) as pulse, pulse.subscribe(queue=queue, prefetch=_PREFETCH) as messages:
        async for message in messages:
            assert message.payload["version"] == 1
            await message.ack()
            if not meter.took():
                break


async def _pulsekit_handler(task: Task, meter: Meter) -> None:
    import pulsekit

    done = asyncio.Event()

    async def handler(message: pulsekit.Message) -> None:
        assert message.payload["version"] == 1
        if not meter.took():
            done.set()

    async with pulsekit.connect(task.url) as pulse:
        async with pulse.subscribe(queue=task.queue, prefetch=_PREFETCH) as messages:
            handling = asyncio.create_task(messages.handle(handler))
            await done.wait()
        with suppress(pulsekit.NotOpen):  # raised because the subscription closed
            await handling


def _sync_iterator(task: Task, meter: Meter) -> None:
    import pulsekit.sync

    with (
        pulsekit.sync.connect(task.url) as pulse,
        pulse.subscribe(queue=task.queue, prefetch=_PREFETCH) as messages,
    ):
        for message in messages:
            assert message.payload["version"] == 1
            message.ack()
            if not meter.took():
                break


async def _aio_pika_iterator(task: Task, meter: Meter) -> None:
    import aio_pika

    async with await aio_pika.connect(task.url) as connection:
        channel = await connection.channel()
        await channel.set_qos(_PREFETCH)
        async with (await channel.get_queue(task.queue)).iterator() as messages:
            async for message in messages:
                await message.ack()
                if not meter.took():
                    break


async def _aiormq_callback(task: Task, meter: Meter) -> None:
    import aiormq

    done = asyncio.Event()
    connection = await aiormq.connect(task.url)
    channel = await connection.channel()
    await channel.basic_qos(prefetch_count=_PREFETCH)

    async def callback(message: aiormq.abc.DeliveredMessage) -> None:
        await channel.basic_ack(message.delivery_tag or 0)
        if not meter.took():
            done.set()

    await channel.basic_consume(task.queue, callback)
    await done.wait()
    await connection.close()


async def _faststream_subscriber(task: Task, meter: Meter) -> None:
    from faststream import AckPolicy
    from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue

    done = asyncio.Event()
    broker = RabbitBroker(task.url, logger=None, default_channel=Channel(prefetch_count=_PREFETCH))

    async def handler(message: RabbitMessage) -> None:
        await message.ack()
        if not meter.took():
            done.set()

    broker.subscriber(RabbitQueue(task.queue, declare=False), ack_policy=AckPolicy.MANUAL)(handler)
    async with broker:
        await broker.start()
        await done.wait()


def _kombu(task: Task, meter: Meter, *, decoded: bool = False) -> None:
    kombu: Any = import_module("kombu")
    more = True

    def on_message(message: Any) -> None:
        nonlocal more
        assert not decoded or message.payload["version"] == 1
        message.ack()
        more = meter.took()

    with kombu.Connection(task.url) as connection:
        queue = kombu.Queue(task.queue, no_declare=True)
        with connection.Consumer([queue], on_message=on_message, prefetch_count=_PREFETCH):
            while more:
                connection.drain_events()


def _pika(task: Task, meter: Meter) -> None:
    pika: Any = import_module("pika")

    def on_message(_: object, method: Any, *__: object) -> None:
        channel.basic_ack(method.delivery_tag)
        if not meter.took():
            channel.stop_consuming()

    with pika.BlockingConnection(pika.URLParameters(task.url)) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=_PREFETCH)
        channel.basic_consume(task.queue, on_message)
        channel.start_consuming()


_CLIENTS: dict[str, Client] = {
    "pulsekit async for, decoded": _pulsekit_iterator,
    "pulsekit handler, decoded": _pulsekit_handler,
    "pulsekit.sync for, decoded": _sync_iterator,
    limit.LIMIT: limit.client,
    limit.MULTIPLE: limit.client,
    "aio-pika iterator": _aio_pika_iterator,
    "aiormq callback": _aiormq_callback,
    "FastStream subscriber": _faststream_subscriber,
    "kombu, decoded": partial(_kombu, decoded=True),
    "kombu": _kombu,
    "pika": _pika,
}
_FOR_SANDBOX = (
    "pulsekit async for, decoded",
    "pulsekit handler, decoded",
    limit.LIMIT,
    "aio-pika iterator",
    "aiormq callback",
    "pika",
)

_DURABLE = (
    "pulsekit async for, decoded",
    limit.LIMIT,
    limit.MULTIPLE,
    "aio-pika iterator",
    "kombu",
    "pika",
)


def _measure(stage: Stage, _: str, case: str, broker: str | None = None) -> Sample:
    messages = max(10, int(_MESSAGES * stage.seconds) // _SLOW.get(case, 1))
    with stage.queue(case, messages, broker) as task, stage.watched(broker) as watched:
        in_c = _CLIENTS[case] is limit.client
        sample = limit.measure(stage, "consume", task) if in_c else in_fresh_process("consume", task)
        watched(sample)
        if sample.total != messages:
            raise Failed(f"{case}: {sample.total} messages came, {messages} were sent")
        stage.check_queue(task, 0)  # the broker would have requeued unacknowledged messages
        return sample


_TITLE = f"one ack for each, prefetch {_PREFETCH}"
PART = Part(f"consume: {_TITLE}", "messages/s", _CLIENTS, _measure)
ON_SANDBOX = Part(
    f"consume from the sandbox: {_TITLE}",
    "messages/s",
    {case: _CLIENTS[case] for case in _FOR_SANDBOX},
    partial(_measure, broker="sandbox"),
    rounds=3,
)
ON_QUORUM, ON_RABBITMQ4 = (
    Part(
        f"consume from {where}: {_TITLE}",
        "messages/s",
        {case: _CLIENTS[case] for case in _DURABLE},
        partial(_measure, broker=broker),
        rounds=3,
    )
    for broker, where in (("quorum", "a quorum queue on three nodes"), ("rabbitmq4", "RabbitMQ 4"))
)
