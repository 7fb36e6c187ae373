"""The commands of docs/tutorial.md, run in their order on a sandbox, print what the page shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from support.command import environment

PAGE = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text(encoding="utf-8")
# On a terminal, these commands print text.
PULSEKIT = f"""\
#!/bin/sh
case "$1" in validate|preview|publish|match) set -- "$@" -o pretty ;; esac
exec "{sys.executable}" -m pulsekit "$@"
"""


def lines(text: str) -> set[str]:
    return {re.sub(r"in (\S+) s$", "in … s", line).strip() for line in text.splitlines()}


def test_the_commands_print_what_the_page_shows(tmp_path: Path) -> None:
    commands = re.findall(r"<!-- run -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "pulsekit").write_text(PULSEKIT)
    (tmp_path / "pulsekit").chmod(0o755)
    settings = environment(tmp_path)
    settings["PATH"] = f"{tmp_path}:{settings['PATH']}"
    folder = tmp_path / "project"
    folder.mkdir()

    def run(*command: str, **more: str) -> str:
        done = subprocess.run(
            command, cwd=folder, env=settings | more, capture_output=True, text=True, timeout=50, check=False
        )
        return done.stdout + done.stderr

    (sandbox,) = re.findall(r"^(pulsekit sandbox .*)$", PAGE, re.MULTILINE)
    out = run("sh", "-c", commands[0])
    out += run(*sandbox.split(), "--port", "0", "--", "sh", "-c", "".join(commands[1:]))
    shown = "".join(re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL))
    assert lines(shown) <= lines(out), out
    states = re.findall(r"treeherder: (stored|dropped)", out)
    assert states == ["stored", "dropped", "stored", "stored", "stored"]
