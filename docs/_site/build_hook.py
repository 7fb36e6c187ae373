"""The pages for `man`, which hatchling adds to a wheel: `share/man/man1` has the commands, `share/man/man7` the topics.

They are made of the help texts in `tests/cli/contract/help/`, which a test compares with the program. The program
cannot run in the environment of a build, which has no dependencies of pulsekit.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parents[2]


class ManualPages(BuildHookInterface):
    """The hook of hatchling for wheels."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the pages into a temporary folder, and add them to the data files of the wheel."""
        if version == "editable":  # has no data files
            return
        sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
        from manual import manual_pages

        self._folder = TemporaryDirectory()
        for name, text in manual_pages(ROOT / "tests" / "cli" / "contract" / "help", self.metadata.version).items():
            path = Path(self._folder.name) / name
            path.write_text(text, encoding="utf-8")
            build_data["shared_data"][str(path)] = f"share/man/man{path.suffix[1:]}/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary folder."""
        del build_data, artifact_path
        if version != "editable":
            self._folder.cleanup()
