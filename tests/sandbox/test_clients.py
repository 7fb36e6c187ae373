"""Ten lines of each client, as in its documentation, which publish and consume through the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aio_pika
import kombu
import pika

if TYPE_CHECKING:
    from pulsekit.testing import PulseSandbox

EXCHANGE, QUEUE, KEY = "exchange/me/v1/jobs", "queue/me/jobs", "treeherder.autoland._"


def test_kombu_publishes_and_consumes(pulse_sandbox: PulseSandbox) -> None:
    received = []
    exchange = kombu.Exchange(EXCHANGE, type="topic", durable=True)
    queue = kombu.Queue(QUEUE, exchange, routing_key="treeherder.#")
    callbacks = [lambda body, message: (received.append(body), message.ack())]
    with kombu.Connection(pulse_sandbox.url("me")) as connection, connection.Consumer(queue, callbacks=callbacks):
        producer = connection.Producer(serializer="json")
        producer.publish({"a": 1}, exchange=exchange, routing_key=KEY, declare=[queue])
        connection.drain_events(timeout=30)
    assert received == [{"a": 1}]
    assert len(pulse_sandbox.wait("acked", timeout=30)) == 1


def test_pika_publishes_and_consumes(pulse_sandbox: PulseSandbox) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(pulse_sandbox.url("me") + "%2F"))
    channel = connection.channel()
    channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
    channel.queue_declare(QUEUE, durable=True)
    channel.queue_bind(QUEUE, EXCHANGE, routing_key="treeherder.#")
    channel.confirm_delivery()
    channel.basic_publish(EXCHANGE, KEY, b'{"a": 1}', mandatory=True)
    method, _, body = next(channel.consume(QUEUE, inactivity_timeout=30))
    channel.basic_ack(method.delivery_tag)
    connection.close()
    assert body == b'{"a": 1}'
    assert len(pulse_sandbox.wait("acked", timeout=30)) == 1


async def test_aio_pika_publishes_and_consumes(pulse_sandbox: PulseSandbox) -> None:
    connection = await aio_pika.connect_robust(pulse_sandbox.url("me"))
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EXCHANGE, "topic", durable=True)
        queue = await channel.declare_queue(QUEUE, durable=True)
        await queue.bind(exchange, "treeherder.#")
        await exchange.publish(aio_pika.Message(b'{"a": 1}'), KEY)
        message = await queue.get(timeout=30)
        await message.ack()
    assert message.body == b'{"a": 1}'
    assert len(await pulse_sandbox.acked()) == 1
