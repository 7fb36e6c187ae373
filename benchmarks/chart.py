"""Charts of a part as SVG: bars for rates, and lines on two logarithmic axes for cases that grow.

The colours have medium lightness and the background is transparent, so that charts are readable in dark and light mode.
"""

from __future__ import annotations

import math
import re
from html import escape
from typing import TYPE_CHECKING, Any

from benchmarks.limit import LIMIT, MULTIPLE
from benchmarks.report import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["charts"]

_WIDTH = 800
_INK = "#768088"
_OURS, _LIMIT, _PEER = "#3584e4", "#d97a07", "#8b959e"
_LINES = ("#3584e4", "#d97a07", "#2d9d58", "#b55bd0")
_LETTER = 7.0  # approximate width in pixels of a letter of size 12
_BOLD = 1.1  # width of bold text relative to normal text
_ROW = 24
_HEAD = 44
_LEAST_SIZES = 3  # the smallest number of sizes for a line
_SIZED = re.compile(r"(.*?)[:,]?(?: of)? ([\d,]+)(?: \w+)?")


def charts(part: Mapping[str, Any]) -> dict[str, str]:
    """Return the charts of a part, by the suffix of the file name."""
    cases = part["cases"]
    families: dict[str, dict[int, Mapping[str, Any]]] = {}
    for case, row in cases.items():
        if found := _SIZED.fullmatch(case):
            families.setdefault(found[1], {})[int(found[2].replace(",", ""))] = row | {"case": case}
    families = {name: rows for name, rows in families.items() if len(rows) >= _LEAST_SIZES}
    sized = {row["case"] for rows in families.values() for row in rows.values()}
    rest = {case: row for case, row in cases.items() if case not in sized}
    drawn = {}
    if any(case.startswith("pulsekit") for case in rest):  # otherwise, the other clients are only in the table
        drawn[""] = _bars(part["title"], part["unit"], rest)
    if families:
        drawn["-growth" if drawn else ""] = _growth(part["title"], part["unit"], families)
    return drawn


def _bars(title: str, unit: str, cases: Mapping[str, Any]) -> str:
    first = next((case for case in cases if case.startswith("pulsekit") and cases[case]["ratios"]), "")
    left = max(len(case) * _LETTER * (_BOLD if case == first else 1) for case in cases) + 10
    plot_width = _WIDTH - left - 45 * _LETTER
    scale = plot_width / max(max(row["values"]) for row in cases.values())
    drawn = []
    order = sorted(cases.items(), key=lambda item: item[1]["median"], reverse=unit != "ms")
    for count, (case, row) in enumerate(order):
        y = _HEAD + count * _ROW
        colour = _OURS if case.startswith("pulsekit") else _LIMIT if case in {LIMIT, MULTIPLE} else _PEER
        end = left + row["median"] * scale
        ends = [left + value * scale for value in (min(row["values"]), max(row["values"]))]
        drawn += [
            _text(left - 8, y + 12, case, anchor="end", bold=case == first),
            f'<rect x="{left:.1f}" y="{y + 2}" width="{end - left:.1f}" height="14" rx="2" fill="{colour}"/>',
            f'<path d="M{ends[0]:.1f} {y + 5}v8m0-4H{ends[1]:.1f}m0-4v8" fill="none" stroke="{_INK}"/>',
            _text(max(ends[1], end) + 8, y + 12, _told(unit, row, first)),
        ]
    legend = "a line: from the slowest round to the fastest"
    if first:
        legend = f"N x: {first}, divided by the row; {legend}"
    return _picture(title, legend, _HEAD + len(cases) * _ROW + 4, drawn)


def _told(unit: str, row: Mapping[str, Any], first: str) -> str:
    parts = [f"{number(row['median'])} ms" if unit == "ms" else f"{number(row['median'])}/s"]
    parts.append(f"{number(row['cpu_us'])} µs CPU" if unit != "ms" else "")
    parts.append("" if row["of_limit"] is None else f"{row['of_limit']:.2f} of C")
    ratio = row["ratios"].get(first)
    parts.append("" if ratio in {None, 1} else f"{ratio:.2f} x" if ratio < 10 else f"{ratio:.0f} x")
    return " · ".join(filter(None, parts))


def _growth(title: str, unit: str, families: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> str:
    gap, top, height = 70, _HEAD + 24, 230
    width = (_WIDTH - 2 * gap) / 2 - 10
    each = {name: {size: _each(unit, row) for size, row in rows.items()} for name, rows in families.items()}
    peak = {name: {size: row["peak_mb"] for size, row in rows.items()} for name, rows in families.items()}
    drawn = [
        *_panel((gap, top, width, height), "µs each", each),
        *_panel((2 * gap + width, top, width, height), "MB at most", peak),
    ]
    below = top + height + 46
    for count, (name, colour) in enumerate(zip(families, _LINES, strict=False)):
        y = below + count * 18
        drawn.append(f'<path d="M{gap} {y - 4}h24" stroke="{colour}" stroke-width="3"/>')
        drawn.append(_text(gap + 32, y, name))
    return _picture(title, "both axes are logarithmic", below + len(families) * 18 - 6, drawn)


def _panel(box: tuple[float, float, float, float], name: str, lines: Mapping[str, Mapping[int, float]]) -> list[str]:
    left, top, width, height = box
    sizes = sorted({size for line in lines.values() for size in line})
    values = [value for line in lines.values() for value in line.values()]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    span = math.log10(sizes[-1] / sizes[0])

    def x(size: float) -> float:
        return left + math.log10(size / sizes[0]) / span * width

    def y(value: float) -> float:
        return top + (high - math.log10(value)) / (high - low) * height

    drawn = [_text(left - 8, top - 10, name, anchor="start")]
    for power in range(low, high + 1):
        drawn.append(f'<path d="M{left:.1f} {y(10**power):.1f}h{width:.1f}" stroke="{_INK}" stroke-opacity="0.3"/>')
        drawn.append(_text(left - 8, y(10**power) + 4, _short(10**power), anchor="end"))
    drawn += [_text(x(size), top + height + 18, _short(size), anchor="middle") for size in sizes]
    last = [line[max(line)] for line in lines.values()]
    for line, colour in zip(lines.values(), _LINES, strict=False):
        points = [(x(size), y(value)) for size, value in sorted(line.items())]
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        drawn.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>' for a, b in points]
        beside = -9 if line[max(line)] == max(last) else 18
        drawn.append(_text(points[-1][0] + 2, points[-1][1] + beside, number(line[max(line)]), anchor="end"))
    return drawn


def _picture(title: str, legend: str, height: float, drawn: Iterable[str]) -> str:
    size = f'viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}"'
    style = f'font-family="system-ui, sans-serif" font-size="12" fill="{_INK}"'
    lines = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {style}>',
        f"<title>{escape(title)}</title>",
        _text(0, 14, title, bold=True),
        _text(0, 31, legend),
        *drawn,
        "</svg>",
    )
    return "\n".join(lines) + "\n"


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{place}{weight}>{escape(text)}</text>'


def _each(unit: str, row: Mapping[str, Any]) -> float:
    """Return the duration of one operation in microseconds."""
    median: float = row["median"]
    return median * 1e3 if unit == "ms" else 1e6 / median


def _short(value: float) -> str:
    for power, letter in ((6, "M"), (3, "k")):
        if value >= 10**power:
            return f"{value / 10**power:g}{letter}"
    return f"{value:g}"
