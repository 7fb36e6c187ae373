"""Run `pulsekit tail --save` for minutes: `nox -s soak`, or `python -m benchmarks.soak [--minutes N]`.

A publisher keeps a constant rate, and `pulsekit tail` shows and records the messages. Every message must be shown in
order and recorded, and memory must not grow after the first tenth. The figures are printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).parents[1]))  # last, so that an installed pulsekit is measured

from benchmarks.commands import pulsekit
from benchmarks.stage import Stage
from benchmarks.streams import OTHER_KEY, published, publishing, read_in_order
from benchmarks.tasks import Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "soak"]

_GROWTH = 8.0  # MiB by which memory may grow after the first tenth
_PAUSE = 0.25  # seconds between two measurements of memory


def soak(stage: Stage, messages: int, rate: int) -> dict[str, Any]:
    """Run the soak test once, and return its figures.

    Raises:
        Failed: Raised when a message was not shown or not recorded, or memory grew.
    """
    from pulsekit import read_recording

    with stage.queue("soak", messages, filled=False) as task:
        recording = Path(task.folder, "soak.ndjson.gz")
        command = (
            "tail",
            f"{task.exchange}:{OTHER_KEY}",
            "-n",
            str(messages),
            "-o",
            "ndjson",
            "--save",
            str(recording),
        )
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with pulsekit(task.folder, *command, url=task.url, **streams) as tail:
            try:
                assert tail.stdout
                assert tail.stderr
                if not (first := tail.stderr.readline()).startswith(b"listening"):
                    raise Failed(f"tail says: {(first + tail.stderr.read()).decode()}")
                memory = _Memory(tail.pid)
                publisher = publishing(task, rate)
                shown, _ = read_in_order(tail.stdout)
                sizes = memory.stop()
                complaint = tail.stderr.read().decode()
                status = tail.wait()
            finally:
                tail.kill()
        offered, _ = published(publisher)
        recorded = sum(1 for _ in read_recording(recording))
    settled = max(sizes[: max(1, len(sizes) // 10)])
    figures = {
        "messages": messages,
        "offered/s": round(offered, 1),
        "shown": shown,
        "recorded": recorded,
        "MiB after a tenth": round(settled, 1),
        "MiB at most": round(max(sizes), 1),
    }
    if (status, shown, recorded) != (0, messages, messages) or max(sizes) > settled + _GROWTH:
        raise Failed(f"tail ended with {status}: {figures} {complaint}")
    return figures


class _Memory:
    """Record the memory of a process in MiB at intervals."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._sizes = [self._size()]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> list[float]:
        self._end.set()
        self._thread.join()
        return self._sizes

    def _watch(self) -> None:
        while not self._end.wait(_PAUSE):
            try:
                self._sizes.append(self._size())
            except (OSError, IndexError):  # the process has ended
                return

    def _size(self) -> float:
        return int(self._status.read_text(encoding="utf-8").partition("VmRSS:")[2].split()[0]) / 1024


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Run pulsekit tail for minutes.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=2000, help="messages a second")
    parser.add_argument("--broker", choices=("rabbitmq", "sandbox"), default="rabbitmq")
    given = parser.parse_args(argv)
    with Stage(1.0, 1, given.broker) as stage:
        try:
            print(json.dumps(soak(stage, int(given.minutes * 60 * given.rate), given.rate)))
        except Failed as failure:
            print(f"FAILED {failure}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
