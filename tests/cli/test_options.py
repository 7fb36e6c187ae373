"""The options of all commands: one name has one letter and one placeholder, and one help text for one effect."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import typer

from pulsekit.cli.app import _COMMANDS, _Lazy
from pulsekit.cli.options import seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

LETTERS = {
    "--binding": "-b",
    "--concurrency": "-c",
    "--count": "-n",
    "--destination": "-d",
    "--exchange": "-e",
    "--help": "-h",
    "--output": "-o",
    "--project": "-p",
    "--quiet": "-q",
    "--routing-key": "-k",
    "--verbose": "-v",
    "--yes": "-y",
}


# The number of help texts of each option whose effect depends on the command.
TEXTS = {"--count": 2, "--every": 2, "--expect": 2, "--force": 7, "--save": 2, "--treeherder": 2}


def options() -> Iterator[tuple[str, Any]]:
    for name, (module, summary) in _COMMANDS.items():
        command = _Lazy(name, module, summary).load()
        for inner in getattr(command, "commands", {"": command}).values():
            for param in inner.params:
                if param.param_type_name == "option":
                    yield max(param.opts, key=len), param


def test_an_option_with_one_effect_is_the_same_in_every_command() -> None:
    seen: dict[str, set[tuple[str, ...]]] = {}
    for name, param in options():
        help_text = re.sub(r" \[default: .*?\]| \(repeatable\)", "", param.help)
        seen.setdefault(name, set()).add((*param.opts, param.metavar or "", help_text))
    assert len(seen) > 50
    assert {name: len(forms) for name, forms in seen.items() if len(forms) > 1} == TEXTS
    # A stand-in in `sandbox`, and the URL of an instance in `why`.
    assert [name for name, forms in seen.items() if len({form[:-1] for form in forms}) > 1] == ["--treeherder"]


def test_a_letter_means_the_same_option_in_every_command() -> None:
    letters = {name: param.opts[0] for name, param in options() if len(param.opts) > 1}
    assert letters.items() <= LETTERS.items()
    assert len(set(LETTERS.values())) == len(LETTERS)


def test_help_marks_repeatable_options() -> None:
    assert [name for name, param in options() if param.multiple != param.help.endswith(" (repeatable).")] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 0.5), ("5s", 5), ("2m", 120), ("1h", 3600), ("7d", 604800), ("1.5", 1.5)],
)
def test_a_duration_has_a_unit_or_is_seconds(text, expected) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "0", "0d", "-1s", "1w", "d", "1 d", "nan"])
def test_an_invalid_duration_is_refused_with_examples(text) -> None:
    with pytest.raises(typer.BadParameter, match="500ms, 5s, 2m, 1h or 7d"):
        seconds(text)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["tail", "exchange/me/x", "--url", ""], "--url"),
        (["tail", "exchange/me/x", "--queue="], "--queue"),
        (["queue", "show", "queue/me/x", "--login", ""], "--login"),
        (["validate", "--schema", ""], "--schema"),
        (["publish", "-e", ""], "'-e' / '--exchange'"),
        (["hook", "hook.yml", "--messages", ""], "--messages"),
        (["--config", "", "validate"], "--config"),
        (["publish", "-d", ""], "'-d' / '--destination'"),
        (["bindings", "--keys", ""], "--keys"),
        (["match", "a.b", "--registration", ""], "--registration"),
        (["bindings", ""], "[FILE|EXCHANGE|LINK]"),
        (["hook", ""], "FILE"),
        (["validate", "job.json", ""], "[FILE]..."),
        (["replay", ""], "FILE"),
        (["tail", ""], "[EXCHANGE[:PATTERN]|LINK]..."),
        (["queue", "purge", ""], "NAME"),
        (["exchange", "list", ""], "[TEXT]"),
        (["why", ""], "TASK_ID|URL|FILE"),
    ],
)
def test_an_empty_option_or_argument_is_refused_and_not_left_out(call, arguments: list[str], option: str) -> None:
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    assert option in done.err.splitlines()[0]
    assert "it is empty; is a variable of the shell not set?" in done.err


def test_an_empty_key_is_a_key(call, folder) -> None:
    (folder / "job.json").write_text("{}")
    dry_run = call("publish", "job.json", "-e", "exchange/me/x", "-k", "", "--no-schema", "--dry-run", "-o", "ndjson")
    assert (dry_run.code, json.loads(dry_run.out)["routing_key"]) == (0, "")
    assert json.loads(call("match", "", "-b", "#", "-o", "ndjson").out)["matched"] is True


def test_a_topic_in_the_place_of_a_command_leads_to_help(call) -> None:
    assert call("rules").err == "error: No such command 'rules'.\ntry 'pulsekit help rules'\n"
