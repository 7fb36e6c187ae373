import asyncio
import json
import os
import traceback
from urllib.parse import unquote, urlsplit

import aioamqp
from service import call

EXCHANGE = "exchange/taskcluster-queue/v1/task-failed"
QUEUE = "queue/me/reviews"

waiting = asyncio.Queue()


async def on_task(channel, body, envelope, _properties):
    task_id = json.loads(body)["status"]["taskId"]
    await waiting.put(task_id)
    await channel.basic_client_ack(envelope.delivery_tag)
    print("accepted", task_id, flush=True)


async def main():
    url = urlsplit(os.environ["PULSE_URL"])
    _, protocol = await aioamqp.connect(
        url.hostname, url.port, unquote(url.username), unquote(url.password), ssl=url.scheme == "amqps"
    )
    channel = await protocol.channel()
    await channel.queue_declare(QUEUE, durable=True)
    await channel.queue_bind(QUEUE, EXCHANGE, "#")
    await channel.basic_consume(on_task, QUEUE)
    while True:
        task_id = await waiting.get()
        try:
            await asyncio.to_thread(call, "review", task_id)
        except Exception:
            traceback.print_exc()


asyncio.run(main())
