"""The repositories of a Treeherder instance, from its own data or from a list.

    repositories = read_repositories(value)      # plain JSON or YAML, in one of these forms:

    - Treeherder's fixtures `repository.json` and, in the same list or another value, `repository_branch.json`;
    - the response of `/api/repository/` of a Treeherder instance;
    - a list of names, or of objects with `name`, `url`, `active`, `branches`, `accepts_pull_requests`.

Source: `treeherder/model/models.py` of Treeherder, and its `treeherder/model/fixtures/`, as of August 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pulsekit._documents.suggestions import brief, described
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Repositories", "Repository", "read_repositories"]

_ACTIVE = "active"
_BRANCHES = "model.repositorybranch"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository in Treeherder.

    Attributes:
        name: the name, which is the project of jobs and tasks.
        url: the URL, or empty if it is unknown.
        active: whether Treeherder stores the jobs and pushes of the repository.
        branches: the branches of a Git repository; one may end in `*`.
        accepts_pull_requests: whether Treeherder stores the pull requests of the repository.
    """

    name: str
    url: str = ""
    active: bool = True
    branches: tuple[str, ...] = ()
    accepts_pull_requests: bool = False


class Repositories(Mapping[str, bool]):
    """The repositories of a Treeherder instance: a mapping from the name of each repository to whether it is active.

    Args:
        repositories: all repositories, including inactive ones.
    """

    def __init__(self, repositories: Iterable[Repository]) -> None:
        self._by_name = {one.name: one for one in repositories}

    def __getitem__(self, name: str) -> bool:
        return self._by_name[name].active

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, name: str) -> Repository | None:
        """Return the repository with a name, or None."""
        return self._by_name.get(name)

    def at(self, url: str) -> list[Repository]:
        """Return the repositories with a URL. The comparison is exact, as in Treeherder."""
        return [one for one in self._by_name.values() if one.url == url]


def read_repositories(*values: Any) -> Repositories:
    """Return the repositories of one or more values, such as both fixtures of Treeherder.

    Raises:
        ConfigurationError: Raised when a value has none of these forms, or a branch has no repository.
    """
    found: dict[Any, Repository] = {}
    branches: list[dict[str, Any]] = []
    for value in values:
        if not isinstance(value, list):
            raise ConfigurationError(f"{described(value)} is not a list of repositories")
        for entry in value:
            if isinstance(entry, dict) and entry.get("model") == _BRANCHES:
                branches.append(_object(entry.get("fields")))
            else:
                key, repository = _read(entry)
                found[key] = repository
    for branch in branches:
        owner, name = _key(branch.get("repository")), branch.get("branch")
        if owner not in found or not isinstance(name, str):
            raise ConfigurationError(f"no repository has the branch {brief(branch)}: add repository.json")
        found[owner] = replace(found[owner], branches=(*found[owner].branches, name))
    return Repositories(found.values())


def _read(entry: Any) -> tuple[Any, Repository]:
    """Return a repository, and the key by which branches refer to it."""
    if isinstance(entry, str):
        return entry, Repository(entry)
    fields = _object(entry)
    key = _key(entry.get("pk", entry.get("id")))
    if "model" in entry:
        fields = _object(entry.get("fields"))
    name, url, branches = fields.get("name"), fields.get("url", ""), fields.get("branches", fields.get("branch")) or []
    if isinstance(branches, str):
        branches = branches.split(",")  # as in Treeherder until 2023
    if not isinstance(name, str) or not isinstance(url, str) or not isinstance(branches, list):
        raise ConfigurationError(f"{brief(entry)} is not a repository: name and url must be text, branches a list")
    active = fields.get("active", fields.get("active_status", _ACTIVE))
    return name if key is None else key, Repository(
        name,
        url,
        active in {True, _ACTIVE} if isinstance(active, str | bool) else False,
        tuple(branch for branch in branches if isinstance(branch, str)),
        fields.get("accepts_pull_requests") is True,
    )


def _key(value: Any) -> Any:
    """Return a primary key, or None. If the fixture has natural keys, the key is the name."""
    return value if isinstance(value, int | str) else None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigurationError(f"{described(value)} is not a repository")
    return value
