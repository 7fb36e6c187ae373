"""Explain why a task is not on Treeherder: the steps of `pulsekit why`, with the evidence for each step.

target = read_target("https://firefox-ci-tc.services.mozilla.com/tasks/A35mWTRuQmyj88yMnIF0fA")
explanation = explain(target, OnlineEvidence(timeout=30))
explanation.failed                   # the first step that failed, with what to change, or None

`OnlineEvidence` reads public pages of Taskcluster and Treeherder without a login. This blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.why.evidence import Evidence, OnlineEvidence, Page, SavedEvidence
    from pulsekit.why.explanation import STEPS, Explanation, Step, StepStatus, TaskReason
    from pulsekit.why.steps import explain
    from pulsekit.why.target import Target, read_target

__all__ = [
    "STEPS", "Evidence", "Explanation", "OnlineEvidence", "Page", "SavedEvidence", "Step", "StepStatus",
    "Target", "TaskReason", "explain", "read_target",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "evidence": "Evidence OnlineEvidence Page SavedEvidence",
        "explanation": "Explanation STEPS Step StepStatus TaskReason",
        "steps": "explain",
        "target": "Target read_target",
    },
)
