"""What Treeherder does with a job beyond its schema. This package does no I/O.

Job(project="autoland", …)           # a job with Python's names and types
lint_job(job)                        # what Treeherder would drop, misread or not show, and what to change
preview_job(job)                     # the job as Treeherder stores it
routing_key(job, "treeherder")       # treeherder.autoland._
summarize(job)                       # the main fields for one line of a screen
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.treeherder.job import Job, JobKind, JobResult, JobState, Link, Log, Machine
    from pulsekit.treeherder.keys import routing_key
    from pulsekit.treeherder.lint import Finding, Linter, lint_job
    from pulsekit.treeherder.preview import preview_job
    from pulsekit.treeherder.rules import RULES, Rule, Severity
    from pulsekit.treeherder.summary import JobSummary, summarize

__all__ = [
    "RULES",
    "Finding",
    "Job",
    "JobKind",
    "JobResult",
    "JobState",
    "JobSummary",
    "Link",
    "Linter",
    "Log",
    "Machine",
    "Rule",
    "Severity",
    "lint_job",
    "preview_job",
    "routing_key",
    "summarize",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "pulsekit.treeherder.job": ("Job", "JobKind", "JobResult", "JobState", "Link", "Log", "Machine"),
        "pulsekit.treeherder.keys": ("routing_key",),
        "pulsekit.treeherder.lint": (
            "Finding",
            "Linter",
            "lint_job",
        ),
        "pulsekit.treeherder.preview": ("preview_job",),
        "pulsekit.treeherder.rules": (
            "RULES",
            "Rule",
            "Severity",
        ),
        "pulsekit.treeherder.summary": (
            "JobSummary",
            "summarize",
        ),
    },
)
