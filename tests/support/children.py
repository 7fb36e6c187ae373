"""The processes that tests start: none outlives its test or the run."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Child", "end_children", "running_children", "without_stalls"]

_started: list[Child] = []
# The warnings of pulsekit that a machine causes when it stalls for some seconds.
_STALLS = re.compile(
    r"^.*(?:the broker has not answered for 2 s: still waiting to |the handler .* blocked the event loop for ).*\n",
    re.MULTILINE,
)


def without_stalls(text: str) -> str:
    """Remove the warnings that mean that the machine was stopped for a moment: a test may expect no others."""
    return _STALLS.sub("", text)


class _Stderr:
    """The standard error of a process, without the warnings of `without_stalls`."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __iter__(self) -> Iterator[Any]:
        while line := self.readline():
            yield line

    def readline(self) -> Any:
        while line := self._file.readline():
            if without_stalls(line.decode(errors="replace") if isinstance(line, bytes) else line):
                break
        return line

    def read(self) -> Any:
        lines = [*self]
        return lines[0][:0].join(lines) if lines else self._file.read()


class Child(subprocess.Popen[Any]):
    """A process that is killed when its block raises, and when its test ends."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.stderr is not None:
            self.stderr = _Stderr(self.stderr)  # type: ignore[assignment]  # it has the methods that tests use
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
