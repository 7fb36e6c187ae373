"""No process that a test starts outlives the test or the run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.children import Child, running_children

if TYPE_CHECKING:
    from pathlib import Path

# `cat` reads until the test run ends, because the run has the other end of the pipe.
CHILD = """
import os, subprocess, sys
from support.children import Child, running_children

ours, theirs = os.pipe()

def cat(kind):
    return kind(("cat",), stdin=ours)
"""
HIDDEN = """
def test_hides_a_process():
    global hidden
    hidden = cat(subprocess.Popen)
"""
OTHERS = """
def test_fails_beside_a_process():
    with cat(Child):
        assert not "this"

def test_leaves_a_process():
    cat(Child)

def test_starts_a_process_that_reacts_to_signals():
    script = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_DFL)"
    assert subprocess.check_output((sys.executable, "-c", script)) == b"True\\n"
"""


def run(text: str, folder: Path, *options: str) -> tuple[int, str]:
    """Run tests beside our conftest.py, with SIGHUP and SIGINT ignored; return the exit code and the output."""
    (folder / "test_it.py").write_text(text)
    pytest = (sys.executable, "-m", "pytest", "-p", "conftest", "--rootdir=.", "-c", os.devnull, "--color=no")
    output = folder / "output"
    with output.open("w") as out:
        process = Child(
            ("sh", "-c", 'trap "" HUP INT; exec "$@"', "sh", *pytest, "-p", "no:randomly", *options, "test_it.py"),
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=folder,
            stdout=out,
            stderr=out,
        )
        return process.wait(), output.read_text()


def test_a_process_ends_with_its_test(tmp_path: Path) -> None:
    status, output = run(CHILD + OTHERS, tmp_path)
    assert status == 1
    assert re.findall(r"^(?:FAILED|ERROR) \S+", output, re.MULTILINE) == [
        "FAILED test_it.py::test_fails_beside_a_process",
        "ERROR test_it.py::test_leaves_a_process",
    ], output
    assert "2 passed" in output
    assert "left behind" not in output


@pytest.mark.parametrize("options", [(), ("--numprocesses=1",)], ids=["one process", "a worker"])
def test_a_leftover_process_fails_the_run(tmp_path: Path, options: tuple[str, ...]) -> None:
    status, output = run(CHILD + HIDDEN, tmp_path, *options)
    assert status == 1
    assert "1 passed" in output
    assert "FAILED" not in output
    assert re.findall(r"^left behind: process \d+ (.*) $", output, re.MULTILINE) == ["cat"]


def test_communicate_returns_the_lines_that_readline_had_read_ahead() -> None:
    with Child(("seq", "3"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.wait()  # now one read gets all lines
        assert process.stdout.readline() == "1\n"
        assert process.communicate() == ("2\n3\n", "")


def test_warnings_of_a_stalled_machine_are_not_part_of_the_errors() -> None:
    wait = "warning: the broker has not answered for 2 s: still waiting to connect to amqp://u:***@h:5672/"
    command = ("sh", "-c", 'printf "%s\\n" "$@" >&2', "sh", wait, "one", wait, "two", wait)
    for options in ({"text": True}, {}):
        with Child(command, stderr=subprocess.PIPE, **options) as process:
            assert process.stderr is not None
            first, rest = process.stderr.readline(), process.communicate()[1]
        assert [first, rest] == (["one\n", "two\n"] if options else [b"one\n", b"two\n"])


def test_processes_of_other_tests_may_have_any_arguments() -> None:
    with Child(("sh", "-c", "read line", b"\xff"), stdin=subprocess.PIPE) as process:
        (found,) = [command for command in running_children() if command.startswith(f"{process.pid} ")]
        assert found.encode(errors="surrogateescape").endswith(b"read line \xff ")
        process.communicate()
