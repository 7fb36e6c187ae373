"""The goals for the figures of pulsekit. A run reports whether they are reached; a missed goal is not a failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.limit import LIMIT
from benchmarks.streams import RATE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GOALS", "Goal", "judged"]


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound for one figure of a case, or for its comparison with the best of other cases.

    Attributes:
        bound: the lower bound, or the upper bound if `most` is set.
        figure: `median`, `cpu_us`, `peak_mb`, or the name of an extra.
        beside: the cases of the same part to compare with. Empty if the figure itself is compared.
        how: the comparison: the ratio to the best case, or the difference.
        given: another figure of the case and its minimum. Below the minimum, the goal is not measured.
    """

    name: str
    part: str
    case: str
    bound: float
    most: bool = False
    figure: str = "median"
    beside: tuple[str, ...] = ()
    how: Literal["ratio", "difference"] = "ratio"
    unit: str = "x"
    given: tuple[str, float] | None = None

    def measured(self, parts: Mapping[str, Any]) -> float | None:
        """Return the figure of a run, or None if it was not measured."""
        cases = parts.get(self.part, {}).get("cases", {})
        if self.given and (_figure(cases, self.case, self.given[0]) or 0) < self.given[1]:
            return None
        own = _figure(cases, self.case, self.figure)
        if own is None or not self.beside:
            return own
        others = [_figure(cases, case, self.figure) for case in self.beside]
        known = [other for other in others if other is not None]
        if len(known) < len(others):  # a missing case may be the best
            return None
        best = min(known) if self.most else max(known)
        return own / best if self.how == "ratio" else own - best


def judged(parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compare the figures of a run with every goal."""
    rows = []
    for goal in GOALS:
        measured = goal.measured(parts)
        reached = None if measured is None else measured <= goal.bound if goal.most else measured >= goal.bound
        rows.append(
            {
                "name": goal.name,
                "part": goal.part,
                "bound": goal.bound,
                "most": goal.most,
                "unit": goal.unit,
                "measured": measured,
                "reached": reached,
            }
        )
    return rows


def _figure(cases: Mapping[str, Any], case: str, figure: str) -> float | None:
    row = cases.get(case)
    if row is None:
        return None
    value: float | None = row["extra"].get(figure) if figure not in row else row[figure]
    return value


_VALIDATED = "pulsekit publish_many, dicts, validated"
_BYTES = "pulsekit publish_many, bytes"
_AIO_PIKA = ("aio-pika one by one", "aio-pika gathered", "aio-pika windowed")
_AIO_PIKA_VALIDATED = ("aio-pika gathered, dicts, validated", "aio-pika windowed, dicts, validated")
_ITERATOR = ("aio-pika iterator",)
_STRICT = "pulsekit is_valid, profile strict"
_TYPER = ("a bare typer application",)
_TABLE = "pulsekit BindingTable of {:,}"
_TAIL, _SAVE = "pulsekit tail, a full queue", "pulsekit tail --save, a full queue"
_LIBRARY = "pulsekit async for, decoded, a full queue"
_GROWING = (
    ("growth", "pulsekit publish_many, dicts, validated: {:,}", "publish_many"),
    ("growth", "pulsekit async for, decoded: {:,}", "async for"),
    ("recordings", "pulsekit read_recording: {:,}", "read_recording"),
    ("recordings", "pulsekit preview: {:,}", "pulsekit preview"),
    ("validate", "NDJSON to verdicts by pulsekit, {:,} lines", "verdicts on lines"),
)
_SLACK = 30.0  # MB of additional memory for ten times the input


def _flat(name: str, case: str) -> Goal:
    return Goal(
        f"memory of {name}, beside a tenth of the input",
        "streams",
        case,
        _SLACK,
        most=True,
        figure="peak_mb",
        beside=(f"{case}, a tenth of the input",),
        how="difference",
        unit="MB",
    )


def _grown(name: str, part: str, case: str, bound: float, figure: str, **more: Any) -> Goal:
    """Compare a figure of a million of something with that of a hundred thousand."""
    tenth = (case.format(100_000),)
    return Goal(
        f"1,000,000 {name}", part, case.format(1_000_000), bound, most=True, figure=figure, beside=tenth, **more
    )


GOALS = (
    Goal(
        "publish_many from dicts, validated: of the limit in C, which only sends",
        "publish",
        _VALIDATED,
        1.0,
        beside=(LIMIT,),
    ),
    Goal(
        "publish_many from dicts, validated: CPU of the client, of the limit in C",
        "publish",
        _VALIDATED,
        4.0,
        most=True,
        figure="cpu_us",
        beside=(LIMIT,),
    ),
    Goal(
        "publish_many from dicts, validated: of the best aio-pika way, which only sends",
        "publish",
        _VALIDATED,
        1.7,
        beside=_AIO_PIKA,
    ),
    Goal(
        "publish_many from dicts, validated: of the best aio-pika way, validated and encoded",
        "publish",
        _VALIDATED,
        2.2,
        beside=_AIO_PIKA_VALIDATED,
    ),
    Goal("publish_many of bytes: of the limit in C", "publish", _BYTES, 0.95, beside=(LIMIT,)),
    Goal(
        "publish_many of bytes: CPU of the client a message",
        "publish",
        _BYTES,
        10.0,
        most=True,
        figure="cpu_us",
        unit="µs",
    ),
    Goal(
        "async for, decoded, acknowledged: of the aio-pika iterator",
        "consume",
        "pulsekit async for, decoded",
        4.0,
        beside=_ITERATOR,
    ),
    Goal(
        "async for, decoded, acknowledged: of the limit in C",
        "consume",
        "pulsekit async for, decoded",
        0.85,
        beside=(LIMIT,),
    ),
    Goal(
        "handler, decoded, acknowledged: of the aio-pika iterator",
        "consume",
        "pulsekit handler, decoded",
        4.5,
        beside=_ITERATOR,
    ),
    Goal(
        "synchronous, publish one by one: of kombu",
        "publish",
        "pulsekit.sync publish, one by one, bytes",
        0.9,
        beside=("kombu",),
    ),
    Goal(
        "synchronous, publish_many of bytes: of the asynchronous library",
        "publish",
        "pulsekit.sync publish_many, bytes",
        0.8,
        beside=(_BYTES,),
    ),
    Goal(
        "synchronous, for, decoded, acknowledged: of kombu",
        "consume",
        "pulsekit.sync for, decoded",
        2.0,
        beside=("kombu, decoded",),
    ),
    *(
        Goal(
            f"{name} {until}{place}, {figure[:3]}: of {beside}",
            part,
            f"{name}, {until}",
            1.1,
            most=True,
            figure=figure,
            beside=(f"{beside}, {until}",),
        )
        for part, place in (("latency", ""), ("latency-sandbox", " on the sandbox"))
        for name, beside in (("pulsekit", "asyncio and pamqp"), ("pulsekit.sync", "kombu"))
        for until in ("to confirm", "to consumer")
        for figure in ("p50 µs", "p99 µs")
    ),
    Goal(
        "pulsekit consume, async def, one message at a time, p50: of the best of celery, kombu and pika",
        "workers",
        "pulsekit consume, async def",
        1.1,
        most=True,
        figure="p50 µs",
        beside=("celery worker", "kombu ConsumerMixin", "pika"),
    ),
    Goal(
        "pulsekit publish FILE: of the library",
        "streams",
        "pulsekit publish FILE",
        0.95,
        beside=(_VALIDATED,),
    ),
    Goal(
        "pulsekit validate FILE, no invalid job: of orjson and jsonschema-rs",
        "streams",
        "pulsekit validate FILE, no invalid job",
        0.33,
        beside=("orjson and jsonschema-rs, the same lines",),
    ),
    Goal("pulsekit tail: of the consumer of the library", "streams", _TAIL, 0.8, beside=(_LIBRARY,)),
    Goal("pulsekit tail --save: of the consumer of the library", "streams", _SAVE, 0.8, beside=(_LIBRARY,)),
    Goal(
        "read_recording: of orjson.loads a line",
        "recordings",
        "pulsekit read_recording: 100,000",
        0.5,
        beside=("orjson.loads of each line",),
    ),
    Goal("pulsekit tail -o ndjson: of a full queue", "streams", _TAIL, RATE, unit="/s"),
    Goal(
        f"pulsekit tail -o ndjson: behind a publisher of {RATE:,}/s when that ends",
        "streams",
        f"pulsekit tail, {RATE:,}/s published",
        250.0,
        most=True,
        figure="behind ms",
        unit="ms",
        given=("offered/s", 0.95 * RATE),
    ),
    *(
        Goal(f"{case}: of a bare typer application", "startup", case, bound, most=True, beside=_TYPER)
        for case, bound in (
            ("pulsekit match KEY --binding PATTERN", 1.05),
            ("pulsekit validate JOB.json", 1.05),
            ("pulsekit --help", 1.05),
            ("pulsekit, a completion", 1.05),
            ("pulsekit demo, to its first line", 5.0),
        )
    ),
    Goal("is_valid, profile strict: CPU a job", "validate", _STRICT, 9.0, most=True, figure="cpu_us", unit="µs"),
    Goal(
        "problems of an invalid job: CPU, of is_valid",
        "validate",
        "pulsekit problems, each job invalid",
        8.0,
        most=True,
        figure="cpu_us",
        beside=(_STRICT,),
    ),
    Goal("100,000 bindings: keys that are not cached", "match", _TABLE.format(100_000), 100_000, unit="/s"),
    Goal("100,000 bindings: cached keys", "match", _TABLE.format(100_000), 1_000_000, figure="memo/s", unit="/s"),
    _grown("bindings: CPU of a lookup, of that with 100,000", "match", _TABLE, 1.2, "cpu_us"),
    Goal(
        "100,000 bindings: memory of each beyond its text",
        "match",
        _TABLE.format(100_000),
        600,
        most=True,
        figure="bytes/binding",
        unit="bytes",
    ),
    _grown("bindings: memory of each, of that with 100,000", "match", _TABLE, 1.1, "bytes/binding"),
    Goal(
        "100,000 bindings: six times #.a against a key of 40 words",
        "match",
        _TABLE.format(100_000),
        200,
        most=True,
        figure="6 x #.a µs",
        unit="µs",
    ),
    *(
        goal
        for part, case, name in _GROWING
        for goal in (
            _grown(f"with {name}: CPU of each, of that with 100,000", part, case, 1.2, "cpu_us"),
            _grown(
                *(f"with {name}: memory, beside that with 100,000", part, case, _SLACK, "peak_mb"),
                how="difference",
                unit="MB",
            ),
        )
    ),
    _flat("pulsekit publish, piped", "pulsekit publish, piped"),
    _flat("pulsekit validate FILE", "pulsekit validate FILE"),
    _flat("pulsekit match over a recording", "pulsekit match, a piped recording"),
    _flat("pulsekit tail", _TAIL),
    _flat("pulsekit tail --save", _SAVE),
)
