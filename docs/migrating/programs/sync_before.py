import os

from kombu import Connection, Exchange, Queue
from service import call

QUEUES = [
    ("queue/me/github", "exchange/github-webhooks/v1", "web-platform-tests/wpt/push"),
    ("queue/me/hgmo", "exchange/hgpushes/v2", "#"),
    ("queue/me/groups", "exchange/taskcluster-queue/v1/task-group-resolved", "primary.#"),
]


def on_github(body):
    call("github", body["payload"]["after"])


def on_commit(body):
    push = body["payload"]
    if push["type"] == "changegroup.1":
        call("commit", push["data"]["heads"][0])


def on_group(body):
    call("group", body["taskGroupId"])


HANDLERS = {
    "exchange/github-webhooks/v1": on_github,
    "exchange/hgpushes/v2": on_commit,
    "exchange/taskcluster-queue/v1/task-group-resolved": on_group,
}


def on_message(body, message):
    handler = HANDLERS[message.delivery_info["exchange"]]
    try:
        handler(body)
    finally:
        message.ack()


with Connection(os.environ["PULSE_URL"]) as connection:
    queues = [
        Queue(name, Exchange(exchange, type="topic", no_declare=True), key, durable=True)
        for name, exchange, key in QUEUES
    ]
    with connection.Consumer(queues, callbacks=[on_message]):
        while True:
            try:
                connection.drain_events(timeout=1)
            except TimeoutError:
                pass
