"""Run `pulsekit` in a separate process, without the configuration of the user."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import resource
    from collections.abc import Iterator

__all__ = ["ended", "environment", "processor_time", "pulsekit", "python", "sandbox"]

_UNLIMITED = "1000000000"  # messages; benchmarks exceed the limits of PulseGuardian
_END = 10.0  # seconds


def pulsekit(folder: Path | str, *arguments: str, url: str = "", **streams: Any) -> subprocess.Popen[bytes]:
    """Start a command in a folder, and return its process."""
    return python(folder, "-m", "pulsekit", *arguments, url=url, **streams)


def python(folder: Path | str, *arguments: str, url: str = "", **streams: Any) -> subprocess.Popen[bytes]:
    """Start Python in a folder, and return its process."""
    return subprocess.Popen((sys.executable, *arguments), cwd=folder, env=environment(folder, url), **streams)


def environment(folder: Path | str, url: str = "") -> dict[str, str]:
    """Return the environment without the configuration of the user."""
    kept = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PULSE")}
    kept |= dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(folder))
    return kept | {"PULSE_URL": url} if url else kept


def ended(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    """Wait for a process, and return its resource usage."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def processor_time(pid: int) -> float:
    """Return the processor time of a process in seconds, from proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def sandbox(folder: Path) -> Iterator[tuple[str, int]]:
    """Run a sandbox that ends with this process, and return its URL and process id."""
    # The sandbox runs `cat` on a pipe of this process. When the pipe closes, `cat` ends, and then the sandbox.
    options = ("--port", "0", "--warn", _UNLIMITED, "--delete", _UNLIMITED)
    streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "process_group": 0}
    with pulsekit(folder, "sandbox", *options, "--", "cat", **streams) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield process.stdout.readline().decode().strip().partition("=")[2], process.pid
            process.stdin.close()
            process.wait(_END)
        finally:
            process.kill()
