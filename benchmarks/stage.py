"""The environment of the clients: a folder with jobs, and a private broker with a queue for each measurement."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from itertools import count, cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.commands import processor_time, sandbox
from benchmarks.tasks import Failed, LeftOut, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from benchmarks.tasks import Sample

__all__ = ["KEY", "Stage", "read_bodies", "read_jobs", "spoiled", "with_one_spoiled"]

KEY = "treeherder.mozilla-central._"
_ROOT_OF_4 = "PULSEKIT_BENCH_RABBITMQ4_ROOT"

_JOBS = 256  # different jobs, which are repeated
_LINK = "https://ci.example.com/api/queue/v1/task/{0}/runs/0/artifacts/public/{1}"
_COMMIT = 5_000  # messages in one transaction


class Stage:
    """The folder and the brokers of one run. A broker starts when its first queue is requested.

    The folder has `jobs.ndjson`, a job as `job.json`, an invalid job as `spoiled.json`, and `schema.json`.

    Args:
        seconds: the approximate duration of one measurement.
        most: the number of messages of streams, and the largest number for growth.
        broker: `rabbitmq` or `sandbox`, for parts that do not name a broker. With `sandbox`, no part uses RabbitMQ.
        full: whether to measure cases that take minutes.
    """

    def __init__(self, seconds: float, most: int, broker: str, *, full: bool = False) -> None:
        self.seconds = seconds
        self.most = most
        self.broker = broker
        self.full = full
        self.versions: dict[str, str] = {}  # versions of the brokers that were started
        self._owned = ExitStack()
        self._numbers = count(1)

    def __enter__(self) -> Self:
        tests = str(Path(__file__).parents[1] / "tests")  # with the sample jobs, and a private RabbitMQ
        if tests not in sys.path:
            sys.path.append(tests)
        from support.samples import SCHEMA

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
        return Task(case, str(self.folder), self.seconds, **more)

    @contextmanager
    def queue(self, case: str, messages: int = 0, broker: str | None = None, *, filled: bool = True) -> Iterator[Task]:
        """Yield the task of a case with a private durable queue, which has the task's messages if `filled`."""
        at, name = self._broker(broker), f"bench{next(self._numbers)}"
        kind = "quorum" if broker == "quorum" else None
        exchange, queue = f"exchange/{at.user}/{name}", f"queue/{at.user}/{name}"
        task = self.task(
            case, url=at.url, exchange=exchange, queue=queue, routing_key=KEY, messages=messages, queue_type=kind
        )
        with _channel(task) as channel:
            channel.exchange_declare(exchange, "topic", durable=True)
            channel.queue_declare(queue, durable=True, arguments=kind and {"x-queue-type": kind})
            channel.queue_bind(queue, exchange, "treeherder.#")
            if filled:
                _fill(channel, task)
        try:
            yield task
        finally:
            with _channel(task) as channel:
                channel.queue_delete(queue)
                channel.exchange_delete(exchange)

    def check_queue(self, task: Task, expected: int) -> None:
        """Check the number of messages in the queue, and that the first message is a persistent job."""
        with _channel(task) as channel:
            found = channel.queue_declare(task.queue, passive=True).method.message_count
            if found != expected:
                raise Failed(f"{task.case}: {found} messages are in the queue, {expected} should be")
            if expected:
                _, properties, body = channel.basic_get(task.queue)
                if properties.delivery_mode != 2 or body not in _lines(task):
                    raise Failed(f"{task.case}: this is not a persistent job: {properties} {body!r}")

    @contextmanager
    def watched(self, broker: str | None = None) -> Iterator[Callable[[Sample], None]]:
        """Yield a function that adds the broker's processor time for one operation to a sample."""
        pids = self._broker(broker).pids
        before = sum(map(processor_time, pids))

        def note(sample: Sample) -> None:
            if pids:
                sample.extra["broker µs"] = (sum(map(processor_time, pids)) - before) / sample.total * 1e6

        yield note

    def _broker(self, name: str | None) -> _Broker:
        if "sandbox" in (self.broker, name):
            return self._sandbox
        return self._cluster if name == "quorum" else self._rabbitmq4 if name == "rabbitmq4" else self._rabbitmq

    @cached_property
    def _rabbitmq(self) -> _Broker:
        from support.rabbitmq.node import running

        broker = self._owned.enter_context(running())
        self.versions["RabbitMQ"] = ".".join(map(str, broker.version))
        user = broker.user()
        return _Broker(user.name, user.url, getattr(broker, "pids", ()))

    @cached_property
    def _cluster(self) -> _Broker:
        """Three nodes. The client is connected to the first one."""
        from support.rabbitmq.cluster import Cluster

        cluster = self._owned.enter_context(Cluster())
        user = cluster.user()
        pids = {pid for node in cluster.nodes for pid in node.pids}
        return _Broker(user.name, cluster.url(user, cluster.nodes[0]), tuple(pids))

    @cached_property
    def _rabbitmq4(self) -> _Broker:
        from support.rabbitmq.home import Home
        from support.rabbitmq.node import PrivateNode
        from support.rabbitmq.root import Root

        folder = os.environ.get(_ROOT_OF_4)
        if not folder:
            raise LeftOut(f"{_ROOT_OF_4} does not name a root folder with RabbitMQ 4, such as one made by debootstrap")
        home = self._owned.enter_context(Home(root=Root(Path(folder).resolve())))
        node = self._owned.enter_context(PrivateNode(home))
        self.versions["RabbitMQ 4"] = ".".join(map(str, node.version))
        user = node.user()
        return _Broker(user.name, user.url, node.pids)

    @cached_property
    def _sandbox(self) -> _Broker:
        url, pid = self._owned.enter_context(sandbox(self.folder))
        return _Broker("me", url, (pid,))


@dataclass(frozen=True, slots=True)
class _Broker:
    """The login, the address and the processes of a broker. There are no processes if they are not known."""

    user: str
    url: str
    pids: tuple[int, ...]


def read_jobs(task: Task) -> Iterator[Any]:
    """Return an endless iterator of jobs as dicts."""
    return cycle([json.loads(body) for body in _lines(task)])


def read_bodies(task: Task) -> Iterator[bytes]:
    """Return an endless iterator of encoded jobs."""
    return cycle(_lines(task))


def spoiled(job: dict[str, Any]) -> dict[str, Any]:
    """Return a job with one error, near its end."""
    return job | {"version": 2}


def with_one_spoiled(jobs: Iterator[Any], number: int, at: int) -> Iterator[Any]:
    """Yield a number of jobs, and one additional invalid job at a random position."""
    yield from islice(jobs, at)
    yield spoiled(next(jobs))
    yield from islice(jobs, number - at)


def _fill(channel: Any, task: Task) -> None:
    pika: Any = import_module("pika")
    persistent = pika.BasicProperties(delivery_mode=2, content_type="application/json")
    bodies = islice(read_bodies(task), task.messages)
    channel.tx_select()
    while some := list(islice(bodies, _COMMIT)):
        for body in some:
            channel.basic_publish(task.exchange, KEY, body, persistent)
        channel.tx_commit()  # returns when all messages are in the queue


@contextmanager
def _channel(task: Task) -> Iterator[Any]:
    pika: Any = import_module("pika")
    with pika.BlockingConnection(pika.URLParameters(task.url)) as connection:
        yield connection.channel()


def _lines(task: Task) -> list[bytes]:
    return (Path(task.folder) / "jobs.ndjson").read_bytes().splitlines()


def _job(number: int) -> dict[str, Any]:
    """Return the sample job, extended to the 1.4 kB of a real job."""
    from support.samples import COMPLETED

    job = deepcopy(COMPLETED)
    uuid = f"{number:08x}-5a6b-4c7d-8e9f-0a1b2c3d4e5f"
    job["taskId"] = f"{uuid}/0"
    job["display"]["jobName"] = "test-linux1804-64-qr/debug-mochitest-browser-chrome-spi-nw-5"
    job["jobInfo"]["links"][0]["url"] = _LINK.format(uuid, "test_info/mochitest-browser-chrome_errorsummary.log")
    job["logs"][0]["url"] = _LINK.format(uuid, "logs/live_backing.log")
    return job
