import sqlite3
import time

import pulsekit.sync

database = sqlite3.connect("pushes.sqlite")

with pulsekit.sync.connect() as pulse, pulse.publisher("exchange/me/pushes") as publisher:
    while True:
        pushes = database.execute("SELECT id FROM pushes WHERE NOT notified ORDER BY id").fetchall()
        for (push_id,) in pushes:
            message = {"payload": {"type": "push", "push_id": push_id}}
            publisher.publish(message, "gitpushes")
            with database:
                database.execute("UPDATE pushes SET notified = 1 WHERE id = ?", [push_id])
        time.sleep(0.05)  # until the next query
