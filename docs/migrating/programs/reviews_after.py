import asyncio

import pulsekit
from pulsekit import OnFailure, Policy
from service import call


async def on_task(message):
    await asyncio.to_thread(call, "review", message.payload["status"]["taskId"])


async def main():
    policy = Policy(failure=OnFailure.REQUEUE, delay=0.2, growth=2, exhausted=OnFailure.RAISE)
    async with (
        pulsekit.connect() as pulse,
        pulse.subscribe("exchange/taskcluster-queue/v1/task-failed", queue="queue/me/reviews") as messages,
    ):
        messages.drain_on(now=True)  # SIGTERM and Ctrl-C finish the current message
        await messages.handle(on_task, policy)


asyncio.run(main())
