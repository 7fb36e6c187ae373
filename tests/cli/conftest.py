"""Ways to call the command line: inside this process, as a separate process, and on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from support.children import Child, without_stalls
from support.terminal import read_part

from pulsekit.cli import main

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str


class Call(Protocol):
    def __call__(self, *arguments: str, stdin: str | bytes | None = None) -> Result: ...


class Spawn(Protocol):
    def __call__(
        self, *arguments: str, stdin: str | bytes | None = None, env: Mapping[str, str] | None = None
    ) -> Result: ...


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, so that no configuration is found."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def call(folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Run `main` in this process. Without `stdin`, stdin is empty, otherwise it is a pipe."""

    def call(*arguments: str, stdin: str | bytes | None = None) -> Result:
        path = tmp_path / "stdin"
        path.write_bytes(stdin.encode() if isinstance(stdin, str) else stdin or b"")
        with (path if stdin is not None else Path(os.devnull)).open(encoding="utf-8") as file:
            monkeypatch.setattr(sys, "stdin", file)
            code = main(arguments)
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return call


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(extra or {})}


@pytest.fixture
def spawn(folder) -> Spawn:
    """Run `python -m pulsekit` as a separate process."""

    def spawn(*arguments: str, stdin: str | bytes | None = None, env: Mapping[str, str] | None = None) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "pulsekit", *arguments],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            env=environment(env),
            timeout=50,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), without_stalls(done.stderr.decode()))

    return spawn


class OnTerminal(Protocol):
    def __call__(
        self, *arguments: str, columns: int = 80, env: Mapping[str, str] | None = None, typed: str = ""
    ) -> Result: ...


@pytest.fixture
def on_terminal(folder) -> OnTerminal:
    """Run `python -m pulsekit` on a terminal, for input and all output. `out` is the output on the screen.

    `typed` waits in the terminal until the command reads.
    """

    def run(*arguments: str, columns: int = 80, env: Mapping[str, str] | None = None, typed: str = "") -> Result:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        settings = {"TERM": "xterm", "NO_COLOR": "", **(env or {})}
        settings = environment(settings)
        settings.pop("COLUMNS", None)
        with Child(
            [sys.executable, "-m", "pulsekit", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=settings
        ) as process:
            os.close(theirs)
            os.write(ours, typed.encode())
            chunks = [*iter(lambda: read_part(ours), b"")]
            os.close(ours)
            code = process.wait(timeout=40)
        assert code >= 0, f"signal {-code} ended the command"
        return Result(code, without_stalls(b"".join(chunks).decode().replace("\r\n", "\n")), "")

    return run
