"""Run `pulsekit` in a separate process, without the configuration of the user."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import resource
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ended", "pulsekit", "sandbox"]

_UNLIMITED = "1000000000"  # messages; benchmarks exceed the limits of PulseGuardian
_END = 10.0  # seconds


def pulsekit(folder: Path | str, *arguments: str, url: str = "", **streams: Any) -> subprocess.Popen[bytes]:
    """Start a command in a folder, and return its process."""
    environment = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PULSE_")}
    environment |= dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(folder))
    if url:
        environment["PULSE_URL"] = url
    return subprocess.Popen((sys.executable, "-m", "pulsekit", *arguments), cwd=folder, env=environment, **streams)


def ended(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    """Wait for a process, and return its resource usage."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


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
