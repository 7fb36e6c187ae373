"""The suggestions after TAB: requested as by the script of each shell, and once in a real bash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cli.conftest import environment
from pulsekit.cli.app import _COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.conftest import Call

CONFIGURATION = """\
exchange: exchange/me/v1/jobs
destinations: [treeherder]
registrations:
  - {exchange: exchange/me/v1/jobs, destinations: [treeherder], projects: [autoland._, 'try._']}
targets:
  staging: {destinations: [treeherder-staging], projects: ['#']}
"""
JOBS = "exchange/me/v1/jobs"
BINDINGS = [f"{JOBS}:{pattern}" for pattern in ("treeherder.#", "treeherder.autoland._", "treeherder.try._")]
BREAKS = " \t\n\"'><=;|&(:"  # bash's own
HEAVY = {"aio_pika", "aiormq", "asyncio", "rich", "fastjsonschema"}
HOSTS = {"demo", "sandbox"}  # their modules need asyncio, and their arguments have no completions


@pytest.fixture
def suggest(folder, call: Call, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Request suggestions like zsh and fish: with the words before the cursor."""
    (folder / "pulsekit.yml").write_text(CONFIGURATION)
    (folder / "other.yml").write_text("destinations: [other]")

    def suggest(*words: str, shell: str = "zsh") -> list[str]:
        monkeypatch.setenv("_PULSEKIT_COMPLETE", shell)
        result = call(*words)
        assert (result.code, result.err) == (0, "")
        return result.out.splitlines()

    return suggest


@pytest.fixture
def at_bash(suggest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Request suggestions like bash: with its line."""

    def at_bash(line: str) -> list[str]:
        monkeypatch.setenv("_PULSEKIT_LINE", line)
        monkeypatch.setenv("_PULSEKIT_BREAKS", BREAKS)
        return suggest(shell="bash")

    return at_bash


def values(lines: list[str]) -> list[str]:
    return [line.partition("\t")[0] for line in lines]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ma"], ["match"]),
        (["queue", "p"], ["peek", "purge"]),
        (["--v"], ["--version"]),
        (["tail", "--fu"], ["--full"]),
        (["queue", "show", "--wa"], ["--watch"]),
        (["publish", "--exchange", ""], [JOBS]),
        (["publish", "--exchange=e"], [f"--exchange={JOBS}"]),
        (["publish", "-d", ""], ["treeherder", "treeherder-staging"]),
        (["publish", "-d", "treeherder", "-d", ""], ["treeherder-staging"]),
        (["publish", "--routing-key", "t"], ["treeherder.autoland._", "treeherder.try._"]),
        (["register", "--project", ""], ["autoland._", "try._", "#"]),
        (["init", "-p", "au"], ["autoland"]),
        (["tail", f"{JOBS}:treeherder."], BINDINGS),
        (["tail", JOBS, "-b", "treeherder.t"], ["treeherder.try._"]),
        (["tail", "q"], []),
        (["tail", "task-f"], ["task-failed"]),
        (["tail", "task-failed", "--field", "task"], ["taskId=", "taskGroupId="]),
        (["match", "k", "-b", "github-push", "--field", ""], ["organization=", "repository="]),
        (["exchange", "show", "hgpushes"], ["hgpushes", "hgpushes-v2"]),
        (["tail", "--schema", "a"], ["auto"]),
        (["queue", "take", ""], ["queue/me/"]),
        (["tail", "--target", ""], ["staging", "production"]),
        (["tail", "--schema", "pulse"], ["pulse-job", "pulse-job-2020"]),
        (["match", "treeherder.a"], ["treeherder.autoland._"]),
        (["match", "--binding", "treeherder-"], ["treeherder-staging.#"]),
        (["bindings", "--rule", "any"], ["any.project"]),
        (["validate", "--lint-off", "owner-l"], ["owner-long"]),
        (["validate", "--profile", ""], ["strict", "treeherder"]),
        (["exchange", "check", ""], [JOBS]),
        (["queue", "peek", ""], ["queue/me/"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["doctor", "-o", ""], ["pretty", "ndjson"]),
        (["help", "ex"], ["exit-codes", "exchange"]),
        (["help", "rules", "owner-l"], ["owner-long"]),
        (["help", "config-schema", "c"], ["config.yml"]),
        (["help", "records", "owner-l"], []),
        (["--config", ""], []),
        (["--config", "other.yml", "ma"], ["match"]),
        (["--config", "other.yml", "publish", "-d", ""], ["other"]),
        (["--config=other.yml", "publish", "-d", ""], ["other"]),
    ],
)
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_next_words_are_suggested(suggest, words, expected, shell) -> None:
    assert sorted(values(suggest(*words, shell=shell))) == sorted(expected)


@pytest.mark.parametrize("words", [["publish", "jo"], ["nonsense", ""], ["replay", ""], ["tail", "--save", ""], ["x="]])
def test_without_a_suggestion_the_shell_may_suggest_files(suggest, words) -> None:
    assert suggest(*words) == []


def test_every_command_is_suggested_with_a_description(suggest) -> None:
    assert suggest("") == [f"{name}\t{about}" for name, (_, about) in _COMMANDS.items()]


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_the_options_of_every_command_are_suggested_without_slow_imports(folder, name) -> None:
    (folder / "pulsekit.yml").write_text(CONFIGURATION)
    (folder / "other.yml").write_text("destinations: [other]")
    words = {"exchange": ["exchange", "create"], "queue": ["queue", "show"]}.get(name, [name])
    script = "import sys; from pulsekit.cli import main; main(); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script, *words, "--"],
        env=environment({"_PULSEKIT_COMPLETE": "zsh"}), capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert "--help\tShow this message and exit." in done.stdout.splitlines()
    assert not (HEAVY - {"asyncio"} if name in HOSTS else HEAVY).intersection(done.stderr.split())


def test_an_option_that_was_given_is_not_suggested_again(suggest) -> None:
    assert "--full" not in values(suggest("tail", "--full", "--f"))
    assert "--destination" in values(suggest("publish", "-d", "x", "--de"))


def test_the_hooks_of_a_file_are_suggested(suggest, folder) -> None:
    (folder / "hooks.json").write_text(json.dumps([{"hookGroupId": "a", "hookId": name, "task": {}} for name in "bc"]))
    os.mkfifo(folder / "pipe.json")
    assert suggest("hook", "hooks.json", "--hook", "a/") == ["a/b", "a/c"]
    for file in ("none.json", "pulsekit.yml", "pipe.json", "."):
        assert suggest("hook", file, "--hook", "a/") == []


def test_names_begin_with_the_prefix_of_the_logged_in_user(suggest, monkeypatch) -> None:
    monkeypatch.setenv("PULSE_URL", "amqp://you:s3cr3t@127.0.0.1:1/")
    assert suggest("queue", "show", "") == ["queue/you/"]
    assert values(suggest("exchange", "create", "exchange/y")) == ["exchange/you/"]
    assert suggest("register", "--user", "") == ["you"]


# bash


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pulsekit ma", ["match"]),
        ("pulsekit  queue 'show' ", ["queue/me/"]),
        (f"pulsekit tail {JOBS}:treeherder.a", ["treeherder.autoland._"]),  # bash's word begins at the colon
        (f"pulsekit tail '{JOBS}:treeherder.a", [f"{JOBS}:treeherder.autoland._"]),  # in quotes, it does not
        (f"pulsekit tail {JOBS}:treeherder-", ["treeherder-staging.\\#"]),
        ("pulsekit publish --exchange=e", [JOBS]),
        ("pulsekit register -p \\#", ["\\#"]),
        ("pulsekit register -p '#", ["#"]),
        ('pulsekit register -p "#', ["#"]),
        ("pulsekit ", list(_COMMANDS)),
    ],
)
def test_bash_gets_only_the_part_that_replaces_its_word(at_bash, line, expected) -> None:
    assert at_bash(line) == expected


def in_bash(folder: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """Run lines in a bash with completions; `propose LINE` shows its suggestions."""
    (folder / "bin").mkdir()
    command = folder / "bin" / "pulsekit"
    command.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m pulsekit \"$@\"\n")
    command.chmod(0o755)
    propose = 'propose() { COMP_LINE=$1; COMP_POINT=${#1}; _pulsekit pulsekit; printf "%s\\n" "${COMPREPLY[@]}"; }'
    return subprocess.run(
        ["bash", "--norc", "-c", "\n".join(['eval "$(pulsekit completion bash)"', propose, *lines])],
        env=environment({"_PULSEKIT_COMPLETE": "", "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}),
        capture_output=True, text=True, timeout=40, check=False,
    )  # fmt: skip


def test_a_real_bash_completes(folder) -> None:
    (folder / "pulsekit.yml").write_text(CONFIGURATION)
    (folder / "other.yml").write_text("destinations: [other]")
    done = in_bash(folder, f"propose 'pulsekit tail {JOBS}:treeherder.a'", "complete -p pulsekit")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "treeherder.autoland._\ncomplete -o default -F _pulsekit pulsekit\n"


def test_names_that_a_terminal_would_interpret_are_not_suggested(folder, suggest) -> None:
    names = ["a$(x)`y`", "b\x1b[2J", "c d", "e\u202e", "f'g", "h\ti", "l\u2028m"]
    hostile = [f"exchange/me/{name}" for name in names]
    (folder / "pulsekit.yml").write_text(json.dumps({"registrations": [f"{name}:k" for name in hostile]}))
    assert suggest("publish", "--exchange", "") == [hostile[0], hostile[2], hostile[4]]


# security


def test_an_unreadable_configuration_suggests_and_prints_nothing(suggest, folder) -> None:
    (folder / "pulsekit.yml").write_text("exchange: [\n")
    assert suggest("publish", "--exchange", "") == []
    assert values(suggest("publish", "--excha")) == ["--exchange"]


def test_logins_are_suggested_unless_they_look_like_an_option(suggest, monkeypatch, tmp_path) -> None:
    (tmp_path / "pulsekit").mkdir()
    (tmp_path / "pulsekit" / "config.yml").write_text("logins: {work: {}, wide: {}, other: {}, 'w x': {}, '-w': {}}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert suggest("tail", "--login", "w") == ["work", "wide", "w x"]
    assert suggest("queue", "show", "--login=o") == ["--login=other"]


def test_no_password_is_read_or_suggested(suggest, folder, monkeypatch, tmp_path) -> None:
    (tmp_path / "pulsekit").mkdir()
    (tmp_path / "pulsekit" / "config.yml").write_text(f"user: you\npassword_command: touch {folder}/called\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert suggest("queue", "show", "") == ["queue/you/"]
    assert not (folder / "called").exists()


# the command


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_calls_pulsekit(call, monkeypatch, shell) -> None:
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    result = call("completion", shell)
    assert result.code == 0
    assert f"_PULSEKIT_COMPLETE={shell}" in result.out
    assert call("completion").out == result.out


def test_an_unknown_shell_is_refused_with_the_known_ones(call, monkeypatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    result = call("completion")
    assert result.code == 2
    assert "bash, zsh, fish" in result.err
