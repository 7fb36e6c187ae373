"""Publish one persistent job at a time, and measure the time until its confirm, or until a consumer has it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib import import_module
from itertools import islice, pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Client, Meter, Part, in_fresh_process, percentiles
from benchmarks.raw import raw_client
from benchmarks.stage import read_bodies

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from typing import TypeAlias

    from benchmarks.stage import Stage
    from benchmarks.tasks import Sample, Task

    # Both publish a body. With `consuming`, they return when the consumer has the message, otherwise when it is
    # confirmed.
    Exchange: TypeAlias = Callable[[bytes], Awaitable[object]]
    BlockingExchange: TypeAlias = Callable[[bytes], object]

__all__ = ["ON_SANDBOX", "PART"]

_JSON = "application/json"


async def _measure(
    task: Task, meter: Meter, client: Callable[..., AbstractAsyncContextManager[Exchange]], *, consuming: bool
) -> None:
    bodies = read_bodies(task)
    async with client(task, consuming=consuming) as exchange:
        for count in meter.phases():
            times = [perf_counter()]
            for body in islice(bodies, count):
                await exchange(body)
                times.append(perf_counter())
    meter.extra |= percentiles([after - before for before, after in pairwise(times)])


def _measure_blocking(
    task: Task,
    meter: Meter,
    client: Callable[..., AbstractContextManager[BlockingExchange]],
    *,
    consuming: bool,
) -> None:
    bodies = read_bodies(task)
    with client(task, consuming=consuming) as exchange:
        for count in meter.phases():
            times = [perf_counter()]
            for body in islice(bodies, count):
                exchange(body)
                times.append(perf_counter())
    meter.extra |= percentiles([after - before for before, after in pairwise(times)])


@asynccontextmanager
async def _pulsekit(task: Task, *, consuming: bool) -> AsyncIterator[Exchange]:
    import pulsekit

    async with pulsekit.connect(task.url) as pulse, pulse.publisher(task.exchange) as publisher:
        if not consuming:
            yield lambda body: publisher.publish(body, task.routing_key)
            return
        arrived = asyncio.Event()

        async def handler(_: pulsekit.Message) -> None:
            arrived.set()

        async def exchange(body: bytes) -> None:
            arrived.clear()
            await publisher.publish(body, task.routing_key)
            await arrived.wait()

        async with pulse.subscribe(queue=task.queue) as messages:
            handling = asyncio.create_task(messages.handle(handler))
            yield exchange
            await messages.drain()
            await handling


@contextmanager
def _sync(task: Task, *, consuming: bool) -> Iterator[BlockingExchange]:
    import pulsekit.sync

    with pulsekit.sync.connect(task.url) as pulse, pulse.publisher(task.exchange) as publisher:
        if not consuming:
            yield lambda body: publisher.publish(body, task.routing_key)
            return

        def exchange(body: bytes) -> None:
            publisher.publish(body, task.routing_key)
            next(messages).ack()

        with pulse.subscribe(queue=task.queue) as messages:
            yield exchange


@asynccontextmanager
async def _aio_pika(task: Task, *, consuming: bool) -> AsyncIterator[Exchange]:
    from aio_pika import DeliveryMode, Message, connect

    async with await connect(task.url) as connection:
        channel = await connection.channel()
        target = await channel.get_exchange(task.exchange)

        async def publish(body: bytes) -> None:
            message = Message(body, content_type=_JSON, delivery_mode=DeliveryMode.PERSISTENT)
            await target.publish(message, task.routing_key)

        if not consuming:
            yield publish
            return
        async with (await channel.get_queue(task.queue)).iterator() as messages:

            async def exchange(body: bytes) -> None:
                await publish(body)
                await (await anext(messages)).ack()

            yield exchange


@contextmanager
def _kombu(task: Task, *, consuming: bool) -> Iterator[BlockingExchange]:
    kombu: Any = import_module("kombu")  # its types fail mypy --strict
    arrived = 0

    def on_message(message: Any) -> None:
        nonlocal arrived
        message.ack()
        arrived += 1

    with kombu.Connection(task.url, transport_options={"confirm_publish": True}) as connection:
        producer = connection.Producer(exchange=kombu.Exchange(task.exchange, no_declare=True))
        publish = partial(producer.publish, routing_key=task.routing_key, content_type=_JSON, content_encoding="utf-8")
        if not consuming:
            yield publish
            return

        def exchange(body: bytes) -> None:
            before = arrived
            publish(body)
            while arrived == before:
                connection.drain_events()

        with connection.Consumer([kombu.Queue(task.queue, no_declare=True)], on_message=on_message):
            yield exchange


@contextmanager
def _pika(task: Task, *, consuming: bool) -> Iterator[BlockingExchange]:
    pika: Any = import_module("pika")  # it has no types
    with pika.BlockingConnection(pika.URLParameters(task.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        persistent = pika.BasicProperties(content_type=_JSON, delivery_mode=2)

        def publish(body: bytes) -> None:
            channel.basic_publish(task.exchange, task.routing_key, body, persistent)

        if not consuming:
            yield publish
            return

        def exchange(body: bytes) -> None:
            publish(body)
            method, _, _ = next(deliveries)
            channel.basic_ack(method.delivery_tag)

        deliveries = channel.consume(task.queue)
        yield exchange


_ASYNC = {"pulsekit": _pulsekit, "asyncio and pamqp": raw_client, "aio-pika": _aio_pika}
_BLOCKING = {"pulsekit.sync": _sync, "kombu": _kombu, "pika": _pika}
_UNTIL = {"to confirm": False, "to consumer": True}
_CLIENTS: dict[str, Client] = {
    f"{name}, {until}": partial(measure, client=client, consuming=consuming)
    for until, consuming in _UNTIL.items()
    for measure, clients in ((_measure, _ASYNC), (_measure_blocking, _BLOCKING))
    for name, client in clients.items()
}


def _sample(stage: Stage, _: str, case: str, broker: str | None = None) -> Sample:
    with stage.queue(case, broker=broker) as task:
        sample = in_fresh_process("latency", task)
        stage.check_queue(task, 0 if case.endswith("consumer") else sample.total)
        return sample


PART = Part("latency: one persistent job at a time", "ms", _CLIENTS, _sample)
ON_SANDBOX = Part(
    "latency on the sandbox: one job at a time", "ms", _CLIENTS, partial(_sample, broker="sandbox"), rounds=3
)
