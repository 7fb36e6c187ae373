"""The options of commands that read tasks and pushes: repositories of Treeherder, and definitions of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pulsekit.cli.options import repeatable
from pulsekit.errors import ConfigurationError, DocumentError

if TYPE_CHECKING:
    from pulsekit.treeherder.repositories import Repositories
    from pulsekit.treeherder.subjects import TaskDefinition, TaskGraph

__all__ = ["IngestOption", "RepositoriesOption", "TaskOption", "load_repositories", "load_tasks"]

RepositoriesOption = Annotated[
    list[str] | None,
    repeatable(
        "--repositories", metavar="FILE", help="Check projects and pushes against Treeherder's repository.json."
    ),
]
IngestOption = Annotated[
    list[str] | None,
    repeatable(
        "--ingest", metavar="PROJECT", help="Assume that Treeherder ingests tasks of PROJECT only (PROJECTS_TO_INGEST)."
    ),
]
TaskOption = Annotated[
    str | None, typer.Option("--task", metavar="FILE", help="Read a task definition or a task-graph.json from FILE.")
]


def load_repositories(files: list[str] | None) -> Repositories | None:
    """Return the repositories in files, or None without files.

    Raises:
        ConfigurationError: Raised when a file does not contain repositories.
        OSError: Raised when a file cannot be read.
    """
    if not files:
        return None
    from pulsekit.treeherder.repositories import read_repositories

    values = [_load(file) for file in files]
    try:
        return read_repositories(*values)
    except ConfigurationError as error:
        raise ConfigurationError(f"{', '.join(files)}: {error}") from error


def load_tasks(file: str | None) -> TaskDefinition | TaskGraph | None:
    """Return the definition or the graph in a file, or None without a file.

    Raises:
        ConfigurationError: Raised when the file contains neither a definition nor a graph.
        OSError: Raised when the file cannot be read.
    """
    if file is None:
        return None
    from pulsekit.treeherder.subjects import TaskDefinition, TaskGraph, recognize

    found = recognize(_load(file))
    if not isinstance(found, TaskDefinition | TaskGraph):
        raise ConfigurationError(f"{file} is neither the definition of a task nor a task graph")
    return found


def _load(file: str) -> Any:
    from pulsekit._documents.document import parse_json, parse_yaml
    from pulsekit.cli.input.files import read_input

    data, source = read_input(file)
    is_yaml = file.lower().endswith((".yml", ".yaml"))
    try:
        return (parse_yaml if is_yaml else parse_json)(data, source=source).value
    except DocumentError as error:
        raise ConfigurationError(str(error)) from error
