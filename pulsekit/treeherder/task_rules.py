"""The rules by which Treeherder drops messages about Taskcluster tasks and pushes: name, severity, and what to change.

`rules` has those for jobs, which also apply to the job of a task. `tasks` and `pushes` apply the rules of this module.
Source: `treeherder/etl/taskcluster_pulse/` and `treeherder/etl/push_loader.py` of Treeherder, as of August 2026.
"""

from __future__ import annotations

from pulsekit.treeherder.lint import Finding
from pulsekit.treeherder.rules import Rule, Severity

__all__ = [
    "MAIN_BRANCHES",
    "MOBILE_PROJECTS",
    "PUSH_RULES",
    "ROUTE",
    "TASK_RULES",
    "DroppedError",
    "dropped",
]

ROUTE = "tc-treeherder"  # the first word of the route that Treeherder reads
MOBILE_PROJECTS = ("reference-browser", "mozilla-vpn-client", "mozilla-vpn-client-release")
MAIN_BRANCHES = ("refs/heads/master", "master", "refs/heads/main", "main")

_FORM = f"{ROUTE}.v2.<project>.<revision>.<push id>"
_ROUTE_HINT = f"add the route {_FORM} to `routes`"


def _rule(name: str, about: str, hint: str) -> Rule:
    return Rule(name, Severity.DROPPED, about, hint)


TASK_RULES = (
    _rule(
        "exchange-unknown",
        "Treeherder binds `task-defined`, `task-pending`, `task-running`, `task-completed`, `task-failed` and "
        "`task-exception` of `exchange/taskcluster-queue/v1`, and no other exchange of Taskcluster's queue.",
        "use a message of one of these exchanges",
    ),
    _rule(
        "route-missing",
        f"A task has exactly one route whose first word is `{ROUTE}`. Without one, Treeherder ignores the task.",
        _ROUTE_HINT,
    ),
    _rule(
        "route-stage",
        f"A route that begins with `{ROUTE}-stage` is not read by Treeherder's production instance.",
        f"{_ROUTE_HINT}, without -stage",
    ),
    _rule(
        "route-several",
        f"A task has exactly one route whose first word is `{ROUTE}`. With several, Treeherder ignores the task.",
        "keep one of them",
    ),
    _rule(
        "route-short",
        "A route has at least four words: Treeherder reads the project and the revision from the third and fourth.",
        f"write it as {_FORM}",
    ),
    _rule(
        "route-push-id",
        "If a route has five words, the fifth is the id of the push, a number.",
        f"write the number of the push, or leave the fifth word out: {_FORM}",
    ),
    _rule(
        "route-project-dot",
        "A route is split at its dots, so a project with a dot shifts all later words: its second part is read as the "
        "revision.",
        "use the name of the repository on Treeherder, which has no dot",
    ),
    _rule(
        "project-mobile-branch",
        f"Of {', '.join(f'`{name}`' for name in MOBILE_PROJECTS)}, Treeherder ignores tasks of pull requests and of "
        "other branches than master and main, by `MOBILE_HEAD_REPOSITORY` and `MOBILE_HEAD_REF` in `payload.env`.",
        "push to main of the repository that MOBILE_BASE_REPOSITORY names",
    ),
    _rule(
        "treeherder-missing",
        "Treeherder ignores a task without `extra.treeherder`, or with an empty one.",
        'add extra.treeherder with a symbol: {"symbol": "B", "machine": {"platform": "linux64"}}',
    ),
    _rule(
        "treeherder-invalid",
        "`extra.treeherder` has a schema of its own (`treeherder-task`). Treeherder ignores a task that violates it.",
        "correct it",
    ),
    _rule(
        "task-incomplete",
        "Treeherder reads `created`, `metadata`, `routes` and `workerType` of a task, of some projects `payload`. "
        "If one is absent or of another type, its handler fails, and the message is not retried.",
        "complete the definition: the queue's API returns all of these",
    ),
    _rule(
        "message-incomplete",
        "Treeherder reads `status.taskId`, `runId` and the run from each message. If one is absent or of another type, "
        "its handler fails, and the message is not retried.",
        "use the message as Taskcluster published it",
    ),
    _rule(
        "run-never-scheduled",
        "Treeherder ignores an exception of a run with `reasonCreated` `exception`: the task was cancelled, or passed "
        "its deadline, while it was unscheduled.",
        "schedule the task before its deadline: look at its dependencies",
    ),
)

PUSH_RULES = (
    _rule(
        "push-exchange",
        "Treeherder binds `exchange/hgpushes/v1`, and `push` and `pull-request` of `exchange/taskcluster-github/v1`. "
        "Messages of other exchanges create no push.",
        "use a message of one of these exchanges",
    ),
    _rule(
        "push-incomplete",
        "If a field that Treeherder reads is absent or of another type, its loader fails, and does not retry.",
        "use the message as it was published",
    ),
    _rule(
        "push-empty",
        "A message without changes creates no push: `pushlog_pushes` of Mercurial is empty, or `body.commits` of a new "
        "branch on GitHub.",
        "push a commit",
    ),
    _rule(
        "push-unsupported",
        'If no active repository has the URL and the branch, Treeherder logs "Skipping unsupported repo". Checked with '
        "`--repositories`.",
        "ask Treeherder's team to add the repository or the branch",
    ),
    _rule(
        "push-ambiguous",
        "If several active repositories have the URL and the branch, Treeherder skips the push. Checked with "
        "`--repositories`.",
        "ask Treeherder's team to keep one of them active",
    ),
)

_ALL = {rule.name: rule for rule in (*TASK_RULES, *PUSH_RULES)}


class DroppedError(Exception):
    """Raised where Treeherder drops a message.

    Attributes:
        finding (Finding): the rule, and where the message breaks it.
    """

    def __init__(self, rule: str, pointer: str, message: str, hint: str = "") -> None:
        self.finding = dropped(rule, pointer, message, hint)


def dropped(rule: str, pointer: str, message: str, hint: str = "") -> Finding:
    """Return a finding by a rule of this module.

    Args:
        rule: the name of the rule.
        pointer: the JSON pointer of the value.
        message: what was found.
        hint: what to change; the default is the hint of the rule.
    """
    found = _ALL[rule]
    return Finding(found.name, found.severity, pointer, message, hint or found.hint)
