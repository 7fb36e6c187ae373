"""Metrics as text in the format of OpenMetrics, for Prometheus.

Plan: a family has a number, or the buckets of a histogram, for each combination of label values. `text` writes all
families. One lock protects all families, because several connections may have event loops in different threads.

Labels have few values: the routing key is not a label, and the name of a private queue is empty, because it changes
with each connection.

Format: https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

import time
from bisect import bisect_left
from contextlib import contextmanager
from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from pulsekit.instrumentation.protocol import Instrumentation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pulsekit.instrumentation.protocol import (
        DeliveryDetails,
        Endpoint,
        GapDetails,
        OutcomeDetails,
        SettlementDetails,
        StateDetails,
    )

Family: TypeAlias = "tuple[str, str, str, Iterable[tuple[str, str, float]]]"

__all__ = ["CONTENT_TYPE", "Family", "OpenMetrics", "exposition", "label"]

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
# Seconds. OpenTelemetry proposes these bounds for durations of messaging
# (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/).
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_BOUNDS = (*map(float, BUCKETS), "+Inf")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_STATES = ("connecting", "ready", "blocked", "backing off", "closed")


def label(name: str, value: str) -> str:
    """Return a label with an escaped value."""
    return f'{name}="{value.translate(_ESCAPES)}"'


def exposition(families: Iterable[Family]) -> str:
    """Return families as text.

    Args:
        families: name, type, help and samples of each family. A sample has a suffix of the name, labels and a value.
    """
    lines = []
    for name, kind, text, samples in families:
        unit = [f"# UNIT {name} seconds"] if name.endswith("_seconds") else []
        lines += [f"# TYPE {name} {kind}", *unit, f"# HELP {name} {text}"]
        lines += [f"{name}{suffix}{{{labels}}} {value}" for suffix, labels, value in samples]
    return "\n".join([*lines, "# EOF\n"])


class _Family:
    """One metric: its numbers by label values. A histogram has the counts of its buckets and the sum."""

    def __init__(self, name: str, text: str, *labels: str, histogram: bool = False) -> None:
        self._head = name, "histogram" if histogram else "counter", text
        self._histogram = histogram
        self._labels = labels
        self._values: dict[tuple[str, ...], list[float]] = {}

    def add(self, amount: float, *values: str) -> None:
        if not self._histogram:
            self._values.setdefault(values, [0])[0] += amount
            return
        numbers = self._values.setdefault(values, [0] * (len(BUCKETS) + 2))
        numbers[bisect_left(BUCKETS, amount)] += 1
        numbers[-1] += amount

    def family(self) -> Family:
        samples: list[tuple[str, str, float]] = []
        for values, numbers in self._values.items():
            labels = ",".join(map(label, self._labels, values))
            if not self._histogram:
                samples.append(("_total", labels, numbers[0]))
                continue
            counts = accumulate(numbers[:-1])
            samples += [("_bucket", f'{labels},le="{bound}"', n) for bound, n in zip(_BOUNDS, counts, strict=True)]
            samples += [("_count", labels, sum(numbers[:-1])), ("_sum", labels, numbers[-1])]
        return *self._head, samples


class OpenMetrics(Instrumentation):
    """Counters and durations of messages, states and gaps. `text` returns these metrics for Prometheus.

    One object may observe several connections, even in different threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        # By user and kind, the open connections with their states. A connection has one `Endpoint` object.
        self._states: dict[tuple[str, str], list[tuple[Endpoint, str]]] = {}
        self._families: list[_Family] = []
        add = self._add
        self._published = add(
            "messages_published", "Messages by the outcome of publishing them.", "exchange", "outcome"
        )
        self._resent = add("messages_resent", "Messages that were sent again after a reconnect.", "exchange")
        self._publishing = add(
            "publish_seconds", "How long messages waited for their outcome.", "exchange", histogram=True
        )
        self._delivered = add("messages_delivered", "Messages that arrived.", "queue", "exchange", "redelivered")
        self._settled = add("messages_settled", "Messages by their settlement.", "queue", "settlement", "stale")
        self._handling = add(
            "handling_seconds", "How long calls of the handler lasted.", "queue", "outcome", histogram=True
        )
        self._gaps = add("gaps", "Times without a consumer.", "queue", "lossy")
        self._gap_seconds = add("gap_seconds", "How long no consumer was connected.", "queue")

    def _add(self, name: str, text: str, *labels: str, histogram: bool = False) -> _Family:
        self._families.append(_Family(f"pulsekit_{name}", text, *labels, histogram=histogram))
        return self._families[-1]

    def on_outcome(self, details: OutcomeDetails) -> None:
        """Count the outcome of a message."""
        exchange = details.publish.exchange
        with self._lock:
            self._published.add(1, exchange, details.outcome or "failed")
            self._publishing.add(details.seconds, exchange)
            if details.resent:
                self._resent.add(1, exchange)

    def on_deliver(self, details: DeliveryDetails) -> None:
        """Count the arrival of a message."""
        message = details.message
        with self._lock:
            self._delivered.add(1, _queue(details), message.exchange, _flag(message.redelivered))

    def on_settle(self, details: SettlementDetails) -> None:
        """Count the settlement of a message."""
        with self._lock:
            self._settled.add(1, _queue(details.delivery), details.settlement.value, _flag(details.stale))

    def on_state(self, details: StateDetails) -> None:
        """Store the state of a connection."""
        broker, key = details.broker, (details.broker.user, details.connection)
        with self._lock:
            states = [(one, state) for one, state in self._states.get(key, ()) if one is not broker]
            self._states[key] = states if details.state == "closed" else [*states, (broker, details.state)]

    def on_gap(self, details: GapDetails) -> None:
        """Count a gap."""
        gap = details.gap
        with self._lock:
            self._gaps.add(1, _queue(details), _flag(gap.lossy))
            self._gap_seconds.add((gap.end - gap.start).total_seconds(), _queue(details))

    @contextmanager
    def handling(self, details: DeliveryDetails) -> Iterator[None]:
        """Measure a call of the handler."""
        began, outcome = time.perf_counter(), "failure"
        try:
            yield
            outcome = "success"
        finally:
            with self._lock:
                self._handling.add(time.perf_counter() - began, _queue(details), outcome)

    def text(self) -> str:
        """Return all metrics as text of the type `application/openmetrics-text; version=1.0.0; charset=utf-8`.

        If a user has several open connections, `pulsekit_connection` is 1 for each of their states.
        """
        name = "pulsekit_connection"
        with self._lock:
            families = [one.family() for one in self._families]
            states = [
                ("", ",".join(map(label, ("user", "connection", name), (*of, state))), int(state in current))
                for of, connections in self._states.items()
                for current in [{state for _, state in connections} or {"closed"}]
                for state in _STATES
            ]
        return exposition([*families, (name, "stateset", "The state of a connection.", states)])


def _queue(details: DeliveryDetails | GapDetails) -> str:
    return "" if details.private else details.queue


def _flag(value: bool) -> str:  # noqa: FBT001 - the value to write
    return "true" if value else "false"
