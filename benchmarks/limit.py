"""The limit: a client in C on librabbitmq, compiled if a compiler and the library are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.measure import in_fresh_process
from benchmarks.tasks import LeftOut

if TYPE_CHECKING:
    from benchmarks.measure import Meter
    from benchmarks.stage import Stage
    from benchmarks.tasks import Sample, Task

__all__ = ["LIMIT", "MULTIPLE", "client", "measure"]

LIMIT = "C, librabbitmq"
MULTIPLE = "C, librabbitmq, one ack for 64"

_SOURCE = Path(__file__).with_suffix(".c")
_NEEDED = "apt-get install gcc libc6-dev librabbitmq-dev"


def client(task: Task, meter: Meter) -> None:
    """Represent the program in a list of clients."""
    raise NotImplementedError(task.case, meter)


def measure(stage: Stage, part: str, task: Task) -> Sample:
    """Run the program with a task."""
    way = f"{part}-multiple" if task.case == MULTIPLE else part
    return in_fresh_process(part, task, str(_compiled(stage)), way)


def _compiled(stage: Stage) -> Path:
    """Compile the program, and return it.

    Raises:
        LeftOut: Raised when it cannot be compiled on this machine.
    """
    program = stage.folder / "limit"
    if program.exists():
        return program
    compiler = shutil.which("cc")
    if compiler is None:
        raise LeftOut(f"there is no C compiler ({_NEEDED})")
    with TemporaryDirectory(dir=stage.folder) as folder:
        made = Path(folder, "limit")
        command = (compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-o", str(made), str(_SOURCE), "-lrabbitmq")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            why = next((line for line in done.stderr.splitlines() if "error" in line), "cc failed")
            raise LeftOut(f"{why.strip()} ({_NEEDED})")
        shown = subprocess.run((made, "version"), capture_output=True, text=True, check=True)
        stage.versions["librabbitmq"] = shown.stdout.strip()
        made.rename(program)
    return program
