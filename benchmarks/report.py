"""Samples as medians, spread and ratios: a table for people, JSON for charts."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import distributions
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.measure import Part, Sample

__all__ = ["conditions", "figures", "table"]


def figures(part: Part, samples: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    """Sum up a part: the medians of each case, and the ratio of each of ours to it."""
    values = {case: [_value(part, sample) for sample in samples[case]] for case in part.clients if case in samples}
    middle = {case: median(each) for case, each in values.items()}
    ours = [case for case in middle if case.startswith("pulsekit")]
    cases = {
        case: {
            "median": middle[case],
            "spread": (max(each) - min(each)) / 2 / middle[case],
            "cpu_us": median(sample.cpu / sample.count for sample in samples[case]) * 1e6,
            "peak_mb": median(sample.peak for sample in samples[case]) * 1024 / 1e6,
            "extra": {name: median(sample.extra[name] for sample in samples[case]) for name in samples[case][0].extra},
            "ratios": {one: middle[one] / middle[case] for one in ours if len(ours) < len(middle)},
            "samples": [asdict(sample) for sample in samples[case]],
        }
        for case, each in values.items()
    }
    return {"title": part.title, "unit": part.unit, "cases": cases}


def table(part: dict[str, Any]) -> str:
    """Draw a part; the column `[1]/` has the figure of our first case divided by that of the row."""
    cases = part["cases"]
    first = next(iter(cases.values()))
    marks = {case: f"[{number}]" for number, case in enumerate(first["ratios"], 1)}
    head = ["", part["unit"], "spread", "CPU µs", "peak MB", *first["extra"], *(f"{mark}/" for mark in marks.values())]
    lines = [
        [
            f"{marks.get(case, '')} {case}".strip(),
            _number(row["median"]),
            f"±{row['spread']:.0%}",
            _number(row["cpu_us"]),
            _number(row["peak_mb"]),
            *map(_number, row["extra"].values()),
            *(f"{ratio:.2f}" for ratio in row["ratios"].values()),
        ]
        for case, row in cases.items()
    ]
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    rows = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in (head, *lines)]
    return "\n".join([part["title"], *rows])


def conditions() -> dict[str, Any]:
    """Tell when, where and with what was measured."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()[0]},
        "python": platform.python_version(),
        "packages": {one.name: one.version for one in sorted(distributions(), key=lambda one: one.name)},
    }


def _value(part: Part, sample: Sample) -> float:
    return sample.seconds / sample.count * 1e3 if part.unit == "ms" else sample.count / sample.seconds


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
