"""The page about performance and its charts, drawn only from the figures of one run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import report
from benchmarks.chart import charts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["notes", "write"]

_NOTES = Path(__file__).with_name("notes.md")
_MARKS = {True: "✓", False: "✗", None: "not measured"}


def write(run: Mapping[str, Any], folder: Path) -> None:
    """Write `performance.md` into a folder, and the figures and charts into its subfolder `performance`."""
    beside = folder / "performance"
    beside.mkdir(parents=True, exist_ok=True)
    report.write(run, beside / "results.json")
    run = report.read(beside / "results.json")  # rounded figures, so that the page is always the same
    for old in beside.glob("*.svg"):
        old.unlink()
    pictures: dict[str, list[str]] = {}
    for name, part in run["parts"].items():
        for suffix, picture in charts(part).items():
            file = beside / f"{name}{suffix}.svg"
            file.write_text(picture, encoding="utf-8")
            pictures.setdefault(name, []).append(f"{beside.name}/{file.name}")
    (folder / "performance.md").write_text("\n".join(_page(run, pictures)), encoding="utf-8")


def _page(run: Mapping[str, Any], pictures: Mapping[str, Sequence[str]]) -> Iterator[str]:
    texts = notes()
    machine, versions = run["machine"], run["versions"]
    yield "# Performance\n"
    yield "<!-- Drawn from performance/results.json and benchmarks/notes.md: change those, or the benchmarks. -->\n"
    yield texts["performance"]
    yield (
        f"Measured on {run['date']}, on {machine['cores']} cores ({machine['processor']}, {machine['memory_gb']} GB, "
        f"{machine['system']}) with a load of {run['load']:.1f} before, by "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}.\n"
    )
    yield "## Goals\n"
    yield texts["goals"]
    goals = [[goal["name"], report.bound(goal), _measured(goal), _MARKS[goal["reached"]]] for goal in run["goals"]]
    yield from _table(["", "goal", "measured", "reached"], goals)
    for name, part in run["parts"].items():
        yield f"## {part['title'][:1].upper()}{part['title'][1:]}\n"
        yield texts[name]
        yield from (f"![{part['title']}]({picture})\n" for picture in pictures[name])
        yield from _table(*report.columns(part))
        yield from (f"Not measured: {case}; {why}.\n" for case, why in run["left_out"].get(name, {}).items())


def _measured(goal: Mapping[str, Any]) -> str:
    return "" if goal["measured"] is None else report.amount(goal["measured"], goal["unit"])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def notes() -> dict[str, str]:
    """Return the texts of the notes, by their headings."""
    _, *pieces = re.split(r"^# (\S+)\n", _NOTES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: f"{text.strip()}\n" for name, text in zip(pieces[::2], pieces[1::2], strict=True)}
