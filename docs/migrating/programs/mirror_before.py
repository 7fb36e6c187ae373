import os

from kombu import Connection, Exchange, Queue
from kombu.mixins import ConsumerMixin
from service import call


class Mirror(ConsumerMixin):
    def __init__(self, connection, queue):
        self.connection = connection
        self.queue = queue

    def get_consumers(self, Consumer, channel):
        return [Consumer(self.queue, callbacks=[self.on_message])]

    def on_message(self, body, message):
        push = body["payload"]
        if push["type"] != "push":
            message.reject()
            return
        try:
            call("mirror", push["push_id"])
        except Exception:
            message.requeue()
        else:
            message.ack()


exchange = Exchange("exchange/landoprod/pushes", type="topic", no_declare=True)
queue = Queue("queue/me/mirror", exchange, routing_key="#", durable=True)

with Connection(os.environ["PULSE_URL"]) as connection:
    Mirror(connection, queue).run()
