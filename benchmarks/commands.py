"""The command line as others run it: `pulsekit` in a process of its own, where nobody's configuration is."""

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

_UNLIMITED = "1000000000"  # messages in a queue; benchmarks fill them beyond what PulseGuardian allows
_END = 10.0  # seconds


def pulsekit(folder: Path | str, *arguments: str, url: str = "", **streams: Any) -> subprocess.Popen[bytes]:
    """Start a command in a folder."""
    environment = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PULSE_")}
    environment |= dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(folder))
    if url:
        environment["PULSE_URL"] = url
    return subprocess.Popen((sys.executable, "-m", "pulsekit", *arguments), cwd=folder, env=environment, **streams)


def ended(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    """Wait for a process and return what it alone took."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


@contextmanager
def sandbox(folder: Path) -> Iterator[tuple[str, int]]:
    """Give the URL of a sandbox and its process, which ends with the one that started it, however that ends."""
    # Around a command that reads a pipe of ours: the pipe closes, the command ends, the sandbox ends.
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
