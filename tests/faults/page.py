"""The tables of docs/reliability.md, drawn from the figures of several runs in docs/reliability.json.

`nox -s faults -- --figures FILE` writes the figures of one run. `python tests/faults/page.py FILE…` stores the figures
of several runs and draws the tables. Without a file, the script only draws the tables.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["FIGURES", "PAGE", "drawn", "table"]

_DOCS = Path(__file__).parents[2] / "docs"
FIGURES, PAGE = _DOCS / "reliability.json", _DOCS / "reliability.md"

_BEGIN, _END = "<!-- faults: drawn from reliability.json by tests/faults/page.py -->\n", "<!-- /faults -->\n"
_COUNTS = {
    "sent": "sent",
    "confirmed": "confirmed",
    "returned": "returned",
    "refused": "refused",
    "timeout": "timed out",
    "unknown": "unknown",
    "unsent": "not sent",
    "resent": "sent again",
    "received": "received",
    "distinct": "distinct",
    "duplicates": "duplicates, declared",
    "deleted": "deleted with their queue",
}


def table(faults: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Draw the figures of each fault as a row, with a link to its file."""
    head = ["fault", *_COUNTS.values(), "back after, s", "memory, MB", "files"]
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    for one in faults:
        counts = [f"{one[name]:,}" if one[name] else "" for name in _COUNTS]
        back = "" if one["back"] is None else f"{one['back']:.1f}"
        memory, files = f"{one['memory'] / 1e6:+.1f}", f"{one['files']:+d}"
        yield f"| {' | '.join([_words(one['test']), *counts, back, memory, files])} |"


def _words(test: str) -> str:
    """Turn the name of a test into words: `tests/x.py::test_a_node_is_killed[2000]` is "a node is killed, 2000"."""
    path, _, name = test.partition("::test_")
    words, _, parameter = name.partition("[")
    label = ", ".join(part for part in (words.replace("_", " "), parameter.rstrip("]")) if part)
    return f"[{label}](../{path})"


def drawn(text: str, runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the text with new tables: the sums of each run, and each fault in the last run of each RabbitMQ."""
    lines = [
        *("The sums of each run, in the order in which they ran:", "", *_sums(runs), ""),
        *(line for run in {run["versions"]["RabbitMQ"]: run for run in runs}.values() for line in _faults(run)),
    ]
    new = _BEGIN + "\n".join(lines) + _END
    text, count = re.subn(re.escape(_BEGIN) + ".*?" + re.escape(_END), lambda _: new, text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"the page has no place for the tables, between {_BEGIN!r} and {_END!r}")
    return text


def _sums(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f"| RabbitMQ | date | faults | {' | '.join(_COUNTS.values())} |"
    yield f"|---|---|{'---:|' * (len(_COUNTS) + 1)}"
    for run in runs:
        sums = [f"{sum(fault[name] for fault in run['faults']):,}" for name in _COUNTS]
        yield f"| {run['versions']['RabbitMQ']} | {run['date']} | {len(run['faults'])} | {' | '.join(sums)} |"


def _faults(run: Mapping[str, Any]) -> Iterator[str]:
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    yield f"Each fault in the last of these runs with this RabbitMQ, on {run['machine']}, with {versions}:"
    yield ""
    yield from table(run["faults"])
    yield ""


def main() -> None:
    if files := sys.argv[1:]:
        runs = [json.loads(Path(file).read_text(encoding="utf-8")) for file in files]
        text = re.sub(r"\{[^{}]*\}", lambda fault: " ".join(fault[0].split()), json.dumps(runs, indent=1))
        FIGURES.write_text(f"{text}\n", encoding="utf-8")  # with a line for each fault
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8"), json.loads(FIGURES.read_text(encoding="utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
