"""What the clients find: jobs in a folder, and a private RabbitMQ with a queue for each measurement."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from functools import cached_property
from importlib import import_module
from itertools import count, cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Failed, Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from rabbitmq.broker import PulseUser

__all__ = ["KEY", "Stage", "read_bodies", "read_jobs", "spoiled"]

KEY = "treeherder.mozilla-central._"

_JOBS = 256  # different ones, over and over
_LINK = "https://ci.example.com/api/queue/v1/task/{0}/runs/0/artifacts/public/{1}"


class Stage:
    """Own the folder and the broker of one run; the broker starts when the first queue is asked for.

    The folder has `jobs.ndjson`, one of them as `job.json`, one that is invalid as `spoiled.json`, and `schema.json`.
    """

    def __init__(self, seconds: float) -> None:
        self.broker_version = ""
        self._seconds = seconds
        self._owned = ExitStack()
        self._numbers = count(1)

    def __enter__(self) -> Self:
        from samples import SCHEMA

        self.folder = Path(self._owned.enter_context(TemporaryDirectory(prefix="pulsekit-benchmarks-")))
        jobs = [_job(number) for number in range(_JOBS)]
        lines = [json.dumps(job, separators=(",", ":")) for job in jobs]
        (self.folder / "jobs.ndjson").write_text("".join(f"{line}\n" for line in lines))
        (self.folder / "job.json").write_text(lines[0])
        (self.folder / "spoiled.json").write_text(json.dumps(spoiled(jobs[0])))
        (self.folder / "schema.json").write_text(json.dumps(SCHEMA))
        return self

    def __exit__(self, *_: object) -> None:
        self._owned.close()

    def task(self, case: str, **more: Any) -> Task:
        return Task(case, str(self.folder), self._seconds, **more)

    @contextmanager
    def queue(self, case: str, messages: int = 0) -> Iterator[Task]:
        """Give the task of a case that has a durable queue, with messages in it, for itself."""
        pika: Any = import_module("pika")
        user, name = self._user, f"bench{next(self._numbers)}"
        exchange, queue = f"exchange/{user.name}/{name}", f"queue/{user.name}/{name}"
        task = self.task(case, url=user.url, exchange=exchange, queue=queue, routing_key=KEY, messages=messages)
        with self._channel() as channel:
            channel.exchange_declare(exchange, "topic", durable=True)
            channel.queue_declare(queue, durable=True)
            channel.queue_bind(queue, exchange, "treeherder.#")
            persistent = pika.BasicProperties(delivery_mode=2, content_type="application/json")
            channel.tx_select()  # the commit ends when every message is in the queue
            for body in islice(read_bodies(task), messages):
                channel.basic_publish(exchange, KEY, body, persistent)
            channel.tx_commit()
        try:
            yield task
        finally:
            with self._channel() as channel:
                channel.queue_delete(queue)
                channel.exchange_delete(exchange)

    def check_queue(self, task: Task, expected: int) -> None:
        """Hold the queue to the number of messages that must be in it, and the first of them to what was sent."""
        with self._channel() as channel:
            found = channel.queue_declare(task.queue, passive=True).method.message_count
            if found != expected:
                raise Failed(f"{task.case}: {found} messages are in the queue, {expected} should be")
            if expected:
                _, properties, body = channel.basic_get(task.queue)
                if properties.delivery_mode != 2 or body not in _lines(task):
                    raise Failed(f"{task.case}: this is not a persistent job: {properties} {body!r}")

    @cached_property
    def _user(self) -> PulseUser:
        from rabbitmq.node import running

        broker = self._owned.enter_context(running())
        self.broker_version = broker.eval("list_to_atom(rabbit_misc:version())").strip("'")
        return broker.user()

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        pika: Any = import_module("pika")
        with pika.BlockingConnection(pika.URLParameters(self._user.url)) as connection:
            yield connection.channel()


def read_jobs(task: Task) -> Iterator[Any]:
    """Return an endless supply of jobs as dicts."""
    return cycle([json.loads(body) for body in _lines(task)])


def read_bodies(task: Task) -> Iterator[bytes]:
    """Return the same supply, encoded."""
    return cycle(_lines(task))


def spoiled(job: dict[str, Any]) -> dict[str, Any]:
    """Return a job with one fault, late in the job."""
    return job | {"version": 2}


def _lines(task: Task) -> list[bytes]:
    return (Path(task.folder) / "jobs.ndjson").read_bytes().splitlines()


def _job(number: int) -> dict[str, Any]:
    """Widen our sample to the 1.4 kB of a real job."""
    from samples import COMPLETED

    job = deepcopy(COMPLETED)
    uuid = f"{number:08x}-5a6b-4c7d-8e9f-0a1b2c3d4e5f"
    job["taskId"] = f"{uuid}/0"
    job["display"]["jobName"] = "test-linux1804-64-qr/debug-mochitest-browser-chrome-spi-nw-5"
    job["jobInfo"]["links"][0]["url"] = _LINK.format(uuid, "test_info/mochitest-browser-chrome_errorsummary.log")
    job["logs"][0]["url"] = _LINK.format(uuid, "logs/live_backing.log")
    return job
