"""The reviewed help of every command, in `help/`, so that a review shows each change.

After a change of options or texts, this command writes the files again:

    .venv/bin/python tests/cli/contract/helps.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["COMMANDS", "FOLDER", "help_of", "path_of"]

FOLDER = Path(__file__).parent / "help"
WIDTH = 80
_GROUPS = {
    "exchange": ("list", "show", "create", "check", "delete"),
    "queue": ("show", "peek", "take", "purge", "delete"),
}
_TOPICS = ("environment", "exit-codes", "configuration", "records", "filters", "rules")
COMMANDS: tuple[tuple[str, ...], ...] = (
    (),
    *(
        (name, *inner)
        for name in (
            "demo", "init", "sandbox", "exchange", "publish", "run", "tail", "inspector", "consume", "replay", "queue",
            "match", "bindings", "hook", "register", "preview", "why", "doctor", "validate", "completion", "help",
        )
        for inner in ((), *((one,) for one in _GROUPS.get(name, ())))
    ),
    *(("help", topic) for topic in _TOPICS),
)  # fmt: skip
# One process for all: every help is made by the command's own parser.
_SCRIPT = """\
import json, sys
from contextlib import redirect_stdout
from io import StringIO
from pulsekit.cli import main
texts = []
for words in json.loads(sys.argv[1]):
    with redirect_stdout(StringIO()) as text:
        topic = words[:1] == ["help"] and len(words) > 1
        assert main([*words, *([] if topic else ["--help"])]) == 0
    texts.append(text.getvalue())
json.dump(texts, sys.stdout)
"""


def help_of(*commands: tuple[str, ...], width: int = WIDTH) -> list[str]:
    """Return the help of commands, as a terminal of a width shows it."""
    import json

    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(commands)],
        env={**os.environ, "COLUMNS": str(width)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    texts: list[str] = json.loads(done.stdout)
    return texts


def path_of(words: tuple[str, ...]) -> Path:
    """Return the file that keeps the help of a command."""
    return FOLDER / f"{' '.join(('pulsekit', *words))}.txt".replace(" ", "-")


def _write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for words, text in zip(COMMANDS, help_of(*COMMANDS), strict=True):
        path_of(words).write_text(text, encoding="utf-8")
    print(f"{len(COMMANDS)} written to {FOLDER}")  # noqa: T201 - it is a command


if __name__ == "__main__":
    _write()
