"""Run one handler in a separate process, and measure its rate with a full queue and the latency of single messages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.commands import ended, environment, processor_time
from benchmarks.measure import Client, Meter, Part, in_fresh_process, percentiles
from benchmarks.stage import read_bodies
from benchmarks.tasks import Failed, LeftOut, Sample, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.stage import Stage

__all__ = ["PART"]

_MESSAGES = 20_000  # in the queue, for each second of the measurement
_CELERY_WORKER = "celery worker"
_SLOW = {_CELERY_WORKER: 4}  # workers that are slow get fewer messages, by this factor
_SINGLE = 1_000  # messages one by one, for each second of the measurement
_PREFETCH = 250

# Each worker writes a byte to a pipe when its handler has decoded and checked a job.
_COMMON = """
import json, os
URL, EXCHANGE, QUEUE, PIPE = (os.environ[name] for name in ("PULSE_URL", "BENCH_EXCHANGE", "BENCH_QUEUE", "BENCH_PIPE"))

def handled(job):
    assert job["version"] == 1
    os.write(int(PIPE), b".")
"""
_PULSEKIT = """
def handle(message):
    handled(message.payload)

async def handle_async(message):
    handled(message.payload)

import pulsekit
queue = pulsekit.Queue(QUEUE, existing=True)
worker = pulsekit.Worker(handle_async, queue=queue, order="any", prefetch={prefetch})
"""
_CELERY = """
import celery
app = celery.Celery(broker=URL)
app.conf.update(
    task_default_queue=QUEUE, task_default_exchange=EXCHANGE, task_default_exchange_type="topic",
    task_default_routing_key="treeherder.#", task_ignore_result=True, task_acks_late=True,
    worker_enable_remote_control=False,
)
app.task(name="handled")(handled)
"""
_KOMBU = """
import kombu, kombu.mixins
class Worker(kombu.mixins.ConsumerMixin):
    def __init__(self, connection):
        self.connection = connection

    def get_consumers(self, consumer, _):
        queue = kombu.Queue(QUEUE, no_declare=True)
        return [consumer([queue], on_message=self.on_message, prefetch_count={prefetch})]

    def on_message(self, message):
        payload = message.payload
        message.ack()  # before the byte, because the script is ended after the last one
        handled(payload)

with kombu.Connection(URL) as connection:
    Worker(connection).run()
"""
_PIKA = """
import pika
def on_message(channel, method, properties, body):
    job = json.loads(body)
    channel.basic_ack(method.delivery_tag)
    handled(job)

channel = pika.BlockingConnection(pika.URLParameters(URL)).channel()
channel.basic_qos(prefetch_count={prefetch})
channel.basic_consume(QUEUE, on_message)
channel.start_consuming()
"""
_ALONE = ("--without-gossip", "--without-mingle", "--without-heartbeat")


def _measure_worker(
    task: Task, meter: Meter, text: str, *command: str, publishing: Callable[[Task], Any] | None = None
) -> None:
    """Measure a full queue, and then single messages."""
    Path(task.folder, "worker.py").write_text(_COMMON + text, encoding="utf-8")
    bodies = read_bodies(task)
    with (publishing or _pika_publisher)(task) as publish:
        if publishing:  # the messages of the queue must be in the format of the worker
            for body in islice(bodies, task.messages):
                publish(body)
        with _running(task, *command) as (process, handled):
            handled(1)  # the worker has started
            began, cpu = perf_counter(), processor_time(process.pid)
            handled(task.messages - 1)
            seconds, cpu = perf_counter() - began, processor_time(process.pid) - cpu
            times = []
            for body in islice(bodies, max(2, int(_SINGLE * task.seconds))):
                sent = perf_counter()
                publish(body)
                handled(1)
                times.append(perf_counter() - sent)
            process.send_signal(signal.SIGTERM)
            usage = ended(process)
    meter.ran(seconds, usage, cpu)
    meter.extra |= percentiles(times)


@contextmanager
def _running(task: Task, *command: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[int], None]]]:
    """Run a worker. Yield its process, and a function that waits until some more messages are handled."""
    reading, writing = os.pipe()
    variables = {"BENCH_EXCHANGE": task.exchange, "BENCH_QUEUE": task.queue, "BENCH_PIPE": str(writing)}
    with subprocess.Popen(
        (sys.executable, *command),
        cwd=task.folder,
        env=environment(task.folder, task.url) | variables,
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writing)

        def handled(count: int) -> None:
            while count > 0:
                if not (some := os.read(reading, count)):
                    assert process.stderr
                    raise Failed(f"{task.case} ended early: {process.stderr.read().decode()}")
                count -= len(some)

        try:
            yield process, handled
        finally:
            os.close(reading)
            process.kill()


@contextmanager
def _pika_publisher(task: Task) -> Iterator[Callable[[bytes], None]]:
    pika: Any = import_module("pika")
    persistent = pika.BasicProperties(content_type="application/json", delivery_mode=2)
    with pika.BlockingConnection(pika.URLParameters(task.url)) as connection:
        channel = connection.channel()
        yield lambda body: channel.basic_publish(task.exchange, task.routing_key, body, persistent)


@contextmanager
def _celery_publisher(task: Task) -> Iterator[Callable[[bytes], None]]:
    celery: Any = import_module("celery")
    with celery.Celery(broker=task.url) as app, app.producer_or_acquire() as producer:
        names = {"task_default_queue": task.queue, "task_default_exchange": task.exchange}  # otherwise "celery"
        app.conf.update(names, task_default_exchange_type="topic")
        where = {"exchange": task.exchange, "routing_key": task.routing_key, "producer": producer}
        yield lambda body: app.send_task("handled", args=[json.loads(body)], **where)


def _pulsekit(task: Task, meter: Meter, handler: str) -> None:
    options = () if handler == "worker" else ("--existing", "--queue", task.queue)
    command = ("-m", "pulsekit", "consume", f"worker:{handler}", *options)
    _measure_worker(task, meter, _PULSEKIT.format(prefetch=_PREFETCH), *command)


def _celery(task: Task, meter: Meter) -> None:
    options = ("--pool=solo", f"--prefetch-multiplier={_PREFETCH}", "--loglevel=ERROR", *_ALONE)
    command = ("-m", "celery", "--app=worker:app", "worker", *options)
    _measure_worker(task, meter, _CELERY, *command, publishing=_celery_publisher)


def _script(task: Task, meter: Meter, text: str) -> None:
    _measure_worker(task, meter, text.format(prefetch=_PREFETCH), "worker.py")


_CLIENTS: dict[str, Client] = {
    f"pulsekit consume, Worker, prefetch {_PREFETCH}": partial(_pulsekit, handler="worker"),
    "pulsekit consume, async def": partial(_pulsekit, handler="handle_async"),
    "pulsekit consume, def": partial(_pulsekit, handler="handle"),
    _CELERY_WORKER: _celery,
    "kombu ConsumerMixin": partial(_script, text=_KOMBU),
    "pika": partial(_script, text=_PIKA),
}


def _measure(stage: Stage, part: str, case: str) -> Sample:
    messages = max(10, int(_MESSAGES * stage.seconds) // _SLOW.get(case, 1))
    if case == _CELERY_WORKER and find_spec("celery") is None:
        raise LeftOut("celery is not installed")
    with stage.queue(case, messages, filled=case != _CELERY_WORKER) as task:
        sample = in_fresh_process(part, task)
        stage.check_queue(task, 0)
        return sample


PART = Part("workers: one handler in a process, started by a command", "messages/s", _CLIENTS, _measure, rounds=3)
