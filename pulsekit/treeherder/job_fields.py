"""The fields of a stored job in the form and order of Treeherder's panel, and its place in Treeherder's table.

The job is a result of `pulsekit.treeherder.preview_job`. Texts of the publisher are not escaped.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from pulsekit.treeherder.results import shown_status
from pulsekit.treeherder.rule_list import PARSED_LOGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["JobHead", "job_fields", "job_head", "job_links"]

_UNGROUPED = "?"  # Treeherder draws the jobs of this group without a group
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class JobHead(NamedTuple):
    """The place of a job in Treeherder's table.

    Attributes:
        platform: the platform and the options, which are the head of a row.
        group: the symbol of the group, with the tier unless it is 1. Empty if Treeherder does not draw the group.
        symbol: the symbol, or `?` if the job has none.
        status: the result of a completed job, else the state. It selects the colour.
    """

    platform: str
    group: str
    symbol: str
    status: str


def job_head(job: dict[str, Any]) -> JobHead:
    """Return the place of a job in Treeherder's table."""
    group, tier = job["group_symbol"], job["tier"]
    return JobHead(
        " ".join([job["build_platform"].get("platform", "unknown"), *sorted(job["option_collection"])]),
        "" if group == _UNGROUPED else group if tier == 1 else f"{group}[tier {tier}]",
        job["job_symbol"] or _UNGROUPED,
        shown_status(job["state"], job["result"]),
    )


def job_fields(job: dict[str, Any], superseded: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the label and the value of each field that Treeherder's panel shows.

    Args:
        job: the fields of the job.
        superseded: the jobs that this job supersedes.
    """
    yield "Job", job["name"]
    yield "Group", job["group_name"]
    yield "State", job["state"]
    yield "Result", job["result"]
    yield from _times(job)
    build, machine = _platform(job["build_platform"]), _platform(job["machine_platform"])
    yield "Platform", build
    if machine != build:
        yield "Ran on", machine
    yield "Machine", job["machine"]
    if job["option_collection"]:
        yield "Options", ", ".join(job["option_collection"])
    yield "Tier", str(job["tier"])
    yield "Owner", job["who"]
    yield "Reason", job["reason"]
    yield "Product", job["product_name"]
    yield "Built by", job["build_system_type"]
    if "taskcluster_task_id" in job:
        yield "Task", f"{job['taskcluster_task_id']}, run {job['taskcluster_retry_id']}"
    if superseded:
        yield "Supersedes", ", ".join(superseded)


def job_links(job: dict[str, Any]) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yield the label of each log or file of performance data, its name and URL, and its use by Treeherder."""
    for reference in job["log_references"]:
        yield "Log", reference, "parsed" if reference["name"] in PARSED_LOGS else "a link"
    for reference in job["perfherder_data_references"]:
        yield "Performance data", reference, "parsed"


def _times(job: dict[str, Any]) -> Iterator[tuple[str, str]]:
    names = {"submit_timestamp": "Requested", "start_timestamp": "Started", "end_timestamp": "Ended"}
    for name, label in names.items():
        if name in job:
            when = _EPOCH + timedelta(seconds=job[name])
            yield label, f"{when.replace(tzinfo=None).isoformat(' ')} UTC"
    for label, begin, end in (
        ("Waited", "submit_timestamp", "start_timestamp"),
        ("Duration", "start_timestamp", "end_timestamp"),
    ):
        if begin in job and end in job and job[end] >= job[begin]:
            yield label, _span(job[end] - job[begin])


def _span(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    parts = [f"{number} {unit}" for number, unit in ((hours, "h"), (minute, "min"), (second, "s")) if number]
    return " ".join(parts) or "0 s"


def _platform(platform: dict[str, str]) -> str:
    return f"{platform['platform']} ({platform['os_name']}, {platform['architecture']})" if platform else "unknown"
