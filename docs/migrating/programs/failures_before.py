import os
import traceback
from concurrent.futures import ThreadPoolExecutor

from kombu import Connection, Exchange, Queue
from kombu.mixins import ConsumerMixin
from service import call


class Listener(ConsumerMixin):
    def __init__(self, connection, queue):
        self.connection = connection
        self.queue = queue
        self.pool = ThreadPoolExecutor(4)

    def get_consumers(self, Consumer, channel):
        return [Consumer(self.queue, callbacks=[self.on_message])]

    def on_message(self, body, message):
        message.ack()
        self.pool.submit(self.investigate, body["status"]["taskId"])
        print("accepted", body["status"]["taskId"], flush=True)

    def investigate(self, task_id):
        try:
            call("investigate", task_id)
        except Exception:
            traceback.print_exc()


exchange = Exchange("exchange/taskcluster-queue/v1/task-failed", type="topic", no_declare=True)
queue = Queue("queue/me/failures", exchange, routing_key="#", durable=True)

with Connection(os.environ["PULSE_URL"]) as connection:
    Listener(connection, queue).run()
