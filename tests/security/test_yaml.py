"""Hostile YAML, in each place where YAML is read: it is refused with a message, soon, and in little memory."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.children import Child
from support.command import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BOMB = "a: &a [x, x, x, x]\n" + "".join(f"b{n}: &b{n} [{'*a, ' * 9}]\n" for n in range(9))
HOSTILE = {
    "aliases": (_BOMB, "the anchor &a is not supported"),
    "merge keys": ("x:\n  <<: {url: amqp://example.org/}\n", "merge keys ('<<') are not supported"),
    "nesting": ("[" * 500_000, "nested"),
    "tags": ("a: !!python/object/apply:os.system ['touch pwned']\n", "tags"),
    "density": ("- - - -\n" * 120_000, "more than 50,000 keys and values"),
    "a hundred megabytes": (None, "MiB"),
}
# How each place is reached; what is hostile is in the file that is named.
PLACES = {
    "job": ("hostile.yml", ("validate", "hostile.yml", "-o", "pretty")),
    "registration": ("hostile.yml", ("bindings", "hostile.yml")),
    "schema": ("hostile.yml", ("validate", "job.json", "--schema", "hostile.yml")),
    "project": ("pulsekit.yml", ("match", "a.b")),
    "user's file": (".config/pulsekit/config.yml", ("match", "a.b")),
}


_MEMORY = 128 * 1024  # KiB of data; Python and what is loaded take forty


def run(*arguments: str, folder: Path) -> tuple[str, float]:
    """Run a command that must fail, in little memory; return its messages and its processor time in seconds."""
    limited = ("sh", "-c", f'ulimit -d {_MEMORY}; exec "$@"', "sh")
    process = Child(
        (*limited, sys.executable, "-m", "pulsekit", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(folder),
        cwd=folder,
    )
    with process:
        assert process.stdout is not None
        output = process.stdout.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in {1, 2}, output
    assert "Traceback" not in output
    return output, used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A hundred megabytes of valid YAML."""
    path = tmp_path_factory.mktemp("huge") / "huge.yml"
    path.write_bytes(b"- a\n" * 25_000_000)
    yield path
    path.unlink()


# All of them as a job; elsewhere the same reader refuses them, and it is the way to it that counts.
_TRIED = [("job", kind) for kind in HOSTILE] + [
    (place, kind) for place in list(PLACES)[1:] for kind in ("aliases", "merge keys", "a hundred megabytes")
]


@pytest.mark.parametrize(("place", "kind"), [*_TRIED, ("registration", "nesting"), ("project", "density")])
def test_hostile_yaml_is_refused_at_once(place: str, kind: str, huge: Path, tmp_path: Path) -> None:
    text, words = HOSTILE[kind]
    name, arguments = PLACES[place]
    (tmp_path / "job.json").write_text("{}")
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        path.symlink_to(huge)
    else:
        path.write_text(text)
    output, seconds = run(*arguments, folder=tmp_path)
    if place == "user's file":  # whose text is never quoted
        words = "MiB" if text is None else "this is not YAML; put values in quotes"
    elif place == "registration" and kind == "nesting":  # the form that came furthest was Python's
        words = "nested"
    assert words in output
    assert seconds < 8  # one second, three for the densest, on a busy machine; reading all of it would need a minute
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("place", PLACES)
def test_an_endless_file_is_not_read_completely(place: str, tmp_path: Path) -> None:
    name, arguments = PLACES[place]
    (tmp_path / "job.json").write_text("{}")
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/dev/zero")
    output, seconds = run(*arguments, folder=tmp_path)
    assert "MiB" in output or "it is not a file" in output
    assert seconds < 8
