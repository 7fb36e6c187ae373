"""The status that Treeherder shows for a job: the result of a completed job, otherwise the state.

Source: `treeherder/etl/job_loader.py`.
"""

from __future__ import annotations

__all__ = ["UNKNOWN", "shown_status", "stored_result"]

UNKNOWN = "unknown"

# Results that Treeherder stores under another name, which differs between tests and other jobs.
_RESULTS = {"fail": "busted", "canceled": "usercancel"}
_TEST_RESULTS = _RESULTS | {"fail": "testfailed"}


def stored_result(state: str, result: str, kind: str, *, retried: bool) -> str:
    """Return the result that Treeherder stores.

    Args:
        state: `state` of the job.
        result: `result` of the job, or empty.
        kind: `jobKind` of the job.
        retried: `isRetried` of the job.
    """
    if state != "completed":
        return UNKNOWN
    if retried:
        return "retry"
    return (_TEST_RESULTS if kind == "test" else _RESULTS).get(result, result or UNKNOWN)


def shown_status(state: str, result: str) -> str:
    """Return the status of a job: the stored result if the job is completed, otherwise the state."""
    return result if state == "completed" else state
