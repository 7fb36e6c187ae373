"""The library for programs without an event loop: the same names, options and errors, but methods that block.

Consume, and acknowledge each message after the work:

    import pulsekit.sync

    with pulsekit.sync.connect() as pulse:
        with pulse.subscribe("exchange/taskcluster-queue/v1/task-failed:#", queue="queue/me/failed") as messages:
            for message in messages:
                print(message.payload["status"]["taskId"])
                message.ack()

Plan: each `Pulse` of this module runs an asynchronous `Pulse` in its own event loop, in a background thread
(`_Background`). A method passes a coroutine to that thread and waits for its result, so the asynchronous classes decide
everything. The caller takes messages from the buffer of the consumer; settlements and receipts cross the threads in
batches. The items of `publish_many` and the handler of `handle` run in the thread of the caller, which has the database
connections and request contexts of synchronous frameworks.

Invariants:

- Several threads may use one `Pulse` and one `Publisher`. One thread iterates over a `Consumer`.
- A child process after a fork has no copy of the background thread. The first call in the child starts another thread
  with other connections, and each publisher is created again. A consumer belongs to the process that opened it.
- A `Pulse` that was not closed is closed when the interpreter exits.

Example: a web application creates one publisher while it starts, then forks four workers. Each worker publishes over
its own connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.sync.consumer import Consumer
    from pulsekit.sync.publisher import Publisher
    from pulsekit.sync.pulse import Pulse, connect

__all__ = ["Consumer", "Publisher", "Pulse", "connect"]

__getattr__, __dir__ = lazy_names(
    __name__, {"consumer": "Consumer", "publisher": "Publisher", "pulse": "Pulse connect"}
)
