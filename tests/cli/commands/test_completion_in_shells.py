"""The completion in real shells at a terminal, with names of an untrusted repository."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from support.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# `pulsekit` in these shells: it completes, and a command line that was accepted writes its arguments to a file.
_PULSEKIT = """#!/bin/sh
if [ -n "$_PULSEKIT_COMPLETE" ] || [ "$1" = completion ]; then exec '{python}' -m pulsekit "$@"; fi
printf '%s\\0' "$@" >'{folder}/arguments'
echo accep""ted
"""
_SHELLS = {
    "bash": (("bash", "--norc", "-i"), "bind 'set bell-style none'; eval \"$(pulsekit completion bash)\""),
    "zsh": (
        ("zsh", "-f", "-i"),
        'autoload -Uz compinit; compinit -u -D; unsetopt beep; eval "$(pulsekit completion zsh)"',
    ),
    "fish": (("fish", "--no-config", "-i"), "pulsekit completion fish | source"),
}
TRAPS = [
    "$(touch${IFS}pwned)`touch pwned`$HOME",
    "(touch pwned);touch pwned|touch pwned&&touch pwned>pwned",
    "'q\"r's",
    "q'",
    'q"',
    "q!",
    "!x a\\b\\",
    "a:b::=ls~root",
    "{a,b}[ab]*?#c^a%d%F{red}@a --x é日",
]


@pytest.fixture(params=list(_SHELLS))
def accept(folder: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], list[str]]]:
    """Type a beginning, TAB and Return into a shell, and return the arguments that pulsekit gets."""
    command, setup = _SHELLS[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    (folder / "bin").mkdir()
    pulsekit = folder / "bin" / "pulsekit"
    pulsekit.write_text(_PULSEKIT.format(python=sys.executable, folder=folder))
    pulsekit.chmod(0o755)
    arguments = folder / "arguments"
    paths = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder), "PYTHONPATH": ":".join(sys.path)}
    with Terminal(folder=folder, program=command, columns=200, extra=paths) as shell:
        shell.type(f"{setup}\recho rea''dy\r".encode())
        shell.expect("ready\n")

        def accept(line: str) -> list[str]:
            arguments.unlink(missing_ok=True)
            times = shell.shown.count("accepted\n")
            shell.type(f"pulsekit {line}\t\r".encode())
            while shell.shown.count("accepted\n") == times:
                shell._read()
            return arguments.read_bytes().decode().split("\0")[:-1]

        yield accept
        shell.type(b"exit\r")
    assert not list(folder.glob("pwned*"))


@pytest.mark.parametrize("quote", ["", "'", '"'], ids=["bare", "single", "double"])
def test_a_hostile_exchange_is_inserted_as_one_word(accept, folder, quote) -> None:
    names = [f"exchange/me/{number}{trap}" for number, trap in enumerate(TRAPS, 10)]
    registrations = [{"exchange": name, "destinations": ["d"], "projects": ["p._"]} for name in names]
    (folder / "pulsekit.yml").write_text(json.dumps({"registrations": registrations}))
    assert [accept(f"publish -e {quote}{name[:14]}") for name in names] == [["publish", "-e", name] for name in names]


def test_a_hostile_file_is_inserted_as_one_word(accept, folder) -> None:
    names = [f"{number}{trap}" for number, trap in enumerate((*TRAPS, "a\nb\x1b[2J\u202e"), 10)]
    for name in names:
        (folder / name).touch()
    assert [accept(f"validate {name[:2]}") for name in names] == [["validate", name] for name in names]


def test_names_with_control_characters_and_options_are_not_inserted(accept, folder) -> None:
    destinations = ["1a\nb", "2\x1b[2J", "3\u202ea", "4\ta", "--x", "6ok"]
    (folder / "pulsekit.yml").write_text(json.dumps({"destinations": destinations}))
    typed = ["1", "2", "3", "4", "--x", "6"]
    assert [accept(f"publish -d {word}")[-1] for word in typed] == ["1", "2", "3", "4", "--x", "6ok"]
