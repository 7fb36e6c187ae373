"""The medians, spread and ratios of samples, as a table for the terminal and as JSON for the page and its charts."""

from __future__ import annotations

import json
import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import pulsekit
from benchmarks.limit import LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.measure import Part
    from benchmarks.tasks import Sample

__all__ = ["amount", "bound", "columns", "conditions", "figures", "goals_table", "number", "read", "table", "write"]

_PACKAGES = (
    *("aio-pika", "aiormq", "pamqp", "kombu", "amqp", "pika", "faststream", "celery"),
    *("fastjsonschema", "jsonschema", "jsonschema-rs", "orjson", "typer", "rich"),
)
_RATIOS = 2  # columns of ratios
_LINE = 110  # columns of the longest list or object that is written on one line
_VERDICTS = {True: "yes", False: "no", None: "not measured"}


def figures(part: Part, samples: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    """Return the summary of a part: the medians of each case, and the ratios of pulsekit's cases to it."""
    values = {case: [_value(part, one) for one in each] for case, each in samples.items() if each}
    middle = {case: median(each) for case, each in values.items()}
    ours = [case for case in middle if case.startswith("pulsekit")]
    cases = {
        case: {
            "median": middle[case],
            "spread": (max(each) - min(each)) / 2 / middle[case],
            "cpu_us": median(sample.cpu / sample.count for sample in samples[case]) * 1e6,
            "peak_mb": median(sample.peak for sample in samples[case]) * 1024 / 1e6,
            "extra": {name: median(one.extra[name] for one in samples[case]) for name in samples[case][0].extra},
            "of_limit": middle[case] / middle[LIMIT] if LIMIT in middle else None,
            "ratios": {one: middle[one] / middle[case] for one in ours if len(ours) < len(middle)},
            "values": each,
        }
        for case, each in values.items()
    }
    return {"title": part.title, "unit": part.unit, "cases": cases}


def columns(part: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a part's table. `[1]/` is pulsekit's first rate divided by the row's."""
    cases = part["cases"]
    extras = list(dict.fromkeys(name for row in cases.values() for name in row["extra"]))
    ours = list(next(iter(cases.values()))["ratios"])[:_RATIOS]
    marks = {case: f"[{count}]" for count, case in enumerate(ours, 1)}
    limited = any(row["of_limit"] is not None for row in cases.values())
    head = ["", part["unit"], "spread", "CPU µs", "peak MB", *extras, *["of C"][:limited]]
    head += [f"{mark}/" for mark in marks.values()]
    rows = [
        [
            f"{marks.get(case, '')} {case}".strip(),
            number(row["median"]),
            f"±{row['spread']:.0%}",
            number(row["cpu_us"]),
            number(row["peak_mb"]),
            *(number(row["extra"][name]) if name in row["extra"] else "" for name in extras),
            *[f"{row['of_limit']:.2f}" if limited else ""][:limited],
            *(f"{row['ratios'][one]:.2f}" for one in ours),
        ]
        for case, row in cases.items()
    ]
    return head, rows


def table(part: Mapping[str, Any]) -> str:
    """Return a part as aligned columns."""
    head, rows = columns(part)
    return "\n".join([part["title"], *_aligned(head, rows)])


def goals_table(goals: Sequence[Mapping[str, Any]]) -> str:
    """Return the goals and their figures as aligned columns."""
    rows = [
        [
            goal["name"],
            bound(goal),
            "" if goal["measured"] is None else amount(goal["measured"], goal["unit"]),
            _VERDICTS[goal["reached"]],
        ]
        for goal in goals
    ]
    return "\n".join(_aligned(["goals", "goal", "measured", "reached"], rows))


def bound(goal: Mapping[str, Any]) -> str:
    """Return the bound of a goal as text."""
    return f"{'≤' if goal['most'] else '≥'} {amount(goal['bound'], goal['unit'])}"


def amount(value: float, unit: str) -> str:
    """Return a figure with its unit."""
    return f"{number(value)}{'' if unit in {'x', '/s'} else ' '}{unit}"


def number(value: float) -> str:
    """Return a figure with a suitable number of digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def conditions() -> dict[str, Any]:
    """Return the time, the machine and the versions of a run."""
    versions = {"Python": platform.python_version(), "pulsekit": pulsekit.__version__}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "load": os.getloadavg()[0],
        "machine": {
            "cores": os.cpu_count(),
            "processor": _named("/proc/cpuinfo", "model name") or platform.machine(),
            "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
            "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        },
        "versions": versions,
    }


def read(file: Path) -> dict[str, Any]:
    """Read a report."""
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return report


def write(report: Mapping[str, Any], file: Path) -> None:
    """Return a report as JSON with short lines, so that a diff is readable."""
    file.write_text(_json(report) + "\n", encoding="utf-8")


def _json(value: Any, indent: str = "") -> str:
    if isinstance(value, float):
        return f"{value:.5g}" if abs(value) < 1e5 else f"{value:.0f}"
    flat = json.dumps(value, ensure_ascii=False)
    deeper = f"{indent} "
    if isinstance(value, dict) and value:
        inner = [f"{json.dumps(key, ensure_ascii=False)}: {_json(each, deeper)}" for key, each in value.items()]
        whole = "{" + ", ".join(inner) + "}"
    elif isinstance(value, list) and value:
        inner = [_json(each, deeper) for each in value]
        whole = "[" + ", ".join(inner) + "]"
    else:
        return flat
    if len(indent) + len(whole) <= _LINE and "\n" not in whole:
        return whole
    return f"{whole[0]}\n{deeper}" + f",\n{deeper}".join(inner) + f"\n{indent}{whole[-1]}"


def _aligned(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in (head, *rows)]


def _named(file: str, name: str) -> str:
    """Return the value of the first line with a name in a file of proc(5)."""
    found = re.search(rf"^{name}\s*: (.+)$", Path(file).read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    return found[1].strip() if found else ""


def _value(part: Part, sample: Sample) -> float:
    return sample.seconds / sample.count * 1e3 if part.unit == "ms" else sample.count / sample.seconds
