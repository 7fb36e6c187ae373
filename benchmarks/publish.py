"""Publish persistent jobs with confirms, in several ways and with several window sizes."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any

from benchmarks import limit
from benchmarks.measure import Client, Meter, Part, in_fresh_process
from benchmarks.stage import read_bodies, read_jobs, spoiled, with_one_spoiled
from benchmarks.tasks import Failed, Sample, Task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from typing import TypeAlias

    from benchmarks.stage import Stage
    from pulsekit import Publisher

    Send: TypeAlias = Callable[[Any], Awaitable[Any]]
    Sender: TypeAlias = Callable[[Task], AbstractAsyncContextManager[Send]]

__all__ = ["ON_QUORUM", "ON_RABBITMQ4", "ON_SANDBOX", "PART", "publish_many"]

_WINDOW = 256
_JSON = "application/json"


async def _pulsekit(task: Task, meter: Meter, schema: str | None) -> None:
    import pulsekit

    supply: Any = read_jobs(task) if schema else read_bodies(task)
    async with pulsekit.connect(task.url) as pulse:
        publisher = pulse.publisher(task.exchange, schema=schema)
        for count in meter.phases(_WINDOW):
            await publish_many(publisher, task, supply, count, validated=schema is not None)


async def publish_many(publisher: Publisher, task: Task, supply: Iterator[Any], count: int, *, validated: bool) -> None:
    """Insert an invalid job at a random position, and check that it is the only one that is not sent."""
    from pulsekit import Outcome

    at = random.randrange(count)
    payloads = with_one_spoiled(supply, count, at) if validated else islice(supply, count)
    receipts = publisher.publish_many(((payload, task.routing_key) for payload in payloads), window=_WINDOW)
    unsent = [one async for one in receipts if one.outcome is not Outcome.CONFIRMED]
    if [(one.index, one.outcome) for one in unsent] != [(at, Outcome.INVALID)][:validated]:
        raise Failed(f"of {count} jobs, these were not sent: {unsent}; {validated:d} is right, number {at}")


async def _pulsekit_one_by_one(task: Task, meter: Meter) -> None:
    import pulsekit

    bodies = read_bodies(task)
    async with pulsekit.connect(task.url) as pulse:
        publisher = pulse.publisher(task.exchange)
        for count in meter.phases():
            for body in islice(bodies, count):
                await publisher.publish(body, task.routing_key)


def _sync_one_by_one(task: Task, meter: Meter) -> None:
    import pulsekit.sync

    with pulsekit.sync.connect(task.url) as pulse, pulse.publisher(task.exchange) as publisher:
        _send_each(task, meter, lambda body: publisher.publish(body, task.routing_key))


def _sync_many(task: Task, meter: Meter) -> None:
    import pulsekit.sync

    bodies = read_bodies(task)
    with pulsekit.sync.connect(task.url) as pulse, pulse.publisher(task.exchange) as publisher:
        for count in meter.phases(_WINDOW):
            messages = ((body, task.routing_key) for body in islice(bodies, count))
            for receipt in publisher.publish_many(messages, window=_WINDOW):
                if receipt.outcome != "confirmed":
                    raise Failed(f"a message was not sent: {receipt}")


async def _one_by_one(task: Task, meter: Meter, sender: Sender) -> None:
    bodies = read_bodies(task)
    async with sender(task) as send:
        for count in meter.phases():
            for body in islice(bodies, count):
                await send(body)


async def _gathered(task: Task, meter: Meter, sender: Sender, read: Callable[[Task], Any] = read_bodies) -> None:
    supply = read(task)
    async with sender(task) as send:
        for count in meter.phases(_WINDOW):
            for _ in range(0, count, _WINDOW):
                await asyncio.gather(*map(send, islice(supply, _WINDOW)))


async def _windowed(task: Task, meter: Meter, sender: Sender, read: Callable[[Task], Any] = read_bodies) -> None:
    """Keep the window full with a task for each message, instead of a wait for the end of each batch."""
    supply, window = read(task), asyncio.Semaphore(_WINDOW)
    async with sender(task) as send:

        async def send_one(body: Any) -> None:
            await send(body)
            window.release()

        for count in meter.phases(_WINDOW):
            async with asyncio.TaskGroup() as tasks:
                for body in islice(supply, count):
                    await window.acquire()
                    tasks.create_task(send_one(body))


@asynccontextmanager
async def _aio_pika(task: Task) -> AsyncIterator[Send]:
    from aio_pika import DeliveryMode, Message, connect

    async with await connect(task.url) as connection:
        exchange = await (await connection.channel()).get_exchange(task.exchange)
        yield lambda body: exchange.publish(
            Message(body, content_type=_JSON, delivery_mode=DeliveryMode.PERSISTENT), task.routing_key
        )


@asynccontextmanager
async def _aio_pika_validated(task: Task) -> AsyncIterator[Send]:
    """Validate and encode a job as pulsekit does."""
    from pulsekit import InvalidPayload, load_schema
    from pulsekit._documents.payloads import encode_payload

    schema = load_schema("pulse-job")
    async with _aio_pika(task) as send:

        async def check_and_send(job: Any) -> None:
            schema.check(job)
            await send(encode_payload(job))

        with suppress(InvalidPayload):
            await check_and_send(spoiled(next(read_jobs(task))))
            raise Failed("an invalid job was sent")
        yield check_and_send


@asynccontextmanager
async def _aiormq(task: Task) -> AsyncIterator[Send]:
    from aiormq import connect, spec

    connection = await connect(task.url)
    channel = await connection.channel()
    yield lambda body: channel.basic_publish(
        body,
        exchange=task.exchange,
        routing_key=task.routing_key,
        properties=spec.Basic.Properties(content_type=_JSON, delivery_mode=2),  # aiormq writes a message id into it
    )
    await connection.close()


@asynccontextmanager
async def _faststream(task: Task) -> AsyncIterator[Send]:
    from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange

    exchange = RabbitExchange(task.exchange, type=ExchangeType.TOPIC, durable=True)
    async with RabbitBroker(task.url, logger=None) as broker:
        yield partial(broker.publish, exchange=exchange, routing_key=task.routing_key, persist=True, content_type=_JSON)


def _kombu(task: Task, meter: Meter) -> None:
    kombu: Any = import_module("kombu")  # its types fail mypy --strict
    with kombu.Connection(task.url, transport_options={"confirm_publish": True}) as connection:
        producer = connection.Producer(exchange=kombu.Exchange(task.exchange, no_declare=True))
        send = partial(producer.publish, routing_key=task.routing_key, content_type=_JSON, content_encoding="utf-8")
        _send_each(task, meter, send)


def _pika(task: Task, meter: Meter) -> None:
    pika: Any = import_module("pika")  # it has no types
    with pika.BlockingConnection(pika.URLParameters(task.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        persistent = pika.BasicProperties(content_type=_JSON, delivery_mode=2)
        send = partial(channel.basic_publish, task.exchange, task.routing_key, properties=persistent)
        _send_each(task, meter, lambda body: send(body=body))


def _send_each(task: Task, meter: Meter, send: Callable[[bytes], object]) -> None:
    bodies = read_bodies(task)
    for count in meter.phases():
        for body in islice(bodies, count):
            send(body)


_CLIENTS: dict[str, Client] = {
    "pulsekit publish_many, dicts, validated": partial(_pulsekit, schema="pulse-job"),
    "pulsekit publish_many, bytes": partial(_pulsekit, schema=None),
    "pulsekit publish, one by one, bytes": _pulsekit_one_by_one,
    "pulsekit.sync publish_many, bytes": _sync_many,
    "pulsekit.sync publish, one by one, bytes": _sync_one_by_one,
    limit.LIMIT: limit.client,
    "aio-pika one by one": partial(_one_by_one, sender=_aio_pika),
    "aio-pika gathered": partial(_gathered, sender=_aio_pika),
    "aio-pika windowed": partial(_windowed, sender=_aio_pika),
    "aio-pika gathered, dicts, validated": partial(_gathered, sender=_aio_pika_validated, read=read_jobs),
    "aio-pika windowed, dicts, validated": partial(_windowed, sender=_aio_pika_validated, read=read_jobs),
    "aiormq gathered": partial(_gathered, sender=_aiormq),
    "FastStream gathered": partial(_gathered, sender=_faststream),
    "kombu": _kombu,
    "pika": _pika,
}
_FOR_SANDBOX = (
    "pulsekit publish_many, dicts, validated",
    "pulsekit publish_many, bytes",
    limit.LIMIT,
    "aio-pika gathered",
    "aiormq gathered",
    "pika",
)

_DURABLE = (
    "pulsekit publish_many, bytes",
    "pulsekit publish, one by one, bytes",
    limit.LIMIT,
    "aio-pika gathered",
    "kombu",
    "pika",
)


def _measure(stage: Stage, _: str, case: str, broker: str | None = None) -> Sample:
    with stage.queue(case, broker=broker) as task, stage.watched(broker) as watched:
        sample = limit.measure(stage, "publish", task) if case == limit.LIMIT else in_fresh_process("publish", task)
        watched(sample)
        stage.check_queue(task, sample.total)
        return sample


_TITLE = f"persistent, with confirms, up to {_WINDOW} in flight"
PART = Part(f"publish: {_TITLE}", "messages/s", _CLIENTS, _measure)
ON_SANDBOX = Part(
    f"publish to the sandbox: {_TITLE}",
    "messages/s",
    {case: _CLIENTS[case] for case in _FOR_SANDBOX},
    partial(_measure, broker="sandbox"),
    rounds=3,
)
ON_QUORUM, ON_RABBITMQ4 = (
    Part(
        f"publish to {where}: {_TITLE}",
        "messages/s",
        {case: _CLIENTS[case] for case in _DURABLE},
        partial(_measure, broker=broker),
        rounds=3,
    )
    for broker, where in (("quorum", "a quorum queue on three nodes"), ("rabbitmq4", "RabbitMQ 4"))
)
