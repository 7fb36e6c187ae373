"""The programs of docs/migrating/ as tests run them: each in its own process, for an account that no other test has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support.children import Child
from support.command import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.rabbitmq.broker import PulseUser

__all__ = ["DOCS", "PROGRAMS", "Place", "commands", "lines"]

DOCS = Path(__file__).parents[2] / "docs" / "migrating"
PROGRAMS = DOCS / "programs"


def commands() -> dict[str, list[str]]:
    """Return the arguments of `pulsekit consume` for each program that has no loop, as the pages show them."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md")))
    return {name: words.split() for words, name in re.findall(r"^pulsekit (consume (\w+):.*)$", text, re.MULTILINE)}


def lines(name: str) -> int:
    """Return the number of lines of a program that are neither empty nor a comment, its command included."""
    text = (PROGRAMS / f"{name}.py").read_text(encoding="utf-8")
    return len(re.findall(r"^ *[^#\s]", text, re.MULTILINE)) + (name in commands())


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with the programs, whose account `me` is the account of a test."""

    folder: Path
    user: PulseUser
    service: str = ""

    def __post_init__(self) -> None:
        for path in PROGRAMS.glob("*.py"):
            text = path.read_text(encoding="utf-8").replace("/me/", f"/{self.user.name}/")
            (self.folder / path.name).write_text(text, encoding="utf-8")

    def start(self, name: str, url: str | None = None) -> Child:
        command: Sequence[str] = [f"{name}.py"]
        if name in commands():
            command = ["-m", "pulsekit", *commands()[name]]
        # With PYTHONSAFEPATH, Python does not import from the folder of a program.
        path = os.pathsep.join(filter(None, (str(self.folder), os.environ.get("PYTHONPATH"))))
        extra = {"PYTHONWARNINGS": "default", "PYTHONPATH": path, "SERVICE_URL": self.service}
        settings = environment(self.folder, url or self.user.url, extra)
        with (self.folder / "stderr").open("a") as stderr:
            return Child(
                [sys.executable, *command],
                cwd=self.folder, env=settings, stdout=subprocess.PIPE, stderr=stderr, text=True,
            )  # fmt: skip
