"""What Treeherder does with a job beyond its schema: judge it, store it, show it, and the key it travels under.

    lint(job)                            # what Treeherder would drop, misread or leave out, and what to do
    preview(job)                         # the job as Treeherder stores it
    routing_key(job, "treeherder")       # treeherder.autoland._
    glance(job)                          # what one line of a screen says about it

Nothing here talks to anybody.
"""

from __future__ import annotations

from pulsekit.jobs.glances import Glance, glance
from pulsekit.jobs.keys import routing_key
from pulsekit.jobs.linter import Finding, Linter, lint
from pulsekit.jobs.loader import preview
from pulsekit.jobs.rules import RULES, Rule, Severity

__all__ = [
    "RULES",
    "Finding",
    "Glance",
    "Linter",
    "Rule",
    "Severity",
    "glance",
    "lint",
    "preview",
    "routing_key",
]
