"""The repository in which Treeherder stores a push, or the rule by which it drops the message.

    resolved = resolve_push(PushMessage("exchange/hgpushes/v1", payload), repositories)
    resolved.repository        # None if Treeherder drops the message
    resolved.findings

Source: `treeherder/etl/push_loader.py` of Treeherder, as of August 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulsekit._documents.suggestions import brief, described
from pulsekit._documents.values import pointer_token
from pulsekit.treeherder.repositories import Repositories
from pulsekit.treeherder.task_rules import DroppedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulsekit.treeherder.lint import Finding
    from pulsekit.treeherder.repositories import Repository
    from pulsekit.treeherder.subjects import PushMessage

__all__ = ["PushResolution", "resolve_push"]

_NEW_BRANCH = "0" * 40  # the base of a push that creates a branch


@dataclass(frozen=True, slots=True)
class PushResolution:
    """The repository of a push, or the reason why Treeherder drops the message.

    Attributes:
        url: the repository URL in the message, in the form that Treeherder compares; empty if the message has none.
        branch: the branch, `tag` for a tag, or None for Mercurial and for pull requests.
        repository: Treeherder's repository; None if Treeherder drops the message, or the repositories are unknown.
        findings: the rule by which Treeherder drops the message, or none.
        assumptions: what Treeherder requests from other services, one sentence for each request.
    """

    url: str = ""
    branch: str | None = None
    repository: Repository | None = None
    findings: tuple[Finding, ...] = ()
    assumptions: tuple[str, ...] = ()


def resolve_push(message: PushMessage, repositories: Mapping[str, bool] | None = None) -> PushResolution:
    """Return the repository to which a push belongs, or the rule by which Treeherder drops the message.

    No content of a message causes an exception.

    Args:
        message: the message.
        repositories: Treeherder's repositories with their URLs. Without them, only the message is checked.
    """
    url, branch = "", None
    repositories = repositories if isinstance(repositories, Repositories) else None
    try:
        kind = _kind(message.exchange)
        url, branch, assumption = _read_hg(message) if kind == "hg" else _read_github(message, kind)
        if repositories is not None and not repositories.at(url) and any(one.active for one in repositories.at("")):
            repositories = None  # one with an unknown URL can be the repository of the push
        found = None if repositories is None else _find(repositories, kind, url, branch, message.payload_at)
    except DroppedError as error:
        return PushResolution(url, branch, findings=(error.finding,))
    assumptions = (
        (assumption,) if repositories is not None else (assumption, "an active repository has the URL and the branch")
    )
    return PushResolution(url, branch, found, (), assumptions)


def _kind(exchange: str) -> str:
    if "github" in exchange and exchange.endswith("pull-request"):
        return "pull-request"
    if "github" in exchange and exchange.endswith("push"):
        return "push"
    if "github" not in exchange and "/hgpushes/" in exchange:
        return "hg"
    raise DroppedError("push-exchange", "", f"{brief(exchange)} is not an exchange of pushes that Treeherder reads")


def _read_hg(message: PushMessage) -> tuple[str, None, str]:
    """Return the URL of the repository, None for the branch, and what Treeherder requests from the server."""
    content = _value(message, "payload")
    if isinstance(content, dict) and "data" in content and "repo_url" not in content:
        hint = "this is the form of exchange/hgpushes/v2; Treeherder reads exchange/hgpushes/v1"
        raise DroppedError("push-incomplete", f"{message.payload_at}/payload", '"repo_url" is missing', hint)
    url = _text(message, "payload", "repo_url")
    pushes = _value(message, "payload", "pushlog_pushes")
    if pushes == []:
        raise DroppedError("push-empty", f"{message.payload_at}/payload/pushlog_pushes", "the list of pushes is empty")
    if not isinstance(pushes, list) or not isinstance(pushes[0], dict) or "push_full_json_url" not in pushes[0]:
        pointer = f"{message.payload_at}/payload/pushlog_pushes"
        raise DroppedError("push-incomplete", pointer, "the first push has no push_full_json_url")
    return url, None, "the server of the repository returns the changesets of the push"


def _read_github(message: PushMessage, kind: str) -> tuple[str, str | None, str]:
    """Return the URL of the repository, the branch, and what Treeherder requests from GitHub."""
    asked = "GitHub returns the commits of the push"
    if kind == "pull-request":
        _value(message, "details", "event.pullNumber")
        return _text(message, "details", "event.base.repo.url").replace(".git", ""), None, asked
    url = _text(message, "details", "event.head.repo.url").replace(".git", "")
    details = _value(message, "details")
    branch = "tag" if details.get("event.head.tag") else _text(message, "details", "event.base.repo.branch")
    if _value(message, "details", "event.base.sha") == _NEW_BRANCH and not _value(message, "body", "commits"):
        raise DroppedError("push-empty", f"{message.payload_at}/body/commits", "the new branch has no commits")
    return url, branch, asked


def _find(repositories: Repositories, kind: str, url: str, branch: str | None, at: str) -> Repository:
    """Return the only active repository of a push."""
    known = repositories.at(url)
    candidates = [one for one in known if one.active]
    if kind == "hg":
        found = [one for one in candidates if not any(name.endswith("*") for name in one.branches)]
    elif kind == "pull-request":
        found = [one for one in candidates if one.accepts_pull_requests]
    else:
        found = [one for one in candidates if branch in one.branches]
        found = found or [one for one in candidates if any(_fits(pattern, branch or "") for pattern in one.branches)]
    if len(found) == 1:
        return found[0]
    of_branch = f" with the branch {brief(branch)}" if branch is not None else ""
    if found:
        names = ", ".join(one.name for one in found)
        raise DroppedError("push-ambiguous", at, f"several active repositories are at {brief(url)}{of_branch}: {names}")
    if candidates and kind == "pull-request":
        text = f"{candidates[0].name} does not accept pull requests"
    elif candidates:
        branches = sorted({name for one in candidates for name in one.branches})
        text = f"no active repository at {brief(url)}{of_branch}; branches are {', '.join(branches) or 'unknown'}"
    elif known:
        text = f"{known[0].name} at {brief(url)} is not active"
    else:
        text = f"no repository has the URL {brief(url)}"
    raise DroppedError("push-unsupported", at, text)


def _fits(pattern: str, branch: str) -> bool:
    return pattern.endswith("*") and branch.startswith(pattern.removesuffix("*"))


def _value(message: PushMessage, *path: str) -> Any:
    """Return a member of the body, which Treeherder reads by indexing."""
    value, pointer = message.payload, message.payload_at
    for key in path:
        if not isinstance(value, dict) or key not in value:
            raise DroppedError("push-incomplete", pointer, f'"{key}" is missing from {described(value)}')
        value, pointer = value[key], f"{pointer}/{pointer_token(key)}"
    return value


def _text(message: PushMessage, *path: str) -> str:
    value = _value(message, *path)
    if not isinstance(value, str):
        pointer = message.payload_at + "".join(f"/{pointer_token(key)}" for key in path)
        raise DroppedError("push-incomplete", pointer, f"{described(value)} is not text")
    return value
