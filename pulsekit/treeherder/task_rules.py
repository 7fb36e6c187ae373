"""The rules by which Treeherder drops messages about Taskcluster tasks and pushes: name, severity and correction.

`rule_list` has the rules for jobs, which also apply to the job of a task. `tasks` and `pushes` apply the rules here.
Source: `treeherder/etl/taskcluster_pulse/` and `treeherder/etl/push_loader.py` of Treeherder, as of August 2026.
"""

from __future__ import annotations

from pulsekit.treeherder.lint import Finding
from pulsekit.treeherder.rule_list import Rule, Severity

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
        "`task-exception` of `exchange/taskcluster-queue/v1`. Of Taskcluster's other exchanges, it reads only pushes.",
        "use a message of task-defined, -pending, -running, -completed, -failed or -exception",
    ),
    _rule(
        "route-missing",
        f"A task must have exactly one route whose first word is `{ROUTE}`. Without it, Treeherder ignores the task.",
        _ROUTE_HINT,
    ),
    _rule(
        "route-stage",
        f"Treeherder's production instance does not read a route that begins with `{ROUTE}-stage`.",
        f"{_ROUTE_HINT}, without -stage",
    ),
    _rule(
        "route-several",
        f"A task must have exactly one route whose first word is `{ROUTE}`. With several, Treeherder ignores the task.",
        "keep one of them",
    ),
    _rule(
        "route-short",
        "A route must have at least four words: the third is the project, and the fourth is the revision.",
        f"write it as {_FORM}",
    ),
    _rule(
        "route-push-id",
        "If a route has five words, the fifth must be a number, the id of the push.",
        f"write the number of the push, or remove the fifth word: {_FORM}",
    ),
    _rule(
        "route-project-dot",
        "Treeherder splits a route at its dots. If the project has a dot, Treeherder reads the part after the dot as "
        "the revision.",
        "use the name of the repository on Treeherder, which has no dot",
    ),
    _rule(
        "project-not-ingested",
        "A Treeherder instance can be limited to projects with `PROJECTS_TO_INGEST`. It ignores tasks of all others. "
        "Checked with `--ingest`.",
        "add the project to PROJECTS_TO_INGEST of the instance",
    ),
    _rule(
        "project-mobile-branch",
        f"In the projects {', '.join(f'`{name}`' for name in MOBILE_PROJECTS)}, Treeherder ignores tasks of pull "
        "requests, and of branches other than master and main. It reads `MOBILE_HEAD_REPOSITORY` and `MOBILE_HEAD_REF` "
        "in `payload.env`.",
        "push to main of the repository that MOBILE_BASE_REPOSITORY names",
    ),
    _rule(
        "treeherder-missing",
        "Treeherder ignores a task without `extra.treeherder`, or with an empty one.",
        'add extra.treeherder with a symbol: {"symbol": "B", "machine": {"platform": "linux64"}}',
    ),
    _rule(
        "treeherder-invalid",
        "Treeherder ignores a task if `extra.treeherder` violates its schema (`treeherder-task`).",
        "correct extra.treeherder",
    ),
    _rule(
        "task-incomplete",
        "Treeherder reads `created`, `metadata`, `routes` and `workerType` of a task, and `payload` for some projects. "
        "If a field is absent or has another type, its handler fails and does not retry the message.",
        "complete the definition; the queue's API returns all of these fields",
    ),
    _rule(
        "message-incomplete",
        "Treeherder reads `status.taskId`, `runId` and the run from each message. If a field is absent or has "
        "another type, its handler fails and does not retry the message.",
        "use Taskcluster's message without changes",
    ),
    _rule(
        "run-never-scheduled",
        "Treeherder ignores a message of `task-exception` if the `reasonCreated` of its run is `exception`: the task "
        "was cancelled, or reached its deadline, before it was scheduled.",
        "schedule the task before its deadline: look at its dependencies",
    ),
)

PUSH_RULES = (
    _rule(
        "push-exchange",
        "Treeherder binds `exchange/hgpushes/v1`, and `push` and `pull-request` of `exchange/taskcluster-github/v1`. "
        "Messages of other exchanges create no push.",
        "use a message of exchange/hgpushes/v1, or of push or pull-request of exchange/taskcluster-github/v1",
    ),
    _rule(
        "push-incomplete",
        "If a field that Treeherder reads is absent or has another type, its loader fails and does not retry.",
        "use the message without changes",
    ),
    _rule(
        "push-empty",
        "A message without commits creates no push: in a message of Mercurial, `pushlog_pushes` is empty; in one of a "
        "new branch on GitHub, `body.commits` is empty.",
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
    """Raised when Treeherder drops a message.

    Attributes:
        finding (Finding): the rule, and the value that breaks it.
    """

    def __init__(self, rule: str, pointer: str, message: str, hint: str = "") -> None:
        self.finding = dropped(rule, pointer, message, hint)


def dropped(rule: str, pointer: str, message: str, hint: str = "") -> Finding:
    """Return a finding for a rule of this module.

    Args:
        rule: the name of the rule.
        pointer: the JSON pointer of the value.
        message: the description of the finding.
        hint: how to correct the message. The default is the hint of the rule.
    """
    found = _ALL[rule]
    return Finding(found.name, found.severity, pointer, message, hint or found.hint)
