"""Health and metrics over HTTP, read by Prometheus's own parser and by hostile clients."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import pulsekit
from pulsekit import OnFailure, Policy, Worker
from pulsekit.consume import Workers, serve_health

if TYPE_CHECKING:
    from support.rabbitmq.broker import PulseUser

AWKWARD = 'quo"ted\\ \n'


async def get(url: str, method: str = "GET") -> tuple[int, str, str]:
    """Return the status, the content type and the body."""

    def request() -> tuple[int, str, str]:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read().decode()

    return await asyncio.to_thread(request)


async def samples(site: str) -> dict[tuple[str, str], float]:
    """Return the metrics as Prometheus reads them, by name and outcome."""
    status, kind, text = await get(f"{site}/metrics")
    assert (status, kind) == (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.labels["worker"] == AWKWARD
            found[sample.name.removeprefix("pulsekit_"), sample.labels.get("outcome", "")] = sample.value
    return found


async def test_health_and_metrics_follow_a_worker(pulse: pulsekit.Pulse, exchange: str, user: PulseUser) -> None:
    called: asyncio.Queue[Any] = asyncio.Queue()
    go, ready, failed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(message: pulsekit.Message) -> None:
        called.put_nowait(message.payload)
        await go.wait()
        if message.payload["n"] == 1:
            raise KeyError

    worker = Worker(handler, exchange, f"queue/{user.name}/q", Policy(failure=OnFailure.ACK), name=AWKWARD)
    workers = Workers(
        [worker], on_ready=lambda *_: ready.set(), on_failure=lambda *_: failed.set(), signals=(), count=3
    )
    async with serve_health(workers) as site:
        assert (await get(f"{site}/live"))[0] == 200
        assert (await get(f"{site}/ready"))[0] == 503
        assert (await samples(site))["worker_ready", ""] == 0
        running = asyncio.ensure_future(workers.run(pulse))
        await ready.wait()
        assert (await get(f"{site}/ready"))[0] == 200
        before = time.time()
        await pulse.publisher(exchange).publish({"n": 0}, "k")
        await called.get()
        values = await samples(site)
        assert values["handlers_running", ""] == values["worker_ready", ""] == 1
        assert before - 1 < values["handler_oldest_start_timestamp_seconds", ""] <= time.time()
        assert values["messages_handled_total", "success"] == 0
        go.set()
        await pulse.publisher(exchange).publish({"n": 1}, "k")
        await failed.wait()
        values = await samples(site)
        assert (values["messages_handled_total", "success"], values["messages_handled_total", "failure"]) == (1, 1)
        assert values["handler_seconds_count", ""] == 2
        assert values["handler_seconds_sum", ""] > 0
        assert ("handler_oldest_start_timestamp_seconds", "") not in values
        go.clear()
        await pulse.publisher(exchange).publish({"n": 2}, "k")
        await called.get()  # 1
        await called.get()  # 2
        assert workers.stopping
        status, _, text = await get(f"{site}/ready")
        assert (status, text.endswith(": stopping\n")) == (503, True)
        go.set()
        await running


async def test_only_get_and_the_three_pages_are_served() -> None:
    async with serve_health(Workers([Worker(print)])) as site:
        assert (await get(f"{site}/live?x=1"))[0] == 200
        assert (await get(f"{site}/"))[0] == 404
        assert (await get(f"{site}/live", "POST"))[0] == 405
        port = urlsplit(site).port
        for wrong in (port or 0, 70_000):
            with pytest.raises(pulsekit.ConfigurationError, match=f"port {wrong} of 127"):
                async with serve_health(Workers([Worker(print)]), wrong):
                    pass


@pytest.mark.parametrize("sent", [b"", b"\0" * 100_000, b"GET /live", b"GET /live HTTP/1.1\r\n" + b"a: b\r\n" * 10_000])
async def test_a_hostile_client_does_not_disturb_the_others(sent: bytes) -> None:
    async with serve_health(Workers([Worker(print)])) as site:
        streams = [await asyncio.open_connection("127.0.0.1", urlsplit(site).port) for _ in range(15)]
        for _, writer in streams:
            writer.write(sent)
        assert (await get(f"{site}/live"))[0] == 200
        extra, last = await asyncio.open_connection("127.0.0.1", urlsplit(site).port)
        last.write(b"GET /live HTTP/1.1\r\n\r\n")
        assert b"200" in await extra.readline()
    for _, writer in [*streams, (extra, last)]:
        writer.close()


async def test_more_connections_than_allowed_are_closed_at_once() -> None:
    async with serve_health(Workers([Worker(print)])) as site:
        streams = [await asyncio.open_connection("127.0.0.1", urlsplit(site).port) for _ in range(17)]
        ended = [asyncio.ensure_future(reader.read()) for reader, _ in streams]
        done, _ = await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == [b""]
    await asyncio.wait(ended)
    for _, writer in streams:
        writer.close()
