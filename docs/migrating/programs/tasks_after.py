import sqlite3

import pulsekit.sync
from pulsekit import OnFailure, Policy, Queue
from service import call

STATES = ["pending", "running", "completed", "failed", "exception"]

database = sqlite3.connect("tasks.sqlite")
database.execute("CREATE TABLE IF NOT EXISTS tasks (id TEXT PRIMARY KEY, state TEXT)")


def on_task(message):
    status = message.payload["status"]
    call("task", status["taskId"])
    with database:
        database.execute("INSERT OR REPLACE INTO tasks VALUES (?, ?)", [status["taskId"], status["state"]])


bindings = [f"exchange/taskcluster-queue/v1/task-{state}:primary.#" for state in STATES]
queue = Queue("queue/me/tasks-2", dead_letters="exchange/me/dead")
policy = Policy(failure=OnFailure.REQUEUE, delay=0.2, growth=2, limit=2)

with (
    pulsekit.sync.connect() as pulse,
    pulse.subscribe(*bindings, queue=queue, prefetch=1) as messages,
):
    messages.drain_on(now=True)  # SIGTERM and Ctrl-C finish the current message
    messages.handle(on_task, policy)
