"""Predict what Treeherder does with a job. This package does no I/O.

Job(project="autoland", …)           # a job with Python's names and types
judge(job)                           # the verdict: stored or dropped, why, and how it is stored
lint_job(job)                        # the rules that a job breaks, and what to change
preview_job(job)                     # the job in the form in which Treeherder stores it
routing_key(job, "treeherder")       # treeherder.autoland._
summarize(job)                       # the main fields for one line of a screen
recognize(value)                     # a task, a message about a task, a graph of tasks, or a push; None for a job
predict_job(message)                 # the job that Treeherder makes of a message about a task
resolve_push(message, repositories)  # the repository that a push belongs to
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.treeherder.context import Context
    from pulsekit.treeherder.job import Job, JobKind, JobResult, JobState, Link, Log, Machine
    from pulsekit.treeherder.keys import routing_key
    from pulsekit.treeherder.lint import Finding, Linter, lint_job
    from pulsekit.treeherder.prediction import TaskPrediction
    from pulsekit.treeherder.pushes import PushResolution, resolve_push
    from pulsekit.treeherder.repositories import Repositories, Repository, read_repositories
    from pulsekit.treeherder.rule_list import RULES, Rule, Severity
    from pulsekit.treeherder.subjects import PushMessage, TaskDefinition, TaskGraph, TaskMessage, recognize
    from pulsekit.treeherder.summary import JobSummary, summarize
    from pulsekit.treeherder.task_rules import PUSH_RULES, TASK_RULES
    from pulsekit.treeherder.tasks import predict_job
    from pulsekit.treeherder.verdict import RULES_AS_OF, Judge, TreeherderOutcome, Verdict, judge, preview_job

__all__ = [
    "PUSH_RULES", "RULES", "RULES_AS_OF", "TASK_RULES", "Context", "Finding", "Job", "JobKind", "JobResult",
    "JobState", "JobSummary", "Judge", "Link", "Linter", "Log", "Machine", "PushMessage", "PushResolution",
    "Repositories", "Repository", "Rule", "Severity", "TaskDefinition", "TaskGraph", "TaskMessage",
    "TaskPrediction", "TreeherderOutcome", "Verdict", "judge", "lint_job", "predict_job", "preview_job",
    "read_repositories", "recognize", "resolve_push", "routing_key", "summarize",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "context": "Context",
        "job": "Job JobKind JobResult JobState Link Log Machine",
        "keys": "routing_key",
        "lint": "Finding Linter lint_job",
        "prediction": "TaskPrediction",
        "pushes": "PushResolution resolve_push",
        "repositories": "Repositories Repository read_repositories",
        "rule_list": "RULES Rule Severity",
        "subjects": "PushMessage TaskDefinition TaskGraph TaskMessage recognize",
        "summary": "JobSummary summarize",
        "task_rules": "PUSH_RULES TASK_RULES",
        "tasks": "predict_job",
        "verdict": "Judge RULES_AS_OF TreeherderOutcome Verdict judge preview_job",
    },
)
