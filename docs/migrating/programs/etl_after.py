from itertools import islice

import pulsekit.sync
from service import call

BATCH = 50

with (
    pulsekit.sync.connect() as pulse,
    pulse.subscribe(
        "exchange/taskcluster-queue/v1/task-completed:#", queue="queue/me/runs", prefetch=BATCH
    ) as messages,
):
    waiting = iter(lambda: messages.receive(timeout=1), None)
    while batch := list(islice(waiting, BATCH)):
        call("insert", [message.payload["status"]["taskId"] for message in batch])
        for message in batch:
            message.ack()
