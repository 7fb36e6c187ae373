"""Measure the parts in one run, and print their tables and the goals. The exit code is 1 if a measurement failed."""

from __future__ import annotations

import argparse
import random
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import page
from benchmarks.goals import judged
from benchmarks.measure import load
from benchmarks.report import conditions, figures, goals_table, read, table, write
from benchmarks.stage import Stage
from benchmarks.tasks import Failed, LeftOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measure import Part
    from benchmarks.tasks import Sample

__all__ = ["PARTS", "main"]

PARTS = (
    "publish",
    "consume",
    "publish-sandbox",
    "consume-sandbox",
    "publish-quorum",
    "consume-quorum",
    "publish-rabbitmq4",
    "consume-rabbitmq4",
    "latency",
    "latency-sandbox",
    "workers",
    "streams",
    "growth",
    "recordings",
    "validate",
    "match",
    "startup",
)


def main(argv: Sequence[str] | None = None) -> int:
    given = _arguments(argv)
    if given.read:
        page.write(read(given.read), given.write)
        return 0
    report = conditions()
    print(
        f"{report['machine']['cores']} cores with a load of {report['load']:.1f} before: other work moves the figures"
    )
    report |= {"parts": {}, "left_out": {}, "failures": []}
    with Stage(given.seconds, given.most, given.broker, full=given.full) as stage:
        for name in given.parts or PARTS:
            part = load(name)
            samples = _measure(name, part, stage, given, report)
            if samples:
                report["parts"][name] = figures(part, samples)
                print(f"\n{table(report['parts'][name])}", flush=True)
            for case, why in report["left_out"].get(name, {}).items():
                print(f"not measured: {case}: {why}")
        report["versions"] |= stage.versions
    report["goals"] = judged(report["parts"])
    if goals := [goal for goal in report["goals"] if goal["part"] in report["parts"]]:
        print(f"\n{goals_table(goals)}")
    if given.json:
        write(report, given.json)
    for failure in report["failures"]:
        print(f"\nFAILED {failure}", file=sys.stderr)
    if report["failures"]:
        return 1
    if given.write:
        page.write(report, given.write)
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure pulsekit beside other clients.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--case", metavar="REGEX", default="", help="measure only cases whose name matches")
    parser.add_argument("--rounds", type=int, help="number of measurements of each case")
    parser.add_argument("--seconds", type=float, default=1.0, help="duration of one measurement, about")
    parser.add_argument("--most", type=int, default=100_000, help="messages of streams; most messages of growth")
    parser.add_argument("--full", action="store_true", help="measure growth to a million, in minutes")
    parser.add_argument(
        "--broker", choices=("rabbitmq", "sandbox"), default="rabbitmq", help="broker of the parts that do not name one"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to a file")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="also write performance.md and its charts")
    parser.add_argument("--read", type=Path, metavar="FILE", help="only --write the results of a --json FILE")
    given = parser.parse_args(argv)
    if unknown := set(given.parts).difference(PARTS):
        parser.error(f"there is no part {min(unknown)!r}; parts are {', '.join(PARTS)}")
    if given.read and not given.write:
        parser.error("--read needs --write")
    if given.write and (given.parts or given.case):
        parser.error("--write needs a complete run: omit PART and --case")
    return given


def _measure(
    name: str, part: Part, stage: Stage, given: argparse.Namespace, report: dict[str, Any]
) -> dict[str, list[Sample]]:
    """Measure the cases in random order in each round. A case that fails is removed with its samples."""
    samples: dict[str, list[Sample]] = {case: [] for case in part.clients if re.search(given.case, case)}
    rounds = given.rounds or part.rounds
    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds}: {part.title}", file=sys.stderr)
        cases = [case for case in samples if number == 1 or case not in part.once]
        for case in random.sample(cases, len(cases)):
            try:
                samples[case].append(part.measure(stage, name, case))
            except LeftOut as reason:
                del samples[case]
                report["left_out"].setdefault(name, {})[case] = str(reason)
            except Failed as failure:
                del samples[case]
                report["failures"].append(str(failure))
    return samples
