"""The processes that tests start: none outlives its test or the run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

__all__ = ["Child", "end_children", "running_children"]

_started: list[Child] = []


class Child(subprocess.Popen[Any]):
    """A process that is killed when its block raises, and when its test ends."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        _started.append(self)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            self.kill()  # `Popen` would wait for a command that has no reason to end
        super().__exit__(kind, *error)

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:  # noqa: A002 - as `Popen`
        """Write the input, and return the rest of both outputs when the process has ended.

        `Popen` reads the pipes past their Python objects, and would lose what `readline` had read ahead.
        """
        with ThreadPoolExecutor(2) as threads:
            out, err = (pipe and threads.submit(pipe.read) for pipe in (self.stdout, self.stderr))
            try:
                if self.stdin and not self.stdin.closed:
                    with contextlib.suppress(BrokenPipeError), self.stdin:
                        if input:
                            self.stdin.write(input)
                self.wait(timeout)
            except BaseException:
                self.kill()  # otherwise the two reads would not end
                raise
            return out and out.result(), err and err.result()

    def wait_until_asleep(self) -> None:
        """Wait until the process waits for input.

        Python acts on a signal between two instructions, or when it interrupts a system call. A signal that comes
        between a prompt and the read that follows does neither, and the process reads on.
        """
        stat = Path(f"/proc/{self.pid}/stat")  # see proc_pid_stat(5); Z is a process that has ended
        while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "SZ":
            time.sleep(0.01)  # between two looks: nothing announces that a process went to sleep


def end_children() -> list[str]:
    """Kill and reap the processes of the test, close their pipes, and return the commands that were still running."""
    left = []
    while _started:
        with _started.pop() as process:
            if process.poll() is None:
                left.append(repr(process))
                process.kill()
    return left


def running_children() -> list[str]:
    """Return the commands of all child processes of this one, however they were started (proc_pid_stat(5))."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])
            command = os.fsdecode((folder / "cmdline").read_bytes()).replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        if "multiprocessing.resource_tracker" in command:
            continue  # multiprocessing starts it with the first spawned process, and it ends with this one
        if parent == os.getpid():
            found.append(f"{folder.name} {command or 'that ended, but was not waited for'}")
    return found
