"""`python -m benchmarks [PART…]`: print a table for each part; exit 1 when a measurement failed."""

from __future__ import annotations

import argparse
import json
import random
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Failed
from benchmarks.report import conditions, figures, table
from benchmarks.stage import Stage

if TYPE_CHECKING:
    from benchmarks.measure import Part, Sample

_PARTS = ("publish", "consume", "validate", "match", "startup")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure pulsekit beside its peers.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(_PARTS)}; all by default")
    parser.add_argument("--rounds", type=int, help="how often each case is measured")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long one measurement takes, about")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    given = parser.parse_args()
    if unknown := set(given.parts).difference(_PARTS):
        parser.error(f"there is no part {min(unknown)!r}; there are {', '.join(_PARTS)}")
    report = conditions()
    print("{cores} cores with a load of {load:.1f} before: other work moves the figures".format(**report["machine"]))
    report |= {"parts": {}, "failures": []}
    with Stage(given.seconds) as stage:
        for name in given.parts or _PARTS:
            part: Part = import_module(f"benchmarks.{name}").PART
            samples = _measure(name, part, stage, given.rounds or part.rounds, report["failures"])
            if samples:
                report["parts"][name] = figures(part, samples)
                print(f"\n{table(report['parts'][name])}", flush=True)
        report["rabbitmq"] = stage.broker_version
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n")
    for failure in report["failures"]:
        print(f"\nFAILED {failure}", file=sys.stderr)
    return 1 if report["failures"] else 0


def _measure(name: str, part: Part, stage: Stage, rounds: int, failures: list[str]) -> dict[str, list[Sample]]:
    """Measure every case in each round, in a new order; one that failed is out, with what it had measured."""
    samples: dict[str, list[Sample]] = {case: [] for case in part.clients}
    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds}: {part.title}", file=sys.stderr)
        for case in random.sample(list(samples), len(samples)):
            try:
                samples[case].append(part.measure(stage, name, case))
            except Failed as failure:
                del samples[case]
                failures.append(str(failure))
    return samples


if __name__ == "__main__":
    sys.exit(main())
