import os
import sqlite3

from kombu import Connection, Exchange, Queue, binding
from kombu.mixins import ConsumerMixin
from service import call

STATES = ["pending", "running", "completed", "failed", "exception"]


class Command(ConsumerMixin):
    def __init__(self, connection, queue, database):
        self.connection = connection
        self.queue = queue
        self.database = database

    def get_consumers(self, Consumer, channel):
        return [Consumer(self.queue, callbacks=[self.on_message])]

    def on_message(self, body, message):
        status = body["status"]
        call("task", status["taskId"])
        with self.database:
            self.database.execute("INSERT OR REPLACE INTO tasks VALUES (?, ?)", [status["taskId"], status["state"]])
        message.ack()


database = sqlite3.connect("tasks.sqlite")
database.execute("CREATE TABLE IF NOT EXISTS tasks (id TEXT PRIMARY KEY, state TEXT)")
names = [f"exchange/taskcluster-queue/v1/task-{state}" for state in STATES]
exchanges = [Exchange(name, type="topic", no_declare=True) for name in names]
bindings = [binding(exchange, routing_key="primary.#") for exchange in exchanges]
queue = Queue("queue/me/tasks", bindings=bindings, durable=True)

with Connection(os.environ["PULSE_URL"]) as connection:
    Command(connection, queue, database).run()
