"""Typical use of the library, checked by mypy and never run: its public types hold what a user writes."""

from __future__ import annotations

from typing import Any

import pulsekit
from pulsekit import jobs


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


async def handler(message: pulsekit.Message) -> None:
    print(message.routing_key)


def predict() -> list[str]:
    registration = pulsekit.Registration("exchange/me/v1/jobs", ["treeherder"], ["mozilla-inbound._"])
    matched: bool = pulsekit.topic_matches("treeherder.#", "treeherder.mozilla-inbound._")
    print(matched, pulsekit.explain("a.*", "a.b").reason)
    return [binding.pattern for binding in registration.expand()]


def foresee(job: dict[str, Any]) -> dict[str, Any]:
    findings: tuple[jobs.Finding, ...] = jobs.lint(job, "treeherder.autoland._", off=["time-missing"])
    for finding in jobs.Linter().lint(job) or findings:
        print(finding.severity is jobs.Severity.DROPPED, finding.rule, finding.pointer, finding.message, finding.hint)
    return jobs.preview(job)


def judge(job: dict[str, Any]) -> tuple[pulsekit.Problem, ...]:
    return pulsekit.load_schema("pulse-job").problems(job, profile="treeherder")
