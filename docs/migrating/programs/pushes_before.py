import os
import traceback

from kombu import Connection, Exchange, Queue
from kombu.mixins import ConsumerMixin
from service import call


class Listener(ConsumerMixin):
    def __init__(self, connection, queue):
        self.connection = connection
        self.queue = queue

    def get_consumers(self, Consumer, channel):
        return [Consumer(self.queue, callbacks=[self.on_message])]

    def on_message(self, body, message):
        try:
            push = body["payload"]
            if push["type"] == "changegroup.1":
                call("schedules", push["data"]["heads"][0])
        except Exception:
            traceback.print_exc()
        finally:
            message.ack()


exchange = Exchange("exchange/hgpushes/v2", type="topic", no_declare=True)
queue = Queue("queue/me/pushes", exchange, routing_key="#", durable=True, auto_delete=True)

with Connection(os.environ["PULSE_URL"]) as connection:
    Listener(connection, queue).run()
