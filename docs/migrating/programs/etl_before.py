import os

from kombu import Connection, Exchange, Queue
from service import call

exchange = Exchange("exchange/taskcluster-queue/v1/task-completed", type="topic", no_declare=True)
queue = Queue("queue/me/runs", exchange, routing_key="#", durable=True)
rows = []


def on_message(body, message):
    rows.append(body["status"]["taskId"])
    message.ack()


with Connection(os.environ["PULSE_URL"]) as connection:
    with connection.Consumer(queue, callbacks=[on_message]):
        try:
            while True:
                connection.drain_events(timeout=1)
        except TimeoutError:
            pass

if rows:
    call("insert", rows)
