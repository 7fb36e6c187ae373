"""The help equals its reviewed files: see `helps.py` for how to write them again."""

from __future__ import annotations

import pytest

from cli.contract.helps import COMMANDS, FOLDER, help_of, path_of
from pulsekit.cli.app import _COMMANDS
from pulsekit.cli.topics import CONFIG_SCHEMA, TOPICS


@pytest.fixture(scope="module", params=[60, 80, 100])
def helps(request: pytest.FixtureRequest) -> tuple[int, dict[tuple[str, ...], str]]:
    """The help of every command at a width."""
    return request.param, dict(zip(COMMANDS, help_of(*COMMANDS, width=request.param), strict=True))


def test_every_help_equals_its_reviewed_file(helps) -> None:
    width, texts = helps
    if width != 80:
        return
    changed = [" ".join(words) for words, text in texts.items() if path_of(words).read_text(encoding="utf-8") != text]
    assert changed == [], "if they are right, write them anew: python tests/cli/contract/helps.py"


def test_every_help_fits_its_terminal_and_begins_with_examples(helps) -> None:
    width, texts = helps
    for words, text in texts.items():
        if words[:1] == ("help",) and len(words) > 1:  # a topic
            continue
        head, _, rest = text.partition("Examples:\n")
        assert head.startswith(f"Usage: {' '.join(('pulsekit', *words))} "), words
        assert "Options:" not in head, words
        examples, _, rest = rest.partition("\n\n")
        assert f"pulsekit {' '.join(words)}".strip() in examples, words
        assert max(map(len, (head + rest).splitlines())) <= width, words
        assert max(map(len, examples.splitlines())) <= 80, words


def test_every_command_has_a_file_of_its_help() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {path_of(words).name for words in COMMANDS}
    assert {words[0] for words in COMMANDS if words} == set(_COMMANDS)
    assert {words[1] for words in COMMANDS if words[:1] == ("help",) and len(words) > 1} == set(TOPICS) - {
        CONFIG_SCHEMA
    }
