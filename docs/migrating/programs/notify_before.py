import os
import sqlite3
import time

from kombu import Connection, Exchange

RETRY = {"interval_start": 0, "interval_step": 2, "interval_max": 30, "max_retries": 30}

database = sqlite3.connect("pushes.sqlite")

with Connection(os.environ["PULSE_URL"]) as connection:
    exchange = Exchange("exchange/me/pushes", type="topic")
    producer = connection.Producer(exchange=exchange, routing_key="gitpushes", serializer="json")
    while True:
        pushes = database.execute("SELECT id FROM pushes WHERE NOT notified ORDER BY id").fetchall()
        for (push_id,) in pushes:
            message = {"payload": {"type": "push", "push_id": push_id}}
            producer.publish(message, retry=True, retry_policy=RETRY)
            with database:
                database.execute("UPDATE pushes SET notified = 1 WHERE id = ?", [push_id])
        time.sleep(0.05)  # until the next query
