"""Find the project's `pulsekit.yml`, in the current folder or in a parent.

The file cannot set a login or a host, so a file in a parent cannot collect a password. If the file in a parent belongs
to another user, it is not read, because that user could choose the exchange to publish to.
"""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import TYPE_CHECKING

from pulsekit._config.file_schema import PROJECT_FILE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["find_project_file", "project_file"]

_REPOSITORY = (".git", ".hg", ".jj")  # entries in the root of a repository

# The project's file of --config, or None to search for it.
project_file: ContextVar[Path | None] = ContextVar("project_file", default=None)


def find_project_file(folder: Path) -> Path:
    """Return the path of `pulsekit.yml` in a folder or its nearest parent, up to the root of the repository.

    If there is none, return the path in the folder itself.
    """
    here = folder / PROJECT_FILE
    if os.path.lexists(here):
        return here
    try:
        resolved = folder.resolve()
    except FileNotFoundError:  # the current folder was deleted
        return here
    for parent in (resolved, *resolved.parents):
        path = parent / PROJECT_FILE
        if parent != resolved and _is_ours(path):
            return path
        if any(os.path.lexists(parent / name) for name in _REPOSITORY):
            break
    return here


def _is_ours(path: Path) -> bool:
    """Return whether a file exists and belongs to this user or to root."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return False
    return not hasattr(os, "geteuid") or owner in {os.geteuid(), 0}
