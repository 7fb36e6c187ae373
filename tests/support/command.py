"""The command line as users run it: as a separate process, with pipes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from support.children import Child, without_stalls

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Done", "environment", "ordinary_user", "pulsekit", "start"]

_COMMAND = (sys.executable, "-m", "pulsekit")


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a command: its exit code and its output."""

    status: int
    out: str
    err: str

    @property
    def records(self) -> list[Any]:
        """The lines of standard output, as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


def environment(folder: Path, url: str | None = None, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a new account, in which only the broker is configured."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "LANG", "PYTHONPATH", "PYTHONSAFEPATH", "COVERAGE_PROCESS_START")
        if name in os.environ
    }
    login = {"PULSE_URL": url} if url else {}
    # A test that forgets the broker must fail, not find one.
    return (
        kept
        | {"HOME": str(folder), "CI": "true", "COLUMNS": "100", "PYTHONWARNINGS": "error"}
        | login
        | dict(extra or {})
    )


def ordinary_user() -> tuple[str, ...]:
    """Return the beginning of a command line that gives root no access to files without the permission.

    See capabilities(7). Without it, root can read each file, whatever its mode.
    """
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv of util-linux, because root can read all files")
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner")


def pulsekit(
    *args: str,
    folder: Path,
    url: str | None = None,
    given: str | bytes = b"",
    extra: Mapping[str, str] | None = None,
    prefix: tuple[str, ...] = (),
) -> Done:
    """Run a command in a folder until it ends, with a pipe for each of its streams.

    Args:
        args: the arguments.
        folder: the current folder and the home.
        url: the broker.
        given: stdin.
        extra: variables of the environment.
        prefix: a command that runs this one, such as that of `ordinary_user`.
    """
    done = subprocess.run(
        (*prefix, *_COMMAND, *args),
        input=given.encode() if isinstance(given, str) else given,
        env=environment(folder, url, extra),
        cwd=folder,
        capture_output=True,
        timeout=50,
        check=False,
    )
    out, err = done.stdout.decode(), without_stalls(done.stderr.decode())
    assert "Traceback" not in err, err
    return Done(done.returncode, out, err)


def start(*args: str, folder: Path, url: str | None = None, **streams: Any) -> Child:
    """Start a command and return while it runs; the caller waits for its end."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return Child((*_COMMAND, *args), env=environment(folder, url), cwd=folder, text=True, **pipes)
