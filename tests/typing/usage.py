"""Typical use of the library, checked by mypy and never run: its public types fit what a user writes."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pulsekit
from pulsekit import catalogue
from pulsekit import treeherder as jobs
from pulsekit.consume import Workers
from pulsekit.instrumentation import Instrumentation, OpenMetrics, SettlementDetails

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from signal import Signals

    from pulsekit.catalogue.types import TaskFailedMessage


async def journey(job: dict[str, Any], jobs: list[dict[str, Any]]) -> None:
    async with pulsekit.connect("amqps://me:secret@pulse.mozilla.org/") as pulse:
        publisher = pulse.publisher("exchange/me/v1/jobs", schema="pulse-job")
        receipt: pulsekit.Receipt = await publisher.publish(job, "treeherder.mozilla-inbound._")
        outcome: pulsekit.Outcome = receipt.outcome
        async for each in publisher.publish_many((job, "treeherder.autoland._") for job in jobs):
            index: int = each.index
            print(outcome, index)
        async with pulse.subscribe("exchange/me/v1/jobs:treeherder.#", prefetch=10) as messages:
            async for message in messages:
                cc: tuple[str, ...] = message.cc
                print(cc, message.payload)
                await message.ack()
            await messages.handle(handler)
        queue = pulsekit.Queue("queue/me/jobs", type="quorum", expires=3600, dead_letters="exchange/me/dead")
        async with pulse.subscribe("exchange/me/v1/jobs", queue=queue) as kept:
            await kept.handle(handler, pulsekit.Policy(failure=pulsekit.OnFailure.REJECT))


async def handler(message: pulsekit.Message) -> None:
    print(message.routing_key)


class Counter(Instrumentation):
    settled = 0

    def on_settle(self, details: SettlementDetails) -> None:
        self.settled += details.delivery.message.routing_key == "a"


class Listener:
    def __call__(self, message: pulsekit.Message) -> None:
        print(message.body)


@contextmanager
def opened() -> Iterator[Callable[[pulsekit.Message], object]]:
    yield Listener()


@asynccontextmanager
async def opened_in_loop() -> AsyncIterator[Callable[[pulsekit.Message], object]]:
    yield handler


WORKERS = [
    pulsekit.Worker(handler, "exchange/me/v1/jobs:#", "queue/me/jobs", pulsekit.Policy(limit=None)),
    pulsekit.Worker(Listener, ["exchange/me/v1/jobs"], pulsekit.Queue("queue/me/jobs"), order="any", concurrency=5),
    pulsekit.Worker(Listener(), queue="queue/me/jobs", ack="before"),
    pulsekit.Worker(opened, queue="queue/me/jobs", name="opened", instrumentation=OpenMetrics()),
    pulsekit.Worker(opened_in_loop, queue="queue/me/jobs", schema="pulse-job"),
]


async def run_workers() -> None:
    async with pulsekit.connect(instrumentation=[Counter(), OpenMetrics()]) as pulse:
        received: Signals | None = await Workers(WORKERS, duration=60).run(pulse)
        print(received)


async def failed_tasks(group: str) -> None:
    bound = catalogue.bindings("task-failed", {"taskGroupId": [group]}, routes=["index.#"])
    async with pulsekit.connect() as pulse, pulse.subscribe(*bound) as messages:
        async for message in messages:
            task: str | None = message.key.taskId
            failed: TaskFailedMessage = message.payload
            run: int = failed["runId"]
            state: str = failed["status"]["runs"][run]["state"]
            print(task, state, failed.get("task"), catalogue.pattern("task-failed", taskId=task or "*"))


async def record(messages: pulsekit.Consumer) -> None:
    with pulsekit.Recorder("jobs.ndjson.gz", bindings=["exchange/me/v1/jobs:#"]) as recorder:
        async for message in messages:
            recorder.write([message])
            recorder.sync()
            await message.ack()


async def replay(publisher: pulsekit.Publisher) -> float:
    replay = pulsekit.Replay(pulsekit.read_recording("jobs.ndjson.gz"), speed=2, rekey=str.lower)
    async for receipt in replay.send(publisher):
        print(receipt.outcome)
    for entry in pulsekit.read_recording("jobs.ndjson.gz"):
        if isinstance(entry, pulsekit.Gap):
            print(entry.start, entry.end)
        else:
            print(entry.routing_key, entry.payload, entry.received)
    return replay.latest


def predict() -> list[str]:
    registration = pulsekit.Registration("exchange/me/v1/jobs", ["treeherder"], ["mozilla-inbound._"])
    matched: bool = pulsekit.topic_matches("treeherder.#", "treeherder.mozilla-inbound._")
    print(matched, pulsekit.explain_match("a.*", "a.b").reason)
    return [binding.pattern for binding in registration.expand()]


def foresee(job: dict[str, Any]) -> dict[str, Any]:
    findings: tuple[jobs.Finding, ...] = jobs.lint_job(job, "treeherder.autoland._", off=["time-missing"])
    for finding in jobs.Linter().lint(job) or findings:
        print(finding.severity is jobs.Severity.DROPPED, finding.rule, finding.pointer, finding.message, finding.hint)
    return jobs.preview_job(job)


def judge(job: dict[str, Any]) -> tuple[pulsekit.Problem, ...]:
    return pulsekit.load_schema("pulse-job").problems(job, profile="treeherder")


def compare(old: list[pulsekit.Binding], new: list[pulsekit.Binding]) -> tuple[pulsekit.Binding, ...]:
    return pulsekit.diff(old, new).added
