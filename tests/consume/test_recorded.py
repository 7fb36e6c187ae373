"""Running a handler on a recording: the messages that the handler receives, and the policy without a broker."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import pulsekit
from pulsekit import HandlerFailed, OnFailure, Policy, Properties, Reject, Retry, Worker
from pulsekit.consume import Workers
from pulsekit.consume.health import metrics
from pulsekit.messages import Message

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EXCHANGE = "exchange/me/v1/jobs"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Six messages; 4 has another exchange, 5 a CC key, and the body of 3 is not JSON."""
    path = tmp_path / "recording.ndjson"
    with pulsekit.Recorder(path) as recorder:
        recorder.write(
            Message(
                exchange="exchange/me/v1/other" if number == 4 else EXCHANGE,
                routing_key=f"a.{number}",
                body=b"{" if number == 3 else b'{"n": %d}' % number,
                received=NOON + timedelta(seconds=number),
                headers={"CC": ["route.x"]} if number == 5 else {},
                properties=Properties(message_id=f"m{number}"),
            )
            for number in range(6)
        )
    return path


async def handled(recording: Path, bindings: Any = (), count: int | None = None, **fields: Any) -> list[str]:
    """Return the routing keys of the messages that a handler gets."""
    seen: list[str] = []

    def handler(message: pulsekit.Message) -> None:
        assert message.properties.message_id == message.routing_key.replace("a.", "m")
        assert message.received == NOON + timedelta(seconds=int(message.routing_key[-1]))
        assert bool(message.bindings) == bool(bindings)
        seen.append(message.routing_key)

    await Workers([Worker(handler, bindings, **fields)], signals=(), count=count).run(recording)
    return seen


async def test_a_handler_gets_the_recorded_messages_that_match_its_bindings(recording: Path) -> None:
    assert await handled(recording) == [f"a.{number}" for number in range(6)]
    assert await handled(recording, f"{EXCHANGE}:a.1") == ["a.1"]
    assert await handled(recording, [f"{EXCHANGE}:route.#", f"{EXCHANGE}:a.2"]) == ["a.2", "a.5"]
    assert await handled(recording, count=2) == ["a.0", "a.1"]
    assert sorted(await handled(recording, concurrency=3)) == [f"a.{number}" for number in range(6)]


def test_workers_run_in_any_thread(recording: Path) -> None:
    workers = Workers([Worker(lambda _: None)])
    with ThreadPoolExecutor() as threads:
        assert threads.submit(asyncio.run, workers.run(recording)).result() is None
    assert workers.workers[0].succeeded == 6


async def test_the_policy_applies_to_recorded_messages(recording: Path) -> None:
    calls: list[str] = []
    metered = ""

    async def handler(message: pulsekit.Message) -> None:
        nonlocal metered
        calls.append(message.routing_key)
        metered = metrics(workers)
        if message.routing_key == "a.0":
            raise Reject
        if message.routing_key == "a.1":
            raise KeyError
        if message.routing_key == "a.2" and not message.redelivered:
            raise Retry(after=3600)

    policy = Policy(failure=OnFailure.REQUEUE, limit=2, delay=3600, poison=OnFailure.REJECT)
    workers = Workers([Worker(handler, policy=policy)], signals=())
    await workers.run(recording)
    assert calls == ["a.0", "a.1", "a.1", "a.1", "a.2", "a.2", "a.4", "a.5"]
    assert workers.workers[0].rejected == 3
    assert re.search(r"pulsekit_messages_poison_total{.*} 1$", metered, re.MULTILINE)
    keep = Workers([Worker(handler, policy=Policy(failure=OnFailure.KEEP))], signals=())
    await keep.run(recording)
    assert keep.workers[0].failed == 3


async def test_a_failure_and_damage_end_the_run_after_the_messages_before(recording: Path) -> None:
    seen = []

    def handler(message: pulsekit.Message) -> None:
        seen.append(message.payload["n"])

    with pytest.raises(HandlerFailed, match="DocumentError"):
        await Workers([Worker(handler)], signals=()).run(recording)
    assert seen == [0, 1, 2]
    recording.write_bytes(recording.read_bytes()[:-300])
    with pytest.raises(pulsekit.DamagedRecording):
        await Workers([Worker(handler, f"{EXCHANGE}:a.1")], signals=()).run(recording)
    with pytest.raises(FileNotFoundError):
        await Workers([Worker(handler)], signals=()).run("none.ndjson")
