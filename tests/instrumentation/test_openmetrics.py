"""Metrics of messages, as Prometheus's own parser reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import pulsekit
from pulsekit.instrumentation import Endpoint, GapDetails, OpenMetrics, OutcomeDetails, PublishDetails, StateDetails

if TYPE_CHECKING:
    from support.rabbitmq.broker import PulseUser

AWKWARD = 'quo"ted\\ \n'
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def samples(metrics: OpenMetrics) -> dict[tuple[str, ...], float]:
    """Return the samples, by name and label values."""
    return {
        (sample.name.removeprefix("pulsekit_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.text())
        for sample in family.samples
    }


async def test_messages_are_counted(exchange: str, user: PulseUser) -> None:
    metrics, queue = OpenMetrics(), f"queue/{user.name}/jobs"
    assert samples(metrics) == {}
    async with (
        pulsekit.connect(user.url, instrumentation=metrics) as pulse,
        pulse.subscribe(f"{exchange}:a", queue=queue) as messages,
        pulse.subscribe(f"{exchange}:a") as private,
    ):
        publisher = pulse.publisher(exchange)
        for _ in range(3):
            await publisher.publish({}, "a")
        with pytest.raises(pulsekit.MessageReturned):
            await publisher.publish({}, "b", mandatory=True)
        for settle in (pulsekit.Message.ack, pulsekit.Message.ack, pulsekit.Message.reject):
            settle(await anext(messages))
        message = await anext(private)
        with pytest.raises(LookupError), private.handling(message):
            raise LookupError
        found = samples(metrics)
    assert found["messages_published_total", exchange, "confirmed"] == 3
    assert found["messages_published_total", exchange, "returned"] == 1
    assert found["publish_seconds_count", exchange] == found["publish_seconds_bucket", exchange, "+Inf"] == 4
    assert found["messages_delivered_total", queue, exchange, "false"] == 3
    assert found["messages_settled_total", queue, "ack", "false"] == 2
    assert found["messages_settled_total", queue, "reject", "false"] == 1
    assert found["handling_seconds_count", "", "failure"] == 1
    assert found["connection", user.name, "publisher", "ready"] == 1
    assert found["connection", user.name, "publisher", "closed"] == 0
    assert samples(metrics)["connection", user.name, "publisher", "closed"] == 1


def test_each_state_of_several_connections_of_a_user_is_shown() -> None:
    metrics = OpenMetrics()
    first, second = (Endpoint("h", 5672, "me", "/") for _ in range(2))
    for broker, state in ((first, "ready"), (first, "backing off"), (second, "ready")):
        metrics.on_state(StateDetails(broker, "consumer", state))
    found = {names[-1] for names, value in samples(metrics).items() if value}
    assert found == {"backing off", "ready"}
    metrics.on_state(StateDetails(first, "consumer", "closed"))
    assert {names[-1] for names, value in samples(metrics).items() if value} == {"ready"}
    metrics.on_state(StateDetails(second, "consumer", "closed"))
    assert {names[-1] for names, value in samples(metrics).items() if value} == {"closed"}


def test_awkward_names_and_all_families_are_read() -> None:
    metrics = OpenMetrics()
    broker = Endpoint("h", 1, AWKWARD, "/")
    publish = PublishDetails(broker, AWKWARD, "a", {})
    for seconds in (0.004, 0.3, 100):
        metrics.on_outcome(OutcomeDetails(publish, None, "", 0, True, seconds, ""))
    metrics.on_state(StateDetails(broker, "publisher", "ready"))
    metrics.on_gap(GapDetails(broker, AWKWARD, False, pulsekit.Gap(NOON, NOON + timedelta(seconds=2.5), 1, lossy=True)))
    found = samples(metrics)
    assert found["messages_published_total", AWKWARD, "failed"] == found["messages_resent_total", AWKWARD] == 3
    buckets = [found["publish_seconds_bucket", AWKWARD, bound] for bound in ("0.005", "0.25", "0.5", "10.0", "+Inf")]
    assert buckets == [1, 1, 2, 2, 3]
    assert found["publish_seconds_sum", AWKWARD] == pytest.approx(100.304)
    assert (found["gaps_total", AWKWARD, "true"], found["gap_seconds_total", AWKWARD]) == (1, 2.5)
